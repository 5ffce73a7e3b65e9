//! What happens to connections and objects while things change around them.

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use common::{Weir, isolated, repository, text};

fn example() -> String {
    repository().join("examples/connection-limit").display().to_string()
}

fn gateway_host(weir: &Weir) -> String {
    weir.kubectl(&["get", "gateway/eg", "-n", "envoy-gateway-system", "-o", "jsonpath={.status.addresses[0].value}"])
}

/// A connection held open.
struct Held(BufReader<TcpStream>);

impl Held {
    fn open(host: &str) -> Self {
        let stream = TcpStream::connect((host, 80)).expect("the kernel accepts");
        stream.set_read_timeout(Some(common::PATIENCE)).expect("settable");
        Self(BufReader::new(stream))
    }

    /// One request on the open connection; gives the status line, or nothing when the connection is gone.
    fn ask(&mut self) -> Option<String> {
        let request = "GET /held HTTP/1.1\r\nHost: connection-limit-app.alfabytes.xyz\r\n\r\n";
        self.0.get_mut().write_all(request.as_bytes()).ok()?;
        let status = self.line()?;
        let mut length = 0;
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        std::io::copy(&mut (&mut self.0).take(length), &mut std::io::sink()).ok()?;
        Some(status)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok().filter(|read| *read > 0)?;
        Some(line.trim_end().to_owned())
    }
}

fn curl(weir: &Weir, host: &str, path: &str) -> String {
    let script =
        format!("curl -s -o /dev/null -w '%{{http_code}}' -H 'Host: connection-limit-app.alfabytes.xyz' --max-time 20 http://{host}{path}");
    text(&weir.command("bash").args(["-c", &script]).output().expect("bash runs").stdout)
}

#[test]
fn a_restart_of_the_controller_touches_no_connection() {
    isolated("a_restart_of_the_controller_touches_no_connection", || {
        let mut weir = Weir::start(&["-f", &example()]);
        weir.wait_for("curl -H");
        let host = gateway_host(&weir);
        let mut held = Held::open(&host);
        assert_eq!(held.ask().as_deref(), Some("HTTP/1.1 200 OK"));
        let pod = || weir.kubectl(&["get", "pods", "-n", "envoy-gateway-system", "-l", "control-plane=envoy-gateway", "-o", "name"]);
        let before = pod();
        weir.restart_controller();
        weir.kubectl(&["wait", "--timeout=60s", "-n", "envoy-gateway-system", "deployment/envoy-gateway", "--for=condition=Available"]);
        let after = pod();
        assert!(!after.is_empty() && after != before, "wait really waited for the new one: {before} {after}");
        assert_eq!(held.ask().as_deref(), Some("HTTP/1.1 200 OK"), "the connection lives through it");
    });
}

#[test]
fn edits_admit_exactly_the_difference() {
    isolated("edits_admit_exactly_the_difference", || {
        let mut weir = Weir::start(&["-f", &example()]);
        weir.wait_for("curl -H");
        let host = gateway_host(&weir);
        let set = |value: u32| {
            let patch = format!("{{\"spec\":{{\"connection\":{{\"connectionLimit\":{{\"value\":{value}}}}}}}}}");
            let name = "connection-limit-app-client-traffic-policy";
            weir.kubectl(&["patch", "clienttrafficpolicy", name, "-n", "envoy-gateway-system", "--type=merge", "-p", &patch]);
            let wanted = "weir_connection_limit_max";
            weir.until("the new limit", || {
                let output =
                    weir.command("curl").args(["-s", &format!("http://{host}:19001/stats/prometheus")]).output().expect("curl runs");
                text(&output.stdout).lines().any(|line| line.starts_with(wanted) && line.ends_with(&format!(" {value}"))).then_some(())
            });
        };
        set(2);
        let mut held: Vec<Held> = (0..2).map(|_| Held::open(&host)).collect();
        for connection in &mut held {
            assert_eq!(connection.ask().as_deref(), Some("HTTP/1.1 200 OK"));
        }
        assert_eq!(curl(&weir, &host, "/"), "000", "full");
        set(3);
        let mut third = Held::open(&host);
        assert_eq!(third.ask().as_deref(), Some("HTTP/1.1 200 OK"), "exactly one more");
        assert_eq!(curl(&weir, &host, "/"), "000", "and no other");
        set(1);
        for connection in held.iter_mut().chain([&mut third]) {
            assert_eq!(connection.ask().as_deref(), Some("HTTP/1.1 200 OK"), "nobody is disconnected");
        }
        drop((held, third));
        weir.until("room again", || (curl(&weir, &host, "/") == "200").then_some(()));
        weir.kubectl(&["delete", "clienttrafficpolicy", "connection-limit-app-client-traffic-policy", "-n", "envoy-gateway-system"]);
        weir.until("the limit's end", || {
            let output = weir.command("curl").args(["-s", &format!("http://{host}:19001/stats/prometheus")]).output().expect("curl runs");
            (!text(&output.stdout).contains("weir_connection_limit_max")).then_some(())
        });
    });
}

#[test]
fn after_a_kill_everything_that_kubectl_made_is_there_and_serves() {
    isolated("after_a_kill_everything_that_kubectl_made_is_there_and_serves", || {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let mut weir = Weir::start_in(&data, &[]);
        weir.wait_for("export KUBECONFIG=");
        weir.kubectl(&["apply", "-f", &example()]);
        weir.kubectl(&["wait", "--for=condition=Programmed", "--timeout=60s", "gateway/eg", "-n", "envoy-gateway-system"]);
        let host = gateway_host(&weir);
        weir.until("an answer", || (curl(&weir, &host, "/") == "200").then_some(()));
        weir.signal("KILL");
        weir.wait();
        let mut weir = Weir::start_in(&data, &[]);
        weir.wait_for("export KUBECONFIG=");
        assert_eq!(gateway_host(&weir), host, "the address is kept");
        weir.until("an answer after the restart", || (curl(&weir, &host, "/") == "200").then_some(()));
    });
}

#[test]
fn files_are_followed_and_errors_leave_the_last_good_set() {
    isolated("files_are_followed_and_errors_leave_the_last_good_set", || {
        let folder = tempfile::tempdir().expect("a folder");
        for file in std::fs::read_dir(example()).expect("the example is there") {
            let file = file.expect("readable");
            std::fs::copy(file.path(), folder.path().join(file.file_name())).expect("copied");
        }
        let policy = folder.path().join("client-traffic-policy.yaml");
        let good = std::fs::read_to_string(&policy).expect("readable");
        let mut weir = Weir::start(&["-f", &folder.path().display().to_string()]);
        weir.wait_for("curl -H");
        let value =
            || weir.kubectl(&["get", "clienttrafficpolicy", "-A", "-o", "jsonpath={.items[*].spec.connection.connectionLimit.value}"]);
        assert_eq!(value(), "5");
        std::fs::write(&policy, good.replace("value: 5", "value: 7")).expect("written");
        weir.until("the edit", || (value() == "7").then_some(()));
        std::fs::write(&policy, good.replace("value: 5", "valeu: 8")).expect("written");
        std::fs::write(folder.path().join("more.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more, namespace: default}\n")
            .expect("written");
        std::fs::write(&policy, good.replace("value: 5", "value: 9")).expect("written");
        weir.until("the mended file", || (value() == "9").then_some(()));
        weir.kubectl(&["get", "configmap", "more"]);
        std::fs::remove_file(&policy).expect("removed");
        weir.until("the deletion", || value().is_empty().then_some(()));
    });
}

#[test]
fn the_command_after_the_dashes_decides_the_exit_status() {
    isolated("the_command_after_the_dashes_decides_the_exit_status", || {
        let mut weir = Weir::start(&["-f", &example(), "--", "bash", "-c", "kubectl get gateway -A && exit 7"]);
        let said = weir.wait_for("True");
        assert!(said.contains("PROGRAMMED"), "{said}");
        assert_eq!(weir.wait().code(), Some(7));
        let mut weir = Weir::start(&["--", "bash", "-c", "kill -KILL $$"]);
        assert_eq!(weir.wait().code(), Some(128 + 9));
    });
}

#[test]
fn a_taken_port_is_told_by_the_listener_and_taken_again_when_free() {
    isolated("a_taken_port_is_told_by_the_listener_and_taken_again_when_free", || {
        let mut weir = Weir::start(&[]);
        weir.wait_for("export KUBECONFIG=");
        let taker = TcpListener::bind(("127.0.0.9", 80)).expect("free in this namespace");
        let gateway = std::fs::read_to_string(format!("{}/gateway.yaml", example())).expect("readable");
        let (ok, said) = weir.apply(
            &gateway.replace("gatewayClassName: eg\n", "gatewayClassName: eg\n  addresses: [{type: IPAddress, value: 127.0.0.9}]\n"),
        );
        assert!(ok, "{said}");
        let message = weir.until("the refusal", || {
            let path = "jsonpath={.status.listeners[0].conditions[?(@.type==\"Programmed\")].message}";
            let message = weir.kubectl(&["get", "gateway/eg", "-n", "envoy-gateway-system", "-o", path]);
            message.contains("127.0.0.9:80").then_some(message)
        });
        assert!(
            message.contains(&std::process::id().to_string()) && message.contains("--port-offset"),
            "it names the holder and the way out: {message}"
        );
        drop(taker);
        weir.kubectl(&["wait", "--for=condition=Programmed", "--timeout=60s", "gateway/eg", "-n", "envoy-gateway-system"]);
    });
}

#[test]
fn kubectl_applies_on_the_server_what_files_declare() {
    isolated("kubectl_applies_on_the_server_what_files_declare", || {
        let mut weir = Weir::start(&["-f", &example()]);
        weir.wait_for("curl -H");
        let folder = repository().join("examples/connection-limit");
        let run = |script: &str| {
            let output = weir.bash(&folder, script);
            (output.status.success(), text(&output.stdout) + &text(&output.stderr))
        };
        let (ok, said) = run("kubectl apply --server-side -f service.yaml");
        assert!(ok && said.contains("service/connection-limit-app serverside-applied"), "{said}");
        let (ok, said) =
            run("sed 's/targetPort: 3000/targetPort: 3001/' service.yaml | kubectl apply --server-side --field-manager=me -f -");
        // kubectl took over what the files' annotation said was applied.
        assert!(!ok && said.contains("conflict with \"kubectl\": .spec.ports[port=3000,protocol=\"TCP\"].targetPort"), "{said}");
        let (ok, said) = run("kubectl get service connection-limit-app -o yaml");
        assert!(ok && !said.contains("managedFields"), "{said}");
        let (ok, said) = run("kubectl get service connection-limit-app -o yaml --show-managed-fields");
        assert!(ok && said.contains("manager: kubectl") && said.contains("operation: Apply"), "{said}");
        let (ok, said) = run("kubectl get deployment connection-limit-app -o yaml --show-managed-fields");
        assert!(ok && said.contains("manager: weir-files") && said.contains("subresource: status"), "{said}");
        let (ok, said) = run("kubectl get gateway eg -n envoy-gateway-system -o yaml --show-managed-fields");
        assert!(ok && said.contains("manager: weir-controller") && !said.contains("manager: unknown"), "{said}");
    });
}
