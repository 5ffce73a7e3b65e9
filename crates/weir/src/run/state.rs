//! Where state lives when the user does not say.

use std::path::PathBuf;

use crate::exit::Failure;

/// `$XDG_STATE_HOME/weir`, or `~/.local/state/weir` (XDG Base Directory Specification).
///
/// # Errors
/// When neither variable names a folder.
pub(crate) fn default_folder() -> Result<PathBuf, Failure> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|base| base.join("weir"))
        .ok_or_else(|| Failure::new("neither XDG_STATE_HOME nor HOME names a folder; choose one with --data-dir"))
}
