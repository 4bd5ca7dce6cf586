//! A newer release writes to the same table. Its items are left alone; everything else works.

mod maintenance;
mod sharing;

use crate::contract::fixtures::counted;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::{collections::HashMap, time::Duration};
use test_support::{
    ALICE, App, BOB, EVE, Outcome, TN,
    dynamodb::{Table, engine_url},
    flat, fresh_id, number, pair, without_timeouts,
};

type Attributes = HashMap<String, AttributeValue>;

/// A service with a session of Alice and Bob, and the table that it shares with a newer release.
struct SharedTable {
    app: App,
    table: Table,
    session: Value,
}

impl SharedTable {
    async fn new(minutes: Option<u32>) -> Self {
        let table = Table::create(&engine_url()).await.at_the_engine();
        let store = table.store(Duration::from_secs(60));
        let app = App::on(store, without_timeouts());
        let session = app.conversation(minutes).await;
        Self { app, table, session }
    }

    fn id(&self) -> &str {
        self.session["session_id"].as_str().unwrap()
    }

    async fn items(&self) -> Vec<Attributes> {
        let all = self.table.client.scan().table_name(&self.table.name).consistent_read(true).send().await;
        let mut items = all.unwrap().items.unwrap();
        items.sort_by_key(|item| [text(item, "pk"), text(item, "sk")]);
        items
    }

    /// A newer release rewrites the items whose keys begin like this; returns them.
    async fn rewrite(&self, pk: &str, sk: &str) -> Vec<Attributes> {
        for item in self.items().await {
            if text(&item, "pk").starts_with(pk) && text(&item, "sk").starts_with(sk) {
                let mut item = item;
                item.insert("item_version".into(), AttributeValue::N("99".into()));
                let put = self.table.client.put_item().table_name(&self.table.name).set_item(Some(item));
                put.send().await.unwrap();
            }
        }
        self.newer().await
    }

    async fn newer(&self) -> Vec<Attributes> {
        let is_newer = |item: &Attributes| item.get("item_version") == Some(&AttributeValue::N("99".into()));
        self.items().await.into_iter().filter(is_newer).collect()
    }

    /// Asserts that these calls are refused, and that they change and send nothing.
    async fn refuses(&self, calls: &[(&str, &str, Option<Value>)]) {
        let before = self.items().await;
        self.app.provider.clear();
        for (method, path, body) in calls {
            let answer = self.app.call(method, path, body.clone()).await;
            answer.assert_error(503, "store_unavailable");
            assert!(answer.body.contains("this release cannot read"), "{answer:?}");
        }
        assert_eq!(self.items().await, before);
        assert_eq!(self.app.provider.asked(), 0);
    }

    /// Asserts that another session on another TN opens, relays texts and ends.
    async fn others_go_on(&self) {
        let app = &self.app;
        app.provider.clear();
        app.add_tn(&number(900)).await;
        let (a, b) = (number(901), number(902));
        let other = app.open_session(&a, &b, None).await;
        assert_eq!(other["virtual_tn"], number(900));
        app.text(&a, &number(900), "hello").await;
        assert_eq!(app.relays(&other).await, ["sent"]);
        app.end_session(&other).await;
        assert_eq!(app.provider.asked(), 5, "two starts, a text, two ends");
    }
}

fn text(item: &Attributes, name: &str) -> String {
    item[name].as_s().unwrap().clone()
}

fn hello() -> Option<Value> {
    Some(flat(&fresh_id(), ALICE, TN, "hello"))
}

#[tokio::test]
async fn a_newer_session_is_neither_used_nor_ended() {
    let shared = SharedTable::new(None).await;
    let newer = shared.rewrite("S#", "S").await;
    assert_eq!(newer.len(), 1);
    let of = format!("/session/{}", shared.id());
    let messages = format!("/message?session_id={}", shared.id());
    shared.refuses(&[("DELETE", &of, None), ("GET", &of, None), ("GET", &messages, None)]).await;
    shared.app.text(ALICE, TN, "hello").await;
    assert_eq!(shared.app.provider.asked(), 0, "the text waits for the newer release");
    shared.others_go_on().await;
    assert_eq!(shared.newer().await, newer);
}

#[tokio::test]
async fn a_newer_route_is_not_followed() {
    let shared = SharedTable::new(None).await;
    let newer = shared.rewrite("P#", "R#").await;
    assert_eq!(newer.len(), 2);
    let of = format!("/session/{}", shared.id());
    let stop = Some(flat(&fresh_id(), ALICE, TN, "STOP"));
    shared.refuses(&[("POST", "/", hello()), ("POST", "/", stop), ("DELETE", &of, None)]).await;
    shared.others_go_on().await;
    assert_eq!(shared.newer().await, newer);
}

#[tokio::test]
async fn a_newer_tn_is_not_removed_freed_or_listed() {
    let shared = SharedTable::new(None).await;
    let newer = shared.rewrite("TN#", "").await;
    assert_eq!(newer.len(), 1);
    let (of, session) = (format!("/tn/{TN}"), format!("/session/{}", shared.id()));
    let number = || Some(json!({"value": TN}));
    shared
        .refuses(&[
            ("GET", "/tn", None),
            ("GET", "/tn?limit=1", None),
            ("GET", &of, None),
            ("DELETE", &of, None),
            ("POST", "/tn", number()),
            ("DELETE", &session, None),
        ])
        .await;
    shared.app.text(ALICE, TN, "hello").await;
    assert_eq!(shared.app.provider.bodies(), ["hello"], "its session goes on");
    shared.others_go_on().await;
    assert_eq!(shared.newer().await, newer);
}

#[tokio::test]
async fn a_newer_entry_in_the_session_list_is_an_error() {
    let shared = SharedTable::new(Some(1)).await;
    let newer = shared.rewrite("LIVE#", "").await;
    assert_eq!(newer.len(), 1);
    let of = format!("/session/{}", shared.id());
    let lists = [("GET", "/session", None), ("GET", "/session?limit=1", None), ("DELETE", &of, None)];
    shared.refuses(&lists).await;
    shared.app.clock.advance(TimeDelta::minutes(2));
    shared.refuses(&lists[..2]).await;
    shared.others_go_on().await;
    assert_eq!(shared.newer().await, newer);
}

#[tokio::test]
async fn a_newer_free_tn_is_not_picked() {
    let shared = SharedTable::new(None).await;
    shared.app.end_session(&shared.session).await;
    let newer = shared.rewrite("FREE#", "").await;
    assert_eq!(newer.len(), 1);
    shared.refuses(&[("POST", "/session", Some(pair())), ("DELETE", &format!("/tn/{TN}"), None)]).await;
    shared.others_go_on().await;
    assert_eq!(shared.newer().await, newer);
}

#[tokio::test]
async fn a_newer_pool_counter_is_neither_used_nor_updated() {
    let shared = SharedTable::new(None).await;
    let [first, second] = [1, 2].map(|n| counted(n).digits());
    shared.app.add_tn(&first).await;
    let newer = shared.rewrite("POOL", "").await;
    assert_eq!(newer.len(), 1);
    let of = format!("/session/{}", shared.id());
    shared
        .refuses(&[
            ("POST", "/session", Some(pair())),
            ("DELETE", &of, None),
            ("POST", "/tn", Some(json!({"value": number(1)}))),
            ("POST", "/tn", Some(json!({"value": second}))),
            ("DELETE", &format!("/tn/{first}"), None),
        ])
        .await;
    shared.app.text(ALICE, TN, "hello").await;
    assert_eq!(shared.app.provider.taken_by(), [(BOB.to_owned(), "hello".to_owned())]);
    assert_eq!(shared.newer().await, newer);
}

#[tokio::test]
async fn newer_opt_outs_are_respected() {
    let shared = SharedTable::new(None).await;
    shared.app.text(BOB, TN, "STOP").await;
    let newer = shared.rewrite("P#", "OPT").await;
    assert_eq!(newer.len(), 1);
    let unstop = Some(flat(&fresh_id(), BOB, TN, "UNSTOP"));
    shared.refuses(&[("POST", "/", unstop), ("POST", "/session", Some(pair()))]).await;
    shared.others_go_on().await;
    assert_eq!(shared.newer().await, newer);
}

#[tokio::test]
async fn newer_answer_quotas_are_not_overwritten() {
    let shared = SharedTable::new(None).await;
    shared.app.text(EVE, TN, "hi").await;
    let newer = shared.rewrite("ANSWERS", "").await;
    assert_eq!(newer.len(), 1);
    shared.refuses(&[("POST", "/", Some(flat(&fresh_id(), EVE, TN, "hi")))]).await;
    shared.others_go_on().await;
    assert_eq!(shared.newer().await, newer);
}

#[tokio::test]
async fn a_newer_message_is_neither_sent_nor_settled_nor_cancelled() {
    let shared = SharedTable::new(None).await;
    let app = &shared.app;
    let post = flat(&fresh_id(), ALICE, TN, "hello");
    app.provider.always(Outcome::Busy);
    assert_eq!(app.post(&post).await.status, 200);
    app.provider.always(Outcome::Sent);
    let newer = shared.rewrite("M#", "M").await;
    assert_eq!(newer.len(), 3, "two starts and a text");
    let (of, messages) =
        (format!("/session/{}", shared.id()), format!("/message?session_id={}", shared.id()));
    let receipt = |id| json!({"data": {"type": "delivery_receipt", "id": id, "attributes": {"level": 2}}});
    let receipt =
        receipt(text(newer.iter().find(|item| item.contains_key("provider_id")).unwrap(), "provider_id"));
    shared
        .refuses(&[
            ("POST", "/", Some(post)),
            ("POST", "/", Some(receipt)),
            ("GET", &messages, None),
            ("DELETE", &of, None),
        ])
        .await;
    app.settle_everything().await;
    assert_eq!(app.provider.asked(), 0);
    shared.others_go_on().await;
    assert_eq!(shared.newer().await, newer);
}

#[tokio::test]
async fn maintenance_skips_newer_items_and_handles_the_rest() {
    let shared = SharedTable::new(Some(1)).await;
    let app = &shared.app;
    // One waiting text, one unknown, and one whose sending process crashed.
    for outcome in [Outcome::Busy, Outcome::SentNoResponse, Outcome::SentThenCrash] {
        app.provider.always(outcome);
        app.post(flat(&fresh_id(), ALICE, TN, "newer")).await;
    }
    shared.rewrite("M#", "M").await;
    let newer = shared.rewrite("S#", "S").await;
    assert_eq!(newer.len(), 6, "two starts, three texts, their session");
    app.provider.always(Outcome::Sent);
    app.provider.clear();
    let (tn, a, b) = (number(900), number(901), number(902));
    app.add_tn(&tn).await;
    let other = app.open_session(&a, &b, Some(20)).await;
    for outcome in [Outcome::Busy, Outcome::SentNoResponse, Outcome::SentThenCrash] {
        app.provider.always(outcome);
        app.post(flat(&fresh_id(), &a, &tn, "older")).await;
    }
    app.provider.always(Outcome::Sent);
    app.clock.advance(TimeDelta::minutes(1));
    app.settle_everything().await;
    assert_eq!(app.relays(&other).await, ["sent", "sent", "sent"]);
    let expired = app.provider.taken().iter().filter(|text| text.body.contains("expired")).count();
    assert_eq!(expired, 2, "the other session's people");
    assert!(app.provider.bodies().iter().all(|body| body != "newer"));
    assert_eq!(shared.newer().await, newer);
}
