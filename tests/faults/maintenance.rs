//! `sms-proxy maintenance`: one round, as a command.

use crate::support::{
    Conversation, Poster, Scene,
    binary::{Binary, Server, command, eventually},
    flowroute_standin::Mode,
};
use chrono::Utc;
use rusqlite::Connection;
use serde_json::Value;
use std::time::Duration;

/// A service that leaves its outbox alone, and so many texts that are due.
async fn full_outbox(texts: usize) -> (Scene, Server, Conversation, Vec<Value>) {
    let scene = Scene::set().await;
    let server = scene.serve(&[("MAINTENANCE_INTERVAL", "3600")]).await;
    let conversation = Conversation::begin(&server).await;
    scene.flowroute.clear();
    scene.flowroute.mode(Mode::Answer(503));
    let texts = conversation.texts(texts);
    let poster = Poster::to(&server);
    for text in &texts {
        assert_eq!(poster.post(text).await, Some(200));
    }
    scene.flowroute.mode(Mode::Take);
    scene.flowroute.delay(Duration::from_millis(100));
    let due = "SELECT count(*) FROM outbound WHERE state = 'waiting' AND due_at <= ?1";
    let database = database(&scene);
    eventually("all texts are due", || {
        let now = Utc::now().timestamp_millis();
        let count: u32 = database.query_row(due, [now], |row| row.get(0)).unwrap();
        (count as usize == texts.len()).then_some(())
    })
    .await;
    (scene, server, conversation, texts)
}

fn database(scene: &Scene) -> Connection {
    let database = Connection::open(scene.database()).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    database
}

/// Starts one round.
fn round(scene: &Scene) -> Binary {
    let mut command = command(scene.folder(), &scene.settings(&[]));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_rounds_at_once_send_each_text_once_and_say_so() {
    let (scene, server, conversation, texts) = full_outbox(30).await;
    server.stop().await;
    assert_eq!(sent_by_two(&scene).await, texts.len());
    scene.assert_each_arrived_once(&texts);
    let server = scene.serve(&[]).await;
    assert_eq!(conversation.states(&server).await, vec!["sent"; texts.len()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rounds_beside_the_running_service_send_each_text_once() {
    let (scene, server, conversation, mut texts) = full_outbox(30).await;
    assert_eq!(sent_by_two(&scene).await, texts.len());
    texts.push(conversation.text(1, "one more"));
    assert_eq!(Poster::to(&server).post(&texts[30]).await, Some(200));
    assert_eq!(conversation.states(&server).await, vec!["sent"; texts.len()]);
    scene.assert_each_arrived_once(&texts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_that_the_store_breaks_off_finishes_the_sends_that_are_under_way() {
    let (scene, server, conversation, texts) = full_outbox(3).await;
    let broken = "CREATE TRIGGER broken BEFORE UPDATE OF lease ON outbound WHEN OLD.body = 'text 2'
                  BEGIN SELECT RAISE(ABORT, 'broken by the test'); END";
    database(&scene).execute_batch(broken).unwrap();
    let mut failing = round(&scene);
    assert_eq!(failing.ended().await.code(), Some(1));
    assert_eq!(conversation.states(&server).await, ["sent", "sent", "waiting"]);
    database(&scene).execute_batch("DROP TRIGGER broken").unwrap();
    assert_eq!(sent_by(round(&scene)).await, 1);
    scene.assert_each_arrived_once(&texts);
}
