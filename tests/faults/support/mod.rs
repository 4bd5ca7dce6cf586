//! What the tests share: the real binary in front of a stand-in for Flowroute, and people who text each other.

#[path = "../../it/support/answer.rs"]
mod answer;
#[path = "../../it/support/backend.rs"]
mod backend;
#[path = "../../it/support/binary.rs"]
pub mod binary;
#[path = "../../it/support/dynamodb.rs"]
mod dynamodb;
#[path = "../../it/support/flowroute_standin/mod.rs"]
pub mod flowroute_standin;
#[path = "../../it/support/gate.rs"]
pub mod gate;
#[path = "../../it/support/texts.rs"]
mod texts;

mod conversation;
mod poster;

pub use answer::Answer;
pub(crate) use backend::{Backend, on_each_backend};
pub use conversation::{Conversation, assert_all_can_be_changed, assert_nothing_can_be_changed};
pub use poster::Poster;
pub use texts::{flat, fresh_id, fresh_number};

use backend::Records;
use binary::{Binary, PATIENCE, Server};
use flowroute_standin::FlowrouteStandin;
use gate::Gate;
use serde_json::Value;
use sms_proxy::store::Store;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Short times: what is unknown is settled within ten seconds.
const QUICK: [(&str, &str); 5] = [
    ("SEND_BUDGET_SECONDS", "2"),
    ("LEASE_SECONDS", "7"),
    ("LOOKUP_SETTLE_SECONDS", "8"),
    ("MAINTENANCE_INTERVAL", "1"),
    ("FLOWROUTE_MAX_PER_SECOND", "0"),
];

/// The default times, for tests in which nothing becomes unknown: no text runs out of time on a slow machine.
pub const PATIENT: [(&str, &str); 3] =
    [("SEND_BUDGET_SECONDS", "8"), ("LEASE_SECONDS", "30"), ("LOOKUP_SETTLE_SECONDS", "300")];

/// Held while a test runs: several that only wait for something, or one that looks at the clock.
static MACHINE: RwLock<()> = RwLock::const_new(());

enum Turn {
    BesideOthers(#[expect(dead_code)] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code)] RwLockWriteGuard<'static, ()>),
}

/// A place for the service's records, and Flowroute.
pub struct Scene {
    pub flowroute: FlowrouteStandin,
    records: Records,
    _turn: Turn,
}

impl Scene {
    pub async fn set(backend: Backend) -> Self {
        let turn = Turn::BesideOthers(MACHINE.read().await);
        Self::in_turn(turn, backend.records().await).await
    }

    /// For tests with time limits: no other test of this program runs meanwhile.
    pub async fn set_alone(backend: Backend) -> Self {
        let turn = Turn::Alone(MACHINE.write().await);
        Self::in_turn(turn, backend.records().await).await
    }

    /// On DynamoDB, and what stands before it.
    pub async fn behind_a_gate() -> (Self, Gate) {
        Self::with_gate(Turn::BesideOthers(MACHINE.read().await)).await
    }

    /// The same, for tests with time limits.
    pub async fn alone_behind_a_gate() -> (Self, Gate) {
        Self::with_gate(Turn::Alone(MACHINE.write().await)).await
    }

    async fn with_gate(turn: Turn) -> (Self, Gate) {
        let gate = Gate::start().await;
        let records = Backend::Dynamodb.records_through(Some(gate.url())).await;
        (Self::in_turn(turn, records).await, gate)
    }

    async fn in_turn(turn: Turn, records: Records) -> Self {
        Self { flowroute: FlowrouteStandin::start().await, records, _turn: turn }
    }

    pub fn folder(&self) -> &Path {
        self.records.folder()
    }

    /// The SQLite file.
    pub fn database(&self) -> PathBuf {
        self.records.database()
    }

    /// The records beside the service.
    pub fn store(&self) -> Arc<dyn Store> {
        self.records.store()
    }

    /// The settings of a service that is quick, and some that win over these.
    pub fn settings<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        self.flowroute.settings(&[&self.records.settings()[..], &QUICK, more].concat())
    }

    /// Starts the service.
    pub async fn serve(&self, more: &[(&str, &str)]) -> Server {
        Binary::serve(self.folder(), &self.settings(more)).await
    }

    /// Asserts that Flowroute has taken each of these texts once, and nothing else.
    #[track_caller]
    pub fn assert_each_arrived_once<'a>(&self, texts: impl IntoIterator<Item = &'a Value>) {
        let body = |text: &Value| text["body"].as_str().unwrap().to_owned();
        let mut expected: Vec<String> = texts.into_iter().map(body).collect();
        let mut taken: Vec<String> = self.flowroute.taken().into_iter().map(|(_, body)| body).collect();
        expected.sort();
        taken.sort();
        let lost: Vec<_> = expected.iter().filter(|body| !taken.contains(body)).collect();
        let doubled: Vec<_> =
            taken.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
        assert!(taken == expected, "lost: {lost:?}, doubled: {doubled:?}, of {}", expected.len());
    }
}

/// Waits until `check`, which asks the service, gives a value.
pub async fn until<T>(what: &str, server: &Server, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(Instant::now() < give_up, "gave up waiting: {what}; the log: {}", server.binary.stderr());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
