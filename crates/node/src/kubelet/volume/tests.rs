use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::*;

fn sources() -> Sources {
    let data = |pairs: &[(&str, &'static str)]| Some(pairs.iter().map(|(key, value)| ((*key).to_owned(), Bytes::from(*value))).collect());
    Sources {
        config_maps: [("cm".to_owned(), data(&[("Corefile", ".:53"), ("other", "x")])), ("none".to_owned(), None)].into(),
        secrets: [("s".to_owned(), data(&[("tls.crt", "CERT"), ("tls.key", "KEY")])), ("none".to_owned(), None)].into(),
    }
}

/// The files of a container with these mounts in a pod with these volumes, as `path=content`.
fn mount(volumes: serde_json::Value, mounts: serde_json::Value) -> Result<Vec<String>, String> {
    let volumes: Vec<Volume> = serde_json::from_value(volumes).unwrap();
    let container: Container = serde_json::from_value(json!({"name": "c", "volumeMounts": mounts})).unwrap();
    let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ns"}})).unwrap();
    let own = Own { pod: &pod, ip: Ipv4Addr::new(127, 1, 128, 1), host_ip: Ipv4Addr::new(127, 1, 0, 1) };
    let files = files(&container, &volumes, &own, &sources())?;
    Ok(files.0.iter().map(|(path, bytes)| format!("{path}={}", String::from_utf8_lossy(bytes))).collect())
}

#[test]
fn a_secret_is_mounted_whole_or_by_its_items() {
    let mounts = json!([{"name": "v", "mountPath": "/etc/v/"}]);
    let whole = mount(json!([{"name": "v", "secret": {"secretName": "s"}}]), mounts.clone());
    assert_eq!(whole.unwrap(), ["/etc/v/tls.crt=CERT", "/etc/v/tls.key=KEY"]);
    let items = json!([{"key": "tls.crt", "path": "a/crt"}]);
    let some = mount(json!([{"name": "v", "secret": {"secretName": "s", "items": items}}]), mounts);
    assert_eq!(some.unwrap(), ["/etc/v/a/crt=CERT"]);
}

#[test]
fn config_maps_own_fields_and_projections_are_files_too() {
    let mounts = json!([{"name": "c", "mountPath": "/c"}, {"name": "all", "mountPath": "/all"}]);
    let fields = json!({"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]});
    let sources = json!([{"configMap": {"name": "cm", "items": [{"key": "other", "path": "o"}]}}, {"downwardAPI": fields}]);
    let found = mount(
        json!([{"name": "c", "configMap": {"name": "cm"}}, {"name": "all", "projected": {"sources": sources}}, {"name": "e", "emptyDir": {}}]),
        mounts,
    );
    assert_eq!(found.unwrap(), ["/all/name=p", "/all/o=x", "/c/Corefile=.:53", "/c/other=x"]);
}

#[test]
fn a_sub_path_is_one_file_or_one_directory() {
    let volumes = json!([{"name": "v", "secret": {"secretName": "s", "items": [{"key": "tls.crt", "path": "a/crt"}]}}]);
    let one = mount(volumes.clone(), json!([{"name": "v", "mountPath": "/x.pem", "subPath": "a/crt"}]));
    assert_eq!(one.unwrap(), ["/x.pem=CERT"]);
    let directory = mount(volumes.clone(), json!([{"name": "v", "mountPath": "/d", "subPath": "a"}]));
    assert_eq!(directory.unwrap(), ["/d/crt=CERT"]);
    assert!(mount(volumes, json!([{"name": "v", "mountPath": "/d", "subPath": "a/c"}])).unwrap().is_empty());
}

#[test]
fn what_is_missing_is_named_unless_it_is_optional() {
    let said = |volume: serde_json::Value| mount(json!([volume]), json!([])).unwrap_err();
    assert_eq!(
        said(json!({"name": "v", "secret": {"secretName": "none"}})),
        "MountVolume.SetUp failed for volume \"v\" : secret \"none\" not found"
    );
    assert_eq!(
        said(json!({"name": "v", "configMap": {"name": "cm", "items": [{"key": "k", "path": "p"}]}})),
        "MountVolume.SetUp failed for volume \"v\" : references non-existent config key: k"
    );
    assert!(said(json!({"name": "v", "hostPath": {"path": "/"}})).contains("volumes only"));
    let optional = json!([{"name": "v", "secret": {"secretName": "none", "optional": true}}]);
    assert!(mount(optional, json!([{"name": "v", "mountPath": "/v"}])).unwrap().is_empty());
    assert!(mount(json!([]), json!([{"name": "v", "mountPath": "/v"}])).unwrap_err().contains("not declared"));
}
