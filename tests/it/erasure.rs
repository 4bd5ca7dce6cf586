//! The erasure of a person: what it ends, what it leaves, and what happens at the same moment.

mod interrupted;
mod races;

use crate::snapshot::snapshot_store::SnapshotStore;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use serde_json::{Value, json};
use sms_proxy::{domain::SenderLimit, service::Options};
use std::process::Command;
use test_support::{
    ALICE, App, BOB, Backend, EVE, Outcome, TN, flat, fresh_id, number, on_each_backend, unpaced,
};

const PATH: &str = "/participant/erase";
const ONE_A_MINUTE: SenderLimit = SenderLimit { per_minute: 1, per_day: 100 };
const END: &str = "[YOUR ORG NAME]: This session has ended, talk to you again soon!";

on_each_backend! {
    an_erased_person_leaves_no_trace_but_a_hashed_opt_out
    an_erasure_ends_the_persons_sessions_and_tells_only_the_others
    what_is_on_its_way_to_or_from_an_erased_person_is_not_sent_later
    texts_that_wait_for_their_turn_are_not_sent_after_an_erasure
    a_lost_or_late_outcome_does_not_bring_the_number_back
    an_erased_person_can_have_a_new_session
    the_other_participant_keeps_what_is_not_about_the_person
    a_tn_of_the_pool_stays_in_the_pool
    a_number_that_is_none_is_refused
    opt_outs_of_an_erased_person_outlast_a_move_to_another_store
}

/// Erases this person; the answer.
pub async fn erase(app: &App, person: &str) -> Value {
    let answer = app.call("POST", PATH, Some(json!({"number": person}))).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.json()
}

/// The counts of an answer: sessions ended, sessions, messages and other records erased.
pub fn counts(answer: &Value) -> [u64; 4] {
    ["sessions_ended", "sessions_erased", "messages_erased", "other_records_erased"]
        .map(|name| answer[name].as_u64().unwrap())
}

/// Where this number stands in the files or the table, its indexes included.
pub async fn found(store: &SnapshotStore, person: &str) -> Vec<String> {
    let Some(table) = &store.table else { return found_in_files(store, person) };
    let mut found = Vec::new();
    for index in [None, Some("by_pending"), Some("by_pair"), Some("by_provider")] {
        let scan = table.client.scan().table_name(&table.name).set_index_name(index.map(str::to_owned));
        let items = scan.send().await.unwrap().items.unwrap();
        let texts = items.iter().map(|item| format!("{index:?}: {item:?}"));
        found.extend(texts.filter(|text| text.contains(person)));
    }
    found
}

/// Read by another process: SQLite's locks end when this process closes one of the files.
fn found_in_files(store: &SnapshotStore, person: &str) -> Vec<String> {
    let path = store.settings().iter().find(|(name, _)| *name == "SQLITE_PATH").unwrap().1.to_owned();
    // SQLite writes an integer of this size in six bytes.
    let integer = &person.parse::<u64>().unwrap().to_be_bytes()[2..];
    let mut found = Vec::new();
    for suffix in ["", "-wal", "-shm"] {
        let read = Command::new("cat").arg(format!("{path}{suffix}")).output().unwrap();
        assert!(read.status.success());
        for form in [person.as_bytes(), integer] {
            if read.stdout.windows(form.len()).any(|window| window == form) {
                found.push(format!("{form:?} in the file {suffix}"));
            }
        }
    }
    found
}

fn tn(session: &Value) -> String {
    session["virtual_tn"].as_str().unwrap().to_owned()
}

/// Alice with a history of every kind: sessions that are ended, live and expired, texts sent, waiting and unknown,
/// receipts, an answer to a stranger, and an opt-out of the number that is returned.
async fn history(store: &SnapshotStore) -> String {
    let app = &store.app;
    for n in 0..40 {
        app.add_tn(&number(1000 + n)).await;
    }
    for n in 0..30 {
        let other = app.open_session(&number(n), &number(500 + n), None).await;
        app.text(&number(n), &tn(&other), "a text of others").await;
    }
    let ended = app.open_session(ALICE, BOB, None).await;
    app.text(ALICE, &tn(&ended), "hello").await;
    app.text(BOB, &tn(&ended), "hello").await;
    let receipt = json!({"data": {"type": "delivery_receipt", "id": app.messages(&ended).await[0]["provider_id"],
        "attributes": {"level": 2, "status": "delivered", "status_code": "1004"}}});
    assert_eq!(app.post(receipt).await.status, 200);
    app.end_session(&ended).await;
    app.text(ALICE, &tn(&ended), "is anybody there?").await;
    app.open_session(EVE, ALICE, Some(1)).await;
    app.clock.advance(TimeDelta::minutes(2));
    let live = app.open_session(BOB, ALICE, None).await;
    for outcome in [Outcome::Busy, Outcome::LostNoResponse] {
        app.provider.always(outcome);
        app.text(ALICE, &tn(&live), "on its way").await;
        app.text(BOB, &tn(&live), "on its way").await;
    }
    app.provider.always(Outcome::Sent);
    let barred = number(1999);
    app.add_tn(&barred).await;
    app.text(ALICE, &barred, "STOP").await;
    barred
}

async fn an_erased_person_leaves_no_trace_but_a_hashed_opt_out(backend: Backend) {
    let store = SnapshotStore::of(backend).await;
    let app = &store.app;
    let barred = history(&store).await;
    assert_ne!(found(&store, ALICE).await, Vec::<String>::new());
    let of_bob = found(&store, BOB).await;

    let answer = erase(app, ALICE).await;
    let [ended, sessions, messages, others] = counts(&answer);
    assert_eq!((ended, sessions), (2, 3));
    assert!(messages >= 6 && others >= 3, "{answer}");
    assert!(answer["not_erased"].as_array().unwrap().len() >= 4);
    assert_eq!(found(&store, ALICE).await, Vec::<String>::new());
    assert_eq!(of_bob.is_empty(), found(&store, BOB).await.is_empty());
    assert_eq!(counts(&erase(app, ALICE).await), [0; 4]);

    let listed = async || app.call("GET", &format!("/opt-out?number={ALICE}"), None).await.json();
    assert_eq!(listed().await, json!({"number": ALICE, "virtual_tns": [barred]}));
    let body = json!({"participant_a": ALICE, "participant_b": BOB, "virtual_tn": barred});
    app.call("POST", "/session", Some(body)).await.assert_error(400, "tn_unavailable");
    app.text(ALICE, &barred, "who is there?").await;
    assert!(app.provider.taken().iter().all(|text| text.from != barred || text.to != ALICE));
    assert_eq!(found(&store, ALICE).await, Vec::<String>::new());
    let lift = json!({"number": ALICE, "virtual_tn": barred});
    assert_eq!(app.call("DELETE", "/opt-out", Some(lift)).await.status, 200);
    assert_eq!(listed().await["virtual_tns"], json!([]));
}

async fn an_erasure_ends_the_persons_sessions_and_tells_only_the_others(backend: Backend) {
    let store = SnapshotStore::of(backend).await;
    let app = &store.app;
    let live = app.conversation(None).await;
    app.add_tn(&number(1)).await;
    let expired = app.open_session(EVE, ALICE, Some(1)).await;
    app.clock.advance(TimeDelta::minutes(2));
    app.provider.clear();
    assert_eq!(counts(&erase(app, &format!("+{ALICE}")).await)[..2], [2, 2]);
    let mut told: Vec<String> = app.provider.taken_by().into_iter().map(|(to, _)| to).collect();
    told.sort_unstable();
    assert_eq!(told, [BOB, EVE]);
    assert!(app.provider.taken_by().contains(&(BOB.to_owned(), END.to_owned())));
    for session in [&live, &expired] {
        let id = session["session_id"].as_str().unwrap();
        app.call("GET", &format!("/session/{id}"), None).await.assert_error(404, "session_not_found");
        let messages = format!("/message?session_id={id}");
        app.call("GET", &messages, None).await.assert_error(404, "session_not_found");
    }
    assert_eq!(app.pool().await.1, 0);
    app.settle_everything().await;
    assert_eq!(app.provider.asked(), 2);
}

async fn what_is_on_its_way_to_or_from_an_erased_person_is_not_sent_later(backend: Backend) {
    let store = SnapshotStore::of(backend).await;
    let app = &store.app;
    app.conversation(None).await;
    app.provider.always(Outcome::Busy);
    app.text(ALICE, TN, "from her").await;
    app.text(BOB, TN, "to her").await;
    app.provider.always(Outcome::LostNoResponse);
    app.text(ALICE, TN, "from her, lost").await;
    let id = fresh_id();
    let lost = flat(&id, BOB, TN, "to her, lost");
    assert_eq!(app.post(&lost).await.status, 200);
    app.provider.always(Outcome::Sent);
    app.provider.clear();
    erase(app, ALICE).await;
    assert_eq!(app.post(lost).await.status, 200, "a text that is posted again is recognised");
    for _ in 0..4 {
        app.clock.advance(TimeDelta::minutes(20));
        app.maintain().await;
    }
    assert_eq!(app.provider.taken_by(), [(BOB.to_owned(), END.to_owned())]);
    assert_eq!(found(&store, ALICE).await, Vec::<String>::new());
}

async fn texts_that_wait_for_their_turn_are_not_sent_after_an_erasure(backend: Backend) {
    for erased in [ALICE, BOB] {
        let app = backend.app_with(Options { sender_limit: ONE_A_MINUTE, ..unpaced() }).await;
        let session = app.conversation(None).await;
        for n in 0..4 {
            app.text(ALICE, TN, &format!("text {n}")).await;
        }
        // Texts of one moment are listed in any order.
        let mut states: Vec<String> =
            app.relays(&session).await.iter().map(|state| state.as_str().unwrap().to_owned()).collect();
        states.sort();
        assert_eq!(states, ["sent", "waiting", "waiting", "waiting"]);
        app.provider.clear();
        assert_eq!(counts(&erase(&app, erased).await)[..2], [1, 1]);
        for _ in 0..4 {
            app.clock.advance(TimeDelta::minutes(1));
            app.maintain().await;
        }
        assert_eq!(app.provider.bodies(), [END], "only the other one is told");
        assert_ne!(app.provider.taken_by()[0].0, erased);
    }
}

async fn a_lost_or_late_outcome_does_not_bring_the_number_back(backend: Backend) {
    let store = SnapshotStore::of(backend).await;
    let app = &store.app;
    let session = app.conversation(None).await;
    app.provider.always(Outcome::SentNoResponse);
    app.text(BOB, TN, "taken, but nobody heard so").await;
    app.provider.always(Outcome::Sent);
    app.text(BOB, TN, "taken").await;
    let messages = app.messages(&session).await;
    erase(app, ALICE).await;
    for message in &messages {
        let receipt = json!({"data": {"type": "delivery_receipt", "id": message["provider_id"],
            "attributes": {"level": 2, "status": "delivered", "status_code": "1004"}}});
        let request = axum::http::Request::post(format!("/?m={}", message["id"].as_str().unwrap()));
        let request = request.header("content-type", "application/json");
        assert_eq!(app.send(request.body(receipt.to_string().into()).unwrap()).await.status, 200);
    }
    app.settle_everything().await;
    assert_eq!(found(&store, ALICE).await, Vec::<String>::new());
    assert_eq!(counts(&erase(app, ALICE).await), [0; 4]);
}

async fn an_erased_person_can_have_a_new_session(backend: Backend) {
    let store = SnapshotStore::of(backend).await;
    let app = &store.app;
    app.conversation(None).await;
    erase(app, ALICE).await;
    app.open_session(ALICE, EVE, None).await;
    app.provider.clear();
    app.text(ALICE, TN, "hello again").await;
    assert_eq!(app.provider.taken_by(), [(EVE.to_owned(), "hello again".to_owned())]);
    assert_eq!(counts(&erase(app, ALICE).await)[..2], [1, 1]);
    assert_eq!(found(&store, ALICE).await, Vec::<String>::new());
}

/// What Bob sent before the end of the session still goes to nobody else.
async fn the_other_participant_keeps_what_is_not_about_the_person(backend: Backend) {
    let store = SnapshotStore::of(backend).await;
    let app = &store.app;
    app.conversation(None).await;
    let sent_at = app.clock.now();
    app.clock.advance(TimeDelta::seconds(10));
    erase(app, ALICE).await;
    app.clock.advance(TimeDelta::seconds(10));
    app.open_session(BOB, EVE, None).await;
    app.provider.clear();
    let late = json!({"data": {"type": "message", "id": fresh_id(), "attributes": {
        "to": TN, "from": BOB, "body": "for Alice only", "timestamp": sent_at.to_rfc3339()}}});
    assert_eq!(app.post(late).await.status, 200);
    assert_eq!(app.provider.bodies(), Vec::<String>::new());
    app.text(BOB, TN, "for Eve").await;
    assert_eq!(app.provider.taken_by()[0], (EVE.to_owned(), "for Eve".to_owned()));
}

async fn a_tn_of_the_pool_stays_in_the_pool(backend: Backend) {
    let store = SnapshotStore::of(backend).await;
    let app = &store.app;
    let session = app.conversation(None).await;
    assert_eq!(counts(&erase(app, TN).await), [0; 4]);
    assert_eq!(app.pool().await, (0, 1));
    app.text(ALICE, TN, "still here").await;
    assert_eq!(app.relays(&session).await, ["sent"]);
    assert_eq!(app.call("GET", &format!("/tn/{TN}"), None).await.status, 200);
}

async fn a_number_that_is_none_is_refused(backend: Backend) {
    let store = SnapshotStore::of(backend).await;
    let app = &store.app;
    let session = app.conversation(None).await;
    for (body, reason) in [
        (json!({}), "missing_field"),
        (json!({"number": null}), "invalid_number"),
        (json!({"number": ""}), "invalid_number"),
        (json!({"number": "911"}), "invalid_number"),
        (json!({"number": "2065551212"}), "invalid_number"),
        (json!({"number": "442065551212"}), "invalid_number"),
        (json!({"number": "1 206 555 1212"}), "invalid_number"),
        (json!({"number": "%"}), "invalid_number"),
        (json!({"number": [ALICE]}), "invalid_number"),
        (json!({"number": 1.5}), "invalid_number"),
        (json!({"number": ALICE, "numbers": [BOB]}), "unknown_field"),
        (json!([ALICE]), "malformed_json"),
    ] {
        app.call("POST", PATH, Some(body)).await.assert_error(400, reason);
    }
    for method in ["GET", "DELETE", "PUT"] {
        app.call(method, PATH, None).await.assert_error(405, "method_not_allowed");
    }
    app.text(ALICE, TN, "still here").await;
    assert_eq!(app.relays(&session).await, ["sent"]);
    // A JSON integer is a number, as elsewhere.
    let answer = app.call("POST", PATH, Some(json!({"number": ALICE.parse::<u64>().unwrap()}))).await;
    assert_eq!(counts(&answer.json())[..2], [1, 1]);
}

async fn opt_outs_of_an_erased_person_outlast_a_move_to_another_store(backend: Backend) {
    let source = SnapshotStore::of(backend).await;
    source.app.conversation(None).await;
    source.app.text(ALICE, TN, "STOP").await;
    erase(&source.app, ALICE).await;
    let file = source.export().await;
    assert!(!file.contains(ALICE));
    for target in [Backend::Sqlite, Backend::Dynamodb] {
        let target = SnapshotStore::beside(&source, target).await;
        target.import(&file).await.unwrap();
        assert_eq!(target.export().await, file);
        let listed = target.app.call("GET", &format!("/opt-out?number={ALICE}"), None).await.json();
        assert_eq!(listed["virtual_tns"], json!([TN]));
        let body = json!({"participant_a": BOB, "participant_b": ALICE});
        target.app.call("POST", "/session", Some(body)).await.assert_error(400, "participant_opted_out");
    }
}

#[tokio::test]
async fn a_person_who_has_opted_out_of_a_live_session_is_blocked_after_an_import_into_dynamodb() {
    let source = SnapshotStore::of(Backend::Sqlite).await;
    let session = source.app.conversation(None).await;
    source.app.text(BOB, TN, "STOP").await;
    let target = SnapshotStore::beside(&source, Backend::Dynamodb).await;
    target.import(source.export().await).await.unwrap();
    target.app.text(ALICE, TN, "are you there?").await;
    assert_eq!(target.app.relays(&session).await, ["failed"]);
    let items = target.table.as_ref().unwrap().client.scan().table_name(&target.table.as_ref().unwrap().name);
    let items = items.send().await.unwrap().items.unwrap();
    let flag = |item: &&std::collections::HashMap<String, AttributeValue>| item.contains_key("b_opted_out");
    assert_eq!(items.iter().filter(flag).count(), 2);
}
