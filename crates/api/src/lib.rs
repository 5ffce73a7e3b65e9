//! The API kinds as Rust types with schemas, defaults and rules.
