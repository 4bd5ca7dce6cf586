//! `sms-proxy maintenance`: one round, as a command.

use crate::faults::fixture::{Conversation, DEFAULT_TIMES, Fixture, Poster, until};
use chrono::Utc;
use rusqlite::Connection;
use serde_json::Value;
use std::time::Duration;
use test_support::{
    Backend,
    binary::{Binary, Server, command},
    fault_proxy::{Calls, Fault},
    flowroute_standin::Mode,
    on_each_backend,
};

on_each_backend! { with 2 threads:
    two_concurrent_rounds_send_and_report_each_text_once
}

on_each_backend! { slow, with 2 threads:
    rounds_beside_the_running_service_send_each_text_once
}

/// A service that runs no maintenance, with this many due texts.
async fn full_outbox(fixture: &Fixture, texts: usize) -> (Server, Conversation, Vec<Value>) {
    let (server, conversation) =
        fixture.begin(&[&DEFAULT_TIMES[..], &[("MAINTENANCE_INTERVAL", "3600")]].concat()).await;
    fixture.flowroute.mode(Mode::Answer(503));
    let texts = conversation.texts(texts);
    let poster = Poster::to(&server);
    for text in &texts {
        assert_eq!(poster.deliver(text).await, Some(200));
    }
    fixture.flowroute.mode(Mode::Take);
    fixture.flowroute.delay_answering(Duration::from_millis(100));
    let store = fixture.store();
    until("all texts are due", &server, async || {
        let due = store.due(1000, Utc::now()).await.unwrap();
        (due.len() == texts.len()).then_some(())
    })
    .await;
    (server, conversation, texts)
}

/// Starts one round.
fn round(fixture: &Fixture) -> Binary {
    let mut command = command(fixture.folder(), &fixture.settings(&DEFAULT_TIMES));
    command.arg("maintenance");
    Binary::start(command)
}

/// Waits for the end of a round. Returns how many texts it reports as sent.
async fn sent_by(mut round: Binary) -> usize {
    let status = round.ended().await;
    assert_eq!(status.code(), Some(0), "{}", round.stderr());
    let said = round.stdout();
    assert_eq!(said.lines().count(), 1, "{said}");
    let count = said.split(", ").find_map(|part| part.strip_suffix(" texts sent"));
    count.unwrap_or_else(|| panic!("no count of texts sent: {said}")).parse().unwrap()
}

/// How many texts two concurrent rounds send together.
async fn sent_by_two(fixture: &Fixture) -> usize {
    let (one, other) = (round(fixture), round(fixture));
    let (one, other) = tokio::join!(sent_by(one), sent_by(other));
    one + other
}

async fn two_concurrent_rounds_send_and_report_each_text_once(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (server, conversation, texts) = full_outbox(&fixture, 30).await;
    server.stop().await;
    assert_eq!(sent_by_two(&fixture).await, texts.len());
    fixture.assert_each_arrived_once(&texts);
    let server = fixture.serve(&[]).await;
    assert_eq!(conversation.states(&server).await, vec!["sent"; texts.len()]);
}

async fn rounds_beside_the_running_service_send_each_text_once(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (server, conversation, mut texts) = full_outbox(&fixture, 30).await;
    assert_eq!(sent_by_two(&fixture).await, texts.len());
    texts.push(conversation.text(1, "one more"));
    assert_eq!(Poster::to(&server).deliver(&texts[30]).await, Some(200));
    assert_eq!(conversation.states(&server).await, vec!["sent"; texts.len()]);
    fixture.assert_each_arrived_once(&texts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_that_sqlite_interrupts_finishes_the_sends_in_flight() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    let (server, conversation, texts) = full_outbox(&fixture, 3).await;
    let database = Connection::open(fixture.database()).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    let broken = "CREATE TRIGGER broken BEFORE UPDATE OF lease ON outbound WHEN OLD.body = 'text 2'
                  BEGIN SELECT RAISE(ABORT, 'broken by the test'); END";
    database.execute_batch(broken).unwrap();
    let mut failing = round(&fixture);
    assert_eq!(failing.ended().await.code(), Some(1));
    assert_eq!(conversation.states(&server).await, ["sent", "sent", "waiting"]);
    database.execute_batch("DROP TRIGGER broken").unwrap();
    assert_eq!(sent_by(round(&fixture)).await, 1);
    fixture.assert_each_arrived_once(&texts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_that_dynamodb_interrupts_finishes_the_sends_in_flight() {
    let (fixture, proxy) = Fixture::behind_fault_proxy().await;
    let (server, conversation, texts) = full_outbox(&fixture, 3).await;
    let last = conversation.relays(&server).await[2]["id"].as_str().unwrap().to_owned();
    proxy.fail(Calls::Containing(last), Fault::THROTTLED, u32::MAX);
    let mut failing = round(&fixture);
    assert_eq!(failing.ended().await.code(), Some(1));
    proxy.recover();
    assert_eq!(conversation.states(&server).await, ["sent", "sent", "waiting"]);
    assert_eq!(sent_by(round(&fixture)).await, 1);
    fixture.assert_each_arrived_once(&texts);
}
