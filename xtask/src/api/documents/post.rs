//! Posting many documents with one curl, over one connection.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Set;
use crate::api::scrub::words;
use crate::api::target::Target;

/// Posts each document as a dry run; what the server says of each.
pub(super) fn all(target: &Target, set: &Set) -> Result<BTreeMap<String, String>> {
    let folder = target.folder.join(&set.name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut config = String::new();
    for (index, (_, document)) in set.documents.iter().enumerate() {
        let [body, answer] = ["json", "answer"].map(|ending| folder.join(format!("{index}.{ending}")));
        fs::write(&body, document.to_string()).with_context(|| format!("cannot write {}", body.display()))?;
        let lines = [
            format!("url = \"{}{}?dryRun=All&fieldValidation=Strict\"", target.server, set.path),
            format!("cacert = \"{}\"", target.authority.display()),
            format!("header = \"Authorization: Bearer {}\"", target.token),
            "header = \"Content-Type: application/json\"\nuser-agent = \"case\"\nmax-time = 30".to_owned(),
            format!("data-binary = \"@{}\"", body.display()),
            format!("output = \"{}\"", answer.display()),
        ];
        config.push_str(if index == 0 { "" } else { "next\n" });
        config.push_str(&lines.join("\n"));
        config.push('\n');
    }
    let file = folder.join("curl");
    fs::write(&file, config).with_context(|| format!("cannot write {}", file.display()))?;
    let mut curl = Command::new("curl");
    let output = curl.args(["--silent", "--show-error", "--config"]).arg(&file).stdin(Stdio::null()).output().context("cannot run curl")?;
    if !output.status.success() {
        bail!("{}: {}", set.name, String::from_utf8_lossy(&output.stderr));
    }
    let answers = set.documents.iter().enumerate().map(|(index, (name, _))| {
        let file = folder.join(format!("{index}.answer"));
        let answer = fs::read(&file).with_context(|| format!("{} was not answered", file.display()))?;
        Ok((name.clone(), verdict(&answer)))
    });
    answers.collect()
}

/// `accepted`, or why not. The order of causes is not the same each time with the real server.
fn verdict(answer: &[u8]) -> String {
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else { return String::from_utf8_lossy(answer).into_owned() };
    if answer["kind"] != "Status" {
        return "accepted".to_owned();
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let cause = |cause: &Value| format!("{}: {}: {}", text(&cause["field"]), text(&cause["reason"]), text(&cause["message"]));
    let mut causes: Vec<String> = answer.pointer("/details/causes").and_then(Value::as_array).into_iter().flatten().map(cause).collect();
    causes.sort();
    if causes.is_empty() {
        causes.push(text(&answer["message"]));
    }
    words(&format!("{} {}\n{}", answer["code"], text(&answer["reason"]), causes.join("\n")))
}
