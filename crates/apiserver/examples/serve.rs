//! A server to try clients against: `cargo run -p weir-apiserver --example serve -- DATA_DIR [CRD.json...]`.
//!
//! Each further argument is a file with one CustomResourceDefinition, or a JSON list of them. Ends on Ctrl-C.

use std::error::Error;

use serde_json::Value;
use weir_apiserver::{Config, Server};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let data_dir = arguments.next().ok_or("which data directory?")?.into();
    let mut crds = Vec::new();
    for file in arguments {
        match serde_json::from_str(&std::fs::read_to_string(file)?)? {
            Value::Array(list) => crds.extend(list),
            one => crds.push(one),
        }
    }
    let begun = std::time::Instant::now();
    let server = Server::start(Config { data_dir, crds, version: env!("CARGO_PKG_VERSION").to_owned(), ..Config::default() }).await?;
    let mut out = std::io::stderr();
    std::io::Write::write_all(&mut out, format!("{} after {:?}\n", server.url(), begun.elapsed()).as_bytes())?;
    tokio::signal::ctrl_c().await?;
    server.shutdown().await;
    Ok(())
}
