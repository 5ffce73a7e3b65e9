//! Many requests with one curl, one after the other over one connection.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::api::target::Target;

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    method: &'static str,
    path: String,
    body: Option<Value>,
}

impl Request {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), body: None }
    }

    /// Makes `object`; what its schema does not know is an error, as kubectl has it.
    pub(super) fn post(path: &str, object: &Value) -> Self {
        Self { method: "POST", path: format!("{path}?fieldValidation=Strict"), body: Some(object.clone()) }
    }

    /// Merges `change` into an object.
    pub(super) fn merge(path: String, change: Value) -> Self {
        Self { method: "PATCH", path, body: Some(change) }
    }

    pub(super) fn delete(path: String) -> Self {
        Self { method: "DELETE", path, body: None }
    }
}

/// What the server says to each: the status and the body.
pub(super) fn all(target: &Target, requests: &[Request]) -> Result<Vec<(u16, Value)>> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let folder = tempfile::tempdir_in(&target.folder).context("cannot make a folder")?;
    let file = |name: String| folder.path().join(name);
    let mut config = String::new();
    for (index, request) in requests.iter().enumerate() {
        let mut lines = vec![
            format!("url = \"{}{}\"\nrequest = \"{}\"", target.server, request.path, request.method),
            format!("cacert = \"{}\"\nheader = \"Authorization: Bearer {}\"", target.authority.display(), target.token),
            format!("output = \"{}\"", file(format!("{index}.answer")).display()),
            // A real server answers 429 while a new kind's storage is being made.
            "user-agent = \"case\"\nmax-time = 60\nretry = 20\nretry-delay = 1\nwrite-out = \"%{http_code}\\n\"".to_owned(),
        ];
        if let Some(body) = &request.body {
            let name = file(format!("{index}.json"));
            fs::write(&name, body.to_string()).context("cannot write a body")?;
            let form = if request.method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
            lines.push(format!("header = \"Content-Type: {form}\"\ndata-binary = \"@{}\"", name.display()));
        }
        config.push_str(if index == 0 { "" } else { "next\n" });
        config.push_str(&lines.join("\n"));
        config.push('\n');
    }
    let config_file = file("config".to_owned());
    fs::write(&config_file, config).context("cannot write what to ask")?;
    let mut curl = Command::new("curl");
    let output =
        curl.args(["--silent", "--show-error", "--config"]).arg(&config_file).stdin(Stdio::null()).output().context("cannot run curl")?;
    if !output.status.success() {
        bail!("{}: {}", target.name, String::from_utf8_lossy(&output.stderr));
    }
    let codes = String::from_utf8_lossy(&output.stdout).into_owned();
    let answers = codes.lines().enumerate().map(|(index, code)| {
        let text = fs::read(file(format!("{index}.answer"))).unwrap_or_default();
        let body = serde_json::from_slice(&text).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&text).into_owned()));
        Ok((code.parse().context("curl tells the status")?, body))
    });
    let answers: Vec<_> = answers.collect::<Result<_>>()?;
    if answers.len() != requests.len() {
        bail!("{}: {} answers to {} requests", target.name, answers.len(), requests.len());
    }
    Ok(answers)
}

/// Why a request was refused, comparable: the causes in the order of the alphabet, or the message.
pub(super) fn refusal(answer: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let cause = |cause: &Value| format!("{}: {}: {}", text(&cause["field"]), text(&cause["reason"]), text(&cause["message"]));
    let mut causes: Vec<String> = answer.pointer("/details/causes").and_then(Value::as_array).into_iter().flatten().map(cause).collect();
    causes.sort();
    if causes.is_empty() { text(&answer["message"]) } else { causes.join("; ") }
}
