//! The API kinds as Rust types with schemas, defaults and rules.
//!
//! Three things live here: the typed objects that `translate` reads, the CustomResourceDefinitions that an API server loads
//! ([`crds()`]), and the `EnvoyGateway` configuration file ([`envoy_gateway`]).
//!
//! A type carries the field names, the defaults that a reader needs, and the descriptions that `kubectl explain` prints: the doc
//! comments of these types are those descriptions. Bounds, patterns, list types and CEL rules live in `schema/*.yaml`. A test
//! proves that both sides name the same fields with the same types and defaults, another that they say what upstream says.
//!
//! Text stays text: a duration, a quantity or a word from a closed set never makes an object undecodable. Whoever reads it judges
//! it ([`duration::parse`], [`quantity::parse`], the `Unknown` variant of each set of words).

#[macro_use]
mod text;

pub mod backend;
pub mod client_traffic_policy;
pub mod core;
pub mod crd;
pub mod duration;
pub mod envoy_gateway;
pub mod envoy_proxy;
pub mod gateway;
pub mod gateway_class;
pub mod http_route;
pub mod object;
pub mod quantity;
pub mod reference;
pub mod reference_grant;
pub mod selector;

pub use backend::Backend;
pub use client_traffic_policy::ClientTrafficPolicy;
pub use core::{ConfigMap, EndpointSlice, Namespace, Secret, Service};
pub use crd::crds;
pub use envoy_proxy::EnvoyProxy;
pub use gateway::Gateway;
pub use gateway_class::GatewayClass;
pub use http_route::HttpRoute;
pub use object::{DecodeError, Metadata, Object, decode};
pub use reference_grant::ReferenceGrant;
