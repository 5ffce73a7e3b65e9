//! The `EnvoyGateway` file of `--config-path`, read again whenever it changes.

use std::path::{Path, PathBuf};

use tokio::sync::watch;

use crate::exit::Failure;
use crate::files;

/// Ends the reading when dropped.
pub(super) struct Following(tokio::task::JoinHandle<()>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the file holds, now and after each change.
///
/// # Errors
/// When it cannot be read.
pub(super) fn follow(path: &Path) -> Result<(watch::Receiver<String>, Following), Failure> {
    let unreadable = |error: &dyn std::fmt::Display| Failure::new(format_args!("--config-path {}: {error}", path.display()));
    // Watched before it is read, so that no change falls between. In a pod it is a link that changes with the ConfigMap.
    let mut watched = files::follow(&[path.to_owned()]).map_err(|error| unreadable(&error))?;
    let (sender, text) = watch::channel(std::fs::read_to_string(path).map_err(|error| unreadable(&error))?);
    let path: PathBuf = path.to_owned();
    let following = tokio::spawn(async move {
        loop {
            watched.changed().await;
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    sender.send_if_modified(|known| (*known != text).then(|| *known = text).is_some());
                }
                Err(error) => tracing::warn!("{}: {error}; what it said last stays in force", path.display()),
            }
        }
    });
    Ok((text, Following(following)))
}
