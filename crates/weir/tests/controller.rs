//! `weir controller` beside the embedded API server: what it cannot live with it says in one line, several elect one, and it ends well.

mod common;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use common::{Weir, binary, isolated, repository, text};

const SYSTEM: &str = "envoy-gateway-system";
const LEASE: &str = "5b9825d2.gateway.envoyproxy.io";

/// A `weir run` whose own controller is away.
fn api() -> Weir {
    let mut weir = Weir::start(&[]);
    weir.wait_for("export KUBECONFIG=");
    weir.kubectl(&["scale", "deployment", "envoy-gateway", "-n", SYSTEM, "--replicas=0"]);
    weir.kubectl(&["wait", "--for=delete", "pod", "--all", "-n", SYSTEM, "--timeout=60s"]);
    weir
}

/// A running controller; killed when dropped.
struct Controller {
    child: Child,
    log: PathBuf,
    health: String,
}

impl Controller {
    fn start(weir: &Weir, number: u16, arguments: &[&str]) -> Self {
        let log = weir.data.join(format!("controller-{number}.log"));
        let health = format!("127.0.0.1:{}", 8080 + number);
        let mut command = weir.command(binary());
        command.args(["controller", "--proxy-image", "example.com/none:1", "--health-address", &health]).args(arguments);
        let child = command.stderr(std::fs::File::create(&log).expect("made")).spawn().expect("it starts");
        Self { child, log, health }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).expect("readable")
    }

    fn ready(&self, weir: &Weir) -> bool {
        let output = weir.command("curl").args(["-sf", &format!("http://{}/readyz", self.health)]).output().expect("curl runs");
        output.status.success()
    }

    fn terminate(&mut self) -> Option<i32> {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill runs").success());
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn holder(weir: &Weir) -> String {
    weir.kubectl(&["get", "lease", LEASE, "-n", SYSTEM, "-o", "jsonpath={.spec.holderIdentity}"])
}

/// What a controller says that must not start: one line.
fn refusal(command: &mut Command, code: i32) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    let plain: Vec<&str> = said.lines().filter(|line| !line.starts_with('{')).collect();
    assert!(code == 2 || plain.len() == 1 && plain[0].starts_with("weir: "), "one line: {said}");
    plain.join("\n")
}

#[test]
fn what_it_cannot_live_with_is_told_in_one_line() {
    isolated("what_it_cannot_live_with_is_told_in_one_line", || {
        let weir = api();
        let says = |arguments: &[&str], parts: &[&str]| {
            let said = refusal(weir.command(binary()).args(["controller", "--health-address", "127.0.0.1:0"]).args(arguments), 1);
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        };
        let file = |name: &str, text: &str| {
            let path = weir.data.join(name);
            std::fs::write(&path, text).expect("written");
            path.display().to_string()
        };
        let good = std::fs::read_to_string(weir.data.join("kubeconfig")).expect("readable");
        let changed = |key: &str, value: &str| -> String {
            let change = |line: &str| match line.find(key) {
                Some(at) => format!("{}{key} {value}", &line[..at]),
                None => line.to_owned(),
            };
            good.lines().map(change).collect::<Vec<_>>().join("\n")
        };
        says(&["--kubeconfig", "/nowhere"], &["--kubeconfig /nowhere: there is no such file"]);
        says(&["--kubeconfig", &file("junk", "junk")], &["/junk: ", "YAML"]);
        says(
            &["--kubeconfig", &file("away", &changed("server:", "https://127.0.0.1:1"))],
            &["https://127.0.0.1:1", "does not answer", "refused"],
        );
        says(&["--kubeconfig", &file("stranger", &changed("token:", "wrong"))], &["does not know the credentials", "/stranger"]);
        says(&["--namespace", "nowhere"], &["has no namespace nowhere", "kubectl create namespace nowhere"]);
        says(&["--config-path", "/nowhere"], &["--config-path /nowhere", "No such file"]);
        says(&["--config-path", &file("eg.yaml", "kind: Gateway\n")], &["eg.yaml is invalid", "kind EnvoyGateway"]);
        let mut nobody = Command::new(binary());
        let said = refusal(nobody.arg("controller").env_clear().env("HOME", "/nowhere"), 1);
        assert!(said.contains("--kubeconfig FILE") && said.contains("weir run"), "{said}");
        let said = refusal(Command::new(binary()).args(["controller", "--kube-config", "x"]), 2);
        assert!(said.contains("--kubeconfig"), "{said}");
    });
}

#[test]
fn one_of_two_leads_and_the_other_takes_over_at_once_when_it_ends() {
    isolated("one_of_two_leads_and_the_other_takes_over_at_once_when_it_ends", || {
        let weir = api();
        let example = repository().join("examples/connection-limit");
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("envoy-gateway.yaml");
        let election = "provider: {kubernetes: {leaderElection: {retryPeriod: 100ms}}}\n";
        let file = |backend: bool| {
            let head = "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyGateway\n";
            std::fs::write(&config, format!("{head}{election}extensionApis: {{enableBackend: {backend}}}\n")).expect("written");
        };
        file(false);
        let arguments = ["--config-path", config.to_str().expect("text")];
        let mut first = Controller::start(&weir, 1, &arguments);
        weir.until("a leader", || first.said().contains("this controller leads").then_some(()));
        let second = Controller::start(&weir, 2, &arguments);
        weir.until("a ready standby", || second.ready(&weir).then_some(()));
        weir.kubectl(&["apply", "-f", &example.display().to_string()]);
        let why = |reason: &str| {
            weir.until(reason, || {
                let path = "jsonpath={.items[*].status.parents[*].conditions[*].reason}";
                weir.kubectl(&["get", "httproute", "-A", "-o", path]).contains(reason).then_some(())
            });
        };
        // The example's ConfigMap is not what they were told to read.
        why("UnsupportedValue");
        file(true);
        why("ResolvedRefs");
        let leader = holder(&weir);
        assert!(!leader.is_empty() && second.said().contains(&format!("{leader} leads")), "{}", second.said());
        assert_eq!(first.terminate(), Some(0));
        weir.until("the other leads", || second.said().contains("this controller leads").then_some(()));
        assert!(!["", leader.as_str()].contains(&holder(&weir).as_str()));
        // What the standby knew is what the leader knew: a change shows who writes now.
        weir.kubectl(&["delete", "gateway", "eg", "-n", SYSTEM]);
        weir.until("the proxies gone", || {
            weir.kubectl(&["get", "deploy", "-n", SYSTEM, "-o", "name"])
                .lines()
                .all(|it| it == "deployment.apps/envoy-gateway")
                .then_some(())
        });
        assert_eq!(complaints(&second), "");
    });
}

/// What it warned of beside being no leader.
fn complaints(controller: &Controller) -> String {
    let said = controller.said();
    said.lines().filter(|line| !line.contains("\"level\":\"INFO\"") && !line.contains("stands by")).collect()
}

#[test]
fn missing_definitions_are_named_and_waited_for() {
    isolated("missing_definitions_are_named_and_waited_for", || {
        let weir = api();
        let definition = "gateways.gateway.networking.k8s.io";
        weir.kubectl(&["delete", "crd", definition, "backends.gateway.envoyproxy.io"]);
        let mut controller = Controller::start(&weir, 1, &[]);
        weir.until("the advice", || controller.said().contains("weir crds | kubectl apply --server-side -f -").then_some(()));
        let said = controller.said();
        assert!(said.contains(definition) && said.contains("backends.gateway.envoyproxy.io"), "{said}");
        assert!(!controller.ready(&weir));
        let output = weir.bash(&weir.data, "weir crds | kubectl apply --server-side --force-conflicts -f -");
        assert!(output.status.success(), "{}", text(&output.stderr));
        weir.until("readiness", || controller.ready(&weir).then_some(()));
        assert_eq!(controller.terminate(), Some(0));
        assert_eq!(holder(&weir), "");
    });
}
