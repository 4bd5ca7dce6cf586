//! What is counted for the operator, in CloudWatch's embedded metric format.
//!
//! The only dimension is the function's name: no metric carries a number, an id or a path. Outside the Lambda runtime
//! nothing is recorded.

use crate::store::Gauges;
use ::metrics::{Unit, counter, describe_histogram, histogram};
use chrono::{DateTime, Utc};
use metrics_cloudwatch_embedded::{Builder, Collector};
use std::{fmt, io::Write};

const NAMESPACE: &str = "SmsProxy";
const DIMENSION: &str = "FunctionName";
/// What [`Gauges`] are counted up to: alarms ask for less.
pub(crate) const COUNTED_UP_TO: u32 = 1000;

const TEXTS_WAITING: &str = "TextsWaiting";
const OLDEST_WAITING_SECONDS: &str = "OldestWaitingSeconds";
const TEXTS_UNKNOWN_OPEN: &str = "TextsUnknownOpen";
const FREE_TNS: &str = "FreeTns";

/// Something that is counted when it happens. The variants' names are the metrics' names.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// The provider took a text.
    TextsSent,
    /// It refused one.
    TextsRefused,
    /// It did not take one, or could not be reached.
    TextsNotTaken,
    /// Nobody knows whether it took one.
    TextsUnknown,
    /// A text was settled as failed.
    TextsFailed,
    /// A text was settled as unknown: nobody will ever know.
    UnknownForGood,
    /// The provider did not take a text because something is set wrongly.
    Misconfigured,
    /// A request was answered with 503 because the store failed.
    StoreErrors,
    /// A request was answered with 401.
    Unauthorized,
    /// A session was opened.
    SessionsOpened,
    /// A session found no free TN.
    NoTnAvailable,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Counts something that has happened.
pub(crate) fn count(event: Event) {
    counter!(event.to_string()).increment(1);
}

/// Records how full the store is. Each value is a sample of its own: what the library calls a gauge would be written
/// again with every later flush, long after it was true.
pub(crate) fn sample(gauges: &Gauges, now: DateTime<Utc>) {
    let waited = gauges.waiting_since.map_or(0, |since| (now - since).num_seconds().max(0));
    histogram!(TEXTS_WAITING).record(gauges.waiting);
    histogram!(OLDEST_WAITING_SECONDS).record(waited as f64);
    histogram!(TEXTS_UNKNOWN_OPEN).record(gauges.unknown);
    histogram!(FREE_TNS).record(gauges.free_tns);
}

/// Where everything in this process that is counted comes together.
#[derive(Clone, Copy)]
pub(crate) struct Metrics(&'static Collector);

impl Metrics {
    /// Begins to record, for the function of this name. `None`: something else in this process records already.
    pub(crate) fn start(function: String) -> Option<Self> {
        let builder = Builder::new().cloudwatch_namespace(NAMESPACE).with_dimension(DIMENSION, function);
        let collector = builder.init().ok()?;
        for name in [TEXTS_WAITING, TEXTS_UNKNOWN_OPEN, FREE_TNS] {
            describe_histogram!(name, Unit::Count, "");
        }
        describe_histogram!(OLDEST_WAITING_SECONDS, Unit::Seconds, "");
        Some(Self(collector))
    }

    /// Writes what has been counted since the last time, if anything, as one line to standard output: CloudWatch reads
    /// it from the function's log.
    pub(crate) fn flush(self) {
        let mut line = Vec::new();
        // In one piece, so that no line of the log gets into it.
        let written = self.0.flush(&mut line).and_then(|()| std::io::stdout().write_all(&line));
        if let Err(error) = written {
            tracing::warn!(%error, "the metrics could not be written");
        }
    }
}
