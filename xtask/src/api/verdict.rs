//! Judging answers, and telling what came of it.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::case::{Case, Relation};
use super::run::ask;
use super::target::Target;
use crate::kube::build::Programs;

/// What came of a case.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What is wrong, for the terminal.
    complaints: Vec<String>,
    /// Why answers differ on purpose.
    differs: Vec<String>,
    /// What is missing.
    known: Vec<String>,
    /// It was asked a second time, and then all was well.
    second_try: bool,
}

impl Found {
    /// A case that could not be run.
    pub(crate) fn broken(error: &anyhow::Error) -> Self {
        Self { complaints: vec![format!("{error:#}\n")], ..Self::default() }
    }

    /// Something is wrong.
    pub(crate) fn complain(&mut self, text: String) {
        self.complaints.push(text);
    }

    /// An answer is ours on purpose.
    pub(crate) fn differs(&mut self, why: String) {
        self.differs.push(why);
    }

    /// An answer is not yet what it should be.
    pub(crate) fn known(&mut self, what: String) {
        self.known.push(what);
    }
}

/// Asks and compares. What goes wrong is tried once more, alone with a fresh namespace: a machine under load is late at times, and a case waits
/// only for so long.
pub(crate) fn of(case: &Case, ours: &Target, real: Option<&Target>, programs: &Programs, record: bool) -> Result<Found> {
    let attempt = |number: usize| -> Result<Found> {
        let mut found = Found::default();
        let (real, ours) = (real.map(|real| ask(case, real, programs, number)).transpose()?, ask(case, ours, programs, number)?);
        if record {
            real.as_deref().map_or(Ok(()), |answers| case.record_real(answers))?;
            case.record_ours(&ours)?;
        }
        if let Some(answers) = real {
            stands(case, &answers, &mut found)?;
        }
        compare(case, &ours, &mut found)?;
        Ok(found)
    };
    match attempt(1) {
        Ok(found) if found.complaints.is_empty() || record => Ok(found),
        _ => {
            let found = attempt(2)?;
            Ok(Found { second_try: found.complaints.is_empty(), ..found })
        }
    }
}

/// Whether the recorded answers are what the real server says today.
fn stands(case: &Case, answers: &[String], found: &mut Found) -> Result<()> {
    for ((step, recorded), answer) in case.steps.iter().zip(case.real()?).zip(answers) {
        if recorded.as_ref() != Some(answer) {
            let difference = difference(recorded.as_deref().unwrap_or_default(), answer)?;
            found.complain(format!("$ {}\nthe real server does not say what is recorded (--record)\n{difference}", step.command));
        }
    }
    Ok(())
}

fn compare(case: &Case, answers: &[String], found: &mut Found) -> Result<()> {
    let recorded = case.real()?.into_iter().zip(case.ours()?);
    for ((step, (real, ours)), answer) in case.steps.iter().zip(recorded).zip(answers) {
        let real = real.unwrap_or_default();
        let why = match &step.relation {
            Relation::Equal if real == *answer => continue,
            Relation::Equal => format!("- the real server, + ours\n{}", difference(&real, answer)?),
            Relation::Known(_) | Relation::Differs(_) if real == *answer => "they answer alike now: remove its mark\n".to_owned(),
            Relation::Known(what) => {
                found.known(what.clone());
                continue;
            }
            Relation::Differs(why) if ours.as_ref() == Some(answer) => {
                found.differs(why.clone());
                continue;
            }
            Relation::Differs(_) => {
                format!("- recorded as ours, + what we say now (--record)\n{}", difference(ours.as_deref().unwrap_or_default(), answer)?)
            }
        };
        found.complain(format!("$ {}\n{why}", step.command));
    }
    Ok(())
}

/// What is to be changed in `old` to have `new`, for the terminal.
pub(crate) fn difference(old: &str, new: &str) -> Result<String> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    for (name, text) in [("old", old), ("new", new)] {
        fs::write(folder.path().join(name), format!("{text}\n")).context("cannot write a temporary file")?;
    }
    let diff = Command::new("diff").args(["-U3", "old", "new"]).current_dir(folder.path()).output().context("cannot run diff")?;
    Ok(String::from_utf8_lossy(&diff.stdout).lines().skip(2).map(|line| format!("    {line}\n")).collect())
}

/// Over all cases, or over all documents.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    cases: usize,
    asked: usize,
    differs: Vec<String>,
    known: Vec<String>,
    second_tries: Vec<String>,
    failed: Vec<String>,
}

impl Summary {
    /// Counts a case that asked so many questions, and prints what is wrong with it.
    pub(crate) fn add(&mut self, name: &str, asked: usize, found: Found) {
        self.cases += 1;
        self.asked += asked;
        if found.second_try {
            self.second_tries.push(name.to_owned());
        }
        if !found.complaints.is_empty() {
            println!("== {name}");
            found.complaints.iter().for_each(|complaint| print!("{complaint}"));
            self.failed.push(format!("{name} ({} answers)", found.complaints.len()));
        }
        self.differs.extend(found.differs.into_iter().map(|why| format!("{name}: {why}")));
        self.known.extend(found.known.into_iter().map(|what| format!("{name}: {what}")));
    }

    /// Whether no case failed.
    pub(crate) fn good(&self) -> bool {
        self.failed.is_empty()
    }

    /// Prints the counts.
    pub(crate) fn print(&self, questions: &str) {
        for (title, lines) in [
            ("different on purpose", &self.differs),
            ("missing", &self.known),
            ("only at the second try", &self.second_tries),
            ("FAILED", &self.failed),
        ] {
            let mut lines = lines.clone();
            lines.sort();
            lines.dedup();
            if !lines.is_empty() {
                println!("{title}:");
                lines.iter().for_each(|line| println!("  {line}"));
            }
        }
        let equal = self.asked - self.differs.len() - self.known.len();
        println!(
            "{} cases, {} {questions}: {equal} answered alike, {} otherwise on purpose, {} known to be wrong; {} cases failed",
            self.cases,
            self.asked,
            self.differs.len(),
            self.known.len(),
            self.failed.len()
        );
    }
}
