//! The schedule's event starts maintenance, and nothing else does.

use super::function::{Cloud, answer, maintenance};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use sms_proxy::{
    domain::{NewSession, Settlement},
    store::{AddTn, OpenSession, Store},
};
use std::{sync::Arc, time::Duration};
use test_support::{
    ALICE, BOB, Backend, NOT_DELIVERED, TN,
    binary::eventually,
    events::{Call, GATEWAYS, HTTP_DEFAULT},
    flat,
    flowroute_standin::Mode,
    fresh_id, fresh_number, on_each_backend, pair,
};

on_each_backend! { with 2 threads:
    scheduled_events_send_waiting_texts_once_after_an_outage
    the_next_scheduled_event_tells_the_sender_of_a_refused_text_once
    no_other_event_and_no_request_starts_maintenance
}

on_each_backend! { slow, with 2 threads:
    concurrent_events_end_an_expired_session_once_and_notify_both_once
}

/// Stores a session that expired a minute ago and is not ended yet. Returns its two participants.
pub async fn expired_session(store: &Arc<dyn Store>) -> [String; 2] {
    let people = [fresh_number(), fresh_number()];
    let now = Utc::now();
    let tn = fresh_number().parse().unwrap();
    assert_eq!(store.add_tn(tn, now).await.unwrap(), AddTn::Added);
    let [a, b] = people.clone().map(|number| number.parse().unwrap());
    let [begun, over] = [10, 1].map(|minutes| now - TimeDelta::minutes(minutes));
    let new = NewSession::new([a, b], begun, Some(over), "started".into());
    let opened = store.open_session(new, begun + TimeDelta::seconds(30)).await.unwrap();
    let OpenSession::Opened { notices, .. } = opened else { panic!("{opened:?}") };
    for notice in notices {
        let sent = Settlement::Sent { provider_id: fresh_id() };
        assert!(store.settle(&notice, sent, begun).await.unwrap().is_some());
    }
    people
}

fn notices(people: [String; 2]) -> Vec<(String, String)> {
    let said = "[YOUR ORG NAME]: This session has expired.";
    let mut notices = people.map(|number| (number, said.to_owned())).to_vec();
    notices.sort();
    notices
}

async fn concurrent_events_end_an_expired_session_once_and_notify_both_once(backend: Backend) {
    let cloud = Cloud::on(backend).await;
    let [one, other] = [cloud.quick_instance(HTTP_DEFAULT).await, cloud.quick_instance(HTTP_DEFAULT).await];
    // The database is created at the start.
    tokio::join!(one.maintain(), other.maintain());
    let store = cloud.records.store();
    for _ in 0..20 {
        let people = expired_session(&store).await;
        let rounds = tokio::join!(one.maintain(), other.maintain());
        // The event that ended it may have found the drain lease held: the next event sends the rest.
        let next = one.maintain().await;
        assert_eq!(cloud.flowroute.taken(), notices(people), "{rounds:?}, {next}");
        assert_eq!(store.expired_sessions(10, Utc::now()).await.unwrap(), []);
        cloud.flowroute.clear();
    }
}

async fn scheduled_events_send_waiting_texts_once_after_an_outage(backend: Backend) {
    let cloud = Cloud::on(backend).await;
    let [one, other] = [cloud.quick_instance(HTTP_DEFAULT).await, cloud.quick_instance(HTTP_DEFAULT).await];
    one.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    let session = other.ok("POST", "/session", Some(pair())).await["session_id"].as_str().unwrap().to_owned();
    cloud.flowroute.clear();
    cloud.flowroute.mode(Mode::Answer(503));
    let bodies: Vec<String> = (10..22).map(|n| format!("text {n}")).collect();
    for (n, body) in bodies.iter().enumerate() {
        let instance = [&one, &other][n % 2];
        instance.deliver(&flat(&fresh_id(), ALICE, TN, body)).await;
    }
    tokio::join!(one.maintain(), other.maintain());
    assert_eq!(cloud.flowroute.taken(), []);
    cloud.flowroute.mode(Mode::Take);
    for _ in 0..60 {
        tokio::join!(one.maintain(), other.maintain());
        if cloud.flowroute.taken().len() >= bodies.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::join!(one.maintain(), other.maintain());
    let expected: Vec<_> = bodies.into_iter().map(|body| (BOB.to_owned(), body)).collect();
    assert_eq!(cloud.flowroute.taken(), expected);
    let relays = one.messages(&session).await.split_off(2);
    assert!(relays.iter().all(|relay| relay["state"] == "sent"), "{relays:?}");
}

/// Events that are neither HTTP requests nor the schedule's.
fn other_events() -> Vec<Value> {
    let input = maintenance().to_string();
    let sqs = json!({"messageId": "19dd0b57", "receiptHandle": "x", "body": input, "attributes": {},
        "messageAttributes": {}, "md5OfBody": "x", "eventSource": "aws:sqs", "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:queue"});
    let s3 = json!({"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "maintenance"}, "object": {"key": "sms-proxy"}}});
    let bridge = json!({"version": "0", "id": "x", "detail-type": "Scheduled Event", "source": "aws.events",
        "account": "123456789012", "time": "2026-03-10T00:00:00Z", "region": "us-east-1", "resources": [],
        "detail": maintenance()});
    vec![
        json!({"Records": [sqs]}),
        json!({"Records": [s3]}),
        bridge,
        json!({"sms-proxy": "maintenance", "x": 1}),
        json!({"sms-proxy": "export"}),
        json!({"sms-proxy": ["maintenance"]}),
        json!({"sms-proxy": null}),
        json!({"body": input}),
        json!({"path": "/events", "body": input}),
        json!({}),
        json!([maintenance()]),
        json!("maintenance"),
        json!(input),
        json!(1),
        json!(true),
        Value::Null,
    ]
}

async fn the_next_scheduled_event_tells_the_sender_of_a_refused_text_once(backend: Backend) {
    let cloud = Cloud::on(backend).await;
    let [one, other] = [cloud.quick_instance(HTTP_DEFAULT).await, cloud.quick_instance(HTTP_DEFAULT).await];
    one.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    one.ok("POST", "/session", Some(pair())).await;
    cloud.flowroute.clear();
    cloud.flowroute.mode(Mode::Refuse);
    let [first, second] = [(), ()].map(|()| flat(&fresh_id(), ALICE, TN, "is anybody there?"));
    tokio::join!(one.deliver(&first), other.deliver(&second));
    cloud.flowroute.mode(Mode::Take);
    tokio::join!(one.maintain(), other.maintain());
    assert_eq!(cloud.flowroute.taken(), [(ALICE.to_owned(), NOT_DELIVERED.to_owned())]);
}

async fn no_other_event_and_no_request_starts_maintenance(backend: Backend) {
    let cloud = Cloud::on(backend).await;
    let function = cloud.quick_instance(HTTP_DEFAULT).await;
    function.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    function.ok("POST", "/session", Some(pair())).await;
    cloud.flowroute.clear();
    cloud.flowroute.mode(Mode::Answer(503));
    function.deliver(&flat(&fresh_id(), ALICE, TN, "it waits")).await;
    cloud.flowroute.mode(Mode::Take);
    let store = cloud.records.store();
    let people = expired_session(&store).await;
    while store.due(10, Utc::now()).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for event in other_events() {
        let returned = function.runtime.invoke(&fresh_id(), &event).await;
        assert_eq!(returned["reason"], "not_found", "{event}: {returned}");
    }
    for gateway in GATEWAYS {
        for path in ["/events", "/", "/maintenance"] {
            let headers = &[("X-Api-Key", super::API_KEY), ("Content-Type", "application/json")];
            let body = Some(maintenance().to_string());
            let call = Call { method: "POST", path, headers, body, ..Call::default() };
            let answer = answer(&function.runtime.invoke(&fresh_id(), &gateway.event(&call)).await);
            let (status, reason) = if path == "/" { (401, "unauthorized") } else { (404, "not_found") };
            answer.assert_error(status, reason);
        }
    }
    assert_eq!(cloud.flowroute.taken(), [], "a text was sent");
    assert_eq!(store.expired_sessions(10, Utc::now()).await.unwrap().len(), 1, "a session was ended");
    function.maintain().await;
    let mut expected = notices(people);
    expected.push((BOB.to_owned(), "it waits".to_owned()));
    expected.sort();
    eventually("all is done", || (cloud.flowroute.taken() == expected).then_some(())).await;
}
