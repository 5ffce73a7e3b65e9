//! Judging answers, and telling what came of it.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::case::{Case, Relation};
use super::run::ask;
use super::target::Target;
use crate::kube::build::Programs;

/// What came of a case.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// What is wrong, for the terminal.
    complaints: Vec<String>,
    /// It was asked a second time, and then all was well.
    second_try: bool,
}

impl Verdict {
    /// A case that could not be run.
    pub(crate) fn broken(error: &anyhow::Error) -> Self {
        Self { complaints: vec![format!("{error:#}\n")], second_try: false }
    }
}

/// Asks and compares. What goes wrong is tried once more, alone with a fresh namespace: a machine under load is late at times, and a case waits
/// only for so long.
pub(crate) fn of(case: &Case, ours: &Target, real: Option<&Target>, programs: &Programs, record: bool) -> Result<Verdict> {
    let attempt = |number: usize| -> Result<Vec<String>> {
        let mut complaints = Vec::new();
        let (real, ours) = (real.map(|real| ask(case, real, programs, number)).transpose()?, ask(case, ours, programs, number)?);
        if record {
            real.as_deref().map_or(Ok(()), |answers| case.record_real(answers))?;
            case.record_ours(&ours)?;
        }
        if let Some(answers) = real {
            stands(case, &answers, &mut complaints)?;
        }
        compare(case, &ours, &mut complaints)?;
        Ok(complaints)
    };
    if record {
        return Ok(Verdict { complaints: attempt(1)?, second_try: false });
    }
    match attempt(1) {
        Ok(complaints) if complaints.is_empty() => Ok(Verdict::default()),
        _ => {
            let complaints = attempt(2)?;
            Ok(Verdict { second_try: complaints.is_empty(), complaints })
        }
    }
}

/// Whether the recorded answers are what the real server says today.
fn stands(case: &Case, answers: &[String], complaints: &mut Vec<String>) -> Result<()> {
    for ((step, recorded), answer) in case.steps.iter().zip(case.real()?).zip(answers) {
        if recorded.as_ref() != Some(answer) {
            let difference = difference(recorded.as_deref().unwrap_or_default(), answer)?;
            complaints.push(format!("$ {}\nthe real server does not say what is recorded (--record)\n{difference}", step.command));
        }
    }
    Ok(())
}

fn compare(case: &Case, answers: &[String], complaints: &mut Vec<String>) -> Result<()> {
    let recorded = case.real()?.into_iter().zip(case.ours()?);
    for ((step, (real, ours)), answer) in case.steps.iter().zip(recorded).zip(answers) {
        let real = real.unwrap_or_default();
        let why = match &step.relation {
            Relation::Equal if real == *answer => continue,
            Relation::Equal => format!("- the real server, + ours\n{}", difference(&real, answer)?),
            Relation::Known(_) | Relation::Differs(_) if real == *answer => "they answer alike now: remove its mark\n".to_owned(),
            Relation::Known(_) => continue,
            Relation::Differs(_) if ours.as_ref() == Some(answer) => continue,
            Relation::Differs(_) => {
                format!("- recorded as ours, + what we say now (--record)\n{}", difference(ours.as_deref().unwrap_or_default(), answer)?)
            }
        };
        complaints.push(format!("$ {}\n{why}", step.command));
    }
    Ok(())
}

fn difference(old: &str, new: &str) -> Result<String> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    for (name, text) in [("old", old), ("new", new)] {
        fs::write(folder.path().join(name), format!("{text}\n")).context("cannot write a temporary file")?;
    }
    let diff = Command::new("diff").args(["-U3", "old", "new"]).current_dir(folder.path()).output().context("cannot run diff")?;
    Ok(String::from_utf8_lossy(&diff.stdout).lines().skip(2).map(|line| format!("    {line}\n")).collect())
}

/// Over all cases.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    equal: usize,
    differs: Vec<String>,
    known: Vec<String>,
    second_tries: Vec<String>,
    failed: Vec<String>,
    steps: usize,
}

impl Summary {
    /// Counts a case, and prints what is wrong with it.
    pub(crate) fn add(&mut self, case: &Case, verdict: Verdict) {
        self.steps += case.steps.len();
        if verdict.second_try {
            self.second_tries.push(case.name.clone());
        }
        if !verdict.complaints.is_empty() {
            println!("== {}", case.name);
            verdict.complaints.iter().for_each(|complaint| print!("{complaint}"));
            self.failed.push(case.name.clone());
            return;
        }
        let known = case.steps.iter().any(|step| matches!(step.relation, Relation::Known(_)));
        let differs = case.steps.iter().any(|step| matches!(step.relation, Relation::Differs(_)));
        for step in &case.steps {
            match &step.relation {
                Relation::Known(what) => self.known.push(format!("{}: {what}", case.name)),
                Relation::Differs(why) => self.differs.push(format!("{}: {why}", case.name)),
                Relation::Equal => {}
            }
        }
        self.equal += usize::from(!known && !differs);
    }

    /// Whether no case failed.
    pub(crate) fn good(&self) -> bool {
        self.failed.is_empty()
    }

    /// Prints the counts.
    pub(crate) fn print(&self, took: Duration) {
        for (title, lines) in [
            ("different on purpose", &self.differs),
            ("missing", &self.known),
            ("only at the second try", &self.second_tries),
            ("FAILED", &self.failed),
        ] {
            if !lines.is_empty() {
                println!("{title}:");
                lines.iter().for_each(|line| println!("  {line}"));
            }
        }
        println!(
            "{} commands; cases: {} as the real server, {} answers different on purpose, {} answers known to be wrong, {} cases failed; {:.0} s",
            self.steps,
            self.equal,
            self.differs.len(),
            self.known.len(),
            self.failed.len(),
            took.as_secs_f32()
        );
    }
}
