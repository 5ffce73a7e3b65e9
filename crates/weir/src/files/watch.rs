//! Noticing that the files changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

/// Editors write in several steps; the files are read once they have been quiet this long.
const QUIET: Duration = Duration::from_millis(50);

/// Something below the paths changed.
#[derive(Debug)]
pub(crate) struct Watched {
    events: mpsc::Receiver<()>,
    _watcher: notify::RecommendedWatcher,
}

/// Watches `paths`; a file by way of its folder, since editors replace files rather than write into them.
///
/// # Errors
/// When the system cannot watch a path.
pub(crate) fn follow(paths: &[PathBuf]) -> Result<Watched, notify::Error> {
    let (sender, events) = mpsc::channel(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if !matches!(event, Ok(notify::Event { kind: notify::EventKind::Access(_), .. })) {
            // A full channel already says that something changed.
            let _ = sender.try_send(());
        }
    })?;
    for path in paths.iter().filter(|path| path.as_os_str() != "-") {
        let folder =
            if path.is_dir() { path.as_path() } else { path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new(".")) };
        watcher.watch(folder, if path.is_dir() { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive })?;
    }
    Ok(Watched { events, _watcher: watcher })
}

impl Watched {
    /// Waits for the next change, and until the files have been quiet.
    pub(crate) async fn changed(&mut self) {
        if self.events.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        while tokio::time::timeout(QUIET, self.events.recv()).await.is_ok_and(|event| event.is_some()) {}
    }
}
