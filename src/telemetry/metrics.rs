//! Metrics for the operator: in the Lambda runtime in CloudWatch's embedded metric format, of the local server for Prometheus.
//!
//! No metric has a phone number, an id or a path. In CloudWatch the only dimension is the function's name. The commands
//! record nothing.

use crate::domain::Gauges;
use ::metrics::{Histogram, Unit, counter, describe_histogram, gauge, histogram};
use chrono::{DateTime, Utc};
use metrics_cloudwatch_embedded::{Builder, Collector};
use std::{
    io::Write,
    sync::{
        LazyLock, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const NAMESPACE: &str = "SmsProxy";
const DIMENSION: &str = "FunctionName";
/// The maximum up to which [`Gauges`] are counted; the thresholds of the alarms are lower.
pub(crate) const COUNTED_UP_TO: u32 = 1000;

/// A route that the router does not know, in logs and metrics.
pub(crate) const UNKNOWN_ROUTE: &str = "unknown";

/// The durations, in Prometheus only.
pub(super) const REQUESTS: &str = "sms_proxy_http_request_duration_seconds";
pub(super) const STORE_CALLS: &str = "sms_proxy_store_call_duration_seconds";
pub(super) const PROVIDER_CALLS: &str = "sms_proxy_provider_call_duration_seconds";

/// A gauge: its name in CloudWatch, its series in Prometheus, and what it shows.
pub(super) struct Gauge {
    name: &'static str,
    pub(super) series: &'static str,
    unit: Unit,
    pub(super) help: &'static str,
}

const TEXTS_WAITING: Gauge = Gauge {
    name: "TextsWaiting",
    series: "sms_proxy_texts_waiting",
    unit: Unit::Count,
    help: "Messages that wait in the outbox; 1000: at least as many.",
};
const OLDEST_WAITING_SECONDS: Gauge = Gauge {
    name: "OldestWaitingSeconds",
    series: "sms_proxy_oldest_waiting_seconds",
    unit: Unit::Seconds,
    help: "The age of the oldest of them.",
};
const TEXTS_UNKNOWN_OPEN: Gauge = Gauge {
    name: "TextsUnknownOpen",
    series: "sms_proxy_texts_unknown_open",
    unit: Unit::Count,
    help: "Messages whose outcome is unknown so far; 1000: at least as many.",
};
const FREE_TNS: Gauge = Gauge {
    name: "FreeTns",
    series: "sms_proxy_free_tns",
    unit: Unit::Count,
    help: "TNs that take a session; 1000: at least as many.",
};
pub(super) const GAUGES: [Gauge; 4] = [TEXTS_WAITING, OLDEST_WAITING_SECONDS, TEXTS_UNKNOWN_OPEN, FREE_TNS];

/// A call whose time is recorded.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Call {
    /// A read of the store.
    StoreRead,
    /// A write of the store.
    StoreWrite,
    /// A message for the provider.
    ProviderSend,
    /// The provider's message list, with all its pages.
    ProviderList,
}

impl Call {
    const ALL: [Self; 4] = [Self::StoreRead, Self::StoreWrite, Self::ProviderSend, Self::ProviderList];

    /// The series in Prometheus, and the value of its label.
    const fn series(self) -> (&'static str, &'static str) {
        match self {
            Self::StoreRead => (STORE_CALLS, "read"),
            Self::StoreWrite => (STORE_CALLS, "write"),
            Self::ProviderSend => (PROVIDER_CALLS, "send"),
            Self::ProviderList => (PROVIDER_CALLS, "list"),
        }
    }
}

/// Whether the metrics are for Prometheus, which scrapes them.
static SCRAPED: AtomicBool = AtomicBool::new(false);

fn is_scraped() -> bool {
    SCRAPED.load(Ordering::Relaxed)
}

/// From now on the metrics are for Prometheus.
pub(super) fn begin_scraped() {
    SCRAPED.store(true, Ordering::Relaxed);
}

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $event:ident = $series:literal;)+) => {
        /// An event that is counted. The variants' names are the metrics' names in CloudWatch.
        #[derive(Debug, Clone, Copy)]
        pub(crate) enum Event {
            $($(#[doc = $doc])+ $event),+
        }

        impl Event {
            /// The counters in Prometheus, with what they count.
            pub(super) const SERIES: &[(&str, &str)] = &[$(($series, concat!($($doc),+))),+];

            const fn series(self) -> &'static str {
                match self { $(Self::$event => $series),+ }
            }
        }
    };
}

events! {
    /// The provider took a text.
    TextsSent = "sms_proxy_texts_sent_total";
    /// The provider refused a text.
    TextsRefused = "sms_proxy_texts_refused_total";
    /// The provider did not take a text, or could not be reached.
    TextsNotTaken = "sms_proxy_texts_not_taken_total";
    /// It is unknown whether the provider took a text.
    TextsUnknown = "sms_proxy_texts_unknown_total";
    /// A text was settled as failed.
    TextsFailed = "sms_proxy_texts_failed_total";
    /// A text was settled as unknown for good.
    UnknownForGood = "sms_proxy_unknown_for_good_total";
    /// The provider did not take a text because of a wrong setting.
    Misconfigured = "sms_proxy_misconfigured_total";
    /// A call of the store failed.
    StoreErrors = "sms_proxy_store_errors_total";
    /// A request was answered with 401.
    Unauthorized = "sms_proxy_unauthorized_total";
    /// A stranger was not answered, since the number is not of an allowed country.
    StrangersNotAllowed = "sms_proxy_strangers_not_allowed_total";
    /// A text was relayed without one of its pictures.
    PicturesMissing = "sms_proxy_pictures_missing_total";
    /// A session was opened.
    SessionsOpened = "sms_proxy_sessions_opened_total";
    /// A session found no free TN.
    NoTnAvailable = "sms_proxy_no_tn_available_total";
}

/// Counts an event.
pub(crate) fn count(event: Event) {
    let counter = if is_scraped() { counter!(event.series()) } else { counter!(format!("{event:?}")) };
    counter.increment(1);
}

/// Records the gauges. For CloudWatch they are histograms: the library would write a gauge again with every later flush.
pub(crate) fn sample(gauges: &Gauges, now: DateTime<Utc>) {
    let waited = gauges.waiting_since.map_or(0, |since| (now - since).num_seconds().max(0));
    let counts = [
        (TEXTS_WAITING, gauges.waiting.into()),
        (OLDEST_WAITING_SECONDS, waited as f64),
        (TEXTS_UNKNOWN_OPEN, gauges.unknown.into()),
        (FREE_TNS, f64::from(gauges.free_tns)),
    ];
    for (gauge, value) in counts {
        match is_scraped() {
            true => gauge!(gauge.series).set(value),
            false => histogram!(gauge.name).record(value),
        }
    }
}

/// Withdraws the gauges, which could not be read: an old value would look like a new one.
pub(crate) fn withdraw_sample() {
    if is_scraped() {
        GAUGES.iter().for_each(|gauge| gauge!(gauge.series).set(f64::NAN));
    }
}

/// Records how long a request took. The labels are few: routes, methods and statuses that the service knows.
pub(crate) fn answered(method: &'static str, route: &str, status: u16, took: Duration) {
    if is_scraped() {
        // Whatever strangers send: their methods make no series of their own.
        let method = if route == UNKNOWN_ROUTE || status == 405 { "other" } else { method };
        let (route, status) = (route.to_owned(), status.to_string());
        histogram!(REQUESTS, "method" => method, "route" => route, "status" => status).record(took);
    }
}

/// Records how long a call of the store or the provider takes: until it is dropped.
pub(crate) struct Timer {
    call: Call,
    start: Instant,
}

impl Timer {
    pub(crate) fn start(call: Call) -> Self {
        Self { call, start: Instant::now() }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if is_scraped() {
            // Each is looked up once, not for each call: recording begins before the first is dropped.
            static SERIES: LazyLock<[Histogram; 4]> = LazyLock::new(|| {
                Call::ALL.map(|call| {
                    let (series, label) = call.series();
                    histogram!(series, "call" => label)
                })
            });
            SERIES[self.call as usize].record(self.start.elapsed());
        }
    }
}

/// The collector of this process, if it writes for CloudWatch.
static COLLECTOR: OnceLock<&Collector> = OnceLock::new();

/// From now on the metrics are for CloudWatch, as those of the function of this name. Does nothing if this process has
/// another recorder already.
pub(crate) fn begin_embedded(function: String) {
    let builder = Builder::new().cloudwatch_namespace(NAMESPACE).with_dimension(DIMENSION, function);
    let Ok(collector) = builder.init() else { return };
    for gauge in &GAUGES {
        describe_histogram!(gauge.name, gauge.unit, "");
    }
    let _first = COLLECTOR.set(collector);
}

/// Takes what was counted since it was last taken, in CloudWatch's embedded metric format: the members of a JSON object,
/// which may have others too. `None`: nothing.
///
/// Their names differ from those of the log's fields, which begin with a small letter.
pub(super) fn take_members() -> Option<String> {
    let mut line = Vec::new();
    // No metric has labels in CloudWatch, so it is one line at most.
    COLLECTOR.get()?.flush(&mut line).ok()?;
    let line = String::from_utf8(line).ok()?;
    Some(line.trim_end().strip_prefix('{')?.strip_suffix('}')?.to_owned())
}

/// Writes what was counted and not taken yet, if anything, as a line of its own to standard output, from which CloudWatch
/// reads it.
pub(crate) fn flush() {
    if let Some(members) = take_members() {
        // In one write, so that no log line splits it.
        let line = format!("{{{members}}}\n");
        if let Err(error) = std::io::stdout().write_all(line.as_bytes()) {
            tracing::warn!(%error, "metrics not written");
        }
    }
}
