//! What many routes cost: a cold start with 10,000 of them, and a thousand changes under load.

use anyhow::Result;

use crate::shell;

/// Runs `benches/scale.rs` against the built binary; `args` are its own.
pub(crate) fn run(args: &[String]) -> Result<bool> {
    let mut cargo = shell::cargo();
    cargo.args(["bench", "--profile", "dist", "--package", "weir", "--bench", "scale", "--"]).args(args);
    shell::succeeds(cargo)
}
