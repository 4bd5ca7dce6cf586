//! STOP and UNSTOP (docs/flowroute.md#opt-out).

use serde_json::json;
use test_support::{ALICE, BOB, Backend, EVE, NOT_DELIVERED, Outcome, TN, fresh_number, on_each_backend};

on_each_backend! {
    stop_is_neither_relayed_nor_answered_and_nothing_more_is_sent_to_its_sender
    stop_among_other_words_is_a_text_like_any_other
    unstop_opts_in_again
    a_stranger_who_opted_out_is_not_answered
    a_session_gets_no_tn_that_a_participant_has_opted_out_of
    an_opt_out_that_flowroute_reports_counts_like_stop
    a_waiting_text_is_not_sent_to_a_recipient_who_has_opted_out_since
    a_forged_opt_out_is_listed_and_lifted
    an_opt_out_that_does_not_exist_is_not_lifted
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
    assert_eq!(app.provider.taken_by(), [(ALICE.to_owned(), NOT_DELIVERED.to_owned())]);
    assert_eq!(app.relays(&session).await, ["failed"]);
}

async fn a_forged_opt_out_is_listed_and_lifted(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    let other = fresh_number();
    app.add_tn(&other).await;
    let of_bob = format!("/opt-out?number={BOB}");
    assert_eq!(app.call("GET", &of_bob, None).await.json(), json!({"number": BOB, "virtual_tns": []}));
    app.text(BOB, TN, "STOP").await;
    app.text(BOB, &other, "STOP").await;
    let mut both = [TN, &other];
    both.sort_unstable();
    assert_eq!(app.call("GET", &of_bob, None).await.json(), json!({"number": BOB, "virtual_tns": both}));

    let lift = json!({"number": format!("+{BOB}"), "virtual_tn": TN});
    let lifted = app.call("DELETE", "/opt-out", Some(lift.clone())).await;
    assert_eq!(
        (lifted.status, lifted.json()),
        (200, json!({"message": "successfully lifted opt-out", "number": BOB, "virtual_tn": TN}))
    );
    let left = app.call("GET", &of_bob, None).await.json();
    assert_eq!(left, json!({"number": BOB, "virtual_tns": [other]}));
    app.text(ALICE, TN, "are you there?").await;
    assert_eq!(app.provider.taken_by(), [(BOB.to_owned(), "are you there?".to_owned())]);
    assert_eq!(app.relays(&session).await, ["sent"]);
    app.call("DELETE", "/opt-out", Some(lift)).await.assert_error(404, "opt_out_not_found");
}

async fn an_opt_out_that_does_not_exist_is_not_lifted(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    app.text(ALICE, TN, "STOP").await;
    for (body, status, reason) in [
        (json!({"number": BOB, "virtual_tn": TN}), 404, "opt_out_not_found"),
        (json!({"number": ALICE, "virtual_tn": fresh_number()}), 404, "opt_out_not_found"),
        (json!({"number": ALICE}), 400, "missing_field"),
        (json!({"virtual_tn": TN}), 400, "missing_field"),
        (json!({"number": "911", "virtual_tn": TN}), 400, "invalid_number"),
        (json!({"number": ALICE, "virtual_tn": TN, "all": true}), 400, "unknown_field"),
    ] {
        app.call("DELETE", "/opt-out", Some(body)).await.assert_error(status, reason);
    }
    app.call("GET", "/opt-out", None).await.assert_error(400, "missing_field");
    app.call("GET", "/opt-out?number=911", None).await.assert_error(400, "invalid_number");
    let listed = app.call("GET", &format!("/opt-out?number={ALICE}"), None).await.json();
    assert_eq!(listed["virtual_tns"], json!([TN]));
}
