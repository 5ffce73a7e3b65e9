//! What `weir run` says once it serves: how to reach the API, each Gateway, each limit, and a request to paste.

use std::fmt::Write as _;
use std::path::Path;

use kube::Client;
use serde_json::Value;
use weir_model::Report;

/// The text to print.
pub(crate) async fn text(client: &Client, kubeconfig: &Path, report: &Report, port_offset: u16) -> Result<String, kube::Error> {
    let gateways = list(client, "/apis/gateway.networking.k8s.io/v1/gateways").await?;
    let routes = list(client, "/apis/gateway.networking.k8s.io/v1/httproutes").await?;
    let mut out = String::new();
    let _ = writeln!(out, "\n  export KUBECONFIG={}\n", kubeconfig.display());
    if gateways.is_empty() {
        let _ = writeln!(out, "  No Gateway yet: kubectl apply one, or start again with -f (try examples/connection-limit).");
    }
    for gateway in &gateways {
        describe(&mut out, gateway, report);
    }
    if let Some(line) = gateways.iter().find_map(|gateway| curl(gateway, &routes, port_offset)) {
        let _ = writeln!(out, "\n  {line}");
    }
    Ok(out)
}

fn describe(out: &mut String, gateway: &Value, report: &Report) {
    let name = full_name(gateway);
    let address = address(gateway).unwrap_or("no address");
    let programmed =
        gateway.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten().find(|it| it["type"] == "Programmed");
    let state = match programmed {
        Some(condition) if condition["status"] == "True" => "Programmed".to_owned(),
        Some(condition) => format!("not Programmed: {}", condition["message"].as_str().unwrap_or_default()),
        None => "not looked at: its class belongs to another controller, or is missing".to_owned(),
    };
    let _ = writeln!(out, "  Gateway {name}  {address}  {state}");
    for (limit, numbers) in report.limits.iter().filter(|(_, numbers)| numbers.gateway.to_string() == name) {
        let _ = writeln!(
            out,
            "    at most {} connections over {} (ClientTrafficPolicy {}), {} now",
            numbers.max, limit.target, limit.policy, numbers.current
        );
    }
}

/// A `curl` line that some route of this gateway answers.
fn curl(gateway: &Value, routes: &[Value], port_offset: u16) -> Option<String> {
    let listener = gateway.pointer("/spec/listeners")?.as_array()?.iter().find(|listener| listener["protocol"] == "HTTP")?;
    let port = listener["port"].as_u64()? + u64::from(port_offset);
    let route = routes.iter().find(|route| {
        let namespace = route.pointer("/metadata/namespace");
        route.pointer("/spec/parentRefs").and_then(Value::as_array).into_iter().flatten().any(|parent| {
            parent.get("name") == gateway.pointer("/metadata/name")
                && parent.get("namespace").or(namespace) == gateway.pointer("/metadata/namespace")
        })
    })?;
    let host = route.pointer("/spec/hostnames/0").and_then(Value::as_str).map(|host| host.replacen("*.", "www.", 1));
    let header = host.map(|host| format!("-H 'Host: {host}' ")).unwrap_or_default();
    let port = if port == 80 { String::new() } else { format!(":{port}") };
    Some(format!("curl {header}http://{}{port}/", address(gateway)?))
}

fn address(gateway: &Value) -> Option<&str> {
    gateway.pointer("/status/addresses/0/value").and_then(Value::as_str)
}

fn full_name(object: &Value) -> String {
    let text = |field: &str| object.pointer(&format!("/metadata/{field}")).and_then(Value::as_str).unwrap_or_default();
    format!("{}/{}", text("namespace"), text("name"))
}

async fn list(client: &Client, path: &str) -> Result<Vec<Value>, kube::Error> {
    let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    let mut answer: Value = client.request(request).await?;
    Ok(match answer["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    })
}
