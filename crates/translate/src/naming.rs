//! Names of what is provisioned, as Envoy Gateway's users know them.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use weir_model::GatewayName;

/// How much of `NAMESPACE-NAME` a provisioned object's name keeps; with prefix and hash it stays within the 63 letters of a DNS label.
const NAME_KEPT: usize = 48;
/// The longest value of a label.
const LABEL_MAX: usize = 63;
/// Ports below this need a privilege to be bound.
const FIRST_UNPRIVILEGED: u16 = 1024;
/// What is added to a privileged port to get one that needs none.
const PORT_SHIFT: u16 = 10000;

/// What the Deployment and the Service of a Gateway are called: `envoy-NAMESPACE-NAME-HASH`.
pub(crate) fn proxy_name(gateway: &GatewayName) -> String {
    let full = gateway.to_string();
    // Services are DNS labels: a Gateway's name may have dots, theirs may not.
    let mut readable = full.replace(['/', '.'], "-");
    if readable.len() > NAME_KEPT {
        readable.truncate(NAME_KEPT);
        readable.truncate(readable.trim_end_matches('-').len());
    }
    format!("envoy-{readable}-{}", hash8(&full))
}

/// A name as the value of a label: names may have 253 letters, values 63.
pub(crate) fn label_value(name: &str) -> String {
    if name.len() <= LABEL_MAX {
        return name.to_owned();
    }
    let kept: String = name.chars().take(LABEL_MAX - 9).collect();
    format!("{}-{}", kept.trim_end_matches(['-', '.']), hash8(name))
}

/// The port that a proxy in a pod listens on: 80 becomes 10080, so that no privilege is needed.
pub(crate) fn container_port(port: u16) -> u16 {
    if port < FIRST_UNPRIVILEGED { port + PORT_SHIFT } else { port }
}

/// The first eight hexadecimal digits of the SHA-256 of `text`.
fn hash8(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(4).fold(String::new(), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_named_like_envoy_gateways() {
        // The hash is Envoy Gateway's: the documentation's examples show `envoy-default-eg-e41e7b31` for Gateway `default/eg`.
        assert_eq!(proxy_name(&GatewayName::new("default", "eg")), "envoy-default-eg-e41e7b31");
    }

    #[test]
    fn long_and_dotted_names_stay_dns_labels() {
        let name = proxy_name(&GatewayName::new("default", "a.".repeat(120) + "b"));
        assert!(name.len() <= 63 && !name.contains('.') && !name.contains("--"), "{name}");
        let value = label_value(&"a.".repeat(126));
        assert!(value.len() <= 63 && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-'), "{value}");
    }

    #[test]
    fn privileged_ports_are_shifted() {
        assert_eq!([80, 443, 1023, 1024, 8080].map(container_port), [10080, 10443, 11023, 1024, 8080]);
    }
}
