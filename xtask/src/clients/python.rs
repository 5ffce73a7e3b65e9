//! The Python client, in an environment of its own.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::shell;

/// Set where the client is not to be had, so that its cases do not run.
pub(super) const MISSING: &str = "WEIR_CLIENTS_WITHOUT_PYTHON";

/// The environment with what `tests/clients/python/requirements.txt` pins; none where Python cannot make one.
pub(super) fn environment() -> Result<Option<PathBuf>> {
    let requirements = shell::root()?.join("tests/clients/python/requirements.txt");
    let pins = fs::read_to_string(&requirements).context("cannot read the requirements")?;
    let folder = shell::cache()?.join("clients/python");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // One at a time; who waited finds what the other one made. Beside the folder, which is cleared.
    let lock = fs::File::create(folder.with_extension("lock")).context("cannot make the lock")?;
    lock.lock().context("cannot lock")?;
    if fs::read_to_string(folder.join("pins")).ok().as_ref() == Some(&pins) {
        return Ok(Some(folder));
    }
    let mut probe = Command::new("python3");
    probe.args(["-c", "import ensurepip, sys; sys.exit(sys.version_info < (3, 10))"]).stdout(Stdio::null()).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        eprintln!("xtask: the Python client does NOT run: it needs python3 of 3.10 or newer with venv (apt-get install python3-venv)");
        return Ok(None);
    }
    eprintln!("xtask: installing the Python client into {} (once)", folder.display());
    let mut environment = Command::new("python3");
    environment.args(["-m", "venv", "--clear"]).arg(&folder);
    shell::must(environment)?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--requirement"]).arg(requirements);
    shell::must(pip)?;
    fs::write(folder.join("pins"), pins).context("cannot write the pins")?;
    Ok(Some(folder))
}
