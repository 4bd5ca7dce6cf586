//! DynamoDB does not answer as it should: it is down, busy, hanging, or its answers get lost.

use crate::support::{
    Conversation, Poster, Scene, assert_all_can_be_changed, assert_nothing_can_be_changed,
    binary::{Binary, Server, command, eventually},
    gate::{Gate, Way},
};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Longer than two calls to the store, of two seconds each, take on a busy machine.
const LIMIT: Duration = Duration::from_secs(6);

/// Texts and calls that come while DynamoDB is like this are all answered 503, in bounded time; the texts.
async fn refused(server: &Server, conversation: &Conversation) -> Vec<Value> {
    let texts: Vec<Value> = (0..10).map(|n| conversation.text(0, format!("refused {n}"))).collect();
    let begun = Instant::now();
    let statuses = Poster::to(server).post_all(&texts).await;
    assert!(begun.elapsed() < LIMIT, "it took {:?}", begun.elapsed());
    assert!(statuses.iter().all(|status| *status == Some(503)), "{statuses:?}");
    server.call("GET", "/health", None).await.assert_error(503, "store_unavailable");
    assert_nothing_can_be_changed(server, conversation).await;
    texts
}

/// What was accepted before and what was refused meanwhile arrives once, and everything works again.
async fn assert_well_again(
    scene: &Scene,
    server: &Server,
    conversation: Conversation,
    accepted: Vec<Value>,
    refused: Vec<Value>,
) {
    Poster::to(server).insist_all(&refused).await;
    conversation.all_sent(server).await;
    scene.assert_each_arrived_once(accepted.iter().chain(&refused));
    assert_all_can_be_changed(server, conversation).await;
}

/// A conversation with some texts in it, and a gate before its records.
async fn conversation(scene: (Scene, Gate)) -> (Scene, Gate, Server, Conversation, Vec<Value>) {
    conversation_with(scene, &[]).await
}

async fn conversation_with(
    (scene, gate): (Scene, Gate),
    settings: &[(&str, &str)],
) -> (Scene, Gate, Server, Conversation, Vec<Value>) {
    let server = scene.serve(settings).await;
    let conversation = Conversation::begin(&server).await;
    scene.flowroute.clear();
    let texts = conversation.texts(5);
    Poster::to(&server).deliver_all(&texts).await;
    (scene, gate, server, conversation, texts)
}

async fn nothing_is_accepted_and_then_all_is_well(way: Way) {
    let (scene, gate, server, conversation, texts) = conversation(Scene::alone_behind_a_gate().await).await;
    gate.way(way);
    let refused = refused(&server, &conversation).await;
    assert!(gate.spoilt() > 0);
    gate.way(Way::Open);
    assert_well_again(&scene, &server, conversation, texts, refused).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_dynamodb_is_throttling_nothing_is_accepted_and_then_all_is_well() {
    nothing_is_accepted_and_then_all_is_well(Way::Throttled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_dynamodb_is_failing_nothing_is_accepted_and_then_all_is_well() {
    nothing_is_accepted_and_then_all_is_well(Way::Failing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_dynamodb_hangs_nothing_is_accepted_and_then_all_is_well() {
    nothing_is_accepted_and_then_all_is_well(Way::Hanging).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_dynamodb_is_down_nothing_is_accepted_and_then_all_is_well() {
    let (scene, mut gate, server, conversation, texts) =
        conversation(Scene::alone_behind_a_gate().await).await;
    gate.close().await;
    let refused = refused(&server, &conversation).await;
    gate.open();
    assert_well_again(&scene, &server, conversation, texts, refused).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_that_flowroute_repeats_while_dynamodb_comes_and_goes_arrive_once() {
    let (scene, gate, server, conversation, mut texts) = conversation(Scene::behind_a_gate().await).await;
    let mut posts = JoinSet::new();
    for (n, way) in [Way::Throttled, Way::Hanging, Way::Failing, Way::Unheard].into_iter().enumerate() {
        gate.way(way);
        let enough = gate.spoilt() + 10;
        let new: Vec<Value> = (0..10).map(|m| conversation.text(m % 2, format!("text {n}.{m}"))).collect();
        let poster = Poster::to(&server);
        texts.extend(new.clone());
        posts.spawn(async move { poster.insist_all(&new).await });
        eventually("calls go wrong", || (gate.spoilt() >= enough).then_some(())).await;
        gate.way(Way::Open);
    }
    posts.join_all().await;
    conversation.all_sent(&server).await;
    scene.assert_each_arrived_once(&texts);
}

/// The words that only calls have that write.
const WRITES: [&str; 2] = ["TransactItems", "UpdateExpression"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_whose_records_are_written_but_not_confirmed_arrive_once() {
    let (scene, gate, server, conversation, mut texts) = conversation(Scene::behind_a_gate().await).await;
    gate.only(&WRITES, Way::Unheard);
    let unconfirmed: Vec<Value> = (0..5).map(|n| conversation.text(0, format!("unconfirmed {n}"))).collect();
    let statuses = Poster::to(&server).post_all(&unconfirmed).await;
    assert!(statuses.iter().all(|status| *status == Some(503)), "{statuses:?}");
    gate.way(Way::Open);
    let on_record = conversation.relays(&server).await.len() - texts.len();
    assert_eq!(on_record, unconfirmed.len(), "each is on record, though nobody was told");
    Poster::to(&server).insist_all(&unconfirmed).await;
    texts.extend(unconfirmed);
    conversation.all_sent(&server).await;
    scene.assert_each_arrived_once(&texts);
    assert!(scene.flowroute.readings() >= 2, "they were looked up before they were sent");
}

/// Texts are under way when DynamoDB fails: Flowroute has them, and nobody can write that down.
async fn outcomes_cannot_be_written_down(fail: impl AsyncFn(&mut Gate), mend: impl Fn(&mut Gate)) {
    // So much time that each is sent by its request.
    let times = [("SEND_BUDGET_SECONDS", "5"), ("LEASE_SECONDS", "10"), ("LOOKUP_SETTLE_SECONDS", "11")];
    let (scene, mut gate, server, conversation, mut texts) =
        conversation_with(Scene::behind_a_gate().await, &times).await;
    scene.flowroute.delay(Duration::from_millis(450));
    let under_way: Vec<Value> = (0..5).map(|n| conversation.text(1, format!("under way {n}"))).collect();
    let enough = texts.len() + under_way.len();
    let posts = tokio::spawn({
        let (poster, under_way) = (Poster::to(&server), under_way.clone());
        async move { poster.insist_all(&under_way).await }
    });
    eventually("the texts are under way", || (scene.flowroute.taken().len() == enough).then_some(())).await;
    fail(&mut gate).await;
    // They are on record: 200, while nothing else is accepted.
    posts.await.unwrap();
    mend(&mut gate);
    let states = conversation.states(&server).await;
    assert!(states.iter().any(|state| state == "sending"), "every outcome was written down: {states:?}");
    Poster::to(&server).insist_all(&under_way).await;
    texts.extend(under_way);
    conversation.all_sent(&server).await;
    scene.assert_each_arrived_once(&texts);
    assert!(scene.flowroute.readings() > 0, "nothing was looked up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_under_way_when_dynamodb_goes_down_are_looked_up_and_not_sent_again() {
    outcomes_cannot_be_written_down(async |gate| gate.close().await, Gate::open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_under_way_when_dynamodb_begins_to_hang_are_looked_up_and_not_sent_again() {
    let hang = async |gate: &mut Gate| gate.way(Way::Hanging);
    outcomes_cannot_be_written_down(hang, |gate| gate.way(Way::Open)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_starts_while_dynamodb_is_down_answers_503_until_it_is_up() {
    let (scene, mut gate) = Scene::behind_a_gate().await;
    gate.close().await;
    let server = scene.serve(&[]).await;
    server.call("GET", "/health", None).await.assert_error(503, "store_unavailable");
    server.call("GET", "/tn", None).await.assert_error(503, "store_unavailable");
    let mut command = command(scene.folder(), &scene.settings(&[]));
    command.arg("maintenance");
    let mut round = Binary::start(command);
    assert_eq!(round.ended().await.code(), Some(1));
    assert!(round.stderr().contains("the store did not answer"), "{}", round.stderr());
    gate.open();
    let conversation = Conversation::begin(&server).await;
    Poster::to(&server).deliver_all(&conversation.texts(1)).await;
    conversation.all_sent(&server).await;
    let log = server.stop().await;
    assert!(log.contains("maintenance failed; it is tried again"), "{log}");
}
