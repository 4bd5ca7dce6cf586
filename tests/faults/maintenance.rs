//! `sms-proxy maintenance`: one round, as a command.

use crate::support::{
    Backend, Conversation, PATIENT, Poster, Scene,
    binary::{Binary, Server, command},
    flowroute_standin::Mode,
    gate::Way,
    on_each_backend, until,
};
use chrono::Utc;
use rusqlite::Connection;
use serde_json::Value;
use std::time::Duration;

on_each_backend! { with 2 threads:
    two_rounds_at_once_send_each_text_once_and_say_so
    rounds_beside_the_running_service_send_each_text_once
}

/// A service that leaves its outbox alone, and so many texts that are due.
async fn full_outbox(scene: &Scene, texts: usize) -> (Server, Conversation, Vec<Value>) {
    let server = scene.serve(&[&PATIENT[..], &[("MAINTENANCE_INTERVAL", "3600")]].concat()).await;
    let conversation = Conversation::begin(&server).await;
    scene.flowroute.clear();
    scene.flowroute.mode(Mode::Answer(503));
    let texts = conversation.texts(texts);
    let poster = Poster::to(&server);
    for text in &texts {
        assert_eq!(poster.deliver(text).await, Some(200));
    }
    scene.flowroute.mode(Mode::Take);
    scene.flowroute.delay(Duration::from_millis(100));
    let store = scene.store();
    until("all texts are due", &server, async || {
        let due = store.due(1000, Utc::now()).await.unwrap();
        (due.len() == texts.len()).then_some(())
    })
    .await;
    (server, conversation, texts)
}

/// Starts one round.
fn round(scene: &Scene) -> Binary {
    let mut command = command(scene.folder(), &scene.settings(&PATIENT));
    command.arg("maintenance");
    Binary::start(command)
}

/// Waits for the end of a round; how many texts it says it has sent.
async fn sent_by(mut round: Binary) -> usize {
    let status = round.ended().await;
    assert_eq!(status.code(), Some(0), "{}", round.stderr());
    let said = round.stdout();
    assert_eq!(said.lines().count(), 1, "{said}");
    let count = said.split(", ").find_map(|part| part.strip_suffix(" texts sent"));
    count.unwrap_or_else(|| panic!("no count of texts sent: {said}")).parse().unwrap()
}

/// How many texts two rounds at once have sent together.
async fn sent_by_two(scene: &Scene) -> usize {
    let (one, other) = (round(scene), round(scene));
    let (one, other) = tokio::join!(sent_by(one), sent_by(other));
    one + other
}

async fn two_rounds_at_once_send_each_text_once_and_say_so(backend: Backend) {
    let scene = Scene::set(backend).await;
    let (server, conversation, texts) = full_outbox(&scene, 30).await;
    server.stop().await;
    assert_eq!(sent_by_two(&scene).await, texts.len());
    scene.assert_each_arrived_once(&texts);
    let server = scene.serve(&[]).await;
    assert_eq!(conversation.states(&server).await, vec!["sent"; texts.len()]);
}

async fn rounds_beside_the_running_service_send_each_text_once(backend: Backend) {
    let scene = Scene::set(backend).await;
    let (server, conversation, mut texts) = full_outbox(&scene, 30).await;
    assert_eq!(sent_by_two(&scene).await, texts.len());
    texts.push(conversation.text(1, "one more"));
    assert_eq!(Poster::to(&server).deliver(&texts[30]).await, Some(200));
    assert_eq!(conversation.states(&server).await, vec!["sent"; texts.len()]);
    scene.assert_each_arrived_once(&texts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_that_sqlite_breaks_off_finishes_the_sends_that_are_under_way() {
    let scene = Scene::set(Backend::Sqlite).await;
    let (server, conversation, texts) = full_outbox(&scene, 3).await;
    let database = Connection::open(scene.database()).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    let broken = "CREATE TRIGGER broken BEFORE UPDATE OF lease ON outbound WHEN OLD.body = 'text 2'
                  BEGIN SELECT RAISE(ABORT, 'broken by the test'); END";
    database.execute_batch(broken).unwrap();
    let mut failing = round(&scene);
    assert_eq!(failing.ended().await.code(), Some(1));
    assert_eq!(conversation.states(&server).await, ["sent", "sent", "waiting"]);
    database.execute_batch("DROP TRIGGER broken").unwrap();
    assert_eq!(sent_by(round(&scene)).await, 1);
    scene.assert_each_arrived_once(&texts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_that_dynamodb_breaks_off_finishes_the_sends_that_are_under_way() {
    let (scene, gate) = Scene::behind_a_gate().await;
    let (server, conversation, texts) = full_outbox(&scene, 3).await;
    let last = conversation.relays(&server).await[2]["id"].as_str().unwrap().to_owned();
    gate.only(&[&last], Way::Throttled);
    let mut failing = round(&scene);
    assert_eq!(failing.ended().await.code(), Some(1));
    gate.way(Way::Open);
    assert_eq!(conversation.states(&server).await, ["sent", "sent", "waiting"]);
    assert_eq!(sent_by(round(&scene)).await, 1);
    scene.assert_each_arrived_once(&texts);
}
