use serde_json::{Value, json};

use super::*;

fn kind(kind: &str) -> &'static Builtin {
    all().iter().find(|b| b.kind == kind).unwrap()
}

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(|e| format!("{}: {}", e.field, e.message)).collect()
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "default"}, "spec": {
        "selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i:1", "ports": [{"containerPort": 3000}],
            "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}]}},
    }})
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "default"}, "spec": {"selector": {"app": "a"}, "ports": [{"port": 80}]}})
}

#[test]
fn every_kind_has_a_schema() {
    for kind in all() {
        assert!(kind.schema().known_fields("").contains(&"metadata"), "{}", kind.kind);
    }
    assert!(by_resource("apps", "v1", "deployments").is_some());
    assert!(by_kind("", "v1", "Event").is_some());
    assert!(by_kind("events.k8s.io", "v1", "Event").is_some());
}

#[test]
fn decoding_names_unknown_fields_and_wrong_types() {
    let mut object = deployment();
    object["spec"]["x"] = json!(1);
    object["spec"]["template"]["spec"]["containers"][0]["imag"] = json!("");
    object["metadata"]["foo"] = json!(1);
    object["metadata"]["creationTimestamp"] = Value::Null;
    let unknown = kind("Deployment").decode_check(&mut object).unwrap();
    assert_eq!(unknown, ["metadata.foo", "spec.template.spec.containers[0].imag", "spec.x"]);
    assert_eq!(object, deployment());
    let cases = [
        (
            "Deployment",
            "/spec/replicas",
            json!("1"),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "Deployment",
            "/spec/replicas",
            json!(1.5),
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "Deployment",
            "/spec/template/spec/containers/0/image",
            json!(1),
            "json: cannot unmarshal number into Go struct field Container.spec.template.spec.containers.image of type string",
        ),
        (
            "Deployment",
            "/spec/template/spec/containers",
            json!({}),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        (
            "Deployment",
            "/metadata/labels",
            json!({"a": 1}),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        ("ConfigMap", "/data", json!({"a": 1}), "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"),
        (
            "Deployment",
            "/spec/template/spec/containers/0/resources",
            json!({"limits": {"cpu": "much"}}),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        ("Secret", "/data", json!({"a": "%"}), "illegal base64 data at input byte 0"),
    ];
    for (name, pointer, value, text) in cases {
        let mut object = if name == "Deployment" { deployment() } else { json!({}) };
        let mut at = &mut object;
        for segment in pointer.split('/').skip(1) {
            at = if at.is_array() { &mut at[segment.parse::<usize>().unwrap()] } else { &mut at[segment] };
        }
        *at = value;
        assert_eq!(kind(name).decode_check(&mut object).unwrap_err().to_string(), text);
    }
    let mut object = json!({"spec": {"containers": [{"resources": {"limits": {"cpu": 0.5, "memory": 1024}}}]}});
    assert!(kind("Pod").decode_check(&mut object).unwrap().is_empty());
    assert_eq!(object["spec"]["containers"][0]["resources"]["limits"], json!({"cpu": "500m", "memory": "1024"}));
    let mut object = json!({"spec": {"replicas": "1"}});
    let error = kind("Deployment").decode_check(&mut object).unwrap_err();
    assert_eq!(error.unstructured(), "unrecognized type: int32");
    assert_eq!(error.typed(), ".spec.replicas: expected numeric (int or float), got string");
}

#[test]
fn metadata_of_custom_resources_is_typed_too() {
    let mut object = json!({"metadata": {"name": "a", "labels": null, "foo": 1}, "spec": {"x": null}});
    assert_eq!(meta::decode_check(&mut object).unwrap(), ["metadata.foo"]);
    assert_eq!(object, json!({"metadata": {"name": "a"}, "spec": {"x": null}}));
    let mut object = json!({"metadata": {"labels": {"a": 1}}});
    let error = meta::decode_check(&mut object).unwrap_err().to_string();
    assert_eq!(error, "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string");
    assert!(meta::decode_check(&mut json!({"metadata": "a"})).is_err());
    assert!(meta::decode_check(&mut json!({})).unwrap().is_empty());
}

#[test]
fn deployments_get_their_defaults() {
    let mut object = deployment();
    kind("Deployment").default(&mut object);
    let spec = &object["spec"];
    assert_eq!(spec["replicas"], 1);
    assert_eq!(spec["strategy"], json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}));
    assert_eq!((&spec["revisionHistoryLimit"], &spec["progressDeadlineSeconds"]), (&json!(10), &json!(600)));
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["containers"][0]["ports"], json!([{"containerPort": 3000, "protocol": "TCP"}]));
    assert_eq!(pod["containers"][0]["env"][0]["valueFrom"]["fieldRef"]["apiVersion"], "v1");
    assert_eq!(pod["containers"][0]["imagePullPolicy"], "IfNotPresent");
    assert_eq!(pod["containers"][0]["terminationMessagePolicy"], "File");
    assert_eq!(
        (&pod["restartPolicy"], &pod["dnsPolicy"], &pod["securityContext"], &pod["schedulerName"]),
        (&json!("Always"), &json!("ClusterFirst"), &json!({}), &json!("default-scheduler"))
    );
    assert_eq!(object["status"], json!({}));
    let once = object.clone();
    kind("Deployment").default(&mut object);
    assert_eq!(object, once, "defaults are stable");
    assert_eq!(texts(&kind("Deployment").validate(&object, None)), Vec::<String>::new());
}

#[test]
fn other_kinds_get_their_defaults() {
    let mut object = service();
    kind("Service").default(&mut object);
    assert_eq!(
        object["spec"],
        json!({"selector": {"app": "a"}, "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}], "sessionAffinity": "None", "type": "ClusterIP",
            "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"})
    );
    assert_eq!(object["status"], json!({"loadBalancer": {}}));
    // As kube-apiserver 1.37 answers.
    let mut object = json!({"metadata": {"name": "headless"}, "spec": {"clusterIP": "None", "ports": [{"port": 80}]}});
    kind("Service").default(&mut object);
    assert_eq!((&object["spec"]["ipFamilyPolicy"], &object["spec"]["ipFamilies"]), (&json!("RequireDualStack"), &json!(["IPv4", "IPv6"])));
    let mut object = json!({"metadata": {"name": "n"}});
    kind("Namespace").default(&mut object);
    assert_eq!(
        object,
        json!({"metadata": {"name": "n", "labels": {"kubernetes.io/metadata.name": "n"}}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}})
    );
    let mut object = json!({"data": {"a": "YQ=="}, "stringData": {"b": "b"}});
    kind("Secret").default(&mut object);
    assert_eq!(object, json!({"data": {"a": "YQ==", "b": "Yg=="}, "type": "Opaque"}));
    let mut object = json!({"spec": {"containers": [{"name": "c", "image": "i"}]}});
    kind("Pod").default(&mut object);
    assert_eq!(object["spec"]["tolerations"].as_array().map(Vec::len), Some(2));
    assert_eq!(object["spec"]["containers"][0]["imagePullPolicy"], "Always");
    assert_eq!(object["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
}

/// Applies `change` to a defaulted object and returns the errors.
fn broken(name: &str, object: Value, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut object = object;
    change(&mut object);
    kind(name).default(&mut object);
    texts(&kind(name).validate(&object, None))
}

#[test]
fn common_mistakes_are_named() {
    let deploy = |change: fn(&mut Value)| broken("Deployment", deployment(), change);
    let svc = |change: fn(&mut Value)| broken("Service", service(), change);
    let container = "spec.template.spec.containers[0]";
    assert_eq!(deploy(|d| d["spec"]["replicas"] = json!(-1)), ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]);
    assert_eq!(
        deploy(|d| d["spec"]["template"]["spec"]["containers"][0]["image"] = json!("")),
        [format!("{container}.image: Required value")]
    );
    assert_eq!(deploy(|d| d["spec"]["template"]["spec"]["containers"] = json!([])), ["spec.template.spec.containers: Required value"]);
    assert_eq!(
        deploy(|d| d["spec"]["selector"]["matchLabels"] = json!({"app": "b"})),
        ["spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: `selector` does not match template `labels`"]
    );
    assert_eq!(
        deploy(|d| d["spec"]["selector"] = json!({})),
        ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"]
    );
    assert_eq!(
        deploy(|d| d["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] = json!(70000)),
        [format!("{container}.ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive")]
    );
    assert_eq!(
        deploy(|d| d["metadata"]["name"] = json!("Bad_Name")),
        [
            "metadata.name: Invalid value: \"Bad_Name\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ]
    );
    assert_eq!(
        deploy(|d| d["metadata"]["labels"] = json!({"a": "b c"})),
        [
            "metadata.labels: Invalid value: \"b c\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        ]
    );
    let object = json!({"metadata": {"name": "a", "namespace": "d", "labels": {"a": 1}, "annotations": {"b": []}}});
    assert_eq!(
        texts(&meta::validate(true, &object)),
        ["metadata.labels: Invalid value: 1: must be a string", "metadata.annotations: Invalid value: []: must be a string"]
    );
    assert_eq!(svc(|s| s["spec"]["ports"] = json!([])), ["spec.ports: Required value"]);
    assert_eq!(
        svc(|s| s["spec"]["ports"][0] = json!({"port": 99999, "targetPort": 80})),
        ["spec.ports[0].port: Invalid value: 99999: must be between 1 and 65535, inclusive"]
    );
    assert_eq!(
        svc(|s| s["spec"]["ports"] = json!([{"port": 80}, {"port": 81}])),
        ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"]
    );
    assert_eq!(
        broken("ConfigMap", json!({"metadata": {"namespace": "d"}}), |_| {}),
        ["metadata.name: Required value: name or generateName is required"]
    );
    assert_eq!(
        broken("ConfigMap", json!({"metadata": {"name": "c", "namespace": "d"}, "data": {"x": "y".repeat(1 << 20) + "z"}}), |_| {}),
        ["[]: Too long: may not be more than 1048576 bytes"]
    );
    assert_eq!(
        broken("Event", json!({"metadata": {"name": "e", "namespace": "d"}, "involvedObject": {"namespace": "x"}}), |_| {}),
        ["involvedObject.namespace: Invalid value: \"x\": does not match event.namespace"]
    );
}

#[test]
fn what_must_stay_stays() {
    let mut old = deployment();
    kind("Deployment").default(&mut old);
    let mut new = old.clone();
    new["spec"]["selector"] = json!({"matchLabels": {"app": "other"}});
    new["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    assert_eq!(
        texts(&kind("Deployment").validate(&new, Some(&old))),
        ["spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"other\"}}: field is immutable"]
    );
    let mut old = service();
    old["spec"]["clusterIP"] = json!("10.96.0.2");
    kind("Service").default(&mut old);
    let mut new = old.clone();
    new["spec"]["clusterIP"] = json!("10.96.1.1");
    new["spec"]["clusterIPs"] = json!(["10.96.1.1"]);
    assert_eq!(
        texts(&kind("Service").validate(&new, Some(&old))),
        ["spec.clusterIPs[0]: Invalid value: [\"10.96.1.1\"]: may not change once set"]
    );
}

#[test]
fn bytes_are_kept_without_their_line_breaks() {
    let mut secret = json!({"data": {"a": "QUJD\r\nREVG\n"}});
    kind("Secret").decode_check(&mut secret).unwrap();
    assert_eq!(secret, json!({"data": {"a": "QUJDREVG"}}));
}

#[test]
fn a_null_in_a_list_is_what_go_reads_for_it() {
    let mut pod = json!({"metadata": {"finalizers": [null]}, "spec": {
        "containers": [{"args": ["-c", null]}, null], "securityContext": {"supplementalGroups": [null, 5]}, "tolerations": null}});
    kind("Pod").decode_check(&mut pod).unwrap();
    let spec = json!({"containers": [{"args": ["-c", ""]}, {}], "securityContext": {"supplementalGroups": [0, 5]}});
    assert_eq!(pod, json!({"metadata": {"finalizers": [""]}, "spec": spec}));
    // Any JSON can be a value that a schema allows.
    let schema = json!({"openAPIV3Schema": {"enum": [null], "properties": {"a": {"enum": [null, 1]}}}});
    let mut crd = json!({"spec": {"versions": [{"schema": schema}]}});
    kind("CustomResourceDefinition").decode_check(&mut crd).unwrap();
    assert_eq!(crd["spec"]["versions"][0]["schema"], schema);
}

#[test]
fn schemas_in_schemas_are_decoded_as_well() {
    let crd = |schema: Value| json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": {"properties": {"a": schema}}}}]}});
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/a";
    let decoded = |schema: Value| {
        let mut crd = crd(schema);
        let unknown = kind("CustomResourceDefinition").decode_check(&mut crd).map_err(|error| error.to_string())?;
        Ok::<_, String>((unknown, crd.pointer(path).cloned().unwrap_or_default()))
    };
    let field = "json: cannot unmarshal number into Go struct field JSONSchemaProps.spec.versions.schema.openAPIV3Schema.properties";
    assert_eq!(decoded(json!({"description": 5})), Err(format!("{field}.description of type string")));
    assert!(decoded(json!({"items": {"properties": {"b": {"maxLength": "5"}}}})).is_err());
    assert!(decoded(json!({"additionalProperties": {"description": 5}})).is_err());
    assert!(decoded(json!({"allOf": [{"description": 5}]})).is_err());
    let good = json!({"type": "integer", "enum": [1, null, {"any": "thing"}], "default": 5, "additionalProperties": false, "minimum": 0.5,
        "items": {"type": "string", "x-kubernetes-validations": [{"rule": "true"}]}});
    assert_eq!(decoded(good.clone()), Ok((Vec::new(), good)));
    let unknown = "spec.versions[0].schema.openAPIV3Schema.properties.a.not.odd".to_owned();
    assert_eq!(decoded(json!({"not": {"odd": 1, "default": null}})), Ok((vec![unknown], json!({"not": {}}))));
    assert_eq!(decoded(json!({"items": {"odd": 1}})), Ok((Vec::new(), json!({"items": {}}))));
}
