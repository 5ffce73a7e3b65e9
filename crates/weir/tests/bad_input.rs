//! What is wrong gets a clear answer, and what was right before goes on.

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{Weir, binary, isolated, repository, text};

const TARGET: &str = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: eg}]";

fn weir(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).stdin(std::process::Stdio::null()).output().expect("it runs")
}

/// The one-line answer of a `weir` that must not start.
fn refusal(arguments: &[&str], code: i32) -> String {
    let output = weir(arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    assert!(!said.contains("panicked") && !said.contains("RUST_BACKTRACE"), "{said}");
    said
}

fn policy(connection: &str) -> String {
    format!(
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: ClientTrafficPolicy\nmetadata:\n  name: p\n  namespace: envoy-gateway-system\nspec:\n  {TARGET}\n  {connection}\n"
    )
}

#[test]
fn wrong_usage_is_told_in_few_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    assert!(refusal(&["run", "--nonsense"], 2).contains("--nonsense"));
    assert!(refusal(&["frobnicate"], 2).contains("frobnicate"));
    let said = refusal(&["run", "--data-dir", &data, "-f", "/nowhere/at/all"], 1);
    assert!(said.contains("/nowhere/at/all: there is no such file or folder"), "{said}");
    let said = refusal(&["run", "--data-dir", "/dev/null/x"], 1);
    assert!(said.contains("/dev/null/x") && said.contains("--data-dir"), "{said}");
    assert!(!Path::new(&data).exists(), "nothing was written before the files were read");
}

#[test]
fn a_typo_in_a_file_is_shown_where_it_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("policy.yaml");
    std::fs::write(
        &file,
        policy("conection: {connectionLimit: {value: 5}}")
            + "---\nkind: Gatway\napiVersion: gateway.networking.k8s.io/v1\nmetadata: {name: x}\n",
    )
    .expect("written");
    let data = folder.path().join("data").display().to_string();
    let said = refusal(&["run", "--data-dir", &data, "-f", &file.display().to_string()], 1);
    let place = format!("{}:8:3: unknown field \"spec.conection\"", file.display());
    assert!(said.contains(&place), "{said}");
    assert!(
        said.contains("    8 |   conection: {connectionLimit: {value: 5}}\n      |   ^^^^^^^^^\n      = did you mean `connection`?"),
        "{said}"
    );
    assert!(said.contains("2 errors") && said.contains("did you mean `Gateway`?"), "all errors at once: {said}");
}

#[test]
fn bounds_are_told_with_the_field_for_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    for (connection, expected) in [
        ("connection: {connectionLimit: {value: 0}}", "spec.connection.connectionLimit.value in body should be greater than or equal to 1"),
        ("connection: {connectionLimit: {value: many}}", "must be of type integer"),
        ("connection: {connectionLimit: {closeDelay: 1s}}", "closeDelay can only be configured when value is set"),
    ] {
        let file = folder.path().join("policy.yaml");
        std::fs::write(&file, policy(connection)).expect("written");
        let said = refusal(&["run", "--data-dir", &data, "-f", &file.display().to_string()], 1);
        assert!(said.contains(expected) && said.contains("policy.yaml:8:"), "{said}");
    }
}

#[test]
fn kubectl_is_refused_as_on_a_cluster() {
    isolated("kubectl_is_refused_as_on_a_cluster", || {
        let mut weir = Weir::start(&[]);
        weir.wait_for("export KUBECONFIG=");
        for (connection, expected) in [
            ("conection: {}", "strict decoding error: unknown field \"spec.conection\""),
            (
                "connection: {connectionLimit: {value: 0}}",
                "spec.connection.connectionLimit.value: Invalid value: 0: spec.connection.connectionLimit.value in body should be greater than or equal to 1",
            ),
            ("connection: {connectionLimit: {value: -1}}", "should be greater than or equal to 1"),
            ("connection: {connectionLimit: {value: many}}", "must be of type integer: \"string\""),
            ("connection: {connectionLimit: {closeDelay: 1s}}", "closeDelay can only be configured when value is set"),
        ] {
            let (ok, said) = weir.apply(&policy(connection));
            assert!(!ok && said.contains(expected), "{connection}: {said}");
        }
        let (ok, said) = weir.apply(&policy("connection: {connectionLimit: {value: 1}}").replace("envoy-gateway-system", "nope"));
        assert!(!ok && said.contains("namespaces \"nope\" not found"), "{said}");
        for (version, kind) in [("networking.k8s.io/v1", "Ingress"), ("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy")] {
            let (ok, said) = weir.apply(&format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\n"));
            assert!(!ok && said.contains(&format!("no matches for kind \"{kind}\" in version \"{version}\"")), "{said}");
        }
    });
}

#[test]
fn a_second_weir_on_the_same_data_is_refused() {
    isolated("a_second_weir_on_the_same_data_is_refused", || {
        let mut first = Weir::start(&[]);
        first.wait_for("export KUBECONFIG=");
        let said = refusal(&["run", "--data-dir", &first.data.display().to_string()], 1);
        assert!(said.contains(&first.id().to_string()) && said.contains("--data-dir"), "{said}");
    });
}

#[test]
fn translate_reads_everything_and_fails_only_on_what_it_cannot_parse() {
    let example = repository().join("examples/connection-limit").display().to_string();
    let output = weir(&["translate", "-f", &example]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(said.contains("kind: List") && said.contains("message: Policy has been accepted."), "{said}");
    let model = weir(&["translate", "--model", "-o", "json", "-f", &example]);
    let model: serde_json::Value = serde_json::from_slice(&model.stdout).expect("JSON");
    assert!(model.to_string().contains("connection-limit-app"), "{model}");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("broken.yaml");
    std::fs::write(&file, "apiVersion: v1\nkind: [\n").expect("written");
    let said = refusal(&["translate", "-f", &file.display().to_string()], 1);
    assert!(said.contains("broken.yaml:"), "{said}");
}
