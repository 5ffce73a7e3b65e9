//! A Kubernetes-style API server in one process: store, REST, watch, patch, tables, OpenAPI.
//!
//! General: it knows the built-in kinds and whatever CustomResourceDefinitions it is given, and nothing about what they mean.
//! [`Server::start`] opens the state in a data directory and listens on loopback, always with TLS and a token.

mod api;
mod apply;
mod auth;
pub mod builtin;
mod crd;
mod discovery;
mod events;
mod hooks;
mod janitor;
mod object;
pub mod openapi;
pub mod patch;
pub mod proto;
mod registry;
mod rest;
pub mod schema;
mod selector;
mod server;
mod start;
mod status;
mod store;
#[doc(hidden)]
pub mod strangers;
pub mod table;
mod texts;
mod watch;

pub use hooks::{Hooks, LiveColumns, LogError, LogRequest, LogStream, PodLogs, Refusal};
pub use start::{Config, Server, StartError};
