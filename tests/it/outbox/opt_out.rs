//! STOP and UNSTOP (docs/flowroute.md#opt-out).

use serde_json::json;
use test_support::{ALICE, BOB, Backend, EVE, Outcome, TN, fresh_number, on_each_backend};

on_each_backend! {
    stop_is_neither_relayed_nor_answered_and_nothing_more_is_sent_to_its_sender
    stop_among_other_words_is_a_text_like_any_other
    unstop_opts_in_again
    a_stranger_who_opted_out_is_not_answered
    a_session_gets_no_tn_that_a_participant_has_opted_out_of
    an_opt_out_that_flowroute_reports_counts_like_stop
    a_waiting_text_is_not_sent_to_a_recipient_who_has_opted_out_since
}

async fn stop_is_neither_relayed_nor_answered_and_nothing_more_is_sent_to_its_sender(backend: Backend) {
    for word in ["STOP", "stop", " Stop\n"] {
        let app = backend.app().await;
        let session = app.conversation(None).await;
        app.text(BOB, TN, word).await;
        assert_eq!(app.provider.asked(), 0);
        app.text(ALICE, TN, "are you there?").await;
        assert_eq!(app.provider.asked(), 0);
        let message = &app.messages(&session).await[2];
        assert_eq!(message["state"], "failed");
        assert!(message["reason"].as_str().unwrap().contains("opted out"), "{message}");
        app.text(BOB, TN, "I can still write").await;
        assert_eq!(app.provider.taken_by(), [(ALICE.to_owned(), "I can still write".to_owned())]);
        app.provider.clear();
        app.end_session(&session).await;
        let told: Vec<String> = app.provider.taken_by().into_iter().map(|(to, _)| to).collect();
        assert_eq!(told, [ALICE]);
    }
}

async fn stop_among_other_words_is_a_text_like_any_other(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    for body in ["STOP PLEASE", "please stop", "STOP it.", "UNSTOP me"] {
        app.text(ALICE, TN, body).await;
    }
    assert_eq!(app.provider.bodies(), ["STOP PLEASE", "please stop", "STOP it.", "UNSTOP me"]);
}

async fn unstop_opts_in_again(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    app.text(BOB, TN, "STOP").await;
    app.text(BOB, TN, "unstop").await;
    app.text(ALICE, TN, "welcome back").await;
    assert_eq!(app.provider.taken_by(), [(BOB.to_owned(), "welcome back".to_owned())]);
}

async fn a_stranger_who_opted_out_is_not_answered(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    app.text(EVE, TN, "STOP").await;
    app.text(EVE, TN, "who are you?").await;
    assert_eq!(app.provider.asked(), 0);
}

async fn a_session_gets_no_tn_that_a_participant_has_opted_out_of(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    app.text(BOB, TN, "STOP").await;
    app.end_session(&session).await;
    for (a, b, who) in [(ALICE, BOB, "participant_b"), (BOB, ALICE, "participant_a")] {
        let body = json!({"participant_a": a, "participant_b": b});
        let refused = app.call("POST", "/session", Some(body)).await;
        refused.assert_error(400, "participant_opted_out");
        let message = refused.json()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(&format!("{who} has opted out")), "{message}");
    }
    let other = fresh_number();
    app.add_tn(&other).await;
    for _ in 0..10 {
        let session = app.open_session(BOB, ALICE, None).await;
        assert_eq!(session["virtual_tn"], json!(other));
        app.end_session(&session).await;
    }
    assert_eq!(app.open_session(ALICE, EVE, None).await["participant_b"], EVE);
    app.open_session(ALICE, EVE, None).await;
    let body = json!({"participant_a": ALICE, "participant_b": BOB});
    app.call("POST", "/session", Some(body)).await.assert_error(400, "no_tn_available");
}

async fn an_opt_out_that_flowroute_reports_counts_like_stop(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    app.provider.always(Outcome::OptedOut);
    app.text(ALICE, TN, "hello?").await;
    app.provider.always(Outcome::Sent);
    app.text(ALICE, TN, "hello??").await;
    assert_eq!(app.provider.asked(), 1);
    app.text(BOB, TN, "UNSTOP").await;
    app.text(ALICE, TN, "hello!").await;
    assert_eq!(app.provider.bodies(), ["hello!"]);
}

async fn a_waiting_text_is_not_sent_to_a_recipient_who_has_opted_out_since(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    app.provider.always(Outcome::Busy);
    app.text(ALICE, TN, "hello?").await;
    app.provider.always(Outcome::Sent);
    app.text(BOB, TN, "STOP").await;
    app.settle_everything().await;
    assert_eq!((app.provider.taken(), app.relays(&session).await), (vec![], vec![json!("failed")]));
}
