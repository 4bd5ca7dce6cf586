//! The log: text on a terminal, one JSON object per line in Lambda.

use super::metrics;
use std::{fmt, io::IsTerminal, panic};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    filter::Targets,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields, format,
        format::{Format, Json, JsonFields, Writer},
        layer,
    },
    prelude::*,
    registry,
    registry::LookupSpan,
};

/// The target of the line of an answered request.
pub(crate) const ANSWERED: &str = "sms_proxy::answered";

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
        let line = format().json().flatten_event(true).with_target(false);
        let line = JsonLine(line.with_current_span(false).with_span_list(false));
        registry.with(layer().event_format(line).fmt_fields(JsonFields::new())).init();
    } else {
        let colours = std::io::stderr().is_terminal();
        let text = layer().with_writer(std::io::stderr).with_target(false).with_ansi(colours);
        registry.with(text).init();
    }
}

/// The line of an event, with the fields of its span. CloudWatch charges for each byte, so the line of an answered request
/// has no target, and has the metrics that were counted instead of a line of their own.
struct JsonLine(Format<Json>);

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut object = String::new();
        self.0.format_event(context, Writer::new(&mut object), event)?;
        writer.write_str(object.trim_end().strip_suffix('}').ok_or(fmt::Error)?)?;
        let target = event.metadata().target();
        if target != ANSWERED {
            write!(writer, r#","target":"{target}""#)?;
        }
        if let Some(span) = context.parent_span()
            && let Some(fields) = span.extensions().get::<FormattedFields<N>>()
            && !fields.is_empty()
        {
            write!(writer, r#","span":{fields}"#)?;
        }
        if target == ANSWERED
            && let Some(counted) = metrics::take_members()
        {
            write!(writer, ",{counted}")?;
        }
        writer.write_str("}\n")
    }
}

/// Logs where a task panics. The message of the panic may hold private data, so it is not logged.
pub fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(|at| format!("{}:{}", at.file(), at.line()));
        tracing::error!(at, "a task panicked");
    }));
}
