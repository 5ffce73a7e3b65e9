//! A `weir run` that cannot start says so in one line; what it can live with, it says and goes on.

mod common;

use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use common::{Weir, binary, isolated, repository, text};

fn example() -> String {
    repository().join("examples/connection-limit").display().to_string()
}

/// What `weir run` says when it must not start: one line.
fn refusal(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let plain: Vec<&str> = said.lines().filter(|line| !line.starts_with('{')).collect();
    assert!(plain.len() == 1 && plain[0].starts_with("weir: ") && !said.contains("panicked"), "one line: {said}");
    plain[0].to_owned()
}

fn run_in(data: &std::path::Path) -> Command {
    let mut command = Command::new(binary());
    command.args(["run", "--data-dir"]).arg(data);
    command
}

#[test]
fn a_data_directory_that_cannot_be_used_is_named() {
    isolated("a_data_directory_that_cannot_be_used_is_named", || {
        let folder = tempfile::tempdir().expect("a folder");
        let mount = |options: &str| {
            let status =
                Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(folder.path()).status().expect("mount runs");
            assert!(status.success(), "this namespace may mount");
        };
        mount("size=64k");
        let full = refusal(&mut run_in(folder.path()));
        assert!(full.contains("No space left") && full.contains("space"), "{full}");
        mount("ro");
        let read_only = refusal(&mut run_in(folder.path()));
        assert!(read_only.contains("Read-only") && read_only.contains("--data-dir"), "{read_only}");
        let mut weir = Weir::start(&[]);
        weir.wait_for("export KUBECONFIG=");
        weir.signal("INT");
        assert_eq!(weir.wait().code(), Some(0));
        let database = weir.data.join("api/state.redb");
        let good = std::fs::read(&database).expect("the database");
        for bad in [&good[..1000], b"garbage".repeat(1000).as_slice()] {
            std::fs::write(&database, bad).expect("written");
            let damaged = refusal(&mut run_in(&weir.data));
            assert!(damaged.contains("state.redb is damaged") && damaged.contains("move it away"), "{damaged}");
        }
        std::fs::write(&database, good).expect("written");
        std::fs::write(weir.data.join("declared.json"), "junk").expect("written");
        let damaged = refusal(&mut run_in(&weir.data));
        assert!(damaged.contains("declared.json is damaged") && damaged.contains("remove it"), "{damaged}");
    });
}

#[test]
fn a_taken_api_address_is_told_with_the_way_out() {
    isolated("a_taken_api_address_is_told_with_the_way_out", || {
        let taker = TcpListener::bind(("127.0.0.1", 0)).expect("free");
        let address = taker.local_addr().expect("bound").to_string();
        let folder = tempfile::tempdir().expect("a folder");
        let said = refusal(run_in(folder.path()).args(["--api-address", &address]));
        assert!(said.contains(&address) && said.contains("in use") && said.contains("another with --api-address"), "{said}");
        let output = run_in(folder.path()).args(["--api-address", "localhost"]).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("such as 127.0.0.1:6443"), "{}", text(&output.stderr));
    });
}

#[test]
fn without_the_right_to_port_80_the_ways_out_are_told_and_work() {
    isolated("without_the_right_to_port_80_the_ways_out_are_told_and_work", || {
        std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "1024").expect("this namespace's own setting");
        let unprivileged = |arguments: &[&str]| {
            let folder = tempfile::tempdir().expect("a folder");
            let mut command = Command::new("setpriv");
            command.stderr(std::fs::File::create(folder.path().join("stderr")).expect("made"));
            command.args(["--inh-caps=-all", "--bounding-set=-all", binary(), "run", "--data-dir"]).arg(folder.path());
            (Weir::spawn(command.args(["-f", &example()]).args(arguments), folder.path()), folder)
        };
        let (mut weir, _folder) = unprivileged(&[]);
        let said = weir.wait_for("Gateway envoy-gateway-system/eg");
        for way in ["--port-offset 8000", "ip_unprivileged_port_start", "CAP_NET_BIND_SERVICE"] {
            assert!(said.contains("not Programmed") && said.contains(way), "{said}");
        }
        let (mut weir, folder) = unprivileged(&["--port-offset", "8000"]);
        let line = weir.wait_for("curl -H");
        let output = weir.bash(&repository(), &line[line.find("curl -H").expect("the line")..]);
        assert!(text(&output.stdout).contains("\"pod\": \"connection-limit-app-"), "the line works as printed: {line}");
        assert_eq!(common::complaints(&folder.path().join("stderr")), "", "nothing to complain of");
    });
}

#[test]
fn an_edit_that_the_api_refuses_changes_nothing_at_start_and_later() {
    isolated("an_edit_that_the_api_refuses_changes_nothing_at_start_and_later", || {
        let folder = tempfile::tempdir().expect("a folder");
        let (files, data) = (folder.path().join("files"), folder.path().join("data"));
        std::fs::create_dir_all(files.join("nested/deep")).expect("made");
        let place = |name: &str| files.join("nested/deep").join(name);
        for file in std::fs::read_dir(example()).expect("the example is there") {
            let file = file.expect("readable");
            std::fs::copy(file.path(), place(&file.file_name().to_string_lossy())).expect("copied");
        }
        // A service without a namespace goes to `default`, as with kubectl.
        std::fs::write(files.join("more.yml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n").expect("written");
        let edit = |name: &str, from: &str, to: &str| {
            let text = std::fs::read_to_string(place(name)).expect("readable");
            assert!(text.contains(from), "{name} has {from}");
            std::fs::write(place(name), text.replace(from, to)).expect("written");
        };
        let argument = files.display().to_string();
        let mut weir = Weir::start_in(&data, &["-f", &argument]);
        weir.wait_for("curl -H");
        weir.kubectl(&["get", "configmap", "more", "-n", "default"]);
        weir.signal("INT");
        weir.wait();

        edit("deployment.yaml", "app: connection-limit-app", "app: another");
        edit("client-traffic-policy.yaml", "value: 5", "value: 3");
        let output = run_in(&data).args(["-f", &argument]).stdin(Stdio::null()).output().expect("it runs");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("deployment.yaml:4:3:") && said.contains("field is immutable"), "{said}");

        let mut weir = Weir::start_in(&data, &[]);
        weir.wait_for("export KUBECONFIG=");
        weir.signal("INT");
        weir.wait();
        edit("deployment.yaml", "app: another", "app: connection-limit-app");
        edit("httproute.yaml", "gateway.networking.k8s.io/v1\n", "gateway.networking.k8s.io/v1beta1\n");
        let mut weir = Weir::start_in(&data, &["-f", &argument]);
        let said = weir.wait_for("curl -H");
        assert!(said.contains("at most 3 connections"), "{said}");
        // The same object through another version of its kind is still the same object; the edit of the service is refused, with all else.
        edit("httproute.yaml", "gateway.networking.k8s.io/v1beta1\n", "gateway.networking.k8s.io/v1\n");
        weir.until("the route's new version", || {
            let applied = weir.kubectl(&["get", "httproute", "-o", "jsonpath={.items[*].metadata.annotations}"]);
            (!applied.contains("v1beta1")).then_some(())
        });
        edit("service.yaml", "namespace: default", "namespace: nowhere");
        edit("client-traffic-policy.yaml", "value: 3", "value: 4");
        edit("service.yaml", "namespace: nowhere", "namespace: default");
        weir.until("the mended set", || {
            let value = weir.kubectl(&["get", "ctp", "-A", "-o", "jsonpath={.items[*].spec.connection.connectionLimit.value}"]);
            (value == "4").then_some(())
        });
        assert!(weir.kubectl(&["get", "service", "connection-limit-app", "-o", "name"]).contains("connection-limit-app"));
    });
}

#[test]
fn gateways_of_others_and_unknown_images_are_told_in_the_banner() {
    isolated("gateways_of_others_and_unknown_images_are_told_in_the_banner", || {
        let manifests = "apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: theirs}
spec: {controllerName: example.com/theirs}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: theirs}
spec: {gatewayClassName: theirs, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: nginx}]}}
";
        let folder = tempfile::tempdir().expect("a folder");
        let mut weir = Weir::spawn(run_in(folder.path()).args(["-f", "-"]).stdin(Stdio::piped()), folder.path());
        weir.feed(manifests);
        let said = weir.wait_for("Deployment default/web");
        assert!(said.contains("Gateway default/theirs  left alone: GatewayClass theirs is another controller's"), "{said}");
        assert!(said.contains("ImagePullBackOff") && said.contains("*/echo-basic, hashicorp/http-echo"), "{said}");
        let status = weir.kubectl(&["get", "gateway", "theirs", "-o", "jsonpath={.status.conditions[*].message}"]);
        assert_eq!(status, "Waiting for controller Waiting for controller", "nobody else wrote to it");
    });
}

#[test]
fn readers_that_leave_early_hear_no_complaint() {
    let mut child = Command::new(binary()).arg("crds").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    let output: Output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    let mut full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    assert!(full.write_all(b"x").is_err());
    let output = Command::new(binary()).arg("crds").stdout(full).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
}
