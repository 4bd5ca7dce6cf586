//! The log: text on a terminal, one JSON object per line in Lambda.

use std::{io::IsTerminal, panic};
use tracing::Level;
use tracing_subscriber::{filter::Targets, fmt, prelude::*, registry};

/// Starts logging to standard error, or in Lambda to standard output, at this level.
///
/// Other crates log warnings and errors only: their debug lines may hold private data.
pub fn start(level: Level, json: bool) {
    // This target only has the span with the invocation's id.
    let ours = Targets::new()
        .with_default(Level::WARN)
        .with_target("lambda_runtime::layers::trace", Level::INFO)
        .with_target("sms_proxy", level);
    let registry = registry().with(ours);
    if json {
        registry
            .with(fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false))
            .init();
    } else {
        let colours = std::io::stderr().is_terminal();
        let text = fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(colours);
        registry.with(text).init();
    }
}

/// Logs where a task panics. The message of the panic may hold private data, so it is not logged.
pub fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(|at| format!("{}:{}", at.file(), at.line()));
        tracing::error!(at, "a task panicked");
    }));
}
