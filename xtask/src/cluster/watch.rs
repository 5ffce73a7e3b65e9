//! Noticing that a server's objects change: a watch of every collection, by one curl, into files that grow.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::api::target::Target;

/// Between two looks at the files.
const PAUSE: Duration = Duration::from_millis(50);

/// Open watches; ended when dropped.
#[derive(Debug)]
pub(super) struct Watches {
    curl: Child,
    folder: tempfile::TempDir,
    files: Vec<PathBuf>,
}

impl Watches {
    /// Watches these collections from now on.
    pub(super) fn open(target: &Target, collections: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir_in(&target.folder).context("cannot make a folder")?;
        let (mut config, mut files) = (String::new(), Vec::new());
        for (index, path) in collections.iter().enumerate() {
            let file = folder.path().join(format!("{index}.watch"));
            let lines = [
                format!("url = \"{}{path}?watch=1&timeoutSeconds=1800\"\noutput = \"{}\"", target.server, file.display()),
                format!("cacert = \"{}\"\nheader = \"Authorization: Bearer {}\"", target.authority.display(), target.token),
                "user-agent = \"case\"\nno-buffer\n".to_owned(),
            ];
            config.push_str(if index == 0 { "" } else { "next\n" });
            config.push_str(&lines.join("\n"));
            files.push(file);
        }
        let name = folder.path().join("config");
        fs::write(&name, config).context("cannot write what to watch")?;
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--parallel", "--parallel-immediate", "--parallel-max", "50", "--config"]).arg(name);
        let curl = curl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("cannot run curl")?;
        Ok(Self { curl, folder, files })
    }

    /// Returns once nothing has changed for so long.
    pub(super) fn quiet(&mut self, quiet: Duration, patience: Duration) -> Result<()> {
        let start = Instant::now();
        let (mut last, mut since) = (self.size(), start);
        while since.elapsed() < quiet {
            std::thread::sleep(PAUSE);
            let now = self.size();
            if now != last {
                (last, since) = (now, Instant::now());
            }
            if let Some(status) = self.curl.try_wait().context("cannot wait for curl")? {
                bail!("the watches in {} ended: {status}", self.folder.path().display());
            }
            if start.elapsed() > patience {
                bail!("it does not come to rest in {} s: somebody writes again and again", patience.as_secs());
            }
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.files.iter().filter_map(|file| fs::metadata(file).ok()).map(|it| it.len()).sum()
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        let _ = self.curl.kill();
        let _ = self.curl.wait();
    }
}
