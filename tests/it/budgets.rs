//! What each operation costs in calls to DynamoDB (DESIGN.md 4) and in read and write units, whatever the size of the
//! pool.
//!
//! The units are exact: but for one long text, every item in play is smaller than 1 KB.

use crate::contract::scene::{
    alice, at, bob, conversation, end, fill_pool, relay, state, talking, to_side, waiting,
};
use crate::support::{
    ALICE, App, BOB, EVE, Outcome, TN,
    between::{Between, Spent},
    flat, fresh_id, fresh_number, number, unpaced,
};
use chrono::TimeDelta;
use serde_json::{Value, json};
use sms_proxy::{
    domain::{Kind, Role},
    http::Auth,
    service::Options,
    store::{EndCause, State},
};
use std::{collections::BTreeMap, time::Duration};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// How many items one BatchWriteItem takes.
const BATCH: usize = 25;
/// How long anything may take here.
const PATIENCE: Duration = Duration::from_secs(300);

/// How many parts the free TNs are spread over.
const PARTS: u64 = 8;

type Calls<'a> = &'a [(&'a str, u32)];

/// What an operation must have cost.
fn cost(calls: Calls, read_units: f64, write_units: f64) -> Spent {
    let calls: BTreeMap<String, u32> =
        calls.iter().map(|(operation, times)| ((*operation).to_owned(), *times)).collect();
    Spent { calls, read_units, write_units }
}

/// Which part of the pool a TN lies in, and where.
type Place = (u64, u64);

/// A service on a table with so many free TNs in the pool, at random places.
async fn with_pool(size: u64) -> (App, Between) {
    with_pool_at(size, |_| (rand::random_range(0..PARTS), rand::random())).await
}

/// The same, with the n-th of them there, the first one apart.
async fn with_pool_at(size: u64, place: impl Fn(u64) -> Place) -> (App, Between) {
    // However slow the machine is, nothing is given up or put off: that would cost something else.
    let (store, between) = Between::store_within(PATIENCE).await;
    let options = Options { send_budget: PATIENCE, request_limit: PATIENCE, ..unpaced() };
    let app = App::on(store, TempDir::new().unwrap(), options, Auth::default());
    app.add_tn(&number(0)).await;
    // What the store wrote for one TN is written alike for the others.
    let table = between.table_name();
    let found = between.engine("Scan", &json!({"TableName": &table})).await;
    let [one, other] = found["Items"].as_array().unwrap().as_slice() else { panic!("{found}") };
    let (tn, free) =
        if one["pk"]["S"].as_str().unwrap().starts_with("TN#") { (one, other) } else { (other, one) };
    let mut items = Vec::new();
    for n in 1..size {
        items.extend(alike(tn, free, n, place(n)));
    }
    let mut writing = JoinSet::new();
    for part in items.chunks(BATCH * 200) {
        let (between, table, part) = (between.clone(), table.clone(), part.to_vec());
        writing.spawn(async move {
            for items in part.chunks(BATCH) {
                let puts: Vec<Value> =
                    items.iter().map(|item| json!({"PutRequest": {"Item": item}})).collect();
                let answer = between.engine("BatchWriteItem", &json!({"RequestItems": {&table: puts}})).await;
                assert_eq!(answer["UnprocessedItems"], json!({}));
            }
        });
    }
    writing.join_all().await;
    between.spent();
    (app, between)
}

/// The two items of the n-th TN, made after those of another.
fn alike(tn: &Value, free: &Value, n: u64, (shard, place): Place) -> [Value; 2] {
    let (mut tn, mut free) = (tn.clone(), free.clone());
    let (number, place) = (number(n as u32), format!("{place:016x}"));
    tn["pk"]["S"] = json!(format!("TN#{}", &number[10..]));
    tn["sk"]["S"] = json!(number);
    tn["tn_number"]["S"] = json!(number);
    tn["free_place"]["S"] = json!(format!("{shard}#{place}"));
    free["pk"]["S"] = json!(format!("FREE#{shard}"));
    free["sk"]["S"] = json!(place);
    free["tn_number"]["S"] = json!(number);
    [tn, free]
}

/// Opens a session, ends it again, and says how many queries the opening took; the rest of it is asserted.
async fn open_and_end(app: &App, between: &Between, minutes: Option<u32>) -> u32 {
    let session = app.open_session(ALICE, BOB, minutes).await;
    // What expires has an entry in the index of what is open.
    let write_units = if minutes.is_some() { 27.0 } else { 26.0 };
    let mut opened = between.spent();
    let queries = opened.calls.remove("Query").unwrap();
    let rest = [("BatchGetItem", 1), ("TransactWriteItems", 1), ("UpdateItem", 2)];
    assert_eq!(opened, cost(&rest, 4.0 + f64::from(queries), write_units), "a session");
    app.end_session(&session).await;
    let rest =
        [("GetItem", 2), ("BatchGetItem", 1), ("Query", 1), ("TransactWriteItems", 1), ("UpdateItem", 2)];
    assert_eq!(between.spent(), cost(&rest, 6.5, write_units), "the end of a session");
    queries
}

async fn costs(size: u64, openings: u32) -> f64 {
    let (app, between) = with_pool(size).await;
    app.add_tn(TN).await;
    assert_eq!(between.spent(), cost(&[("Query", 1), ("TransactWriteItems", 1)], 1.0, 4.0), "a TN");
    let mut queries = 0;
    for n in 0..openings {
        queries += open_and_end(&app, &between, (n % 2 == 0).then_some(1)).await;
    }

    let session = app.open_session(ALICE, BOB, Some(1)).await;
    let tn = session["virtual_tn"].as_str().unwrap();
    between.spent();
    let id = fresh_id();
    let text = [("GetItem", 1), ("TransactWriteItems", 1), ("UpdateItem", 1)];
    assert_eq!(app.post(flat(&id, ALICE, tn, "hi")).await.status, 200);
    assert_eq!(between.spent(), cost(&text, 1.0, 9.0), "a participant's text");

    for (length, write_units) in [(400, 9.0), (1_000, 12.0)] {
        app.text(ALICE, tn, &"x".repeat(length)).await;
        assert_eq!(between.spent(), cost(&text, 1.0, write_units), "a text of {length} bytes");
    }

    // DynamoDB charges a transaction that is refused as if it were not, which no engine here says.
    assert_eq!(app.post(flat(&id, ALICE, tn, "hi")).await.status, 200);
    let again = [("GetItem", 1), ("TransactWriteItems", 1)];
    assert_eq!(between.spent(), cost(&again, 1.0, 0.0), "a repeated text");

    let with_reading = [("GetItem", 1), ("BatchGetItem", 1)];
    app.text(EVE, tn, "hi").await;
    let stranger = [with_reading[0], with_reading[1], text[1], text[2]];
    assert_eq!(between.spent(), cost(&stranger, 6.0, 11.0), "a stranger's text");
    for _ in 0..2 {
        app.text(EVE, tn, "hi").await;
    }
    between.spent();
    app.text(EVE, tn, "hi").await;
    let unanswered = [with_reading[0], with_reading[1], text[1]];
    assert_eq!(between.spent(), cost(&unanswered, 6.0, 2.0), "a stranger who has been answered often enough");

    let another_tn = if tn == number(1) { number(2) } else { number(1) };
    app.text(&another_tn, tn, "hi").await;
    assert_eq!(between.spent(), cost(&with_reading, 6.0, 0.0), "a sender who is a TN");
    app.text(ALICE, &fresh_number(), "hi").await;
    assert_eq!(between.spent(), cost(&with_reading, 6.0, 0.0), "a text to no TN of ours");

    assert_eq!(app.maintain().await, Default::default());
    assert_eq!(between.spent(), cost(&[("Query", 4 * 32)], 64.0, 0.0), "maintenance with nothing to do");

    app.provider.always(Outcome::Busy);
    app.text(ALICE, tn, "hi").await;
    app.provider.always(Outcome::Sent);
    app.clock.advance(TimeDelta::seconds(2));
    between.spent();
    assert_eq!(app.maintain().await.sent, 1);
    // The drain reads what is due until nothing is, and what is unknown.
    let drain = [("Query", 6 * 32), text[0], with_reading[1], ("TransactWriteItems", 2), ("UpdateItem", 3)];
    assert_eq!(between.spent(), cost(&drain, 100.0, 13.0), "maintenance that sends a text");

    app.clock.advance(TimeDelta::minutes(1));
    app.text(ALICE, tn, "late").await;
    let late = [with_reading[0], with_reading[1], ("Query", 1), text[1], ("UpdateItem", 2)];
    assert_eq!(between.spent(), cost(&late, 6.5, 27.0), "a late text");
    f64::from(queries) / f64::from(openings)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_costs_what_it_may_in_a_small_pool() {
    // Of ten TNs at random places of eight parts, a first look finds one three times in five or so.
    let queries = costs(10, 9).await;
    assert!(queries < 4.0, "{queries} on average");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_costs_the_same_in_a_small_pool_when_the_first_look_finds_a_free_tn() {
    // One in the middle of each part, where a look at the larger side of any place finds it.
    let in_the_middle = |n| (n % PARTS, (1 << 63) + n);
    for _ in 0..PARTS {
        let (app, between) = with_pool_at(10, in_the_middle).await;
        assert_eq!(open_and_end(&app, &between, None).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_costs_the_same_in_a_large_pool() {
    assert_eq!(costs(20_000, 9).await, 1.0, "one query for each session");
}

#[tokio::test]
async fn a_reading_of_the_outbox_goes_no_further_than_its_limit() {
    let (store, between) = Between::store_within(PATIENCE).await;
    let session = conversation(&store, None).await;
    let notices = (0..80).map(|n| to_side(&session, Kind::End, Role::A, n)).collect();
    store.end_session(session.id, EndCause::Deleted, notices, at(90), None).await.unwrap();
    between.spent();
    for (limit, read_units) in [(1, 16.5), (80, 18.0)] {
        assert_eq!(store.due(limit, at(90)).await.unwrap().len(), limit as usize);
        assert_eq!(
            between.spent(),
            cost(&[("Query", 32)], read_units, 0.0),
            "{limit} of 80 in one part of 32"
        );
    }
    let gone = talking(&store, [alice(), bob()], 91, None).await;
    waiting(&store, relay(&gone, 92), 92, 92).await;
    between.spent();
    assert!(end(&store, gone.id, EndCause::Deleted, 93).await);
    let calls = [("GetItem", 1), ("Query", 1), ("BatchGetItem", 1), ("TransactWriteItems", 1)];
    assert_eq!(
        between.spent().calls,
        cost(&calls, 0.0, 0.0).calls,
        "the end of a session with a relay that waits"
    );
}

#[tokio::test]
async fn counting_a_large_outbox_reads_about_as_much_as_it_counts() {
    let (store, between) = Between::store_within(PATIENCE).await;
    fill_pool(&store, 8).await;
    for _ in 0..8 {
        let session = talking(&store, [alice(), bob()], 0, None).await;
        let notices = (0..80).map(|n| to_side(&session, Kind::End, Role::A, n)).collect();
        store.end_session(session.id, EndCause::Deleted, notices, at(90), None).await.unwrap();
    }
    between.spent();
    assert_eq!(store.gauges(100).await.unwrap().waiting, 100);
    let spent = between.spent();
    assert!(spent.calls["Query"] <= 2 * 32 + 8 + 2, "{spent:?}");
    // A part with 25 entries costs up to half a unit more than an empty one, one with 80 two units more.
    assert!(spent.read_units <= 2.0 * 16.0 + 8.0 + 8.0, "{spent:?}");
}

#[tokio::test]
async fn the_one_tn_that_a_participant_has_not_opted_out_of_is_found_page_by_page() {
    let (app, between) = with_pool(400).await;
    let all_but_one: Vec<String> = (0..400).filter(|n| *n != 123).map(number).collect();
    let opt_outs = json!({
        "pk": {"S": format!("P#{ALICE}")}, "sk": {"S": "OPT"}, "item_version": {"N": "1"},
        "opted_out": {"SS": all_but_one},
    });
    between.engine("PutItem", &json!({"TableName": between.table_name(), "Item": opt_outs})).await;
    assert_eq!(app.open_session(ALICE, BOB, None).await["virtual_tn"], number(123));
    // Of each side of each part, a first page and a larger one.
    assert!(between.spent().calls["Query"] <= 8 * 2 * 2);
    assert_ne!(app.open_session(BOB, EVE, None).await["virtual_tn"], number(123));
    assert_eq!(between.spent().calls["Query"], 1);
}

#[tokio::test]
async fn a_session_with_more_waiting_than_one_transaction_may_hold_ends_and_sends_none_of_it() {
    const SIZE: usize = 250_000;
    let (store, _between) = Between::store_within(PATIENCE).await;
    let session = conversation(&store, None).await;
    let mut texts = Vec::new();
    for n in 0..30 {
        let mut text = relay(&session, n);
        text.text.content = "x".repeat(SIZE).as_str().into();
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
