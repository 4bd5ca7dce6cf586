//! What goes wrong between the service and DynamoDB: not done, done and not heard of, done late, for a moment or for
//! long.

mod busy_pool;
mod ended_meanwhile;
mod outages;
mod rollback;
mod settling;
mod sharing;
mod transient;

use chrono::TimeDelta;
use futures_util::future::join_all;
use std::time::Duration;
use test_support::{
    ALICE, App,
    fault_proxy::{Fault, FaultProxy},
    without_timeouts,
};

/// How a call may go wrong that is not done.
const NOT_DONE: [Fault; 7] = [
    Fault::ConnectionCut,
    Fault::ServerError,
    Fault::NoResponse,
    Fault::THROTTLED,
    Fault::Throttled("ThrottlingException"),
    Fault::Throttled("RequestLimitExceeded"),
    Fault::PartThrottled,
];

/// How else a write may go wrong.
const OF_WRITES: [Fault; 6] = [
    Fault::ResponseLost,
    Fault::AppliedServerError,
    Fault::AppliedNoResponse,
    Fault::AppliedLate,
    Fault::Conflict,
    Fault::Throttled("TransactionInProgressException"),
];

/// How a write may go wrong for long: one of each sort.
pub const LASTING: [Fault; 9] = [
    Fault::ConnectionCut,
    Fault::NoResponse,
    Fault::THROTTLED,
    Fault::PartThrottled,
    Fault::Conflict,
    Fault::ResponseLost,
    Fault::AppliedServerError,
    Fault::AppliedNoResponse,
    Fault::AppliedLate,
];

/// A time limit that no slow machine exceeds.
const LONG_LIMIT: Duration = Duration::from_secs(60);

fn faults_of_writes() -> impl Iterator<Item = Fault> {
    NOT_DONE.into_iter().chain(OF_WRITES)
}

/// Two processes on one table: one whose calls fail, and one that reaches the table without the fault proxy.
struct Trouble {
    troubled: App,
    well: App,
    proxy: FaultProxy,
    calls: &'static [&'static str],
    fault: Fault,
}

impl Trouble {
    async fn new(calls: &'static [&'static str], fault: Fault) -> Self {
        let (table, proxy) = FaultProxy::table().await;
        let troubled = App::on(table.store(Duration::from_secs(1)), without_timeouts());
        let well = troubled.beside(table.at_the_engine().store(LONG_LIMIT), without_timeouts());
        // A table in use has the key of opt-outs, which is made by whoever needs it first.
        let opt_outs = well.call("GET", &format!("/opt-out?number={ALICE}"), None).await;
        assert_eq!(opt_outs.status, 200, "{opt_outs:?}");
        Self { troubled, well, proxy, calls, fault }
    }

    fn begins(&self) {
        self.proxy.fail(self.calls, self.fault, u32::MAX);
    }

    /// The clock moves on and maintenance runs, until what is unknown has been looked up twice and sent again.
    async fn comes_to_rest(&self) {
        for _ in 0..4 {
            self.well.clock.advance(TimeDelta::minutes(16));
            self.well.maintain().await;
        }
    }

    /// The fault is over. A call that the client has given up and the proxy has not read yet is lost with its connection: it
    /// would be applied now.
    async fn ends(&self) {
        self.proxy.stop().await;
        self.proxy.recover();
        self.proxy.restart();
        self.proxy.late_calls_applied().await;
    }
}

/// Runs this for each of these faults, all at the same time.
async fn with_each(
    calls: &'static [&'static str],
    faults: impl IntoIterator<Item = Fault>,
    case: impl AsyncFn(&Trouble),
) {
    let case = &case;
    let cases = faults.into_iter().map(|fault| async move { case(&Trouble::new(calls, fault).await).await });
    join_all(cases).await;
}
