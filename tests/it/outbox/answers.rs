//! Replies to strangers: automatic senders must not be able to spend the operator's money.

use chrono::TimeDelta;
use test_support::{ALICE, BOB, Backend, EVE, TN, flat, fresh_id, fresh_number, on_each_backend};

on_each_backend! {
    forty_texts_of_a_stranger_in_a_minute_get_three_replies
    the_quota_counts_each_tn_and_each_sender_separately
    many_strangers_get_thirty_replies_a_minute
    two_services_that_text_each_other_stop_replying
    a_participant_who_has_become_a_tn_is_sent_nothing
}

async fn forty_texts_of_a_stranger_in_a_minute_get_three_replies(backend: Backend) {
    let app = backend.app().await;
    app.add_tn(TN).await;
    for _ in 0..40 {
        app.text(EVE, TN, "win a prize").await;
        app.clock.advance(TimeDelta::milliseconds(1500));
    }
    assert_eq!(app.provider.asked(), 3);
    app.clock.advance(TimeDelta::minutes(59));
    app.text(EVE, TN, "an hour after the first").await;
    assert_eq!(app.provider.asked(), 4);
}

async fn the_quota_counts_each_tn_and_each_sender_separately(backend: Backend) {
    let app = backend.app().await;
    let other = fresh_number();
    app.add_tn(TN).await;
    app.add_tn(&other).await;
    for _ in 0..5 {
        app.text(EVE, TN, "hi").await;
        app.text(EVE, &other, "hi").await;
        app.text(BOB, TN, "hi").await;
    }
    assert_eq!(app.provider.asked(), 9);
}

async fn many_strangers_get_thirty_replies_a_minute(backend: Backend) {
    let app = backend.app().await;
    app.add_tn(TN).await;
    for _ in 0..50 {
        app.text(&fresh_number(), TN, "hi").await;
    }
    assert_eq!(app.provider.asked(), 30);
    app.clock.advance(TimeDelta::minutes(1));
    app.text(&fresh_number(), TN, "hi").await;
    assert_eq!(app.provider.asked(), 31);
}

async fn two_services_that_text_each_other_stop_replying(backend: Backend) {
    let (here, there) = (backend.app().await, backend.app().await);
    let (our_tn, their_tn) = (fresh_number(), fresh_number());
    here.add_tn(&our_tn).await;
    there.add_tn(&their_tn).await;
    here.text(&their_tn, &our_tn, "hello?").await;
    let mut carried = 0;
    loop {
        let mut quiet = true;
        for (from, to) in [(&here, &there), (&there, &here)] {
            for text in from.provider.taken() {
                to.text(&text.from, &text.to, &text.body).await;
                carried += 1;
                quiet = false;
            }
            from.provider.clear();
        }
        assert!(carried <= 10, "they talk to each other");
        if quiet {
            break;
        }
    }
}

async fn a_participant_who_has_become_a_tn_is_sent_nothing(backend: Backend) {
    let app = backend.app().await;
    app.conversation(Some(1)).await;
    app.clock.advance(TimeDelta::minutes(1));
    app.add_tn(ALICE).await;
    assert_eq!(app.maintain().await.expired, 1);
    let told: Vec<String> = app.provider.taken_by().into_iter().map(|(to, _)| to).collect();
    assert_eq!(told, [BOB]);
    assert_eq!(app.post(flat(&fresh_id(), ALICE, TN, "from one TN to another")).await.status, 200);
    assert_eq!(app.provider.asked(), 1);
}
