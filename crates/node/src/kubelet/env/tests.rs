use serde_json::json;

use super::*;

fn pod() -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"app": "a", "x.io/y": "z"}, "annotations": {"note": "n"}},
        "spec": {"nodeName": "weir", "containers": []},
    }))
    .unwrap()
}

fn sources() -> Sources {
    let data = |k: &str, v: &str| Some(BTreeMap::from([(k.to_owned(), v.to_owned())]));
    Sources {
        config_maps: [("cm".to_owned(), data("key", "from-cm")), ("none".to_owned(), None)].into(),
        secrets: [("s".to_owned(), data("key", "from-secret")), ("none".to_owned(), None)].into(),
    }
}

fn env(container: serde_json::Value) -> Result<BTreeMap<String, String>, String> {
    let pod = pod();
    let own = Own { pod: &pod, ip: Ipv4Addr::new(127, 1, 128, 1), host_ip: Ipv4Addr::new(127, 1, 0, 1) };
    let container: Container = serde_json::from_value(container).unwrap();
    resolve(&container, &own, &sources()).map(|invocation| invocation.env)
}

#[test]
fn fields_of_the_pod() {
    for (path, expected) in [
        ("metadata.name", "p"),
        ("metadata.namespace", "ns"),
        ("metadata.uid", "u"),
        ("metadata.labels['x.io/y']", "z"),
        ("metadata.annotations['note']", "n"),
        ("metadata.labels['missing']", ""),
        ("spec.nodeName", "weir"),
        ("status.podIP", "127.1.128.1"),
        ("status.hostIP", "127.1.0.1"),
    ] {
        let env = env(json!({"name": "c", "env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}]})).unwrap();
        assert_eq!(env["X"], expected, "{path}");
    }
}

#[test]
fn config_maps_and_secrets() {
    let key = |kind: &str, name: &str, key: &str, optional: bool| {
        let reference = json!({"name": name, "key": key, "optional": optional});
        env(json!({"name": "c", "env": [{"name": "X", "valueFrom": {(kind): reference}}]})).map(|e| e.get("X").cloned())
    };
    assert_eq!(key("configMapKeyRef", "cm", "key", false), Ok(Some("from-cm".into())));
    assert_eq!(key("secretKeyRef", "s", "key", false), Ok(Some("from-secret".into())));
    assert_eq!(key("configMapKeyRef", "none", "key", false), Err("configmap \"none\" not found".into()));
    assert_eq!(key("secretKeyRef", "none", "key", false), Err("secret \"none\" not found".into()));
    assert_eq!(key("configMapKeyRef", "cm", "nope", false), Err("couldn't find key nope in ConfigMap ns/cm".into()));
    assert_eq!(key("configMapKeyRef", "cm", "nope", true), Ok(None));
    assert_eq!(key("secretKeyRef", "none", "key", true), Ok(None));
    let from =
        env(json!({"name": "c", "envFrom": [{"prefix": "P_", "configMapRef": {"name": "cm"}}, {"secretRef": {"name": "s"}}]})).unwrap();
    assert_eq!((from["P_key"].as_str(), from["key"].as_str()), ("from-cm", "from-secret"));
}

#[test]
fn variables_refer_to_earlier_ones() {
    let env = env(
        json!({"name": "c", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(LATER)"}, {"name": "LATER", "value": "x"}]}),
    );
    assert_eq!(env.unwrap()["B"], "1-$(LATER)");
}

#[test]
fn expansion() {
    let env = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
    for (text, expected) in
        [("$(A)$(A)", "11"), ("$$(A)", "$(A)"), ("$A $", "$A $"), ("$(B)", "$(B)"), ("a$(", "a$("), ("", ""), ("ü$(A)", "ü1")]
    {
        assert_eq!(expand(text, &env, 9).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn what_would_be_too_long_is_refused_before_it_is_made() {
    let long = "x".repeat(LONGEST - 3);
    assert!(env(json!({"name": "c", "env": [{"name": "A", "value": long}]})).is_ok(), "name, sign, value and the end fit");
    let error = |container| env(container).unwrap_err();
    let expected = "argument list too long: a string may have 131072 bytes, all together 2097152";
    assert_eq!(error(json!({"name": "c", "env": [{"name": "A", "value": format!("{long}x")}]})), format!("A: {expected}"));
    // Doubled again and again, it would be a few terabytes.
    let doubled: Vec<_> = (0..42)
        .map(|n| json!({"name": format!("V{n}"), "value": if n == 0 { "x".to_owned() } else { format!("$(V{0})$(V{0})", n - 1) }}))
        .collect();
    assert_eq!(error(json!({"name": "c", "env": doubled})), format!("V17: {expected}"));
    let variable = json!({"name": "A", "value": "x".repeat(100_000)});
    assert_eq!(error(json!({"name": "c", "env": [variable], "args": ["$(A)$(A)"]})), format!("args: {expected}"));
    assert_eq!(error(json!({"name": "c", "env": [variable], "command": vec!["$(A)"; 21]})), format!("command: {expected}"));
}
