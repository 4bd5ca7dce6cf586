//! The log: readable on a terminal, one JSON object a line in Lambda.

use std::io::IsTerminal;
use tracing::Level;
use tracing_subscriber::{EnvFilter, fmt, prelude::*, registry};

/// Starts logging to standard error, or in Lambda to standard output, at this level.
///
/// What other crates say is logged from warnings on, since their debug lines may hold what must not be logged.
pub fn start(level: Level, json: bool) {
    // This one names the invocation that a line belongs to, and says nothing itself.
    let invocation = "lambda_runtime::layers::trace=info";
    let ours = format!("warn,{invocation},sms_proxy={level}");
    let registry = registry().with(EnvFilter::new(ours));
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
