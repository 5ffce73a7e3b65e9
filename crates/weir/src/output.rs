//! Commands that only print.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::cli::{Format, VersionArguments};
use crate::exit::Failure;

/// `weir crds`: what the embedded API serves and the Helm chart installs.
pub(crate) fn crds() -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for crd in weir_api::crds() {
        write!(out, "---\n{}", yaml(&crd)?)?;
    }
    Ok(())
}

/// `weir version`.
pub(crate) fn version(arguments: &VersionArguments) -> Result<(), Failure> {
    let version = json!({"version": env!("CARGO_PKG_VERSION"), "gatewayAPI": "v1.6.3", "envoyGatewayAPI": "v1alpha1"});
    let text = match arguments.output {
        None => format!("weir {} (Gateway API v1.6.3, gateway.envoyproxy.io/v1alpha1)\n", env!("CARGO_PKG_VERSION")),
        Some(format) => render(&version, format)?,
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// `value` as text that ends in a newline.
pub(crate) fn render(value: &Value, format: Format) -> Result<String, Failure> {
    match format {
        Format::Yaml => yaml(value),
        Format::Json => serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(Failure::new),
    }
}

fn yaml(value: &Value) -> Result<String, Failure> {
    serde_saphyr::to_string(value).map_err(Failure::new)
}
