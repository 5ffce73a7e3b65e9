//! How many instructions a worker executes for a request on a connection that is kept: counted by callgrind, so that neither the machine nor
//! what else it does matters. Runs differ by a thousandth.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::programs::{Cores, Programs};
use crate::shell;

/// What is asked, each with the data plane's options.
const WORKS: [Work; 3] = [
    Work { name: "proxy/request", options: &["--edits", "--limit", "1000"], routes: 1 },
    Work { name: "proxy/request/logged", options: &["--edits", "--limit", "1000", "--log", "/dev/null"], routes: 1 },
    Work { name: "proxy/request/10000-routes", options: &["--edits", "--limit", "1000", "--routes", "10000"], routes: 10_000 },
];
/// Requests of the two runs whose difference is the figure: so the start does not count.
const FEW: usize = 1_000;
const MANY: usize = 6_000;
/// One, so that each request takes the same way: none finds its answer there already, or shares a wake-up with another.
const CONNECTIONS: usize = 1;

struct Work {
    name: &'static str,
    options: &'static [&'static str],
    /// How many there are; the first is asked for.
    routes: usize,
}

/// The works' names with their instructions per request; none without valgrind.
pub(super) fn measure(programs: &Programs) -> Result<Option<Vec<(String, f64)>>> {
    if !has_valgrind() {
        return Ok(None);
    }
    let folder = PathBuf::from(shell::metadata()?["target_directory"].as_str().context("cargo has a target directory")?).join("callgrind");
    let per_request = |work: &Work| -> Result<(String, f64)> {
        let (few, many) = (work.run(programs, FEW, &folder)?, work.run(programs, MANY, &folder)?);
        // Only a worker has more to do when there are more requests.
        let growth = many.iter().filter_map(|(thread, many)| many.checked_sub(*few.get(thread)?));
        let growth = growth.max().filter(|growth| *growth > 0).context("callgrind has seen no worker")?;
        Ok((work.name.to_owned(), growth as f64 / (MANY - FEW) as f64))
    };
    WORKS.iter().map(per_request).collect::<Result<_>>().map(Some)
}

fn has_valgrind() -> bool {
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

impl Work {
    /// The instructions of each thread, by the order in which they were started.
    fn run(&self, programs: &Programs, requests: usize, folder: &Path) -> Result<BTreeMap<String, u64>> {
        // What an earlier run has left is not ours.
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let anywhere = Cores { proxy: None, load: None };
        let (_backend, backend) = programs.backend(&anywhere)?;
        let mut valgrind = shell::command("valgrind");
        let file = folder.join("out");
        valgrind.args(["--tool=callgrind", "--separate-threads=yes", &format!("--callgrind-out-file={}", file.display())]);
        let last = format!("r{}.test", self.routes - 1);
        let (mut running, address) = programs.standalone(valgrind, backend, self.options, &last)?;
        programs.clients(&anywhere, address, CONNECTIONS, requests, 1)?;
        // It writes what it has counted when it is told to end.
        let mut kill = shell::command("kill");
        kill.arg(running.0.id().to_string());
        shell::must(kill)?;
        running.0.wait()?;
        threads(folder)
    }
}

fn threads(folder: &Path) -> Result<BTreeMap<String, u64>> {
    let mut threads = BTreeMap::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let text = fs::read_to_string(&path)?;
        let count = text.lines().find_map(|line| line.strip_prefix("summary: ")).and_then(|count| count.trim().parse().ok());
        if let Some(count) = count {
            threads.insert(path.file_name().unwrap_or_default().to_string_lossy().into_owned(), count);
        }
    }
    if threads.is_empty() {
        bail!("callgrind has written nothing to {}", folder.display());
    }
    Ok(threads)
}
