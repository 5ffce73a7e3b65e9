//! How a `weir run` ends: requests in flight may finish, nobody is kept waiting for long, and nothing complains.

mod common;

use std::process::{Child, Command, Stdio};

use common::{Weir, binary, isolated, repository, text};

/// A `weir run` of the example that keeps its complaints, and the host of its Gateway.
fn start(arguments: &[&str]) -> (Weir, String, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let complaints = std::fs::File::create(folder.path().join("stderr")).expect("made");
    let data = folder.path().join("data");
    let mut command = Command::new(binary());
    command.args(["run", "--data-dir"]).arg(&data).arg("-f").arg(repository().join("examples/connection-limit")).args(arguments);
    let mut weir = Weir::spawn(command.stdin(Stdio::null()).stderr(complaints), &data);
    weir.wait_for("curl -H");
    let host = weir.kubectl(&["get", "gateway/eg", "-n", "envoy-gateway-system", "-o", "jsonpath={.status.addresses[0].value}"]);
    (weir, host, folder)
}

/// A request whose answer takes `delay`, under way.
fn request(weir: &Weir, host: &str, delay: &str) -> Child {
    let script =
        format!("curl -s -o /dev/null -w '%{{http_code}}' -H 'Host: connection-limit-app.alfabytes.xyz' 'http://{host}/?delay={delay}'");
    let child = weir.command("bash").args(["-c", &script]).stdout(Stdio::piped()).spawn().expect("bash runs");
    weir.until("the request under way", || {
        let table = weir.kubectl(&["get", "ctp", "-A", "--no-headers"]);
        (table.split_whitespace().nth(3) == Some("1")).then_some(())
    });
    child
}

fn code(curl: Child) -> String {
    text(&curl.wait_with_output().expect("curl ends").stdout)
}

fn complaints(folder: &tempfile::TempDir) -> String {
    common::complaints(&folder.path().join("stderr"))
}

#[test]
fn a_request_in_flight_may_finish_and_watches_end_without_noise() {
    isolated("a_request_in_flight_may_finish_and_watches_end_without_noise", || {
        let (mut weir, host, folder) = start(&[]);
        let mut watch =
            weir.command("kubectl").args(["get", "pods", "-A", "-w"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        let slow = request(&weir, &host, "2s");
        weir.signal("INT");
        assert_eq!(weir.wait().code(), Some(0));
        assert_eq!(code(slow), "200");
        watch.wait().expect("the watch ended with the API");
        assert_eq!(complaints(&folder), "");
    });
}

#[test]
fn patience_ends_with_the_drain_timeout_or_a_second_signal() {
    isolated("patience_ends_with_the_drain_timeout_or_a_second_signal", || {
        let (mut weir, host, folder) = start(&["--drain-timeout", "100ms"]);
        let slow = request(&weir, &host, "10m");
        weir.signal("TERM");
        assert_eq!(weir.wait().code(), Some(0));
        assert_ne!(code(slow), "200");
        assert_eq!(complaints(&folder), "");

        let (mut weir, host, folder) = start(&["--drain-timeout", "10m"]);
        let slow = request(&weir, &host, "10m");
        weir.signal("INT");
        // The first signal is being obeyed once new connections are refused.
        weir.until("the end of listening", || std::net::TcpStream::connect((host.as_str(), 80)).is_err().then_some(()));
        weir.signal("INT");
        assert_eq!(weir.wait().code(), Some(0));
        assert_ne!(code(slow), "200");
        assert_eq!(complaints(&folder), "");
    });
}

#[test]
fn a_signal_during_the_start_ends_it_well() {
    isolated("a_signal_during_the_start_ends_it_well", || {
        let folder = tempfile::tempdir().expect("a folder");
        let example = repository().join("examples/connection-limit").display().to_string();
        // As soon as each of these is there.
        for sign in ["lock", "api/ca.crt", "kubeconfig", "declared.json"] {
            let data = folder.path().join(sign.replace('/', "-"));
            let mut weir = Weir::start_in(&data, &["-f", &example]);
            weir.until(sign, || data.join(sign).exists().then_some(()));
            weir.signal("INT");
            assert_eq!(weir.wait().code(), Some(0), "after {sign}");
            let mut weir = Weir::start_in(&data, &["-f", &example]);
            weir.wait_for("curl -H");
        }
    });
}

#[test]
fn signals_reach_the_command_after_the_dashes() {
    isolated("signals_reach_the_command_after_the_dashes", || {
        let mut weir = Weir::start(&["--", "bash", "-c", "trap 'exit 9' TERM; echo started; while :; do sleep 0.1; done"]);
        let said = weir.wait_for("started");
        assert_eq!(said, "started\n", "Weir itself is silent on standard output");
        weir.signal("TERM");
        assert_eq!(weir.wait().code(), Some(9));
    });
}
