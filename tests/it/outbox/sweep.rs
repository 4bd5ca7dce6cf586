//! On DynamoDB maintenance finds the texts whose sender died among those that were settled, and reads each of those about
//! twice.

use crate::contract::fixtures::{
    at, conversation as stored_conversation, end, found, not_taken, relay, sending, sent, settle, settled,
    state, uncertain, waiting,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sms_proxy::{
    domain::{EndCause, State},
    service::Options,
};
use std::time::Duration;
use test_support::{
    ALICE, App, BOB, Outcome, TN,
    fault_proxy::{Calls, Fault, FaultProxy, Spent},
    flat, fresh_id, unpaced,
};

/// How long a lease lasts.
const LEASE: TimeDelta = TimeDelta::seconds(30);
/// The most items in one BatchWriteItem.
const BATCH: usize = 25;

/// Options with as much time for a text as its lease allows.
fn patient() -> Options {
    let (send_budget, request_limit) = (Duration::from_secs(20), Duration::from_secs(25));
    Options { send_budget, request_limit, ..unpaced() }
}

/// A conversation of Alice and Bob, whose calls to the table are counted.
async fn conversation() -> (App, FaultProxy) {
    let (store, proxy) = FaultProxy::store_without_receipts(Duration::from_secs(60)).await;
    let app = App::on(store, patient());
    app.conversation(None).await;
    app.provider.clear();
    proxy.spent();
    (app, proxy)
}

/// Alice texts Bob, and the sender dies before it sends the text.
async fn lose(app: &App, body: &str) {
    lose_from(app, ALICE, body).await;
}

async fn lose_from(app: &App, from: &str, body: &str) {
    app.provider.always(Outcome::Crash);
    assert_eq!(app.post(flat(&fresh_id(), from, TN, body)).await.status, 500);
    app.provider.always(Outcome::Sent);
}

/// The items of messages with this state.
async fn stored(proxy: &FaultProxy, state: &str) -> Vec<Value> {
    let scan = json!({
        "TableName": proxy.table_name(),
        "FilterExpression": "message_state = :state AND message_kind = :relay",
        "ExpressionAttributeValues": {":state": {"S": state}, ":relay": {"S": "relay"}},
    });
    proxy.engine("Scan", &scan).await["Items"].as_array().unwrap().clone()
}

/// Stores a copy of this settled message for each of these ends of its lease.
async fn copy(proxy: &FaultProxy, settled: &Value, ends: impl Iterator<Item = DateTime<Utc>>) {
    let copies: Vec<Value> = ends
        .map(|end| {
            let (id, mut item) = (uuid::Uuid::new_v4().simple().to_string(), settled.clone());
            let sk = settled["pending_sk"]["S"].as_str().expect("it keeps its entry");
            let [kind, _, created, _] = sk.split('#').collect::<Vec<_>>().try_into().unwrap();
            item["pk"]["S"] = json!(format!("M#{id}"));
            item["message_id"]["S"] = json!(id);
            item["pair_pk"]["S"] = json!("PAIR#of#others");
            item["pending_sk"]["S"] = json!(format!("{kind}#{:015}#{created}#{id}", end.timestamp_millis()));
            json!({"PutRequest": {"Item": item}})
        })
        .collect();
    for puts in copies.chunks(BATCH) {
        let answer =
            proxy.engine("BatchWriteItem", &json!({"RequestItems": {proxy.table_name(): puts}})).await;
        assert_eq!(answer["UnprocessedItems"], json!({}));
    }
}

fn milliseconds(n: i64) -> TimeDelta {
    TimeDelta::milliseconds(n)
}

/// A round that has nothing to do.
fn idle() -> Spent {
    let calls = [("Query", 2 * 4), ("GetItem", 1)].map(|(call, times)| (call.to_owned(), times));
    Spent { calls: calls.into(), read_units: 5.0, write_units: 0.0 }
}

/// Asserts that only these texts have reached Bob in the end, each once.
async fn assert_arrive(app: &App, bodies: &[&str]) {
    app.settle_everything().await;
    let mut arrived = app.provider.taken_by();
    arrived.sort();
    let expected: Vec<_> = bodies.iter().map(|body| (BOB.to_owned(), (*body).to_owned())).collect();
    assert_eq!(arrived, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_whose_sender_died_is_found_among_thousands_of_others_which_are_read_twice() {
    let (app, proxy) = conversation().await;
    app.text(ALICE, TN, "a").await;
    lose(&app, "b").await;
    let end = app.clock.now() + LEASE;
    let settled = &stored(&proxy, "sent").await[0];
    copy(&proxy, settled, (1..=1_000).map(|n| end - milliseconds(10 * n))).await;
    copy(&proxy, settled, (1..=1_000).map(|n| end + milliseconds(10 * n))).await;
    app.clock.advance(TimeDelta::seconds(45));
    proxy.spent();
    assert_eq!(app.maintain().await.reclaimed, 1);
    let first = proxy.spent().read_units;
    app.clock.advance(TimeDelta::minutes(1));
    app.maintain().await;
    // Half a unit for each, and the index entries.
    assert!((1_000.0..1_500.0).contains(&first), "{first}");
    assert!((1_000.0..1_500.0).contains(&proxy.spent().read_units), "once more");
    app.clock.advance(TimeDelta::minutes(1));
    app.maintain().await;
    assert!(proxy.spent().read_units < 50.0, "and never again");
    assert_arrive(&app, &["a", "b"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_after_settled_texts_only_moves_on_and_the_next_finds_nothing() {
    let (app, proxy) = conversation().await;
    for n in 0..20 {
        app.text(ALICE, TN, &format!("{n:02}")).await;
    }
    app.clock.advance(TimeDelta::minutes(3));
    assert_eq!(app.maintain().await, Default::default());
    assert_eq!(proxy.spent().write_units - 20.0 * 4.0, 1.0, "the cursor");
    for _ in 0..3 {
        assert_eq!(app.maintain().await, Default::default());
        assert_eq!(proxy.spent(), idle());
        app.clock.advance(TimeDelta::minutes(1));
    }
    // Nothing that is pending is behind the cursor.
    lose(&app, "lost").await;
    app.clock.advance(LEASE + milliseconds(1));
    assert_eq!(app.maintain().await.reclaimed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn a_round_that_dies_half_way_loses_no_text_and_repeats_none() {
    let faults = [
        ("BatchGetItem", Fault::ServerError),
        ("UpdateItem", Fault::ServerError),
        ("UpdateItem", Fault::AppliedServerError),
        ("Query", Fault::ServerError),
        ("swept_until", Fault::ServerError),
        ("swept_until", Fault::ResponseLost),
        ("swept_until", Fault::AppliedServerError),
    ];
    for (call, fault) in faults {
        let (store, proxy) = FaultProxy::store_with_limit(Duration::from_millis(500)).await;
        let app = App::on(store, patient());
        app.conversation(None).await;
        app.provider.clear();
        app.text(ALICE, TN, "a").await;
        lose(&app, "b").await;
        app.text(ALICE, TN, "c").await;
        lose(&app, "d").await;
        app.clock.advance(TimeDelta::minutes(3));
        match call {
            "BatchGetItem" => proxy.fail(&["BatchGetItem"], fault, u32::MAX),
            "UpdateItem" => proxy.fail(&["UpdateItem"], fault, u32::MAX),
            "Query" => proxy.fail(&["Query"], fault, u32::MAX),
            words => proxy.fail(Calls::Containing(words.into()), fault, u32::MAX),
        }
        let _died = app.service.maintain().await;
        proxy.recover();
        assert_arrive(&app, &["a", "b", "c", "d"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn after_the_clock_was_set_back_a_text_behind_the_cursor_is_found_and_the_cursor_moves_again() {
    for back in [TimeDelta::minutes(5), TimeDelta::hours(1), TimeDelta::days(1), TimeDelta::days(400)] {
        let (app, proxy) = conversation().await;
        app.text(ALICE, TN, "a").await;
        app.clock.advance(TimeDelta::minutes(3));
        app.maintain().await;
        app.text(ALICE, TN, "b").await;
        app.clock.advance(-back);
        app.text(ALICE, TN, "c").await;
        lose(&app, "d").await;
        app.clock.advance(LEASE + milliseconds(1));
        assert_eq!(app.maintain().await.reclaimed, 1, "{back}");
        assert_arrive(&app, &["a", "b", "c", "d"]).await;
        lose(&app, "e").await;
        app.clock.advance(LEASE + milliseconds(1));
        assert_eq!(app.maintain().await.reclaimed, 1, "{back}");
        assert_arrive(&app, &["a", "b", "c", "d", "e"]).await;
        app.clock.advance(TimeDelta::minutes(3));
        app.maintain().await;
        proxy.spent();
        app.maintain().await;
        assert!(proxy.spent().read_units < 25.0, "{back}: the cursor has moved");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_whose_sender_died_before_the_clock_was_set_back_is_found_among_settled_ones() {
    for back in [TimeDelta::hours(1), TimeDelta::days(1)] {
        let (app, proxy) = conversation().await;
        app.text(ALICE, TN, "a").await;
        lose(&app, "b").await;
        let settled = &stored(&proxy, "sent").await[0];
        let end = app.clock.now() + LEASE;
        copy(&proxy, settled, (-150..=150).map(|n| end + milliseconds(10 * n))).await;
        app.clock.advance(-back);
        assert_eq!(app.maintain().await.reclaimed, 1, "{back}");
        assert_arrive(&app, &["a", "b"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_rounds_at_once_send_each_lost_text_once() {
    let (app, _proxy) = conversation().await;
    for round in 0..5 {
        app.provider.clear();
        app.text(ALICE, TN, "a").await;
        for body in ["b", "c", "d"] {
            lose(&app, body).await;
        }
        app.clock.advance(TimeDelta::minutes(3));
        let (one, two) = tokio::join!(app.maintain(), app.maintain());
        assert_eq!(one.reclaimed + two.reclaimed, 3, "{round}");
        assert_arrive(&app, &["a", "b", "c", "d"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_the_index_shows_only_after_later_ones_is_found() {
    let (app, proxy) = conversation().await;
    lose(&app, "a").await;
    let lost = stored(&proxy, "sending").await.remove(0);
    // The index does not have it yet.
    let key = json!({"pk": lost["pk"], "sk": lost["sk"]});
    let hide = json!({
        "TableName": proxy.table_name(), "Key": key, "UpdateExpression": "REMOVE pending_pk",
    });
    proxy.engine("UpdateItem", &hide).await;
    app.clock.advance(TimeDelta::seconds(20));
    app.text(ALICE, TN, "b").await;
    app.clock.advance(TimeDelta::seconds(69));
    assert_eq!(app.maintain().await.reclaimed, 0);
    let show = json!({
        "TableName": proxy.table_name(), "Key": key, "UpdateExpression": "SET pending_pk = :pk",
        "ExpressionAttributeValues": {":pk": lost["pending_pk"]},
    });
    proxy.engine("UpdateItem", &show).await;
    app.clock.advance(TimeDelta::minutes(1));
    assert_eq!(app.maintain().await.reclaimed, 1, "almost a minute after its lease");
    assert_arrive(&app, &["a", "b"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_of_a_newer_release_holds_nothing_up_and_is_left_to_that_release() {
    let (app, proxy) = conversation().await;
    lose_from(&app, BOB, "newer").await;
    let newer = stored(&proxy, "sending").await.remove(0);
    proxy.rewrite_as_newer_release(newer["pk"]["S"].as_str().unwrap().to_owned(), "M").await;
    app.clock.advance(TimeDelta::seconds(1));
    lose(&app, "a").await;
    app.clock.advance(TimeDelta::minutes(3));
    assert_eq!(app.maintain().await.reclaimed, 1);
    assert_arrive(&app, &["a"]).await;
    proxy.spent();
    assert_eq!(app.maintain().await, Default::default());
    assert_eq!(proxy.spent(), idle(), "it is not read again");
    // A release that can read it has a cursor of its own.
    let cursor = json!({"TableName": proxy.table_name(), "Key": {"pk": {"S": "SWEPT"}, "sk": {"S": "V1"}}});
    assert!(proxy.engine("GetItem", &cursor).await["Item"].is_object());
    assert_eq!(stored(&proxy, "sending").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_end_of_a_session_what_waits_is_withdrawn_however_many_texts_were_just_sent() {
    let (store, proxy) = FaultProxy::store_without_receipts(Duration::from_secs(60)).await;
    let app = App::on(store, patient());
    let session = app.conversation(None).await;
    app.provider.always(Outcome::Busy);
    app.text(ALICE, TN, "waits").await;
    app.provider.always(Outcome::Sent);
    app.text(ALICE, TN, "sent").await;
    let settled = &stored(&proxy, "sent").await[0];
    let end = app.clock.now() + LEASE;
    copy(&proxy, settled, (0..700).map(|n| end + milliseconds(n))).await;
    app.end_session(&session).await;
    let states: Vec<Value> = app.relays(&session).await;
    assert_eq!(states.iter().filter(|state| **state == "cancelled").count(), 1, "{states:?}");
}

#[tokio::test]
async fn an_old_text_that_is_being_sent_when_its_session_ends_is_not_sent_again() {
    let (store, _proxy) = FaultProxy::store().await;
    let session = stored_conversation(&store, None).await;
    let text = waiting(&store, relay(&session), 0, 0).await;
    let leased = store.lease(text.outbound.id, at(300), at(330)).await.unwrap().unwrap();
    assert!(end(&store, session.id, EndCause::Deleted, 301).await);
    settled(&store, &leased, not_taken(303), 302).await;
    assert_eq!(store.lease(text.outbound.id, at(303), at(333)).await.unwrap(), None);
    assert_eq!(state(&store, &text).await, State::Cancelled);
}

#[tokio::test]
async fn without_delivery_receipts_a_row_of_the_list_is_still_credited_to_one_message_only() {
    let (store, _proxy) = FaultProxy::store_without_receipts(Duration::from_secs(5)).await;
    let session = stored_conversation(&store, None).await;
    let lost = uncertain(&store, relay(&session), 5).await;
    let other = sending(&store, relay(&session), 6).await;
    settled(&store, &other, sent("mdr2-1"), 7).await;
    assert_eq!(settle(&store, &lost, found("mdr2-1"), 400).await, None);
    assert_eq!(state(&store, &lost).await, State::Unknown);
    settled(&store, &lost, found("mdr2-2"), 401).await;
}
