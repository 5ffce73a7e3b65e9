//! A case: shell commands that ask an API server, and what answers are expected of ours.
//!
//! ```text
//! # What it shows.
//! $ kubectl create configmap a
//! #: differs WHY          the answer to the next command is ours on purpose: see `.weir`
//! $ kubectl get configmap a
//! #: known WHAT IS MISSING     the answer to the next command is not yet what it should be
//! $ kubectl describe configmap a
//! ```
//! A command goes on until the next line that begins with `$ ` or `#: `. Beside `NAME.case` lie `NAME.real`, the real server's answers, and
//! `NAME.weir`, ours where they differ on purpose.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// How our answer to one command relates to the real one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Relation {
    /// They are the same.
    Equal,
    /// They differ on purpose, and this is why.
    Differs(String),
    /// They should be the same, and this is what is missing.
    Known(String),
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) relation: Relation,
}

/// A file of commands.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// `area/name`.
    pub(crate) name: String,
    file: PathBuf,
    pub(crate) steps: Vec<Step>,
}

impl Case {
    /// All cases below `folder` whose names contain one of `filters`; all of them when there are no filters.
    pub(crate) fn all(folder: &Path, filters: &[String]) -> Result<Vec<Self>> {
        let mut cases = Vec::new();
        for area in sorted(folder)?.iter().filter(|path| path.is_dir()) {
            for file in sorted(area)?.iter().filter(|file| file.extension().is_some_and(|ending| ending == "case")) {
                let name = file.strip_prefix(folder)?.with_extension("").to_string_lossy().into_owned();
                if filters.is_empty() || filters.iter().any(|filter| name.contains(filter)) {
                    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
                    let steps = parse(&text).with_context(|| format!("in {}", file.display()))?;
                    cases.push(Self { name, file: file.clone(), steps });
                }
            }
        }
        Ok(cases)
    }

    /// The recorded answers of the real server, one per command.
    pub(crate) fn real(&self) -> Result<Vec<Option<String>>> {
        self.recorded("real", |_| true)
    }

    /// Our recorded answers, one per command; none where ours shall not differ.
    pub(crate) fn ours(&self) -> Result<Vec<Option<String>>> {
        self.recorded("weir", |step| matches!(step.relation, Relation::Differs(_)))
    }

    /// Keeps the real server's answers.
    pub(crate) fn record_real(&self, answers: &[String]) -> Result<()> {
        self.record("real", |_| true, answers)
    }

    /// Keeps our answers where they differ on purpose.
    pub(crate) fn record_ours(&self, answers: &[String]) -> Result<()> {
        self.record("weir", |step| matches!(step.relation, Relation::Differs(_)), answers)
    }

    fn recorded(&self, ending: &str, of: impl Fn(&Step) -> bool) -> Result<Vec<Option<String>>> {
        let file = self.file.with_extension(ending);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        // An answer may look like a command: what begins one is known.
        let mut rest = text.as_str();
        let mut answers = Vec::new();
        let wanted: Vec<_> = self.steps.iter().map(|step| of(step).then(|| headline(step))).collect();
        for (index, headline) in wanted.iter().enumerate() {
            let Some(found) = headline.as_ref().and_then(|headline| rest.strip_prefix(headline.as_str())) else {
                answers.push(None);
                continue;
            };
            let next = wanted[index + 1..].iter().flatten().filter_map(|next| found.find(&format!("\n{next}")).map(|at| at + 1)).min();
            let next = wanted[index + 1..].iter().flatten().any(|next| found.starts_with(next.as_str())).then_some(0).or(next);
            let (answer, more) = found.split_at(next.unwrap_or(found.len()));
            answers.push(Some(answer.trim_end_matches('\n').to_owned()));
            rest = more;
        }
        Ok(answers)
    }

    fn record(&self, ending: &str, of: impl Fn(&Step) -> bool, answers: &[String]) -> Result<()> {
        let mut text = String::new();
        for (step, answer) in self.steps.iter().zip(answers).filter(|(step, _)| of(step)) {
            text.push_str(&headline(step));
            text.push_str(answer);
            if !answer.is_empty() {
                text.push('\n');
            }
        }
        let file = self.file.with_extension(ending);
        if text.is_empty() {
            let _ = fs::remove_file(&file);
            return Ok(());
        }
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// How a command stands in a file of answers.
fn headline(step: &Step) -> String {
    format!("$ {}\n", step.command)
}

fn parse(text: &str) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let mut relation = Relation::Equal;
    // Whether lines belong to the last command.
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), relation: std::mem::replace(&mut relation, Relation::Equal) });
            open = true;
        } else if let Some(mark) = line.strip_prefix("#: ") {
            open = false;
            relation = match mark.split_once(' ') {
                Some(("differs", why)) => Relation::Differs(why.to_owned()),
                Some(("known", what)) => Relation::Known(what.to_owned()),
                _ => bail!("line {}: `#: differs WHY` or `#: known WHAT`, not `{line}`", index + 1),
            };
        } else if let (true, Some(last)) = (open, steps.last_mut()) {
            last.command.push('\n');
            last.command.push_str(line);
        } else if !line.is_empty() && !line.starts_with('#') {
            bail!("line {}: a command begins with `$ `: `{line}`", index + 1);
        }
    }
    if steps.is_empty() {
        bail!("there is no command in it");
    }
    for step in &mut steps {
        step.command.truncate(step.command.trim_end().len());
    }
    Ok(steps)
}

pub(super) fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_carry_marks_and_go_over_lines() {
        let steps = parse("# Why.\n\n$ a <<X\nb\nX\n#: known c is missing\n$ c\n").expect("a case");
        assert_eq!(steps[0], Step { command: "a <<X\nb\nX".to_owned(), relation: Relation::Equal });
        assert_eq!(steps[1], Step { command: "c".to_owned(), relation: Relation::Known("c is missing".to_owned()) });
        assert!(parse("a").is_err());
    }

    #[test]
    fn answers_are_read_as_they_were_recorded() {
        let folder = tempfile::tempdir().expect("a folder");
        let steps = parse("$ a\n#: differs on purpose\n$ b\n$ a\n$ c").expect("a case");
        let case = Case { name: "x".to_owned(), file: folder.path().join("x.case"), steps };
        let answers = ["".to_owned(), "$ is a dollar\n\nend".to_owned(), "1".to_owned(), "".to_owned()];
        case.record_real(&answers).expect("recorded");
        case.record_ours(&answers).expect("recorded");
        assert_eq!(case.real().expect("read"), answers.iter().cloned().map(Some).collect::<Vec<_>>());
        assert_eq!(case.ours().expect("read"), [None, Some(answers[1].clone()), None, None]);
    }
}
