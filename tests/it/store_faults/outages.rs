//! The store fails for long: 503, and when it is back and the caller has repeated the call, all is as it should be.

use super::{LASTING, NOT_DONE, Trouble, with_each};
use crate::contract::fixtures::{at, tn};
use chrono::TimeDelta;
use serde_json::{Value, json};
use test_support::{
    ALICE, App, BOB, EVE, Outcome, TN,
    dynamodb::Table,
    fault_proxy::{Fault, FaultProxy, READS, WRITES},
    flat, fresh_id, pair, unpaced,
};

/// Makes a call while the store fails, which must be answered with 503; then the store recovers.
pub(super) async fn fails(trouble: &Trouble, method: &str, path: &str, body: Option<Value>) {
    trouble.begins();
    let answer = trouble.troubled.call(method, path, body).await;
    answer.assert_error(503, "store_unavailable");
    trouble.ends().await;
}

/// Posts a text while the store fails, which must be answered with 503; then the store recovers.
async fn post_fails(trouble: &Trouble, post: &Value) {
    trouble.begins();
    assert_eq!(trouble.troubled.post(post).await.status, 503, "{:?}", trouble.fault);
    trouble.ends().await;
}

/// The number of texts with these words to each participant.
pub(super) fn told(app: &App, what: &str) -> [usize; 2] {
    [ALICE, BOB].map(|number| {
        app.provider.taken().iter().filter(|text| text.to == number && text.body.contains(what)).count()
    })
}

#[tokio::test]
async fn a_number_is_added_and_removed_by_retries() {
    with_each(WRITES, LASTING, async |trouble| {
        let well = &trouble.well;
        let body = || Some(json!({"value": TN}));
        fails(trouble, "POST", "/tn", body()).await;
        let again = well.call("POST", "/tn", body()).await;
        assert!(again.status == 200 || again.json()["reason"] == "duplicate_tn", "{again:?}");
        assert_eq!(well.pool().await, (1, 0), "{:?}", trouble.fault);
        fails(trouble, "DELETE", &format!("/tn/{TN}"), None).await;
        let again = well.call("DELETE", &format!("/tn/{TN}"), None).await;
        assert!(again.status == 200 || again.status == 404, "{again:?}");
        assert_eq!(well.pool().await, (0, 0), "{:?}", trouble.fault);
        well.call("POST", "/session", Some(pair())).await.assert_error(400, "no_tn_available");
    })
    .await;
}

#[tokio::test]
async fn a_session_reported_as_failed_is_rolled_back() {
    with_each(WRITES, LASTING, async |trouble| {
        let Trouble { troubled, well, fault, .. } = trouble;
        well.add_tn(TN).await;
        trouble.begins();
        let mut answer = troubled.call("POST", "/session", Some(pair())).await;
        trouble.ends().await;
        // If the session was found to be stored before the time limit, the answer is 200. If not, the same process rolls it
        // back before it opens another one.
        while answer.status != 200 {
            answer.assert_error(503, "store_unavailable");
            answer = troubled.call("POST", "/session", Some(pair())).await;
        }
        let session = answer.json();
        assert_eq!(well.pool().await, (0, 1), "{fault:?}");
        trouble.comes_to_rest().await;
        assert_eq!(told(well, "has started"), [1, 1], "{fault:?}");
        well.end_session(&session).await;
        assert_eq!(well.pool().await, (1, 0), "{fault:?}");
    })
    .await;
}

#[tokio::test]
async fn a_session_whose_start_was_refused_is_rolled_back_once_the_store_recovers() {
    with_each(WRITES, LASTING, async |trouble| {
        let Trouble { troubled, well, proxy, calls, fault } = trouble;
        well.add_tn(TN).await;
        let (script, calls, lasting) = (proxy.clone(), *calls, *fault);
        well.provider.script(move |_| {
            script.fail(calls, lasting, u32::MAX);
            Outcome::Refused
        });
        // On a busy machine the call may fail before the fault begins. 502 means that the rollback was stored.
        while well.provider.asked() == 0 {
            let answer = troubled.call("POST", "/session", Some(pair())).await;
            assert!([502, 503].contains(&answer.status), "{fault:?}: {answer:?}");
        }
        trouble.ends().await;
        well.provider.always(Outcome::Sent);
        while well.pool().await != (1, 0) {
            let _ = troubled.service.maintain().await;
        }
        trouble.comes_to_rest().await;
        assert_eq!(told(well, ""), [0, 0], "{fault:?}");
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_and_both_are_notified_once() {
    with_each(WRITES, LASTING, async |trouble| {
        let Trouble { well, fault, .. } = trouble;
        let session = well.conversation(None).await;
        let path = format!("/session/{}", session["session_id"].as_str().unwrap());
        trouble.begins();
        let answer = trouble.troubled.call("DELETE", &path, None).await;
        trouble.ends().await;
        // Whether the end is stored is found out before the time limit.
        let done =
            [Fault::ResponseLost, Fault::AppliedServerError, Fault::AppliedNoResponse, Fault::AppliedLate];
        assert_eq!(answer.status, if done.contains(fault) { 200 } else { 503 }, "{fault:?}");
        let again = well.call("DELETE", &path, None).await;
        assert_eq!(again.status, if done.contains(fault) { 404 } else { 200 }, "{fault:?}");
        assert_eq!(well.pool().await, (1, 0), "{fault:?}");
        trouble.comes_to_rest().await;
        assert_eq!(told(well, "has ended"), [1, 1], "{fault:?}");
    })
    .await;
}

#[tokio::test]
async fn a_text_that_is_posted_again_is_sent_once() {
    with_each(WRITES, LASTING, async |trouble| {
        let well = &trouble.well;
        let session = well.conversation(None).await;
        let post = flat(&fresh_id(), ALICE, TN, "hello");
        post_fails(trouble, &post).await;
        assert_eq!(well.post(&post).await.status, 200);
        trouble.comes_to_rest().await;
        let fault = trouble.fault;
        assert_eq!(well.provider.taken_by(), [(BOB.to_owned(), "hello".to_owned())], "{fault:?}");
        assert_eq!(well.relays(&session).await, ["sent"], "{fault:?}");
    })
    .await;
}

#[tokio::test]
async fn a_late_text_ends_its_session_once() {
    with_each(WRITES, LASTING, async |trouble| {
        let Trouble { well, fault, .. } = trouble;
        well.conversation(Some(1)).await;
        well.clock.advance(TimeDelta::minutes(2));
        let post = flat(&fresh_id(), ALICE, TN, "late");
        post_fails(trouble, &post).await;
        assert_eq!(well.post(&post).await.status, 200);
        assert_eq!(well.pool().await, (1, 0), "{fault:?}");
        trouble.comes_to_rest().await;
        assert_eq!((told(well, "expired"), told(well, "late")), ([1, 1], [0, 0]), "{fault:?}");
    })
    .await;
}

#[tokio::test]
async fn a_stranger_is_answered_once() {
    with_each(WRITES, LASTING, async |trouble| {
        let well = &trouble.well;
        well.conversation(None).await;
        let post = flat(&fresh_id(), EVE, TN, "who is this?");
        post_fails(trouble, &post).await;
        assert_eq!(well.post(&post).await.status, 200);
        trouble.comes_to_rest().await;
        let answered: Vec<String> = well.provider.taken().into_iter().map(|text| text.to).collect();
        assert_eq!(answered, [EVE], "{:?}", trouble.fault);
    })
    .await;
}

#[tokio::test]
async fn an_opted_out_person_is_not_texted() {
    with_each(WRITES, LASTING, async |trouble| {
        let well = &trouble.well;
        let session = well.conversation(None).await;
        let post = flat(&fresh_id(), BOB, TN, "STOP");
        post_fails(trouble, &post).await;
        assert_eq!(well.post(&post).await.status, 200);
        well.text(ALICE, TN, "hello").await;
        assert_eq!(well.provider.asked(), 0, "{:?}", trouble.fault);
        assert_eq!(well.relays(&session).await, ["failed"], "{:?}", trouble.fault);
    })
    .await;
}

#[tokio::test]
async fn a_receipt_that_is_posted_again_is_stored() {
    with_each(WRITES, LASTING, async |trouble| {
        let well = &trouble.well;
        let session = well.conversation(None).await;
        well.text(ALICE, TN, "hello").await;
        let relay = |messages: Vec<Value>| messages.into_iter().find(|message| message["kind"] == "relay");
        let id = relay(well.messages(&session).await).unwrap()["provider_id"].clone();
        let attributes = json!({"level": 2, "status": "delivered", "status_code": "1003"});
        let post = json!({"data": {"type": "delivery_receipt", "id": id, "attributes": attributes}});
        post_fails(trouble, &post).await;
        assert_eq!(well.post(&post).await.status, 200);
        let delivery = relay(well.messages(&session).await).unwrap()["delivery"]["status"].clone();
        assert_eq!(delivery, "delivered", "{:?}", trouble.fault);
    })
    .await;
}

#[tokio::test]
#[ignore = "slow"]
async fn maintenance_resumes_after_an_outage() {
    with_each(WRITES, LASTING, async |trouble| {
        let Trouble { troubled, well, fault, .. } = trouble;
        let expiring = well.conversation(Some(60)).await;
        well.provider.always(Outcome::Busy);
        well.text(ALICE, TN, "hello").await;
        well.provider.always(Outcome::Sent);
        well.clock.advance(TimeDelta::minutes(1));
        trouble.begins();
        assert!(troubled.service.maintain().await.is_err(), "{fault:?}");
        trouble.ends().await;
        trouble.comes_to_rest().await;
        assert_eq!((told(well, "hello"), told(well, "expired")), ([0, 1], [1, 1]), "{fault:?}");
        assert_eq!(well.relays(&expiring).await, ["sent"], "{fault:?}");
    })
    .await;
}

#[tokio::test]
#[ignore = "slow"]
async fn nothing_is_done_while_reads_fail() {
    with_each(READS, NOT_DONE, async |trouble| {
        let Trouble { troubled, well, fault, .. } = trouble;
        let session = well.conversation(None).await;
        let id = session["session_id"].as_str().unwrap();
        let post = flat(&fresh_id(), ALICE, TN, "hello");
        trouble.begins();
        for path in [
            "/tn?limit=5",
            "/session?limit=5",
            &format!("/session/{id}"),
            &format!("/message?session_id={id}"),
        ] {
            troubled.call("GET", path, None).await.assert_error(503, "store_unavailable");
        }
        troubled.call("DELETE", &format!("/tn/{TN}"), None).await.assert_error(503, "store_unavailable");
        troubled.call("DELETE", &format!("/session/{id}"), None).await.assert_error(503, "store_unavailable");
        troubled.call("POST", "/session", Some(pair())).await.assert_error(503, "store_unavailable");
        assert_eq!(troubled.post(&post).await.status, 503, "{fault:?}");
        assert!(troubled.service.maintain().await.is_err(), "{fault:?}");
        trouble.ends().await;
        assert_eq!((well.provider.asked(), well.pool().await), (0, (0, 1)), "{fault:?}");
        assert_eq!(well.post(&post).await.status, 200);
        assert_eq!(well.provider.taken_by(), [(BOB.to_owned(), "hello".to_owned())], "{fault:?}");
    })
    .await;
}

#[tokio::test]
#[ignore = "slow"]
async fn everything_is_refused_while_the_engine_is_unreachable() {
    let app = App::on(Table::nowhere().shipped(), unpaced());
    for (method, path, body) in [
        ("POST", "/tn", Some(json!({"value": TN}))),
        ("GET", "/tn", None),
        ("POST", "/session", Some(pair())),
        ("POST", "/", Some(flat(&fresh_id(), ALICE, TN, "hello"))),
        ("GET", "/health", None),
    ] {
        app.call(method, path, body).await.assert_error(503, "store_unavailable");
    }
    assert!(app.service.maintain().await.is_err());
    assert_eq!(app.provider.asked(), 0);
}

#[tokio::test]
async fn a_table_that_cannot_be_written_is_unhealthy_although_it_answers() {
    let (store, proxy) = FaultProxy::store().await;
    proxy.fail(WRITES, Fault::ServerError, u32::MAX);
    store.ping().await.unwrap();
    // By a write of its own, since there was none; then by the outcome of that one.
    for _ in 0..2 {
        assert!(store.check_writes().await.unwrap_err().is_retryable());
    }
}

#[tokio::test]
async fn health_goes_by_the_last_write_and_writes_nothing_itself_then() {
    let (store, proxy) = FaultProxy::store().await;
    store.add_tn(tn(1), at(0)).await.unwrap();
    assert!(!proxy.calls().is_empty());
    store.check_writes().await.unwrap();
    assert!(proxy.calls().is_empty());
    proxy.fail(WRITES, Fault::ServerError, u32::MAX);
    assert!(store.add_tn(tn(2), at(0)).await.is_err());
    proxy.recover();
    assert!(!proxy.calls().is_empty());
    assert!(store.check_writes().await.is_err(), "nothing has been written since");
    assert!(proxy.calls().is_empty());
    store.add_tn(tn(2), at(0)).await.unwrap();
    store.check_writes().await.unwrap();
}
