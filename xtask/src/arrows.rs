//! Which crate may use which: the list of ARCHITECTURE.md, checked.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::shell;

/// Each crate with exactly what it uses of ours. Few arrows: what is not below a crate cannot break it.
const ARROWS: [(&str, &[&str]); 11] = [
    ("api", &[]),
    ("apiserver", &[]),
    ("controller", &["api", "model", "translate"]),
    ("echo", &[]),
    ("http1", &[]),
    ("limits", &[]),
    ("model", &[]),
    ("node", &[]),
    ("proxy", &["http1", "limits", "model", "route"]),
    ("route", &["model"]),
    ("translate", &["api", "model"]),
];

/// The binary, which may use all of them and which none may use.
const BINARY: &str = "weir";

/// What tries the others out from outside, which may use all of them and which none may use.
const OUTSIDE: &str = "fuzz";

/// Prints the arrows, then what is wrong with them. Whether nothing is.
pub(crate) fn check() -> Result<bool> {
    let found = arrows(&shell::metadata()?)?;
    for (package, uses) in &found {
        println!("{package} -> {}", if uses.is_empty() { "none".to_owned() } else { uses.iter().cloned().collect::<Vec<_>>().join(", ") });
    }
    let wrong = wrong(&found);
    for complaint in &wrong {
        eprintln!("arrows: {complaint}");
    }
    Ok(wrong.is_empty())
}

/// Our packages, without `weir-`, and what each uses of ours, for whatever purpose.
fn arrows(metadata: &Value) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let short = |name: &Value| name.as_str().map(|name| name.strip_prefix("weir-").unwrap_or(name).to_owned());
    let packages = metadata["packages"].as_array().context("cargo metadata lists packages")?;
    let ours: Vec<&Value> = packages.iter().map(|package| &package["name"]).collect();
    packages
        .iter()
        .map(|package| {
            let uses = package["dependencies"].as_array().context("cargo metadata lists dependencies")?;
            let uses = uses.iter().map(|dependency| &dependency["name"]).filter(|name| ours.contains(name)).filter_map(short).collect();
            Ok((short(&package["name"]).context("packages have names")?, uses))
        })
        .collect()
}

fn wrong(found: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = ARROWS.iter().map(|(name, uses)| (*name, uses.iter().copied().collect())).collect();
    let mut wrong = Vec::new();
    for (package, uses) in found {
        match allowed.get(package.as_str()) {
            Some(expected) => {
                let uses: BTreeSet<&str> = uses.iter().map(String::as_str).collect();
                wrong.extend(uses.difference(expected).map(|name| format!("{package} must not use {name}")));
                wrong.extend(expected.difference(&uses).map(|name| format!("{package} does not use {name} any more: update the list")));
            }
            None if package == BINARY || package == OUTSIDE => {}
            None if package == "xtask" => wrong.extend(uses.iter().map(|name| format!("xtask must not use {name}"))),
            None => wrong.push(format!("{package} is not in the list")),
        }
    }
    let missing = allowed.keys().filter(|name| !found.contains_key(**name));
    wrong.extend(missing.map(|name| format!("{name} is in the list but not in the workspace")));
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> BTreeMap<String, BTreeSet<String>> {
        ARROWS.iter().map(|(name, uses)| (name.to_string(), uses.iter().map(ToString::to_string).collect())).collect()
    }

    #[test]
    fn the_list_itself_is_right() {
        assert_eq!(wrong(&listed()), Vec::<String>::new());
    }

    #[test]
    fn every_departure_is_named() {
        let mut found = listed();
        found.entry("route".into()).or_default().insert("proxy".into());
        found.entry("proxy".into()).or_default().remove("limits");
        found.insert("extra".into(), BTreeSet::new());
        found.remove("echo");
        assert_eq!(
            wrong(&found),
            [
                "extra is not in the list",
                "proxy does not use limits any more: update the list",
                "route must not use proxy",
                "echo is in the list but not in the workspace",
            ]
        );
    }
}
