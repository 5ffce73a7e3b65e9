//! Logs: lines for people on a terminal, one JSON object a line elsewhere. Always on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::exit::Failure;

/// The environment variable that sets the level.
const VARIABLE: &str = "WEIR_LOG";

/// What is logged unless the variable says otherwise: our own records, and what libraries warn of. The API client also gives us each error that
/// it logs, and we tell it where it matters; told twice, and once more for each watch that ends with the API at shutdown, it is noise.
const LIBRARIES: &str = "warn,kube_client=off,kube_runtime=error,hyper_util=error,tower=error";

/// Our crates: a level alone is theirs.
const OURS: [&str; 8] =
    ["weir", "weir_apiserver", "weir_controller", "weir_echo", "weir_node", "weir_proxy", "weir_translate", "weir_limits"];

/// Installs the log of the process. `WEIR_LOG` sets the level of Weir's own records (`info` by default), or says more in the syntax of `tracing`'s
/// `EnvFilter`.
///
/// # Errors
/// When the variable holds neither.
pub(crate) fn install() -> Result<(), Failure> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter()?).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.with_target(false).compact().init();
    } else {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    }
    Ok(())
}

/// A log of its own for one part of the process, such as the controller's pod: JSON lines into `writer`.
pub(crate) fn dispatch<W>(writer: W) -> tracing::Dispatch
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = filter().unwrap_or_else(|_| EnvFilter::new(directives("info")));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).json().flatten_event(true);
    tracing::Dispatch::new(builder.with_current_span(false).with_span_list(false).finish())
}

fn filter() -> Result<EnvFilter, Failure> {
    let wanted = std::env::var(VARIABLE).unwrap_or_default();
    let directives = match wanted.trim() {
        "" => directives("info"),
        level if level.parse::<LevelFilter>().is_ok() => directives(level),
        more => more.to_owned(),
    };
    EnvFilter::try_new(directives)
        .map_err(|error| Failure::new(format_args!("{VARIABLE}={wanted}: {error}; write a level such as info or debug")))
}

fn directives(level: &str) -> String {
    OURS.iter().fold(LIBRARIES.to_owned(), |all, name| format!("{all},{name}={level}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_alone_is_that_of_our_own_records() {
        let filter = EnvFilter::try_new(directives("debug")).expect("valid directives").to_string();
        for expected in ["weir_node=debug", "kube_client=off", "warn"] {
            assert!(filter.contains(expected), "{filter}");
        }
    }
}
