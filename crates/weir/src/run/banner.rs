//! What `weir run` says once it serves: how to reach the API, each Gateway, each limit, what is missing, and a request to paste.

use std::fmt::Write as _;
use std::path::Path;

use kube::Client;
use serde_json::Value;
use weir_model::Report;

use super::objects::{condition, full_name, list};
use super::settle::{Gateways, Owner};

/// The text to print; `missing` says what else the files declare and is not there yet.
pub(crate) async fn text(
    client: &Client,
    kubeconfig: &Path,
    report: &Report,
    port_offset: u16,
    missing: &[String],
) -> Result<String, kube::Error> {
    let gateways = Gateways::read(client).await?;
    let routes = list(client, "/apis/gateway.networking.k8s.io/v1/httproutes").await?;
    let mut out = String::new();
    let _ = writeln!(out, "\n  export KUBECONFIG={}\n", quoted(&kubeconfig.display().to_string()));
    if gateways.all.is_empty() {
        let _ = writeln!(out, "  No Gateway yet: kubectl apply one, or start again with -f (try examples/connection-limit).");
    }
    for gateway in &gateways.all {
        describe(&mut out, gateway, gateways.owner(gateway), report);
    }
    for it in missing {
        let _ = writeln!(out, "  {it}");
    }
    if let Some(line) = gateways.all.iter().find_map(|gateway| curl(gateway, &routes, port_offset)) {
        let _ = writeln!(out, "\n  {line}");
    }
    out.push('\n');
    Ok(out)
}

fn describe(out: &mut String, gateway: &Value, owner: Owner, report: &Report) {
    let name = full_name(gateway);
    let class = gateway.pointer("/spec/gatewayClassName").and_then(Value::as_str).unwrap_or_default();
    let state = match (owner, condition(gateway, "Programmed")) {
        (Owner::NoClass, _) => format!("left alone: there is no GatewayClass {class}"),
        (Owner::Other, _) => format!("left alone: GatewayClass {class} is another controller's"),
        (Owner::Weir, Some(it)) if it.status == "True" => "Programmed".to_owned(),
        (Owner::Weir, Some(it)) => format!("not Programmed: {}", it.message),
        (Owner::Weir, None) => "not Programmed yet".to_owned(),
    };
    match address(gateway) {
        Some(address) => {
            let _ = writeln!(out, "  Gateway {name}  {address}  {state}");
        }
        None => {
            let _ = writeln!(out, "  Gateway {name}  {state}");
        }
    }
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
    condition(gateway, "Programmed").filter(|it| it.status == "True")?;
    routes.iter().find_map(|route| {
        let listener = listener_of(gateway, route)?;
        let path = path_of(route)?;
        let port = listener["port"].as_u64()? + u64::from(port_offset);
        let host = route.pointer("/spec/hostnames/0").or_else(|| listener.get("hostname")).and_then(Value::as_str);
        let header = host.map(|host| format!("-H 'Host: {}' ", host.replacen("*.", "www.", 1))).unwrap_or_default();
        let port = if port == 80 { String::new() } else { format!(":{port}") };
        let address = match address(gateway)? {
            v6 if v6.contains(':') => format!("[{v6}]"),
            other => other.to_owned(),
        };
        Some(format!("curl {header}{}", quoted(&format!("http://{address}{port}{path}"))))
    })
}

/// The HTTP listener through which `route` is served, when it is: attached, with all that it refers to.
fn listener_of<'g>(gateway: &'g Value, route: &Value) -> Option<&'g Value> {
    let namespace = route.pointer("/metadata/namespace");
    let parents = route.pointer("/status/parents").and_then(Value::as_array).into_iter().flatten();
    let mut served = parents.filter(|parent| {
        let reference = &parent["parentRef"];
        let holds = |kind: &str| {
            let conditions = parent["conditions"].as_array().into_iter().flatten();
            conditions.filter(|it| it["type"] == kind).any(|it| it["status"] == "True")
        };
        reference.get("name") == gateway.pointer("/metadata/name")
            && reference.get("namespace").or(namespace) == gateway.pointer("/metadata/namespace")
            && holds("Accepted")
            && holds("ResolvedRefs")
    });
    let parent = served.next()?;
    let wanted =
        |field: &str, of: &str, listener: &Value| parent["parentRef"].get(field).is_none_or(|wanted| Some(wanted) == listener.get(of));
    gateway
        .pointer("/spec/listeners")?
        .as_array()?
        .iter()
        .find(|listener| listener["protocol"] == "HTTP" && wanted("sectionName", "name", listener) && wanted("port", "port", listener))
}

/// A path that the route's first rule takes from a plain GET.
fn path_of(route: &Value) -> Option<&str> {
    let Some(found) = route.pointer("/spec/rules/0/matches").and_then(Value::as_array).filter(|all| !all.is_empty()) else {
        return Some("/");
    };
    let plain = found.iter().find(|it| it.get("headers").is_none() && it.get("queryParams").is_none() && it.get("method").is_none())?;
    match plain.pointer("/path/type").and_then(Value::as_str) {
        None => Some("/"),
        Some("RegularExpression") => None,
        Some(_) => plain.pointer("/path/value").and_then(Value::as_str).or(Some("/")),
    }
}

fn address(gateway: &Value) -> Option<&str> {
    gateway.pointer("/status/addresses/0/value").and_then(Value::as_str)
}

/// As a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._:-~@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gateway() -> Value {
        json!({
            "metadata": {"name": "eg", "namespace": "ns"},
            "spec": {"listeners": [
                {"name": "tls", "protocol": "HTTPS", "port": 443},
                {"name": "http", "protocol": "HTTP", "port": 80},
                {"name": "other", "protocol": "HTTP", "port": 8080, "hostname": "*.example.com"},
            ]},
            "status": {"addresses": [{"value": "127.1.2.3"}], "conditions": [{"type": "Programmed", "status": "True"}]},
        })
    }

    fn route(resolved: &str, section: Option<&str>, spec: Value) -> Value {
        let mut parent = json!({"name": "eg"});
        if let Some(section) = section {
            parent["sectionName"] = json!(section);
        }
        let conditions = json!([{"type": "Accepted", "status": "True"}, {"type": "ResolvedRefs", "status": resolved}]);
        json!({"metadata": {"namespace": "ns"}, "spec": spec, "status": {"parents": [{"parentRef": parent, "conditions": conditions}]}})
    }

    #[test]
    fn the_line_to_paste_is_answered() {
        let fine =
            route("True", None, json!({"hostnames": ["a.example"], "rules": [{"matches": [{"path": {"type": "Exact", "value": "/x"}}]}]}));
        let broken = route("False", None, json!({"hostnames": ["broken.example"]}));
        assert_eq!(curl(&gateway(), &[broken, fine], 0).as_deref(), Some("curl -H 'Host: a.example' http://127.1.2.3/x"));
        let section = route("True", Some("other"), json!({}));
        assert_eq!(curl(&gateway(), &[section], 1000).as_deref(), Some("curl -H 'Host: www.example.com' http://127.1.2.3:9080/"));
        let posts = route("True", None, json!({"rules": [{"matches": [{"method": "POST"}]}]}));
        assert_eq!(curl(&gateway(), &[posts], 0), None);
    }

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(quoted("/home/you/.local/state/weir/kubeconfig"), "/home/you/.local/state/weir/kubeconfig");
        assert_eq!(quoted("/a b/it's"), r"'/a b/it'\''s'");
    }
}
