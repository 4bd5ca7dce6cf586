//! DynamoDB is down, throttles, fails, hangs, or its responses are lost.

use crate::faults::fixture::{Conversation, Fixture, Poster, assert_nothing_is_accepted};
use serde_json::Value;
use std::time::Duration;
use test_support::{
    binary::{Binary, Server, command, eventually},
    fault_proxy::{Fault, FaultProxy, WRITES},
};
use tokio::task::JoinSet;

/// Texts and calls are all refused in bounded time. Returns the texts.
async fn refused(server: &Server, conversation: &Conversation) -> Vec<Value> {
    server.call("GET", "/health", None).await.assert_error(503, "store_unavailable");
    assert_nothing_is_accepted(server, conversation).await
}

/// A conversation with five texts, behind a fault proxy.
async fn conversation_with(
    (fixture, proxy): (Fixture, FaultProxy),
    settings: &[(&str, &str)],
) -> (Fixture, FaultProxy, Server, Conversation, Vec<Value>) {
    let (server, conversation) = fixture.begin(settings).await;
    let texts = conversation.texts(5);
    Poster::to(&server).deliver_all(&texts).await;
    (fixture, proxy, server, conversation, texts)
}

async fn nothing_is_accepted_until_dynamodb_recovers(fault: Fault) {
    let exclusive = Fixture::exclusive_behind_fault_proxy().await;
    let (fixture, proxy, server, conversation, texts) = conversation_with(exclusive, &[]).await;
    proxy.fail_all(fault);
    let refused = refused(&server, &conversation).await;
    assert!(proxy.injected() > 0);
    proxy.recover();
    fixture.assert_recovered(&server, conversation, texts, refused).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn nothing_is_accepted_while_dynamodb_throttles_and_the_service_recovers() {
    nothing_is_accepted_until_dynamodb_recovers(Fault::THROTTLED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn nothing_is_accepted_while_dynamodb_fails_and_the_service_recovers() {
    nothing_is_accepted_until_dynamodb_recovers(Fault::ServerError).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn nothing_is_accepted_while_dynamodb_hangs_and_the_service_recovers() {
    nothing_is_accepted_until_dynamodb_recovers(Fault::NoResponse).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn nothing_is_accepted_while_dynamodb_is_down_and_the_service_recovers() {
    let exclusive = Fixture::exclusive_behind_fault_proxy().await;
    let (fixture, proxy, server, conversation, texts) = conversation_with(exclusive, &[]).await;
    proxy.stop().await;
    let refused = refused(&server, &conversation).await;
    proxy.restart();
    fixture.assert_recovered(&server, conversation, texts, refused).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn texts_repeated_during_intermittent_faults_arrive_once() {
    let behind_proxy = Fixture::behind_fault_proxy().await;
    let (fixture, proxy, server, conversation, mut texts) = conversation_with(behind_proxy, &[]).await;
    let mut posts = JoinSet::new();
    let faults = [Fault::THROTTLED, Fault::NoResponse, Fault::ServerError, Fault::ResponseLost];
    for (n, fault) in faults.into_iter().enumerate() {
        proxy.fail_all(fault);
        let enough = proxy.injected() + 10;
        let new: Vec<Value> = (0..10).map(|m| conversation.text(m % 2, format!("text {n}.{m}"))).collect();
        let poster = Poster::to(&server);
        texts.extend(new.clone());
        posts.spawn(async move { poster.post_all_until_accepted(&new).await });
        eventually("calls fail", || (proxy.injected() >= enough).then_some(())).await;
        proxy.recover();
    }
    posts.join_all().await;
    conversation.all_sent(&server).await;
    fixture.assert_each_arrived_once(&texts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn texts_that_are_stored_but_not_confirmed_arrive_once() {
    let behind_proxy = Fixture::behind_fault_proxy().await;
    let (fixture, proxy, server, conversation, mut texts) = conversation_with(behind_proxy, &[]).await;
    proxy.fail(WRITES, Fault::ResponseLost, u32::MAX);
    let unconfirmed: Vec<Value> = (0..5).map(|n| conversation.text(0, format!("unconfirmed {n}"))).collect();
    let statuses = Poster::to(&server).post_all(&unconfirmed).await;
    assert!(statuses.iter().all(|status| *status == Some(503)), "{statuses:?}");
    proxy.recover();
    let stored = conversation.relays(&server).await.len() - texts.len();
    assert_eq!(stored, unconfirmed.len(), "each is stored, though none was confirmed");
    Poster::to(&server).post_all_until_accepted(&unconfirmed).await;
    texts.extend(unconfirmed);
    conversation.all_sent(&server).await;
    fixture.assert_each_arrived_once(&texts);
    assert!(fixture.flowroute.readings() >= 2, "they were looked up before they were sent");
}

/// DynamoDB fails once Flowroute has accepted texts, and before their outcomes are stored.
async fn outcomes_cannot_be_stored(fail: impl AsyncFn(&FaultProxy), recover: impl Fn(&FaultProxy)) {
    // Enough time for each request to send its text.
    let times = [("SEND_BUDGET_SECONDS", "5"), ("LEASE_SECONDS", "10"), ("LOOKUP_SETTLE_SECONDS", "11")];
    let (fixture, proxy, server, conversation, mut texts) =
        conversation_with(Fixture::behind_fault_proxy().await, &times).await;
    fixture.flowroute.delay_answering(Duration::from_millis(450));
    let in_flight: Vec<Value> = (0..5).map(|n| conversation.text(1, format!("in flight {n}"))).collect();
    let enough = texts.len() + in_flight.len();
    let posts = tokio::spawn({
        let (poster, in_flight) = (Poster::to(&server), in_flight.clone());
        async move { poster.post_all_until_accepted(&in_flight).await }
    });
    eventually("the texts are in flight", || (fixture.flowroute.taken().len() == enough).then_some(())).await;
    fail(&proxy).await;
    // They are stored: 200, while nothing else is accepted.
    posts.await.unwrap();
    recover(&proxy);
    let states = conversation.states(&server).await;
    assert!(states.iter().any(|state| state == "sending"), "every outcome was stored: {states:?}");
    Poster::to(&server).post_all_until_accepted(&in_flight).await;
    texts.extend(in_flight);
    conversation.all_sent(&server).await;
    fixture.assert_each_arrived_once(&texts);
    assert!(fixture.flowroute.readings() > 0, "nothing was looked up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn texts_in_flight_when_dynamodb_goes_down_are_reconciled_and_not_sent_again() {
    outcomes_cannot_be_stored(async |proxy| proxy.stop().await, FaultProxy::restart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn texts_in_flight_when_dynamodb_hangs_are_reconciled_and_not_sent_again() {
    let hang = async |proxy: &FaultProxy| proxy.fail_all(Fault::NoResponse);
    outcomes_cannot_be_stored(hang, |proxy| _ = proxy.recover()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_starts_while_dynamodb_is_down_answers_503_until_it_is_up() {
    let (fixture, proxy) = Fixture::behind_fault_proxy().await;
    proxy.stop().await;
    let server = fixture.serve(&[]).await;
    server.call("GET", "/health", None).await.assert_error(503, "store_unavailable");
    server.call("GET", "/tn", None).await.assert_error(503, "store_unavailable");
    let mut command = command(fixture.folder(), &fixture.settings(&[]));
    command.arg("maintenance");
    let mut round = Binary::start(command);
    assert_eq!(round.ended().await.code(), Some(1));
    assert!(round.stderr().contains("the store is unavailable"), "{}", round.stderr());
    proxy.restart();
    let conversation = Conversation::begin(&server).await;
    Poster::to(&server).deliver_all(&conversation.texts(1)).await;
    conversation.all_sent(&server).await;
    let log = server.stop().await;
    assert!(log.contains("a part of maintenance failed"), "{log}");
}
