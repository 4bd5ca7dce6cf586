//! Notices in an export, and a notice at the store's own interface.

use super::{told, told_next};
use crate::{
    contract::fixtures::{
        Shared, alice, at, bob, conversation, due, messages, opt, refused, relay, sending, settled,
    },
    snapshot::{BACKENDS, snapshot_store::SnapshotStore},
};
use chrono::TimeDelta;
use sms_proxy::domain::{Kind, Message};
use std::sync::Arc;
use test_support::{ALICE, BOB, Backend, TN, on_each_backend};

on_each_backend! {
    a_notice_that_waits_is_sent_after_an_import
    a_lease_that_cannot_be_renewed_tells_the_sender_in_the_same_step
    a_store_without_words_tells_nobody
}

async fn a_notice_that_waits_is_sent_after_an_import(backend: Backend) {
    for target in BACKENDS {
        let source = SnapshotStore::of(backend).await;
        let app = &source.app;
        app.conversation(None).await;
        super::refused(app, ALICE, TN).await;
        super::refused(app, BOB, TN).await;
        let file = source.export().await;
        let moved = SnapshotStore::beside(&source, target).await;
        moved.import(&file).await.unwrap();
        moved.app.maintain().await;
        let mut told = told(&moved.app);
        told.sort();
        assert_eq!(told, [ALICE, BOB]);
        for (minutes, expected) in [(0, 0), (59, 0), (1, 1)] {
            moved.app.clock.advance(TimeDelta::minutes(minutes));
            super::refused(&moved.app, ALICE, TN).await;
            assert_eq!(told_next(&moved.app).await, vec![ALICE; expected], "{minutes} minutes later");
        }
    }
}

/// The notices of a session.
async fn notices_of(store: &Shared, message: &Message) -> Vec<Message> {
    let session = message.outbound.text.session.unwrap();
    let mut all = messages(store, session).await;
    all.retain(|message| message.outbound.text.kind == Kind::NotDelivered);
    all
}

async fn a_lease_that_cannot_be_renewed_tells_the_sender_in_the_same_step(backend: Backend) {
    let app = backend.app().await;
    let store = Arc::clone(&app.store).telling_senders("words");
    let session = conversation(&store, None).await;
    let leased = sending(&store, relay(&session), 1).await;
    opt(&store, session.tn, bob(), true, 2).await;
    assert_eq!(store.renew(&leased, at(3), at(33)).await.unwrap(), None);
    let notices = notices_of(&store, &leased).await;
    assert_eq!((notices.len(), notices[0].outbound.text.to), (1, alice()));
    assert_eq!(due(&store, 3).await, [notices[0].outbound.id], "due immediately");
    let notice = store.lease(notices[0].outbound.id, at(4), at(34)).await.unwrap().unwrap();
    assert_eq!(notice.outbound.text.content.body, "words");
    // A notice that failed causes none, and does not count as not told.
    settled(&store, &notice, refused(false), 5).await;
    let again = sending(&store, relay(&session), 6).await;
    settled(&store, &again, refused(false), 7).await;
    assert_eq!(notices_of(&store, &leased).await.len(), 1);
}

async fn a_store_without_words_tells_nobody(backend: Backend) {
    let app = backend.app().await;
    let session = conversation(&app.store, None).await;
    for store in [Arc::clone(&app.store), Arc::clone(&app.store).telling_senders("")] {
        let leased = sending(&store, relay(&session), 1).await;
        settled(&store, &leased, refused(false), 3).await;
        assert_eq!(notices_of(&store, &leased).await, []);
    }
}
