//! After an import the service goes on as if nothing had happened.

use super::{
    BACKENDS,
    populated_store::{POOL, PopulatedStore, RELAYED, STATUSES, STOPPED, receipt, tn_of},
    snapshot_store::SnapshotStore,
};
use chrono::TimeDelta;
use serde_json::{Value, json};
use sms_proxy::provider::Listed;
use std::collections::BTreeSet;
use test_support::{ALICE, App, BOB, Backend, EVE, flat, fresh_number, number, on_each_backend};

on_each_backend! {
    the_conversations_continue
    stored_ids_are_recognised_as_duplicates
    each_message_of_the_outbox_is_sent_once
    a_receipt_finds_its_message
    only_free_tns_are_picked
}

on_each_backend! { slow:
    opted_out_people_are_blocked
    a_late_text_is_not_relayed_to_the_senders_next_partner
}

/// The source, and the stores that it was moved to.
async fn moved(backend: Backend) -> (PopulatedStore, Vec<SnapshotStore>) {
    let source = PopulatedStore::on(backend).await;
    let file = source.store.export().await;
    let mut targets = Vec::new();
    for target in BACKENDS {
        let target = SnapshotStore::beside(&source.store, target).await;
        target.import(&file).await.unwrap();
        targets.push(target);
    }
    (source, targets)
}

fn pairs<const N: usize>(texts: [(&str, &str); N]) -> Vec<(String, String)> {
    let mut texts: Vec<_> = texts.map(|(to, body)| (to.to_owned(), body.to_owned())).into();
    texts.sort();
    texts
}

async fn the_conversations_continue(backend: Backend) {
    let (source, targets) = moved(backend).await;
    for SnapshotStore { app, .. } in &targets {
        app.text(ALICE, tn_of(&source.talk), "still here?").await;
        app.text(BOB, tn_of(&source.talk), "yes").await;
        app.text(&number(6), tn_of(&source.later), "me too").await;
        let five = number(5);
        assert_eq!(app.provider.taken_by(), pairs([(BOB, "still here?"), (ALICE, "yes"), (&five, "me too")]));
        app.end_session(&source.talk).await;
        app.provider.clear();
        app.text(ALICE, tn_of(&source.talk), "and now?").await;
        assert!(app.provider.bodies()[0].contains("An active session was not found"));
        app.clock.advance(TimeDelta::minutes(10_000));
        assert_eq!(app.call("GET", "/session", None).await.json()["total_sessions"], 2);
    }
}

async fn stored_ids_are_recognised_as_duplicates(backend: Backend) {
    let (source, targets) = moved(backend).await;
    for SnapshotStore { app, .. } in &targets {
        app.post(flat(RELAYED, ALICE, tn_of(&source.talk), "the first")).await;
        app.post(flat(STOPPED, &number(3), tn_of(&source.blocked), "an id that opted out before")).await;
        assert_eq!(app.provider.asked(), 0);
    }
}

async fn opted_out_people_are_blocked(backend: Backend) {
    let (source, targets) = moved(backend).await;
    for SnapshotStore { app, .. } in &targets {
        let tn = tn_of(&source.blocked);
        app.text(&number(3), tn, "to the other").await;
        app.text(&number(4), tn, "and back").await;
        assert_eq!(app.provider.asked(), 0);
        app.text(&number(3), tn, "unstop").await;
        app.text(&number(4), tn, "welcome back").await;
        assert_eq!(app.provider.taken_by(), pairs([(number(3).as_str(), "welcome back")]));
        app.end_session(&source.blocked).await;
        // Eve is no longer opted out, and person 4 is: only of that TN.
        for _ in 0..POOL {
            let body = json!({"participant_a": number(4), "participant_b": fresh_number()});
            let answer = app.call("POST", "/session", Some(body)).await.json();
            assert_ne!(answer["virtual_tn"], json!(tn));
        }
        app.open_session(EVE, &fresh_number(), None).await;
    }
}

async fn each_message_of_the_outbox_is_sent_once(backend: Backend) {
    let (source, targets) = moved(backend).await;
    let unheard =
        source.store.app.provider.taken().into_iter().find(|text| text.body == "unheard of").unwrap();
    for SnapshotStore { app, .. } in &targets {
        app.provider.edit_list(|rows| {
            let (from, to) = (unheard.from.parse().unwrap(), unheard.to.parse().unwrap());
            let (id, body) = ("mdr2-row".to_owned(), unheard.body.clone());
            rows.push(Listed { id, from, to, body, sent_at: None });
        });
        app.settle_everything().await;
        let expired = "[YOUR ORG NAME]: This session has expired.";
        let sent = pairs([
            (BOB, "busy now, to be sent later"),
            (ALICE, "busy with a picture"),
            (BOB, "lost but looked for once"),
            (&number(7), expired),
            (&number(8), expired),
        ]);
        assert_eq!(app.provider.taken_by(), sent);
        let picture = app.provider.taken().into_iter().find(|text| !text.media_urls.is_empty()).unwrap();
        assert_eq!(picture.media_urls.len(), 2);
        assert_eq!(app.relays(&source.expired).await, ["cancelled"]);
        assert_eq!(app.relays(&source.later).await, ["sent"]);
        let found = app.messages(&source.later).await[2].clone();
        assert_eq!(found["provider_id"], "mdr2-row");
        let all: BTreeSet<String> = states(app, &source.all).await;
        assert_eq!(all, ["cancelled", "failed", "sent", "unknown"].map(String::from).into());
        app.settle_everything().await;
        assert_eq!(app.provider.taken().len(), sent.len());
    }
}

async fn states(app: &App, sessions: &[Value]) -> BTreeSet<String> {
    let mut states = BTreeSet::new();
    for session in sessions {
        let messages = app.messages(session).await.into_iter();
        states.extend(messages.map(|message| message["state"].as_str().unwrap().to_owned()));
    }
    states
}

async fn a_receipt_finds_its_message(backend: Backend) {
    let (source, targets) = moved(backend).await;
    for SnapshotStore { app, .. } in &targets {
        let messages = app.messages(&source.talk).await;
        let delivery = |messages: &[Value], n: usize| messages[n]["delivery"]["status"].clone();
        // A receipt of this level is stored for the first message; for the second there is none.
        receipt(app, &messages[0], false, 2, json!("again")).await;
        assert_eq!(delivery(&app.messages(&source.talk).await, 0), STATUSES[2]);
        assert_eq!(app.messages(&source.talk).await[0], messages[0]);
        receipt(app, &messages[1], false, 1, json!("new")).await;
        assert_eq!(delivery(&app.messages(&source.talk).await, 1), STATUSES[1]);
        // One that is unknown is settled by its receipt.
        let unknown = app.messages(&source.later).await[2].clone();
        assert_eq!(unknown["state"], "unknown");
        receipt(app, &unknown, true, 1, Value::Null).await;
        assert_eq!(app.relays(&source.later).await, ["sent"]);
    }
}

async fn only_free_tns_are_picked(backend: Backend) {
    let (source, targets) = moved(backend).await;
    let in_use = [&source.all[0], &source.talk, &source.blocked, &source.later].map(tn_of);
    for SnapshotStore { app, .. } in &targets {
        for tn in in_use {
            app.call("DELETE", &format!("/tn/{tn}"), None).await.assert_error(400, "tn_in_use");
            let again = json!({"value": tn});
            app.call("POST", "/tn", Some(again)).await.assert_error(400, "duplicate_tn");
        }
        let mut picked: BTreeSet<String> = in_use.map(String::from).into();
        // One more than there are free ones is that of the session that has expired.
        for _ in in_use.len()..POOL as usize {
            let session = app.open_session(&fresh_number(), &fresh_number(), None).await;
            assert!(picked.insert(tn_of(&session).to_owned()), "a TN in use was picked");
        }
        assert_eq!(picked.len(), POOL as usize);
        let body = json!({"participant_a": fresh_number(), "participant_b": fresh_number()});
        app.call("POST", "/session", Some(body)).await.assert_error(400, "no_tn_available");
        app.settle_everything().await;
        let told = app.provider.bodies().into_iter().filter(|body| body.contains("has expired")).count();
        assert_eq!(told, 2, "making room for the last one ended the expired session");
    }
}

async fn a_late_text_is_not_relayed_to_the_senders_next_partner(backend: Backend) {
    // The next session is opened before the export, or after the import.
    for reopened in [true, false] {
        let source = PopulatedStore::on(backend).await;
        let tn = tn_of(&source.talk);
        let before = &source.store.app;
        let late = json!({"data": {"id": "mdr2-late", "type": "message", "attributes": {
            "from": ALICE, "to": tn, "body": "where are you?", "timestamp": before.clock.now().to_rfc3339()
        }}});
        before.clock.advance(TimeDelta::seconds(9));
        before.end_session(&source.talk).await;
        if reopened {
            take(before, tn).await;
        }
        let file = source.store.export().await;
        for target in BACKENDS {
            let target = SnapshotStore::beside(&source.store, target).await;
            target.import(&file).await.unwrap();
            if !reopened {
                take(&target.app, tn).await;
            }
            target.app.provider.clear();
            assert_eq!(target.app.post(&late).await.status, 200);
            assert_eq!(target.app.provider.taken(), [], "{reopened}");
        }
    }
}

/// Opens sessions of Alice with others until one is on this TN.
async fn take(app: &App, tn: &str) {
    for _ in 0..=POOL {
        let session = app.open_session(ALICE, &fresh_number(), None).await;
        if tn_of(&session) == tn {
            return;
        }
    }
    panic!("the TN is not picked");
}
