//! A Kubernetes-style API server: store, REST, watch, patch, tables, OpenAPI.

pub mod builtin;
pub mod openapi;
pub mod patch;
pub mod proto;
pub mod schema;
pub mod table;
