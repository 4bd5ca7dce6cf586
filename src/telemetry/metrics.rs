//! Metrics for the operator, in CloudWatch's embedded metric format.
//!
//! The only dimension is the function's name: no metric has a phone number, an id or a path. Outside the Lambda runtime
//! nothing is recorded.

use crate::domain::Gauges;
use ::metrics::{Unit, counter, describe_histogram, histogram};
use chrono::{DateTime, Utc};
use metrics_cloudwatch_embedded::{Builder, Collector};
use std::{fmt, io::Write};

const NAMESPACE: &str = "SmsProxy";
const DIMENSION: &str = "FunctionName";
/// The maximum up to which [`Gauges`] are counted; the thresholds of the alarms are lower.
pub(crate) const COUNTED_UP_TO: u32 = 1000;

const TEXTS_WAITING: &str = "TextsWaiting";
const OLDEST_WAITING_SECONDS: &str = "OldestWaitingSeconds";
const TEXTS_UNKNOWN_OPEN: &str = "TextsUnknownOpen";
const FREE_TNS: &str = "FreeTns";

/// An event that is counted. The variants' names are the metrics' names.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// The provider took a text.
    TextsSent,
    /// The provider refused a text.
    TextsRefused,
    /// The provider did not take a text, or could not be reached.
    TextsNotTaken,
    /// It is unknown whether the provider took a text.
    TextsUnknown,
    /// A text was settled as failed.
    TextsFailed,
    /// A text was settled as unknown for good.
    UnknownForGood,
    /// The provider did not take a text because of a wrong setting.
    Misconfigured,
    /// A call of the store failed.
    StoreErrors,
    /// A request was answered with 401.
    Unauthorized,
    /// A stranger was not answered, since the number is not of an allowed country.
    StrangersNotAllowed,
    /// A text was relayed without one of its pictures.
    PicturesMissing,
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

/// Counts an event.
pub(crate) fn count(event: Event) {
    counter!(event.to_string()).increment(1);
}

/// Records the gauges, as histograms: the library would write a gauge again with every later flush.
pub(crate) fn sample(gauges: &Gauges, now: DateTime<Utc>) {
    let waited = gauges.waiting_since.map_or(0, |since| (now - since).num_seconds().max(0));
    histogram!(TEXTS_WAITING).record(gauges.waiting);
    histogram!(OLDEST_WAITING_SECONDS).record(waited as f64);
    histogram!(TEXTS_UNKNOWN_OPEN).record(gauges.unknown);
    histogram!(FREE_TNS).record(gauges.free_tns);
}

/// The collector of this process.
#[derive(Clone, Copy)]
pub(crate) struct Metrics(&'static Collector);

impl Metrics {
    /// Starts recording, for the function of this name. `None`: this process has another recorder already.
    pub(crate) fn start(function: String) -> Option<Self> {
        let builder = Builder::new().cloudwatch_namespace(NAMESPACE).with_dimension(DIMENSION, function);
        let collector = builder.init().ok()?;
        for name in [TEXTS_WAITING, TEXTS_UNKNOWN_OPEN, FREE_TNS] {
            describe_histogram!(name, Unit::Count, "");
        }
        describe_histogram!(OLDEST_WAITING_SECONDS, Unit::Seconds, "");
        Some(Self(collector))
    }

    /// Writes what was counted since the last flush, if anything, as one line to standard output, from which CloudWatch
    /// reads it.
    pub(crate) fn flush(self) {
        let mut line = Vec::new();
        // In one write, so that no log line splits it.
        let written = self.0.flush(&mut line).and_then(|()| std::io::stdout().write_all(&line));
        if let Err(error) = written {
            tracing::warn!(%error, "metrics not written");
        }
    }
}
