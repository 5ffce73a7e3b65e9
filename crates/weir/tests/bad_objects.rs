//! Objects that are wrong, or refer to what is not there: each gets the condition that Envoy Gateway writes, and its neighbours are untouched.

mod common;

use common::{Weir, isolated, repository, text};

const OBJECTS: &str = r"apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: no-service}
spec:
  parentRefs: [{name: eg, namespace: envoy-gateway-system}]
  hostnames: [no-service.test]
  rules: [{backendRefs: [{name: nowhere, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: no-service-port}
spec:
  parentRefs: [{name: eg, namespace: envoy-gateway-system}]
  hostnames: [no-service-port.test]
  rules: [{backendRefs: [{name: connection-limit-app, port: 81}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: no-listener-port}
spec:
  parentRefs: [{name: eg, namespace: envoy-gateway-system, port: 8080}]
  rules: [{backendRefs: [{name: connection-limit-app, port: 3000}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: not-allowed}
spec:
  parentRefs: [{name: same-namespace, namespace: envoy-gateway-system}]
  rules: [{backendRefs: [{name: connection-limit-app, port: 3000}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: neighbour}
spec:
  parentRefs: [{name: eg, namespace: envoy-gateway-system}]
  hostnames: [neighbour.test]
  rules: [{backendRefs: [{name: connection-limit-app, port: 3000}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: same-namespace, namespace: envoy-gateway-system}
spec: {gatewayClassName: eg, listeners: [{name: http, port: 80, protocol: HTTP}, {name: tcp, port: 90, protocol: TCP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: theirs}
spec: {controllerName: example.com/theirs}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: theirs, namespace: envoy-gateway-system}
spec: {gatewayClassName: theirs, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {name: second, namespace: envoy-gateway-system}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: eg}]
  connection: {connectionLimit: {value: 1}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {name: more, namespace: envoy-gateway-system}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: same-namespace}]
  connection: {connectionLimit: {value: 1}}
  http3: {}
";

/// A started Weir with the walkthrough's objects, without `enableBackend`, in a network namespace.
fn start() -> (Weir, String) {
    let mut weir = Weir::start(&[]);
    weir.wait_for("export KUBECONFIG=");
    let folder = repository().join("examples/connection-limit").display().to_string();
    for file in ["gateway", "deployment", "service", "httproute"] {
        weir.kubectl(&["apply", "-f", &format!("{folder}/{file}.yaml")]);
    }
    // The first of two policies is the older one by its creation time, which has whole seconds: what comes later is told apart by name.
    weir.kubectl(&["apply", "-f", &format!("{folder}/client-traffic-policy.yaml")]);
    weir.kubectl(&["wait", "--for=condition=Programmed", "--timeout=60s", "gateway/eg", "-n", "envoy-gateway-system"]);
    let host = weir.kubectl(&["get", "gateway/eg", "-n", "envoy-gateway-system", "-o", "jsonpath={.status.addresses[0].value}"]);
    (weir, host)
}

fn status(weir: &Weir, host: &str, name: &str) -> String {
    let script = format!("curl -s -o /dev/null -w '%{{http_code}}' --max-time 20 -H 'Host: {name}' http://{host}/");
    text(&weir.command("bash").args(["-c", &script]).output().expect("bash runs").stdout)
}

/// All conditions of an object, once they contain `expected`.
fn told(weir: &Weir, object: &[&str], expected: &str) {
    weir.until(expected, || weir.kubectl(&[&["get", "-o", "json"], object].concat()).contains(expected).then_some(()));
}

fn configure(weir: &Weir, text: &str) {
    let indented: String = text.lines().map(|line| format!("    {line}\n")).collect();
    let (ok, said) = weir.apply(&format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: envoy-gateway-config, namespace: envoy-gateway-system}}\ndata:\n  envoy-gateway.yaml: |\n{indented}"
    ));
    assert!(ok, "{said}");
}

#[test]
fn each_gets_its_condition_and_neighbours_serve_on() {
    isolated("each_gets_its_condition_and_neighbours_serve_on", || {
        let (weir, host) = start();
        let backend = ["backend", "connection-limit-app-backend"];
        let route = ["httproute", "connection-limit-app-httproute"];
        told(&weir, &backend, "The Backend was not accepted since Backend is not enabled in Envoy Gateway Config");
        told(&weir, &route, "Failed to process route rule 0 backendRef 0: Backend is disabled in Envoy Gateway configuration.");
        assert_eq!(status(&weir, &host, "connection-limit-app.alfabytes.xyz"), "500");

        let (ok, said) = weir.apply(OBJECTS);
        assert!(ok, "{said}");
        let policy = |name: &'static str| ["clienttrafficpolicy", name, "-n", "envoy-gateway-system"];
        told(&weir, &["httproute", "no-service"], "Failed to process route rule 0 backendRef 0: service default/nowhere not found.");
        told(&weir, &["httproute", "no-service-port"], "TCP Port 81 not found on Service default/connection-limit-app.");
        told(&weir, &["httproute", "no-listener-port"], "No listeners match this parent ref");
        told(&weir, &["httproute", "not-allowed"], "No listeners included by this parent ref allowed this attachment.");
        told(&weir, &policy("second"), "Unable to target Gateway eg, another ClientTrafficPolicy has already attached to it");
        told(&weir, &policy("more"), "UnsupportedField");
        told(&weir, &policy("more"), "spec.http3");
        told(&weir, &["gateway", "same-namespace", "-n", "envoy-gateway-system"], "UnsupportedProtocol");
        let theirs =
            weir.kubectl(&["get", "gateway", "theirs", "-n", "envoy-gateway-system", "-o", "jsonpath={.status.conditions[*].reason}"]);
        assert_eq!(theirs, "Pending Pending", "another controller's");
        let table = weir.kubectl(&["get", "clienttrafficpolicy", "-A"]);
        assert!(table.lines().any(|line| line.contains(" second ") && line.contains("Conflicted")), "{table}");

        weir.kubectl(&["wait", "--for=condition=Available", "--timeout=60s", "deployment/connection-limit-app"]);
        weir.until("the neighbour's answer", || (status(&weir, &host, "neighbour.test") == "200").then_some(()));
        assert_eq!(status(&weir, &host, "no-service.test"), "500");

        configure(&weir, "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyGateway\nextensionApis: {enableBackend: true}");
        weir.restart_controller();
        told(&weir, &backend, "The Backend was accepted");
        weir.until("the route's answer", || (status(&weir, &host, "connection-limit-app.alfabytes.xyz") == "200").then_some(()));
        weir.kubectl(&["delete", "backend", "connection-limit-app-backend"]);
        told(&weir, &route, "Backend default/connection-limit-app-backend not found.");
        assert_eq!(status(&weir, &host, "neighbour.test"), "200");
    });
}

#[test]
fn a_broken_configuration_leaves_the_last_good_and_after_a_restart_the_data_plane() {
    isolated("a_broken_configuration_leaves_the_last_good_and_after_a_restart_the_data_plane", || {
        let (weir, host) = start();
        let controller = |arguments: &[&str]| weir.kubectl(&[arguments, &["-n", "envoy-gateway-system"]].concat());
        configure(&weir, "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyGateway\nextensionApis: {enableBackend: true}");
        weir.until("the answer", || (status(&weir, &host, "connection-limit-app.alfabytes.xyz") == "200").then_some(()));
        configure(&weir, "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyGateway\ngateway: {controllerNam: x}");
        weir.until("the refusal", || {
            let log = controller(&["logs", "deployment/envoy-gateway"]);
            (log.contains("the last good configuration stays in force") && log.contains("did you mean")).then_some(())
        });
        assert_eq!(status(&weir, &host, "connection-limit-app.alfabytes.xyz"), "200");
        weir.restart_controller();
        weir.until("the crash loop", || {
            let pods = controller(&["get", "pods", "-l", "control-plane=envoy-gateway"]);
            pods.contains("CrashLoopBackOff").then_some(())
        });
        let why = controller(&["describe", "pod", "-l", "control-plane=envoy-gateway"]);
        assert!(why.contains("controllerNam: unknown field"), "{why}");
        assert_eq!(status(&weir, &host, "connection-limit-app.alfabytes.xyz"), "200", "the data plane serves on");
        configure(&weir, "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyGateway\nextensionApis: {enableBackend: true}");
        weir.restart_controller();
        controller(&["wait", "--for=condition=Available", "--timeout=60s", "deployment/envoy-gateway"]);
        assert_eq!(status(&weir, &host, "connection-limit-app.alfabytes.xyz"), "200");
    });
}

#[test]
fn what_pods_cannot_do_is_refused_with_the_address_to_use() {
    isolated("what_pods_cannot_do_is_refused_with_the_address_to_use", || {
        let (weir, _) = start();
        weir.kubectl(&["wait", "--for=condition=Available", "--timeout=60s", "deployment/connection-limit-app"]);
        let address = weir.kubectl(&["get", "pods", "-l", "app=connection-limit-app", "-o", "jsonpath={.items[0].status.podIP}"]);
        for arguments in [
            ["exec", "deployment/connection-limit-app", "--", "ls"].as_slice(),
            &["port-forward", "deployment/connection-limit-app", "8080:3000"],
            &["attach", "deployment/connection-limit-app"],
        ] {
            let output = weir.command("kubectl").args(arguments).output().expect("kubectl runs");
            let said = text(&output.stderr);
            assert!(!output.status.success() && said.contains(&format!("{address}:3000")), "{arguments:?}: {said}");
        }
        let (ok, said) = weir.apply(
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: s}\nspec: {serviceName: s, selector: {matchLabels: {a: s}}, template: {metadata: {labels: {a: s}}, spec: {containers: [{name: a, image: echo-basic}]}}}\n",
        );
        assert!(ok, "{said}");
        weir.until("the explanation", || weir.kubectl(&["describe", "statefulset", "s"]).contains("use a Deployment").then_some(()));
    });
}

#[test]
fn a_script_that_runs_itself_ends_its_own_pod_alone() {
    isolated("a_script_that_runs_itself_ends_its_own_pod_alone", || {
        let (weir, host) = start();
        let itself = "--env=A=sh -c \"$A\"";
        weir.kubectl(&["run", "deep", "--image=busybox", "--restart=Never", itself, "--command", "--", "sh", "-c", "sh -c \"$A\""]);
        weir.kubectl(&["wait", "--for=jsonpath={.status.phase}=Failed", "--timeout=60s", "pod/deep"]);
        assert!(weir.kubectl(&["logs", "deep"]).contains("too many shells"));
        assert_ne!(status(&weir, &host, "neighbour.test"), "000", "the process still serves");
    });
}
