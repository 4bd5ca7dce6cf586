//! What each operation costs in calls to DynamoDB (DESIGN.md 4), whatever the size of the pool.

use crate::support::{ALICE, App, BOB, EVE, TN, between::Between, flat, fresh_id, fresh_number, unpaced};
use chrono::TimeDelta;
use sms_proxy::{domain::Number, http::Auth, store::AddTn};
use std::collections::BTreeMap;
use tempfile::TempDir;
use tokio::task::JoinSet;

type Calls = BTreeMap<String, u32>;

fn calls(expected: &[(&str, u32)]) -> Calls {
    expected.iter().map(|(operation, times)| ((*operation).to_owned(), *times)).collect()
}

/// A service on a table with so many TNs in the pool.
async fn with_pool(size: u64) -> (App, Between) {
    let (store, between) = Between::store().await;
    let app = App::on(store, TempDir::new().unwrap(), unpaced(), Auth::default());
    let mut adding = JoinSet::new();
    for part in 0..8 {
        let app = app.clone();
        adding.spawn(async move {
            for n in (0..size).filter(|n| n % 8 == part) {
                let tn = Number::try_from(12_070_000_000 + n).unwrap();
                assert_eq!(app.store.add_tn(tn, app.clock.now()).await.unwrap(), AddTn::Added);
            }
        });
    }
    adding.join_all().await;
    between.calls();
    (app, between)
}

async fn costs(size: u64) {
    let (app, between) = with_pool(size).await;
    let mut queries = Vec::new();
    let mut tns = Vec::new();
    for _ in 0..9 {
        let session = app.open_session(ALICE, BOB, Some(1)).await;
        tns.push(session["virtual_tn"].as_str().unwrap().to_owned());
        let mut spent = between.calls();
        queries.push(spent.remove("Query").unwrap());
        let rest = [("BatchGetItem", 1), ("TransactWriteItems", 1), ("UpdateItem", 2)];
        assert_eq!(spent, calls(&rest), "a session, {size} TNs");
    }
    queries.sort_unstable();
    assert!(size < 100 || queries[4] == 1, "a session takes one query typically: {queries:?}");

    app.text(ALICE, &tns[0], "hi").await;
    let relay = [("GetItem", 1), ("TransactWriteItems", 1), ("UpdateItem", 1)];
    assert_eq!(between.calls(), calls(&relay), "a participant's text, {size} TNs");

    app.text(EVE, &tns[0], "hi").await;
    let stranger = between.calls();
    assert!(stranger["BatchGetItem"] <= 2, "{stranger:?}");
    let rest = [("BatchGetItem", stranger["BatchGetItem"]), relay[0], relay[1], relay[2]];
    assert_eq!(stranger, calls(&rest), "a stranger's text, {size} TNs");

    app.text(&fresh_number(), TN, "hi").await;
    let spent = between.calls();
    assert!(spent["GetItem"] == 1 && spent["BatchGetItem"] <= 2, "a text to no TN of ours: {spent:?}");

    app.clock.advance(TimeDelta::minutes(1));
    assert_eq!(app.post(flat(&fresh_id(), ALICE, &tns[0], "late")).await.status, 200);
    let late = between.calls();
    assert!(late["BatchGetItem"] <= 3 && late["TransactWriteItems"] == 1, "a late text: {late:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_costs_what_it_may_in_a_small_pool() {
    costs(10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_costs_the_same_in_a_large_pool() {
    costs(2_000).await;
}
