//! Fuzz targets for stable Rust: what takes bytes from strangers, with what it promises about them.

mod choices;
mod chunked;
mod client_hello;
mod decode;
pub mod driver;
mod http1;
mod hyper_peer;
mod manifests;
mod objects;
mod patch;
mod path;
mod proxy_header;
mod routes;
mod selectors;
mod texts;

/// A target: panics when a promise is broken.
pub type Target = fn(&[u8]);

/// All targets by name, which is also the folder of their corpus.
pub const TARGETS: [(&str, Target); 13] = [
    ("http1_request", http1::request),
    ("http1_response", http1::response),
    ("chunked", chunked::chunked),
    ("path", path::path),
    ("routes", routes::routes),
    ("objects", objects::objects),
    ("manifests", manifests::manifests),
    ("texts", texts::texts),
    ("proxy_header", proxy_header::proxy_header),
    ("client_hello", client_hello::client_hello),
    ("decode", decode::decode),
    ("patch", patch::patch),
    ("selectors", selectors::selectors),
];
