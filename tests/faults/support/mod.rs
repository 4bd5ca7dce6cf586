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

pub use answer::Answer;
pub(crate) use backend::{Backend, on_each_backend};
pub use texts::{flat, fresh_id, fresh_number};

use backend::Records;
use binary::{Binary, PATIENCE, Server};
use chrono::Utc;
use flowroute_standin::FlowrouteStandin;
use gate::Gate;
use serde_json::{Value, json};
use sms_proxy::{
    domain::Kind,
    store::{Page, State, Store},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard},
    task::JoinSet,
};

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

/// Two people, and the TN between them.
#[derive(Debug, Clone)]
pub struct Conversation {
    pub tn: String,
    pub people: [String; 2],
    pub session: String,
    /// A TN beside them, on which there is no session.
    pub spare_tn: String,
}

impl Conversation {
    /// Begins on some TN. The start messages are sent when this returns.
    pub async fn begin(server: &Server) -> Self {
        let people = [fresh_number(), fresh_number()];
        server.ok("POST", "/tn", Some(json!({"value": fresh_number()}))).await;
        let pair = json!({"participant_a": people[0], "participant_b": people[1]});
        let session = server.ok("POST", "/session", Some(pair)).await.json();
        let word = |name: &str| session[name].as_str().unwrap().to_owned();
        let spare_tn = fresh_number();
        server.ok("POST", "/tn", Some(json!({"value": spare_tn}))).await;
        let conversation = Self { tn: word("virtual_tn"), people, session: word("session_id"), spare_tn };
        until("the start messages are sent", server, async || {
            let messages = conversation.messages(server).await;
            messages.iter().all(|message| message["state"] == "sent").then_some(())
        })
        .await;
        conversation
    }

    /// A new text from the first of the two, or from the second.
    pub fn text(&self, from: usize, body: impl Into<String>) -> Value {
        flat(&fresh_id(), &self.people[from], &self.tn, &body.into())
    }

    /// So many new texts from the first.
    pub fn texts(&self, count: usize) -> Vec<Value> {
        (0..count).map(|n| self.text(0, format!("text {n}"))).collect()
    }

    async fn messages(&self, server: &Server) -> Vec<Value> {
        let answer = server.ok("GET", &format!("/message?session_id={}", self.session), None).await;
        answer.json()["messages"].as_array().unwrap().clone()
    }

    /// What is on record about the relays, oldest first.
    pub async fn relays(&self, server: &Server) -> Vec<Value> {
        let messages = self.messages(server).await.into_iter();
        messages.filter(|message| message["kind"] == "relay").collect()
    }

    /// The states of the relays, oldest first.
    pub async fn states(&self, server: &Server) -> Vec<String> {
        let relays = self.relays(server).await;
        relays.iter().map(|message| message["state"].as_str().unwrap().to_owned()).collect()
    }

    /// The same while no service runs: what the store itself has.
    pub async fn states_in(&self, store: &Arc<dyn Store>) -> Vec<State> {
        let messages =
            store.messages(self.session.parse().unwrap(), Page::default(), Utc::now()).await.unwrap();
        let messages = messages.expect("the session is on record").items.into_iter();
        messages.filter(|message| message.kind == Kind::Relay).map(|message| message.state).collect()
    }

    /// Waits until every relay is sent.
    pub async fn all_sent(&self, server: &Server) {
        until("all relays are sent", server, async || {
            self.states(server).await.iter().all(|state| state == "sent").then_some(())
        })
        .await;
    }
}

/// Asserts that each call that would change something is answered 503, in bounded time: a store call has two seconds,
/// and may have to wait for the one before it.
pub async fn assert_nothing_can_be_changed(server: &Server, conversation: &Conversation) {
    let pair = json!({"participant_a": fresh_number(), "participant_b": fresh_number()});
    for (method, path, body) in [
        ("POST", "/tn".to_owned(), Some(json!({"value": fresh_number()}))),
        ("DELETE", format!("/tn/{}", conversation.spare_tn), None),
        ("POST", "/session".to_owned(), Some(pair)),
        ("DELETE", format!("/session/{}", conversation.session), None),
    ] {
        let begun = Instant::now();
        server.call(method, &path, body).await.assert_error(503, "store_unavailable");
        assert!(begun.elapsed() < Duration::from_secs(6), "{method} {path} took {:?}", begun.elapsed());
    }
}

/// Asserts that the same calls work.
pub async fn assert_all_can_be_changed(server: &Server, conversation: Conversation) {
    let pair = json!({"participant_a": fresh_number(), "participant_b": fresh_number()});
    server.ok("POST", "/session", Some(pair)).await;
    server.ok("POST", "/tn", Some(json!({"value": fresh_number()}))).await;
    server.ok("DELETE", &format!("/session/{}", conversation.session), None).await;
    server.ok("DELETE", &format!("/tn/{}", conversation.tn), None).await;
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

/// Posts texts to the webhook, as Flowroute does.
#[derive(Clone)]
pub struct Poster {
    client: reqwest::Client,
    url: String,
}

impl Poster {
    pub fn to(server: &Server) -> Self {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { client, url: format!("http://{}/", server.address) }
    }

    /// Posts a text once: the status of the answer, or `None` when none came.
    pub async fn post(&self, text: &Value) -> Option<u16> {
        let answer = self.client.post(&self.url).json(text).send().await;
        answer.ok().map(|answer| answer.status().as_u16())
    }

    /// Posts texts all at once; their statuses, in order.
    pub async fn post_all(&self, texts: &[Value]) -> Vec<Option<u16>> {
        let mut posts = JoinSet::new();
        for (n, text) in texts.iter().cloned().enumerate() {
            let poster = self.clone();
            posts.spawn(async move { (n, poster.post(&text).await) });
        }
        let mut statuses = posts.join_all().await;
        statuses.sort_unstable();
        statuses.into_iter().map(|(_, status)| status).collect()
    }

    /// Posts texts all at once, each of which must be answered 200.
    pub async fn deliver_all(&self, texts: &[Value]) {
        let statuses = self.post_all(texts).await;
        assert!(statuses.iter().all(|status| *status == Some(200)), "{statuses:?}");
    }

    /// Posts texts all at once, each again and again until it is answered 200, as Flowroute does.
    pub async fn insist_all(&self, texts: &[Value]) {
        let mut posts = JoinSet::new();
        for text in texts.to_vec() {
            let poster = self.clone();
            posts.spawn(async move { poster.insist(&text).await });
        }
        posts.join_all().await;
    }

    async fn insist(&self, text: &Value) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match self.post(text).await {
                Some(200) => return,
                None | Some(503) if Instant::now() < give_up => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                other => panic!("{other:?} for {text}"),
            }
        }
    }
}
