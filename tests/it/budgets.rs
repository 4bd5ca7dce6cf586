//! What each operation costs in calls to DynamoDB and in read and write units, for any size of the pool.
//!
//! The units are exact: every item is smaller than 1 KB, except one long text.

mod other_calls;
mod shared_tns;

use crate::contract::fixtures::{
    alice, at, bob, conversation, counted, end, fill_pool, notice, person, relay, state, talking, waiting,
};
use chrono::TimeDelta;
use serde_json::{Value, json};
use sms_proxy::{
    domain::{EndCause, Kind, Role, State},
    service::Options,
    store::AddTn,
};
use std::{collections::BTreeMap, time::Duration};
use test_support::{
    ALICE, App, BOB, EVE, Outcome, TN,
    fault_proxy::{FaultProxy, Spent},
    flat, fresh_id, fresh_number, number, unpaced,
};
use tokio::task::JoinSet;

/// The most items in one BatchWriteItem.
const BATCH: usize = 25;
/// A time limit that no operation reaches on a slow machine.
const LIMIT: Duration = Duration::from_secs(300);

type Calls<'a> = &'a [(&'a str, u32)];

/// What an operation must have cost.
fn cost(calls: Calls, read_units: f64, write_units: f64) -> Spent {
    let calls: BTreeMap<String, u32> =
        calls.iter().map(|(operation, times)| ((*operation).to_owned(), *times)).collect();
    Spent { calls, read_units, write_units }
}

/// The shard of a free TN, and its position there.
type Position = (u64, u64);

/// A position that the service may give the n-th TN.
fn anywhere(n: u64) -> Position {
    (if n < 1_000 { 0 } else { rand::random_range(0..8) }, rand::random())
}

/// A position that a query from any random position to the farther end finds. With ten TNs at random positions, that
/// query finds none about once in a thousand times.
fn in_the_middle(n: u64) -> Position {
    (0, (1 << 63) + n)
}

/// A service on a table with `size` free TNs in the pool. The service adds the first; `position` gives the sort keys of the others.
async fn with_pool(size: u64, position: fn(u64) -> Position) -> (App, FaultProxy) {
    // Nothing times out or is deferred on a slow machine: that would cost something else.
    let (store, proxy) = FaultProxy::store_without_receipts(LIMIT).await;
    let options = Options { send_budget: LIMIT, request_limit: LIMIT, ..unpaced() };
    let app = App::on(store, options);
    app.add_tn(&number(0)).await;
    // The items of the other TNs are made from those that the store wrote for the first.
    let table = proxy.table_name();
    let found = proxy.engine("Scan", &json!({"TableName": &table})).await;
    let written = |kind: &str| {
        let items = found["Items"].as_array().unwrap();
        items.iter().find(|item| item["pk"]["S"].as_str().unwrap().starts_with(kind)).unwrap().clone()
    };
    let (tn, free) = (written("TN#"), written("FREE#"));
    let mut items = Vec::new();
    if size > 97 {
        let counted = (size / 97).to_string();
        items.push(json!({
            "pk": {"S": "POOL"}, "sk": {"S": "POOL"}, "item_version": {"N": "1"}, "counted_tns": {"N": counted},
        }));
    }
    for n in 1..size {
        items.extend(items_like(&tn, &free, n, position(n)));
    }
    let mut writing = JoinSet::new();
    for part in items.chunks(BATCH * 200) {
        let (proxy, table, part) = (proxy.clone(), table.clone(), part.to_vec());
        writing.spawn(async move {
            for items in part.chunks(BATCH) {
                let puts: Vec<Value> =
                    items.iter().map(|item| json!({"PutRequest": {"Item": item}})).collect();
                let answer = proxy.engine("BatchWriteItem", &json!({"RequestItems": {&table: puts}})).await;
                assert_eq!(answer["UnprocessedItems"], json!({}));
            }
        });
    }
    writing.join_all().await;
    proxy.spent();
    (app, proxy)
}

/// The two items of the n-th TN, made from those of another.
fn items_like(tn: &Value, free: &Value, n: u64, (shard, position): Position) -> [Value; 2] {
    let (mut tn, mut free) = (tn.clone(), free.clone());
    let (number, position) = (number(n as u32), format!("{position:016x}"));
    tn["pk"]["S"] = json!(format!("TN#{}", &number[10..]));
    tn["sk"]["S"] = json!(number);
    tn["tn_number"]["S"] = json!(number);
    tn["free_slot"]["S"] = json!(format!("{shard}#{position}"));
    free["pk"]["S"] = json!(format!("FREE#{shard}"));
    free["sk"]["S"] = json!(position);
    free["tn_number"]["S"] = json!(number);
    [tn, free]
}

/// Asserts what each operation costs with `size` TNs in the pool.
async fn costs(size: u64, position: fn(u64) -> Position) {
    let (app, proxy) = with_pool(size, position).await;
    for (tn, write_units) in [(TN, 4.0), (&counted(1).digits(), 6.0)] {
        app.add_tn(tn).await;
        let added = [("GetItem", 1), ("Query", 1), ("TransactWriteItems", 1)];
        assert_eq!(proxy.spent(), cost(&added, 2.0, write_units), "a TN");
    }
    // The first session of all notes that TNs leave the free list.
    let first = app.open_session(ALICE, BOB, None).await;
    app.end_session(&first).await;
    proxy.spent();
    for n in 0..9 {
        let minutes = (n % 2 == 0).then_some(1);
        let session = app.open_session(ALICE, BOB, minutes).await;
        // A session that expires has an entry in the index of pending work.
        let write_units = if minutes.is_some() { 23.0 } else { 22.0 };
        let opened =
            [("GetItem", 3), ("BatchGetItem", 1), ("Query", 3), ("TransactWriteItems", 1), ("UpdateItem", 2)];
        assert_eq!(proxy.spent(), cost(&opened, 9.0, write_units), "a session");
        app.end_session(&session).await;
        let ended =
            [("GetItem", 2), ("BatchGetItem", 2), ("Query", 3), ("TransactWriteItems", 1), ("UpdateItem", 2)];
        assert_eq!(proxy.spent(), cost(&ended, 9.5, write_units), "the end of a session");
    }

    let session = app.open_session(ALICE, BOB, Some(1)).await;
    let tn = session["virtual_tn"].as_str().unwrap();
    proxy.spent();
    let id = fresh_id();
    let text = [("GetItem", 2), ("Query", 1), ("UpdateItem", 2)];
    assert_eq!(app.post(flat(&id, ALICE, tn, "hi")).await.status, 200);
    assert_eq!(proxy.spent(), cost(&text, 2.5, 4.0), "a participant's text");

    for (length, write_units) in [(400, 4.0), (1_000, 6.0)] {
        app.text(ALICE, tn, &"x".repeat(length)).await;
        assert_eq!(proxy.spent(), cost(&text, 2.5, write_units), "a text of {length} bytes");
    }

    // AWS charges for a refused write too; the engines here report no units for it.
    assert_eq!(app.post(flat(&id, ALICE, tn, "hi")).await.status, 200);
    let again = [("GetItem", 1), ("Query", 1), ("UpdateItem", 1)];
    assert_eq!(proxy.spent(), cost(&again, 1.5, 0.0), "a repeated text");

    let with_reading = [("GetItem", 1), ("BatchGetItem", 1)];
    app.text(EVE, tn, "hi").await;
    let stranger = [with_reading[0], with_reading[1], ("TransactWriteItems", 1), ("UpdateItem", 1)];
    assert_eq!(proxy.spent(), cost(&stranger, 6.0, 9.0), "a stranger's text");
    for _ in 0..2 {
        app.text(EVE, tn, "hi").await;
    }
    proxy.spent();
    app.text(EVE, tn, "hi").await;
    let unanswered = [with_reading[0], with_reading[1], ("UpdateItem", 1)];
    assert_eq!(proxy.spent(), cost(&unanswered, 6.0, 1.0), "a stranger who has been answered often enough");

    let another_tn = if tn == number(1) { number(2) } else { number(1) };
    app.text(&another_tn, tn, "hi").await;
    assert_eq!(proxy.spent(), cost(&with_reading, 6.0, 0.0), "a sender who is a TN");
    app.text(ALICE, &fresh_number(), "hi").await;
    assert_eq!(proxy.spent(), cost(&with_reading, 6.0, 0.0), "a text to no TN of ours");

    app.provider.always(Outcome::Busy);
    app.text(ALICE, tn, "hi").await;
    app.provider.always(Outcome::Sent);
    app.clock.advance(TimeDelta::seconds(2));
    proxy.spent();
    assert_eq!(app.maintain().await.sent, 1);
    // The drain reads due messages until there are none, and then unknown ones.
    let drain =
        [("GetItem", 3), ("Query", 12 * 4), with_reading[1], ("TransactWriteItems", 2), ("UpdateItem", 3)];
    assert_eq!(proxy.spent(), cost(&drain, 30.0, 11.0), "maintenance that sends a text");

    app.clock.advance(TimeDelta::minutes(1));
    app.text(ALICE, tn, "late").await;
    let late = [("GetItem", 2), with_reading[1], ("Query", 3), ("TransactWriteItems", 1), ("UpdateItem", 2)];
    assert_eq!(proxy.spent(), cost(&late, 9.5, 23.0), "a late text");

    app.clock.advance(TimeDelta::minutes(3));
    app.maintain().await;
    proxy.spent();
    assert_eq!(app.maintain().await, Default::default());
    let idle = [("GetItem", 1), ("Query", 2 * 4)];
    assert_eq!(proxy.spent(), cost(&idle, 5.0, 0.0), "maintenance with nothing to do");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_keeps_to_its_budget_in_a_small_pool() {
    costs(10, in_the_middle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn each_operation_costs_the_same_in_a_large_pool() {
    costs(20_000, anywhere).await;
}

#[tokio::test]
async fn one_query_finds_a_free_tn_in_a_small_pool() {
    let (store, proxy) = FaultProxy::store_with_limit(LIMIT).await;
    fill_pool(&store, 10).await;
    proxy.spent();
    for _ in 0..40 {
        let session = talking(&store, [alice(), bob()], 0, None).await;
        assert!(end(&store, session.id, EndCause::RolledBack, 0).await);
    }
    // One for the free list, one for each person and three for the end; with the TNs in all shards there would be dozens more.
    let queries = proxy.spent().calls["Query"];
    assert!((240..=248).contains(&queries), "{queries}");
}

#[tokio::test]
async fn the_search_in_a_newly_large_pool_starts_in_the_fullest_shard() {
    let (store, proxy) = FaultProxy::store_with_limit(LIMIT).await;
    fill_pool(&store, 90).await;
    // Twelve sampled TNs stand for over a thousand, so the last of them may be in any shard.
    for n in 1..=12 {
        assert_eq!(store.add_tn(counted(n), at(0)).await.unwrap(), AddTn::Added);
    }
    let mut with_one_query = 0;
    for n in 0..60 {
        proxy.spent();
        talking(&store, [person(2 * n), person(2 * n + 1)], 0, None).await;
        with_one_query += u32::from(proxy.spent().calls["Query"] == 3);
    }
    assert!(with_one_query > 35, "{with_one_query} of 60");
}

#[tokio::test]
async fn reading_the_outbox_stops_at_its_limit() {
    let (store, proxy) = FaultProxy::store_with_limit(LIMIT).await;
    let session = conversation(&store, None).await;
    let notices = (0..80).map(|n| notice(&session, Kind::End, Role::A, n)).collect();
    store.end_session(session.id, EndCause::Deleted, notices, at(90), None).await.unwrap();
    proxy.spent();
    for (limit, read_units) in [(1, 4.5), (80, 6.0)] {
        assert_eq!(store.due(limit, at(90)).await.unwrap().len(), limit as usize);
        assert_eq!(
            proxy.spent(),
            cost(&[("Query", 2 * 4)], read_units, 0.0),
            "{limit} of 80 in one part of 4"
        );
    }
    let gone = talking(&store, [alice(), bob()], 91, None).await;
    waiting(&store, relay(&gone), 92, 92).await;
    proxy.spent();
    assert!(end(&store, gone.id, EndCause::Deleted, 93).await);
    let calls = [("GetItem", 1), ("Query", 3), ("BatchGetItem", 2), ("TransactWriteItems", 1)];
    assert_eq!(
        proxy.spent().calls,
        cost(&calls, 0.0, 0.0).calls,
        "the end of a session with a relay that waits"
    );
}

#[tokio::test]
async fn counting_a_large_outbox_reads_little_more_than_it_counts() {
    let (store, proxy) = FaultProxy::store_with_limit(LIMIT).await;
    fill_pool(&store, 8).await;
    for _ in 0..8 {
        let session = talking(&store, [alice(), bob()], 0, None).await;
        let notices = (0..80).map(|n| notice(&session, Kind::End, Role::A, n)).collect();
        store.end_session(session.id, EndCause::Deleted, notices, at(90), None).await.unwrap();
    }
    proxy.spent();
    assert_eq!(store.gauges(100).await.unwrap().waiting, 100);
    let spent = proxy.spent();
    assert!(spent.calls["Query"] <= 2 * 4 + 8 + 2, "{spent:?}");
    // A shard with 25 entries costs up to half a unit more than an empty one, one with 80 two units more.
    assert!(spent.read_units <= 2.0 * 2.0 + 8.0 + 8.0, "{spent:?}");
}

#[tokio::test]
async fn the_only_tn_without_an_opt_out_is_found_page_by_page() {
    let (app, proxy) = with_pool(400, anywhere).await;
    let all_but_one: Vec<String> = (0..400).filter(|n| *n != 123).map(number).collect();
    app.text(ALICE, &number(0), "STOP").await;
    let mut opt_outs = proxy.opt_outs().await;
    opt_outs["opted_out"] = json!({"SS": all_but_one});
    proxy.spent();
    proxy.engine("PutItem", &json!({"TableName": proxy.table_name(), "Item": opt_outs})).await;
    assert_eq!(app.open_session(ALICE, BOB, None).await["virtual_tn"], number(123));
    // Of each side of the free list a first page and a larger one, and the routes of two people.
    assert!(proxy.spent().calls["Query"] <= 2 * 2 + 2);
    assert_ne!(app.open_session(BOB, EVE, None).await["virtual_tn"], number(123));
    assert_eq!(proxy.spent().calls["Query"], 3);
}

#[tokio::test]
async fn a_session_with_more_waiting_messages_than_fit_in_one_transaction_ends_and_sends_none() {
    const SIZE: usize = 250_000;
    let (store, _proxy) = FaultProxy::store_with_limit(LIMIT).await;
    let session = conversation(&store, None).await;
    let mut texts = Vec::new();
    for n in 0..30 {
        let mut text = relay(&session);
        text.content = "x".repeat(SIZE).as_str().into();
        texts.push(waiting(&store, text, n, n).await);
    }
    assert!(end(&store, session.id, EndCause::Deleted, 100).await);
    let mut cancelled = 0;
    for text in &texts {
        cancelled += usize::from(state(&store, text).await == State::Cancelled);
        assert_eq!(store.lease(text.outbound.id, at(101), at(131)).await.unwrap(), None);
        assert_eq!(state(&store, text).await, State::Cancelled);
    }
    // AWS refuses more than 4 MB, before or after. The engines here count what is written, which is little.
    assert!(cancelled > 0 && cancelled * SIZE < 4_000_000, "{cancelled} in one transaction");
}
