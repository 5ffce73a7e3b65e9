use super::*;
use crate::builtin;

fn typed(kind: &str) -> Typed<'static> {
    let builtin = builtin::all().iter().find(|b| b.kind == kind).unwrap();
    Typed::Object(&builtin.schema().root)
}

#[test]
fn a_deployment_is_owned_as_on_every_cluster() {
    let container =
        json!({"name": "c", "image": "i", "ports": [{"containerPort": 80}], "env": [{"name": "E", "value": "1"}], "resources": {}});
    let pod = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container], "restartPolicy": "Always"}});
    let new = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"a": "b"}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "strategy": {"type": "Recreate"}, "template": pod},
    });
    let nothing = json!({"apiVersion": "apps/v1", "kind": "Deployment"});
    let managers = update(typed("Deployment"), &nothing, &new, Managers::default(), &who("m", Operation::Update), 1, &["status"]).unwrap();
    let found: Value = serde_json::from_str(&fields_v1::text(&managers.entries[0].fields)).unwrap();
    assert_eq!(
        found,
        json!({
            "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
            "f:spec": {
                "f:replicas": {}, "f:selector": {}, "f:strategy": {"f:type": {}},
                "f:template": {
                    "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
                    "f:spec": {"f:restartPolicy": {}, "f:containers": {"k:{\"name\":\"c\"}": {
                        ".": {}, "f:name": {}, "f:image": {}, "f:resources": {},
                        "f:env": {".": {}, "k:{\"name\":\"E\"}": {".": {}, "f:name": {}, "f:value": {}}},
                        "f:ports": {".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
                    }}},
                },
            },
        })
    );
}

#[test]
fn built_in_lists_merge_as_published() {
    let service = |ports: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": ports}});
    let live = service(json!([{"port": 80, "protocol": "TCP", "targetPort": 80}]));
    let config = service(json!([{"port": 80, "targetPort": 81}, {"port": 80, "protocol": "UDP"}]));
    let who = who("m", Operation::Apply);
    let configuration = Configuration { object: &config, who: &who, force: true, now: 1, reset: &["status"] };
    let applied = apply(typed("Service"), &live, Managers::default(), &configuration).unwrap();
    assert_eq!(
        applied.object["spec"]["ports"],
        json!([{"port": 80, "protocol": "TCP", "targetPort": 81}, {"port": 80, "protocol": "UDP"}])
    );
}
