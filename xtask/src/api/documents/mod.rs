//! Documents that both servers shall accept, or refuse with the same words: one valid document of each of our kinds, what `tests/api/documents`
//! says to change in it, and every way to break its schema.

mod marks;
mod mutate;
mod post;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::case::sorted;
use super::target::Target;
use super::verdict::{Found, difference};
use marks::Marks;

/// The documents of one kind.
#[derive(Debug)]
pub(crate) struct Set {
    /// `documents/gateway`.
    pub(crate) name: String,
    file: PathBuf,
    /// Where they are posted.
    path: String,
    documents: Vec<(String, Value)>,
}

/// All sets below `folder` whose names contain one of `filters`; all of them when there are no filters. `definitions` are CRDs.
pub(crate) fn sets(folder: &Path, filters: &[String], definitions: &[Value]) -> Result<Vec<Set>> {
    let mut sets = Vec::new();
    for file in sorted(folder)?.into_iter().filter(|file| file.extension().is_some_and(|ending| ending == "yaml")) {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("documents/{stem}");
        if filters.is_empty() || filters.iter().any(|filter| name.contains(filter)) {
            sets.push(set(name, file.clone(), definitions).with_context(|| format!("in {}", file.display()))?);
        }
    }
    Ok(sets)
}

fn set(name: String, file: PathBuf, definitions: &[Value]) -> Result<Set> {
    let text: Value = serde_saphyr::from_str(&fs::read_to_string(&file)?)?;
    let base = &text["base"];
    let (group, version) = base["apiVersion"].as_str().and_then(|it| it.split_once('/')).context("base has no apiVersion with a group")?;
    let ours = |crd: &&Value| crd["spec"]["group"] == group && crd["spec"]["names"]["kind"] == base["kind"];
    let crd = definitions.iter().find(ours).context("there is no such kind")?;
    let served = crd["spec"]["versions"].as_array().and_then(|versions| versions.iter().find(|it| it["name"] == version));
    let schema = &served.context("there is no such version")?["schema"]["openAPIV3Schema"];
    let plural = crd["spec"]["names"]["plural"].as_str().unwrap_or_default();
    let namespace = if crd["spec"]["scope"] == "Namespaced" { "namespaces/default/" } else { "" };
    let mut documents = vec![("as it is".to_owned(), base.clone())];
    for (name, change) in text["changes"].as_object().into_iter().flatten() {
        let mut document = base.clone();
        merge(&mut document["spec"], change);
        documents.push((name.clone(), document));
    }
    documents.extend(mutate::all(base, schema));
    Ok(Set { name, file, path: format!("/apis/{group}/{version}/{namespace}{plural}"), documents })
}

/// A JSON merge patch (RFC 7396).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(target) = target {
        for (name, value) in patch {
            if value.is_null() {
                target.remove(name);
            } else {
                merge(target.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

impl Set {
    /// How many documents there are.
    pub(crate) fn len(&self) -> usize {
        self.documents.len()
    }

    /// Posts them to both, and compares.
    pub(crate) fn ask(&self, ours: &Target, real: Option<&Target>, record: bool) -> Result<Found> {
        let marks = Marks::read(&self.file.with_file_name("marks"), &self.name)?;
        let (real, ours) = (real.map(|real| post::all(real, self)).transpose()?, post::all(ours, self)?);
        if record {
            real.as_ref().map_or(Ok(()), |answers| self.record("real", answers))?;
            let differing =
                ours.iter().filter(|(name, _)| marks.differs(name)).map(|(name, answer)| (name.clone(), answer.clone())).collect();
            self.record("weir", &differing)?;
        }
        let (recorded, recorded_ours) = (self.recorded("real")?, self.recorded("weir")?);
        let mut found = Found::default();
        for (name, _) in &self.documents {
            let [wanted, own, answer] = [&recorded, &recorded_ours, &ours].map(|answers| answers.get(name).map_or("", String::as_str));
            if let Some(today) = real.as_ref().and_then(|real| real.get(name)).filter(|today| *today != wanted) {
                found.complain(format!("{name}\nthe real server does not say what is recorded (--record)\n{}", difference(wanted, today)?));
            }
            if let Some(complaint) = marks.judge(name, wanted, own, answer, &mut found)? {
                found.complain(format!("{name}\n{complaint}"));
            }
        }
        marks.leftovers(&mut found);
        Ok(found)
    }

    fn recorded(&self, ending: &str) -> Result<BTreeMap<String, String>> {
        let text = fs::read_to_string(self.file.with_extension(ending)).unwrap_or_default();
        let mut answers: BTreeMap<String, String> = BTreeMap::new();
        let mut name = "";
        for line in text.lines() {
            match (line.strip_prefix("  "), answers.get_mut(name)) {
                (Some(line), Some(answer)) => {
                    if !answer.is_empty() {
                        answer.push('\n');
                    }
                    answer.push_str(line);
                }
                _ => {
                    name = line;
                    answers.insert(line.to_owned(), String::new());
                }
            }
        }
        Ok(answers)
    }

    fn record(&self, ending: &str, answers: &BTreeMap<String, String>) -> Result<()> {
        let file = self.file.with_extension(ending);
        let mut text = String::new();
        for (name, _) in &self.documents {
            if let Some(answer) = answers.get(name) {
                text.push_str(name);
                answer.lines().for_each(|line| text.push_str(&format!("\n  {line}")));
                text.push('\n');
            }
        }
        if text.is_empty() {
            let _ = fs::remove_file(&file);
            return Ok(());
        }
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}
