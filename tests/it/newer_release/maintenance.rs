//! Maintenance reads items one by one: a newer item hides no other.

use crate::contract::fixtures::{
    Shared, alice, at, bob, conversation, due, eve, fill_pool, no_answer, not_taken, opt, person, refused,
    relay, sending, settled, talking, tn, unknown,
};
use chrono::TimeDelta;
use serde_json::json;
use sms_proxy::domain::{Message, MessageId};
use test_support::{ALICE, App, BOB, Outcome, TN, fault_proxy::FaultProxy, unpaced};

async fn write_newer_message(proxy: &FaultProxy, id: MessageId) {
    proxy.rewrite_as_newer_release(format!("M#{id}"), "M").await;
}

/// Three messages of one session that are being sent, oldest first.
async fn three_messages(store: &Shared) -> Vec<Message> {
    let session = conversation(store, None).await;
    let mut leased = Vec::new();
    for n in 1..=3 {
        leased.push(sending(store, relay(&session), n).await);
    }
    leased
}

#[tokio::test]
async fn a_message_of_a_newer_release_is_not_due_and_hides_no_other() {
    let (store, proxy) = FaultProxy::store().await;
    let messages = three_messages(&store).await;
    for message in &messages {
        settled(&store, message, not_taken(5), 5).await;
    }
    write_newer_message(&proxy, messages[0].outbound.id).await;
    assert_eq!(due(&store, 9).await, [messages[1].outbound.id, messages[2].outbound.id]);
    assert_eq!(store.due(1, at(9)).await.unwrap()[0].id, messages[1].outbound.id);
}

#[tokio::test]
async fn a_message_of_a_newer_release_is_neither_reclaimed_nor_reconciled_and_hides_no_other() {
    let (store, proxy) = FaultProxy::store().await;
    let messages = three_messages(&store).await;
    write_newer_message(&proxy, messages[0].outbound.id).await;
    assert_eq!(store.reclaim(1, at(100)).await.unwrap(), 1);
    assert_eq!(store.reclaim(10, at(100)).await.unwrap(), 1);
    settled(&store, &messages[1], no_answer(), 101).await;
    assert_eq!(unknown(&store).await, [messages[1].outbound.id, messages[2].outbound.id]);
    write_newer_message(&proxy, messages[1].outbound.id).await;
    assert_eq!(store.unknown(1, None).await.unwrap()[0].outbound.id, messages[2].outbound.id);
}

#[tokio::test]
async fn an_expired_session_of_a_newer_release_hides_no_other() {
    let (store, proxy) = FaultProxy::store().await;
    fill_pool(&store, 2).await;
    let first = talking(&store, [alice(), bob()], 0, Some(60)).await;
    let second = talking(&store, [alice(), bob()], 1, Some(60)).await;
    proxy.rewrite_as_newer_release(format!("S#{}", first.id), "S").await;
    assert_eq!(store.expired_sessions(1, at(90)).await.unwrap(), [second]);
}

#[tokio::test]
async fn expired_sessions_of_a_participant_with_a_newer_opt_out_hide_no_other() {
    let (store, proxy) = FaultProxy::store().await;
    fill_pool(&store, 4).await;
    for second in 0..3 {
        talking(&store, [alice(), bob()], second, Some(60)).await;
    }
    opt(&store, tn(9), alice(), true, 3).await;
    let key = proxy.opt_outs().await["pk"]["S"].as_str().unwrap().to_owned();
    proxy.rewrite_as_newer_release(key, "OPT").await;
    let other = talking(&store, [eve(), person(9)], 5, Some(60)).await;
    assert_eq!(store.expired_sessions(1, at(90)).await.unwrap(), std::slice::from_ref(&other));
    assert_eq!(store.expired_sessions(100, at(90)).await.unwrap(), [other]);
}

#[tokio::test]
async fn a_health_check_succeeds_on_a_lease_of_a_newer_release() {
    let (store, proxy) = FaultProxy::store().await;
    assert!(store.acquire_drain_lease("a holder", at(0), at(30)).await.unwrap());
    proxy.rewrite_as_newer_release("DRAIN".into(), "DRAIN").await;
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_free_tn_of_a_newer_release_is_not_counted() {
    let (store, proxy) = FaultProxy::store().await;
    let session = conversation(&store, None).await;
    for _ in 0..2 {
        let leased = sending(&store, relay(&session), 0).await;
        settled(&store, &leased, not_taken(5), 5).await;
    }
    for pk in ["FREE#0", "FREE#1"] {
        let item = |version| json!({"pk": {"S": pk}, "sk": {"S": version}, "item_version": {"N": version}});
        for version in ["1", "99"] {
            let put = json!({"TableName": proxy.table_name(), "Item": item(version)});
            proxy.engine("PutItem", &put).await;
        }
    }
    let gauges = store.gauges(1_000).await.unwrap();
    assert_eq!((gauges.free_tns, gauges.waiting), (2, 2));
}

#[tokio::test]
async fn a_maintenance_round_skips_a_message_of_a_newer_release() {
    let (store, proxy) = FaultProxy::store().await;
    let app = App::on(store, unpaced());
    let session = app.conversation(None).await;
    app.provider.always(Outcome::Busy);
    app.text(ALICE, TN, "one").await;
    app.clock.advance(TimeDelta::seconds(1));
    app.text(ALICE, TN, "two").await;
    let id = app.messages(&session).await[2]["id"].as_str().unwrap().to_owned();
    write_newer_message(&proxy, id.parse().unwrap()).await;
    app.provider.always(Outcome::Sent);
    app.clock.advance(TimeDelta::seconds(2));
    assert_eq!(app.maintain().await.sent, 1);
    assert_eq!(app.provider.taken_by(), [(BOB.to_owned(), "two".to_owned())]);
}

#[tokio::test]
async fn a_refusal_is_stored_although_nobody_can_be_told_in_a_session_of_a_newer_release() {
    let (store, proxy) = FaultProxy::store().await;
    let store = store.telling_senders("not delivered");
    let session = conversation(&store, None).await;
    let leased = sending(&store, relay(&session), 1).await;
    proxy.rewrite_as_newer_release(format!("S#{}", session.id), "S").await;
    settled(&store, &leased, refused(false), 2).await;
    assert_eq!(due(&store, 2).await, []);
}
