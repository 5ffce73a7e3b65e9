//! The schemas say what upstream says, and what the Rust types say.

mod agreement;
mod upstream;

use super::*;

#[test]
fn the_order_is_fixed() {
    let names: Vec<String> = crds().iter().map(|crd| crd["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        names,
        [
            "gatewayclasses.gateway.networking.k8s.io",
            "gateways.gateway.networking.k8s.io",
            "httproutes.gateway.networking.k8s.io",
            "referencegrants.gateway.networking.k8s.io",
            "backends.gateway.envoyproxy.io",
            "clienttrafficpolicies.gateway.envoyproxy.io",
            "envoyproxies.gateway.envoyproxy.io",
        ]
    );
    assert_eq!(crds(), crds());
}

/// `kubectl explain` has something to say about every field.
#[test]
fn every_field_is_described() {
    fn check(schema: &Value, path: &str, missing: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            let text = property["description"].as_str().unwrap_or_default();
            // Types without a comment of their own get one from serde_json: no sentence of ours.
            if !text.ends_with(['.', '?']) || text.contains('\n') || text.contains('`') {
                missing.push(format!("{path}: {text:?}"));
            }
            check(property, &path, missing);
            check(&property["items"], &format!("{path}[]"), missing);
        }
    }
    let mut missing = Vec::new();
    for crd in crds() {
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
        check(&schema["properties"]["spec"], &format!("{kind}.spec"), &mut missing);
        check(&schema["properties"]["status"], &format!("{kind}.status"), &mut missing);
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn nothing_of_the_source_language_is_left() {
    for crd in crds() {
        assert!(!crd.to_string().contains("\"$"), "{}", crd["metadata"]["name"]);
    }
}
