//! TNs that several sessions share, and what callers can do about TNs and sessions.

use chrono::TimeDelta;
use serde_json::{Value, json};
use sms_proxy::{domain::Sharing, service::Options};
use test_support::{ALICE, App, BOB, Backend, EVE, TN, number, on_each_backend, unpaced};

const OTHER_TN: &str = "12062992130";

on_each_backend! {
    each_text_reaches_the_partner_of_its_sender_and_nobody_else
    the_lists_show_how_tns_are_shared
    tns_of_one_session_show_what_they_always_showed
    a_draining_tn_gets_no_new_session
    a_session_can_be_opened_on_a_chosen_tn
    a_session_that_has_expired_is_ended_to_make_room
    the_expiry_of_a_session_can_be_changed
    sessions_are_listed_by_participant_and_by_tn
    a_notice_of_one_session_reaches_its_two_people_only
}

fn sharing(sessions_per_tn: u32, strict: bool) -> Options {
    let sharing = Sharing { sessions_per_tn, strict, ..Sharing::default() };
    Options { sharing, ..unpaced() }
}

/// Two TNs with room for this many sessions each.
async fn shared(backend: Backend, sessions_per_tn: u32) -> App {
    let app = backend.app_with(sharing(sessions_per_tn, false)).await;
    app.add_tn(TN).await;
    app.add_tn(OTHER_TN).await;
    app
}

fn tn_of(session: &Value) -> &str {
    session["virtual_tn"].as_str().unwrap()
}

fn id_of(session: &Value) -> &str {
    session["session_id"].as_str().unwrap()
}

async fn each_text_reaches_the_partner_of_its_sender_and_nobody_else(backend: Backend) {
    let app = shared(backend, 5).await;
    let couples: Vec<[String; 2]> = (0..10).map(|n| [number(2 * n + 10), number(2 * n + 11)]).collect();
    let mut sessions = Vec::new();
    for [a, b] in &couples {
        sessions.push(app.open_session(a, b, None).await);
    }
    app.provider.clear();
    for (session, [a, b]) in sessions.iter().zip(&couples) {
        for (from, to) in [(a, b), (b, a)] {
            app.text(from, tn_of(session), "are you there?").await;
            let taken = app.provider.taken();
            assert_eq!(taken.len(), 1);
            assert_eq!((&taken[0].to, taken[0].from.as_str()), (to, tn_of(session)));
            app.provider.clear();
        }
        // On the other TN nobody knows the sender.
        let other = if tn_of(session) == TN { OTHER_TN } else { TN };
        app.text(a, other, "are you there?").await;
        assert_eq!(app.provider.taken()[0].to, *a);
        assert!(app.provider.bodies()[0].contains("An active session was not found"));
        app.provider.clear();
    }
    let pair = json!({"participant_a": number(90), "participant_b": number(91)});
    app.call("POST", "/session", Some(pair)).await.assert_error(400, "no_tn_available");
}

async fn the_lists_show_how_tns_are_shared(backend: Backend) {
    let app = shared(backend, 3).await;
    let mut sessions = Vec::new();
    for n in 0..4 {
        let pair = json!({"participant_a": number(2 * n + 10), "participant_b": number(2 * n + 11),
            "virtual_tn": if n == 3 { OTHER_TN } else { TN }});
        sessions.push(app.call("POST", "/session", Some(pair)).await.json());
    }
    let other = format!(
        r#"{{"draining":false,"session_id":"{}","sessions":1,"value":"{OTHER_TN}"}}"#,
        id_of(&sessions[3])
    );
    let first = format!(r#"{{"draining":false,"session_id":null,"sessions":3,"value":"{TN}"}}"#);
    let list = format!(
        r#"{{"available":0,"in_use":2,"pool_size":2,"room":2,"total_sessions":4,"virtual_tns":[{first},{other}]}}"#
    );
    assert_eq!(app.call("GET", "/tn", None).await.body, list);
    assert_eq!(app.call("GET", &format!("/tn/{OTHER_TN}"), None).await.body, other);
    let refused = app.call("DELETE", &format!("/tn/{TN}"), None).await;
    refused.assert_error(400, "tn_in_use");
    assert!(
        refused.body.contains("3 sessions") && refused.body.contains("GET /session?virtual_tn="),
        "{refused:?}"
    );
    let refused = app.call("DELETE", &format!("/tn/{OTHER_TN}"), None).await;
    assert!(refused.body.contains(id_of(&sessions[3])), "{refused:?}");
}

async fn tns_of_one_session_show_what_they_always_showed(backend: Backend) {
    let app = backend.app().await;
    app.add_tn(TN).await;
    let session = app.open_session(ALICE, BOB, None).await;
    let tn = format!(r#"{{"session_id":"{}","value":"{TN}"}}"#, id_of(&session));
    let list = format!(r#"{{"available":0,"in_use":1,"pool_size":1,"virtual_tns":[{tn}]}}"#);
    assert_eq!(app.call("GET", "/tn", None).await.body, list);
    assert_eq!(app.call("GET", &format!("/tn/{TN}"), None).await.body, tn);
    let refused = app.call("DELETE", &format!("/tn/{TN}"), None).await;
    let message = format!("this TN is in use by session {}; end that session first", id_of(&session));
    assert_eq!(refused.json()["message"], message);
}

async fn a_draining_tn_gets_no_new_session(backend: Backend) {
    let app = backend.app().await;
    app.add_tn(TN).await;
    let path = format!("/tn/{TN}");
    let drain = async |draining: Value| app.call("PATCH", &path, Some(json!({"draining": draining}))).await;
    assert_eq!(
        drain(json!(true)).await.body,
        format!(r#"{{"draining":true,"session_id":null,"value":"{TN}"}}"#)
    );
    let pair = json!({"participant_a": ALICE, "participant_b": BOB});
    app.call("POST", "/session", Some(pair.clone())).await.assert_error(400, "no_tn_available");
    assert_eq!(app.call("GET", "/tn", None).await.json()["virtual_tns"][0]["draining"], true);
    assert_eq!(drain(json!(false)).await.body, format!(r#"{{"session_id":null,"value":"{TN}"}}"#));
    assert_eq!(app.call("POST", "/session", Some(pair)).await.status, 200);
    for wrong in [json!("true"), json!(1), Value::Null] {
        drain(wrong).await.assert_error(400, "invalid_draining");
    }
    app.call("PATCH", &path, Some(json!({}))).await.assert_error(400, "invalid_draining");
    app.call("PATCH", &path, Some(json!({"drain": true}))).await.assert_error(400, "unknown_field");
    let draining = Some(json!({"draining": true}));
    app.call("PATCH", "/tn/12065550000", draining.clone()).await.assert_error(404, "tn_not_found");
    app.call("PATCH", "/tn/x", draining).await.assert_error(400, "invalid_number");
}

async fn a_session_can_be_opened_on_a_chosen_tn(backend: Backend) {
    let app = shared(backend, 2).await;
    let open = async |a: &str, b: &str, tn: Value| {
        let session = json!({"participant_a": a, "participant_b": b, "virtual_tn": tn});
        app.call("POST", "/session", Some(session)).await
    };
    assert_eq!(open(ALICE, BOB, json!(OTHER_TN)).await.json()["virtual_tn"], OTHER_TN);
    assert_eq!(open(ALICE, EVE, Value::Null).await.json()["virtual_tn"], TN);
    for (a, b, tn, words) in [
        (ALICE, number(50).as_str(), OTHER_TN, "participant_a has a session on it"),
        (number(50).as_str(), ALICE, OTHER_TN, "participant_b has a session on it"),
        (number(50).as_str(), number(51).as_str(), "12065550000", "not in the pool"),
    ] {
        let refused = open(a, b, json!(tn)).await;
        refused.assert_error(400, "tn_unavailable");
        assert!(refused.body.contains(words), "{refused:?}");
        assert!(!refused.body.contains(ALICE) && !refused.body.contains(tn), "{refused:?}");
    }
    assert_eq!(open(&number(52), &number(53), json!(OTHER_TN)).await.status, 200);
    let refused = open(&number(54), &number(55), json!(OTHER_TN)).await;
    assert!(refused.body.contains("as many sessions as it may"), "{refused:?}");
    app.text(&number(56), TN, "STOP").await;
    let refused = open(&number(56), &number(57), json!(TN)).await;
    assert!(refused.body.contains("participant_a has opted out"), "{refused:?}");
    app.call("PATCH", &format!("/tn/{TN}"), Some(json!({"draining": true}))).await;
    assert!(open(&number(58), &number(59), json!(TN)).await.body.contains("draining"));
    open(ALICE, BOB, json!("x")).await.assert_error(400, "invalid_number");
    open(ALICE, BOB, json!([TN])).await.assert_error(400, "invalid_number");
}

async fn a_session_that_has_expired_is_ended_to_make_room(backend: Backend) {
    let app = shared(backend, 1).await;
    let session = app.open_session(ALICE, BOB, Some(1)).await;
    app.clock.advance(TimeDelta::minutes(2));
    // Alice's expired session is in the way on its TN.
    let again = json!({"participant_a": ALICE, "participant_b": EVE, "virtual_tn": tn_of(&session)});
    assert_eq!(app.call("POST", "/session", Some(again)).await.json()["virtual_tn"], tn_of(&session));
    assert!(app.provider.bodies().iter().any(|body| body.contains("This session has expired")));
}

async fn the_expiry_of_a_session_can_be_changed(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(Some(1)).await;
    let path = format!("/session/{}", id_of(&session));
    let change = async |window: Value| app.call("PATCH", &path, Some(json!({"expiry_window": window}))).await;
    let changed = change(json!(30)).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let expiry = (app.clock.now() + TimeDelta::minutes(30)).format("%Y-%m-%d %H:%M:%S").to_string();
    assert_eq!(changed.json()["expiry_date"], expiry);
    assert_eq!(changed.json(), app.call("GET", &path, None).await.json());
    app.clock.advance(TimeDelta::minutes(29));
    assert_eq!(app.maintain().await.expired, 0);
    app.text(ALICE, TN, "still here?").await;
    assert_eq!(app.provider.taken_by(), [(BOB.to_owned(), "still here?".to_owned())]);
    assert_eq!(change(Value::Null).await.json()["expiry_date"], Value::Null);
    app.clock.advance(TimeDelta::days(400));
    assert_eq!(app.maintain().await.expired, 0);
    assert_eq!(change(json!(1)).await.status, 200);
    app.clock.advance(TimeDelta::minutes(1));
    change(json!(30)).await.assert_error(404, "session_not_found");
    assert_eq!(app.maintain().await.expired, 1);
    change(json!(30)).await.assert_error(404, "session_not_found");
    for wrong in [json!(0), json!("30"), json!(1.5), json!(-1)] {
        change(wrong).await.assert_error(400, "invalid_expiry_window");
    }
    app.call("PATCH", &path, Some(json!({}))).await.assert_error(400, "missing_field");
    app.call("PATCH", "/session/x", Some(json!({"expiry_window": 1})))
        .await
        .assert_error(404, "session_not_found");
}

async fn sessions_are_listed_by_participant_and_by_tn(backend: Backend) {
    let app = shared(backend, 9).await;
    let with_bob = app.open_session(ALICE, BOB, None).await;
    let with_eve = app.open_session(EVE, ALICE, None).await;
    let list = async |query: &str| {
        let list = app.call("GET", &format!("/session?{query}"), None).await.json();
        let ids: Vec<String> = list["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|session| session["id"].as_str().unwrap().to_owned())
            .collect();
        (list["total_sessions"].as_u64().unwrap(), ids)
    };
    let [bob, eve] = [&with_bob, &with_eve].map(|session| id_of(session).to_owned());
    let (total, mut both) = list(&format!("participant={ALICE}")).await;
    both.sort();
    let mut expected = [bob.clone(), eve.clone()];
    expected.sort();
    assert_eq!((total, both.as_slice()), (2, &expected[..]));
    assert_eq!(list(&format!("participant=%2B{EVE}")).await, (1, vec![eve.clone()]));
    assert_eq!(list(&format!("virtual_tn={}", tn_of(&with_bob))).await, (1, vec![bob.clone()]));
    assert_eq!(list(&format!("participant={BOB}&virtual_tn={}", tn_of(&with_eve))).await, (0, vec![]));
    assert_eq!(list(&format!("participant={ALICE}&limit=1")).await.1.len(), 1);
    for wrong in ["participant=x", "virtual_tn=", "participant=447700900123"] {
        app.call("GET", &format!("/session?{wrong}"), None).await.assert_error(400, "invalid_number");
    }
}

async fn a_notice_of_one_session_reaches_its_two_people_only(backend: Backend) {
    let app = shared(backend, 5).await;
    let first = app.open_session(ALICE, BOB, None).await;
    let on_same = json!({"participant_a": EVE, "participant_b": number(70), "virtual_tn": tn_of(&first)});
    assert_eq!(app.call("POST", "/session", Some(on_same)).await.status, 200);
    app.provider.clear();
    app.end_session(&first).await;
    let mut told: Vec<String> = app.provider.taken_by().into_iter().map(|(to, _)| to).collect();
    told.sort();
    assert_eq!(told, [ALICE, BOB]);
    app.provider.clear();
    app.text(EVE, tn_of(&first), "still here").await;
    assert_eq!(app.provider.taken_by(), [(number(70), "still here".to_owned())]);
}
