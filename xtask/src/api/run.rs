//! Running cases.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};

use super::case::Case;
use super::scrub::scrub;
use super::target::Target;
use crate::kube::build::Programs;

/// Before and after what a command says. No program writes it.
const MARK: char = '\u{1e}';
/// A case that takes longer hangs.
const PATIENCE: &str = "90";

/// Asks `target` all that the case asks, in a namespace of its own; one comparable answer per command. A command that fails ends with its exit
/// status in brackets.
pub(crate) fn ask(case: &Case, target: &Target, programs: &Programs, attempt: usize) -> Result<Vec<String>> {
    let slug: String = case.name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let namespace = format!("{slug}-{attempt}n");
    let mut script = "source \"$API/prelude.bash\"\nexec 2>&1\n".to_owned();
    for step in &case.steps {
        script.push_str(&format!("printf '{MARK}'\n{}\ncode=$?; [ $code = 0 ] || printf '\\n[exit %d]\\n' $code\n", step.command));
    }
    script.push_str(&format!("printf '{MARK}'\n"));
    let file = target.folder.join(format!("{namespace}.bash"));
    fs::write(&file, script).with_context(|| format!("cannot write {}", file.display()))?;
    let bash = target.bash(programs, &namespace)?;
    // `timeout` and not a kill of ours: it ends what the shell started, too.
    let mut command = std::process::Command::new("timeout");
    command
        .args(["--kill-after=5", PATIENCE])
        .arg(bash.get_program())
        .arg(&file)
        .current_dir(&target.folder)
        .stdin(std::process::Stdio::null());
    command.envs(bash.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().context("cannot run bash")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let mut parts = said.split(MARK);
    let before = parts.next().unwrap_or_default();
    let mut answers: Vec<String> = parts.map(|part| scrub(part, &namespace)).collect();
    if answers.pop().is_none() || answers.len() != case.steps.len() {
        let complaints = String::from_utf8_lossy(&output.stderr);
        bail!("{} at {} did not come to its end ({}):\n{before}{complaints}{said}", case.name, target.name, output.status);
    }
    Ok(answers)
}

/// Does `work` for each item on some threads; the results in the items' order.
pub(crate) fn parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    // Most of the time is spent waiting for answers.
    let threads = std::thread::available_parallelism().map_or(2, |cores| cores.get() * 2);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, item)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|index| Some((index, items.get(index)?)))
                {
                    let result = work(item);
                    if let Ok(mut results) = results.lock() {
                        results.push((index, result));
                    }
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
