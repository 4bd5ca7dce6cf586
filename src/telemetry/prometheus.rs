//! The metrics of the local server, for Prometheus.

use super::metrics::{Event, GAUGES, PROVIDER_CALLS, REQUESTS, STORE_CALLS, begin_scraped};
use crate::limits;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// The bounds of the buckets of durations, in seconds. The request limit is 12 s by default.
const BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The durations, with what they are of.
const DURATIONS: [(&str, &str); 3] = [
    (REQUESTS, "Seconds from a request to its answer."),
    (STORE_CALLS, "Seconds of a call of the store, waiting and retries included."),
    (PROVIDER_CALLS, "Seconds of a call of the provider."),
];

/// The metrics recorded in this process. Clones are the same.
#[derive(Clone)]
pub struct Prometheus(PrometheusHandle);

impl Prometheus {
    /// Starts recording, with every counter at 0. `None`: this process has another recorder already.
    #[must_use]
    pub fn start() -> Option<Self> {
        let handle = PrometheusBuilder::new().set_buckets(&BUCKETS).ok()?.install_recorder().ok()?;
        begin_scraped();
        for (series, help) in Event::SERIES {
            describe_counter!(*series, help.trim());
            counter!(*series).increment(0);
        }
        for gauge in &GAUGES {
            describe_gauge!(gauge.series, gauge.help);
        }
        for (series, help) in DURATIONS {
            describe_histogram!(series, help);
        }
        Some(Self(handle))
    }

    /// The names of all metrics.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        let counters = Event::SERIES.iter().map(|(series, _)| *series);
        let gauges = GAUGES.iter().map(|gauge| gauge.series);
        counters.chain(gauges).chain(DURATIONS.map(|(series, _)| series)).collect()
    }

    /// The metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Keeps memory bounded while nobody scrapes: recorded durations are added to their buckets.
    pub async fn upkeep(self) {
        loop {
            tokio::time::sleep(limits::METRICS_UPKEEP).await;
            self.0.run_upkeep();
        }
    }
}
