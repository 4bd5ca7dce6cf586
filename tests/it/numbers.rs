//! `/tn`: the pool.

use axum::{body::Body, http::Request};
use chrono::TimeDelta;
use serde_json::{Value, json};
use test_support::{ALICE, BOB, Backend, TN, number, on_each_backend};

on_each_backend! {
    a_tn_is_added_shown_listed_and_removed
    a_tn_in_use_shows_its_session
    numbers_may_be_integers_and_may_have_a_plus
    a_tn_is_in_the_pool_once
    a_number_that_is_not_in_the_pool_is_not_found
    a_tn_in_a_live_session_stays_in_the_pool
    a_participant_of_a_live_session_cannot_be_a_tn
    an_invalid_number_is_refused_by_its_field_name
    bodies_must_be_json_objects_with_known_fields
    the_pool_can_be_read_in_pages
}

async fn a_tn_is_added_shown_listed_and_removed(backend: Backend) {
    let app = backend.app().await;
    let added = app.call("POST", "/tn", Some(json!({"value": TN}))).await;
    assert_eq!(added.body, format!(r#"{{"message":"successfully added TN to pool","value":"{TN}"}}"#));
    assert_eq!(added.headers["content-type"], "application/json");
    let shown = app.call("GET", &format!("/tn/{TN}"), None).await;
    assert_eq!(shown.json(), json!({"session_id": null, "value": TN}));
    let listed = app.call("GET", "/tn", None).await;
    let free = json!({"session_id": null, "value": TN});
    assert_eq!(listed.json(), json!({"available": 1, "in_use": 0, "pool_size": 1, "virtual_tns": [free]}));
    let removed = app.call("DELETE", "/tn", Some(json!({"value": TN}))).await;
    assert_eq!(removed.body, format!(r#"{{"message":"successfully removed TN from pool","value":"{TN}"}}"#));
    assert_eq!(app.call("GET", "/tn", None).await.json()["pool_size"], 0);
}

async fn a_tn_in_use_shows_its_session(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    let listed = app.call("GET", "/tn", None).await.json();
    let busy = json!({"session_id": session["session_id"], "value": TN});
    assert_eq!(listed, json!({"available": 0, "in_use": 1, "pool_size": 1, "virtual_tns": [busy]}));
    assert_eq!(app.call("GET", &format!("/tn/{TN}"), None).await.json(), busy);
}

async fn numbers_may_be_integers_and_may_have_a_plus(backend: Backend) {
    let app = backend.app().await;
    for value in [json!(12_062_992_129_u64), json!(12_062_992_129.0), json!("+12062992129")] {
        let added = app.call("POST", "/tn", Some(json!({"value": value}))).await;
        assert_eq!((added.status, &added.json()["value"]), (200, &json!(TN)));
        let removed = app.call("DELETE", "/tn", Some(json!({"value": value}))).await;
        assert_eq!((removed.status, &removed.json()["value"]), (200, &json!(TN)));
    }
    app.add_tn(TN).await;
    assert_eq!(app.call("GET", "/tn/+12062992129", None).await.json()["value"], TN);
    assert_eq!(app.call("DELETE", "/tn/%2B12062992129", None).await.status, 200);
}

async fn a_tn_is_in_the_pool_once(backend: Backend) {
    let app = backend.app().await;
    app.add_tn(TN).await;
    app.call("POST", "/tn", Some(json!({"value": TN}))).await.assert_error(400, "duplicate_tn");
    assert_eq!(app.call("GET", "/tn", None).await.json()["pool_size"], 1);
}

async fn a_number_that_is_not_in_the_pool_is_not_found(backend: Backend) {
    let app = backend.app().await;
    let path = format!("/tn/{TN}");
    app.call("GET", &path, None).await.assert_error(404, "tn_not_found");
    app.call("DELETE", &path, None).await.assert_error(404, "tn_not_found");
    app.call("DELETE", "/tn", Some(json!({"value": TN}))).await.assert_error(404, "tn_not_found");
}

async fn a_tn_in_a_live_session_stays_in_the_pool(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(Some(10)).await;
    let id = session["session_id"].as_str().unwrap();
    for (path, body) in [("/tn".into(), Some(json!({"value": TN}))), (format!("/tn/{TN}"), None)] {
        let answer = app.call("DELETE", &path, body).await;
        answer.assert_error(400, "tn_in_use");
        assert!(answer.body.contains(id), "{answer:?}");
    }
    app.clock.advance(TimeDelta::minutes(10));
    assert_eq!(app.call("DELETE", &format!("/tn/{TN}"), None).await.status, 200);
    let notified: Vec<String> = app.provider.taken_by().into_iter().map(|(to, _)| to).collect();
    assert_eq!(notified, [ALICE, BOB], "both are notified that the session has expired");
}

async fn a_participant_of_a_live_session_cannot_be_a_tn(backend: Backend) {
    let app = backend.app().await;
    app.conversation(Some(10)).await;
    app.call("POST", "/tn", Some(json!({"value": ALICE}))).await.assert_error(400, "tn_is_participant");
    app.clock.advance(TimeDelta::minutes(10));
    assert_eq!(app.call("POST", "/tn", Some(json!({"value": ALICE}))).await.status, 200);
}

async fn an_invalid_number_is_refused_by_its_field_name(backend: Backend) {
    let app = backend.app().await;
    for bad in [
        json!("2065551212"),
        json!("22065551212"),
        json!("1206555121a"),
        json!(""),
        json!(" 12062992129"),
        json!("++12062992129"),
        json!(2_065_551_212_u64),
        json!(-12_062_992_129_i64),
        json!(12_062_992_129.5),
        json!(-12_062_992_129.0),
        json!(2_065_551_212.0),
        json!(1e300),
        json!(true),
        json!(null),
        json!([TN]),
        json!({"value": TN}),
    ] {
        for method in ["POST", "DELETE"] {
            let answer = app.call(method, "/tn", Some(json!({"value": bad}))).await;
            answer.assert_error(400, "invalid_number");
            assert!(answer.json()["message"].as_str().unwrap().starts_with("value "), "{answer:?}");
        }
    }
    for path in ["/tn/123", "/tn/12062992129x", "/tn/%F0%9F%98%80"] {
        app.call("GET", path, None).await.assert_error(400, "invalid_number");
        app.call("DELETE", path, None).await.assert_error(400, "invalid_number");
    }
}

async fn bodies_must_be_json_objects_with_known_fields(backend: Backend) {
    let app = backend.app().await;
    let send = async |content_type: Option<&str>, body: &str| {
        let request = Request::post("/tn");
        let request = match content_type {
            Some(declared) => request.header("content-type", declared),
            None => request,
        };
        app.send(request.body(Body::from(body.to_owned())).unwrap()).await
    };
    let good = format!(r#"{{"value": "{TN}"}}"#);
    let json = Some("application/json");
    for bad in ["", "{", "value=1", "[1]", "\"x\"", "5", "null", "\u{1}", r#"{"value": "1", "value": "2"}"#] {
        send(json, bad).await.assert_error(400, "malformed_json");
    }
    send(json, "{}").await.assert_error(400, "missing_field");
    send(json, r#"{"valeu": "12062992129"}"#).await.assert_error(400, "unknown_field");
    for declared in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("")] {
        send(declared, &good).await.assert_error(415, "unsupported_media_type");
    }
    let padded = format!("{}{good}", " ".repeat(16 * 1024));
    send(json, &padded).await.assert_error(413, "body_too_large");
    let deep = format!(r#"{{"value": {}}}"#, "[".repeat(5000));
    send(json, &deep).await.assert_error(400, "malformed_json");
    assert_eq!(send(Some("Application/JSON; charset=utf-8"), &good).await.status, 200);
}

async fn the_pool_can_be_read_in_pages(backend: Backend) {
    let app = backend.app().await;
    for n in 0..7 {
        app.add_tn(&number(n)).await;
    }
    let session = app.open_session(ALICE, BOB, None).await;
    let mut seen = Vec::new();
    let mut path = "/tn?limit=3".to_owned();
    loop {
        let page = app.call("GET", &path, None).await.json();
        assert_eq!(
            (&page["pool_size"], &page["in_use"], &page["available"]),
            (&json!(7), &json!(1), &json!(6))
        );
        seen.extend(page["virtual_tns"].as_array().unwrap().iter().cloned());
        match &page["next"] {
            Value::String(next) => path = format!("/tn?limit=3&after={next}"),
            end => {
                assert_eq!(end, &Value::Null);
                break;
            }
        }
    }
    assert_eq!(Value::from(seen.clone()), app.call("GET", "/tn", None).await.json()["virtual_tns"]);
    assert_eq!(seen.iter().filter(|tn| tn["session_id"] == session["session_id"]).count(), 1);
    for bad in ["", "x", "123", "12065551212x"] {
        app.call("GET", &format!("/tn?limit=3&after={bad}"), None).await.assert_error(400, "invalid_after");
    }
    for bad in ["0", "1001", "-1", "x", ""] {
        app.call("GET", &format!("/tn?limit={bad}"), None).await.assert_error(400, "invalid_limit");
    }
}
