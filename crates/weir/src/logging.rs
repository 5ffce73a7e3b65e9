//! Logs: lines for people on a terminal, one JSON object a line elsewhere. Always on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Installs the log of the process. `WEIR_LOG` sets the level (`info` by default) in the syntax of `tracing`'s `EnvFilter`.
pub(crate) fn install() {
    let builder = tracing_subscriber::fmt().with_env_filter(filter()).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.with_target(false).compact().init();
    } else {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    }
}

/// A log of its own for one part of the process, such as the controller's pod: JSON lines into `writer`.
pub(crate) fn dispatch<W>(writer: W) -> tracing::Dispatch
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter()).with_writer(writer).json().flatten_event(true);
    tracing::Dispatch::new(builder.with_current_span(false).with_span_list(false).finish())
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| EnvFilter::new("info"))
}
