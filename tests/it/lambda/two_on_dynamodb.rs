//! Two concurrent instances of the function on one table. Each handles one event at a time.

use super::function::{API_KEY, Cloud, Function};
use serde_json::{Value, json};
use std::{collections::HashSet, sync::Arc};
use test_support::{
    ALICE, Answer, BOB, Backend, TN,
    events::{Call, FUNCTION_URL, GATEWAYS, HTTP_DEFAULT, REST_PROD},
    flat, fresh_id, fresh_number, number, pair,
};
use tokio::task::JoinSet;

const ROUNDS: usize = 20;
const CLIENTS: usize = 8;

/// Two instances, behind two kinds of API.
async fn two_instances(cloud: &Cloud) -> [Arc<Function>; 2] {
    let one = cloud.quick_instance(HTTP_DEFAULT).await;
    [Arc::new(one), Arc::new(cloud.quick_instance(REST_PROD).await)]
}

async fn conversation(cloud: &Cloud, instances: &[Arc<Function>; 2]) -> String {
    instances[0].ok("POST", "/tn", Some(json!({"value": TN}))).await;
    let session = instances[1].ok("POST", "/session", Some(pair())).await;
    cloud.flowroute.clear();
    session["session_id"].as_str().unwrap().to_owned()
}

/// Posts each text to both instances, all concurrently; each post must be accepted.
async fn deliver_to_both(instances: &[Arc<Function>; 2], texts: &[Value]) {
    let mut posts = JoinSet::new();
    for text in texts {
        for instance in instances {
            let (instance, text) = (Arc::clone(instance), text.clone());
            posts.spawn(async move { instance.deliver(&text).await });
        }
    }
    posts.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_text_posted_to_both_concurrently_is_sent_once() {
    let cloud = Cloud::on(Backend::Dynamodb).await;
    let instances = two_instances(&cloud).await;
    conversation(&cloud, &instances).await;
    for round in 0..ROUNDS {
        let text = flat(&fresh_id(), ALICE, TN, &format!("round {round}"));
        deliver_to_both(&instances, &vec![text; CLIENTS / 2]).await;
        assert_eq!(cloud.flowroute.taken(), [(BOB.to_owned(), format!("round {round}"))]);
        cloud.flowroute.clear();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_texts_posted_to_both_concurrently_are_sent_once_each() {
    let cloud = Cloud::on(Backend::Dynamodb).await;
    let instances = two_instances(&cloud).await;
    let session = conversation(&cloud, &instances).await;
    for round in 0..ROUNDS {
        let bodies: Vec<String> = (0..CLIENTS / 2).map(|n| format!("text {round}.{n}")).collect();
        let texts: Vec<Value> = bodies.iter().map(|body| flat(&fresh_id(), BOB, TN, body)).collect();
        deliver_to_both(&instances, &texts).await;
        let expected: Vec<_> = bodies.into_iter().map(|body| (ALICE.to_owned(), body)).collect();
        assert_eq!(cloud.flowroute.taken(), expected);
        cloud.flowroute.clear();
    }
    for instance in &instances {
        let relays = instance.messages(&session).await.split_off(2);
        assert_eq!(relays.len(), ROUNDS * CLIENTS / 2);
        assert!(relays.iter().all(|relay| relay["state"] == "sent" && relay["attempts"] == 1), "{relays:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn sessions_opened_and_ended_by_both_concurrently_get_a_tn_each_and_end_once() {
    const FREE: usize = 5;
    let cloud = Cloud::on(Backend::Dynamodb).await;
    let instances = two_instances(&cloud).await;
    for n in 0..FREE {
        let tn = number(u32::try_from(n).unwrap());
        instances[n % 2].ok("POST", "/tn", Some(json!({"value": tn}))).await;
    }
    for _ in 0..ROUNDS {
        let mut calls = JoinSet::new();
        for n in 0..CLIENTS {
            let instance = Arc::clone(&instances[n % 2]);
            let pair = json!({"participant_a": fresh_number(), "participant_b": fresh_number()});
            calls.spawn(async move { instance.call("POST", "/session", Some(pair)).await });
        }
        let answers = calls.join_all().await;
        let (opened, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        let sessions: Vec<Value> = opened.iter().map(|answer| answer.json()).collect();
        let tns: HashSet<&str> =
            sessions.iter().map(|session| session["virtual_tn"].as_str().unwrap()).collect();
        assert_eq!((sessions.len(), tns.len()), (FREE, FREE));
        refused.iter().for_each(|answer| answer.assert_error(400, "no_tn_available"));

        let mut calls = JoinSet::new();
        for session in &sessions {
            let path = format!("/session/{}", session["session_id"].as_str().unwrap());
            for instance in &instances {
                let (instance, path) = (Arc::clone(instance), path.clone());
                calls.spawn(async move { instance.call("DELETE", &path, None).await.status });
            }
        }
        let statuses = calls.join_all().await;
        let ended = statuses.iter().filter(|status| **status == 200).count();
        let late = statuses.iter().filter(|status| **status == 404).count();
        assert_eq!((ended, late), (FREE, FREE), "{statuses:?}");
        assert_eq!(cloud.flowroute.taken().len(), 4 * FREE, "a start and an end for each of the two");
        cloud.flowroute.clear();
    }
}

/// Opens a session with a key, until the store was fast enough.
async fn open_with_key(instance: &Function, key: &str, body: &Value) -> Answer {
    let headers = &[("X-Api-Key", API_KEY), ("Content-Type", "application/json"), ("Idempotency-Key", key)];
    let call = Call { method: "POST", path: "/session", headers, body: Some(body.to_string()), query: &[] };
    loop {
        let answer = instance.send(&call).await;
        if answer.status != 503 {
            return answer;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_at_both_concurrently_opens_one_session_and_both_people_are_told_once() {
    let cloud = Cloud::on(Backend::Dynamodb).await;
    let instances = two_instances(&cloud).await;
    for n in 0..2 {
        instances[0].ok("POST", "/tn", Some(json!({"value": number(n)}))).await;
    }
    for round in 0..ROUNDS {
        let key = format!("round-{round}");
        let mut calls = JoinSet::new();
        for n in 0..CLIENTS {
            let (instance, key) = (Arc::clone(&instances[n % 2]), key.clone());
            calls.spawn(async move { open_with_key(&instance, &key, &pair()).await });
        }
        let answers = calls.join_all().await;
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (200, &answers[0].body));
        }
        let other = json!({"participant_a": BOB, "participant_b": ALICE});
        let refused = open_with_key(&instances[round % 2], &key, &other).await;
        refused.assert_error(422, "idempotency_key_reused");
        let told: Vec<String> = cloud.flowroute.taken().into_iter().map(|(to, _)| to).collect();
        assert_eq!(told, [ALICE, BOB]);
        let session = answers[0].json()["session_id"].as_str().unwrap().to_owned();
        instances[0].ok("DELETE", &format!("/session/{session}"), None).await;
        cloud.flowroute.clear();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_read_behind_every_gateway() {
    let cloud = Cloud::on(Backend::Dynamodb).await;
    let first = cloud.quick_instance(FUNCTION_URL).await;
    first.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    let answer = open_with_key(&first, "the-key", &pair()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for gateway in GATEWAYS {
        let instance = cloud.quick_instance(*gateway).await;
        let again = open_with_key(&instance, "the-key", &pair()).await;
        assert_eq!((again.status, &again.body), (200, &answer.body), "{gateway:?}");
        open_with_key(&instance, "", &pair()).await.assert_error(400, "invalid_idempotency_key");
        let path = format!("/session/{}", answer.json()["session_id"].as_str().unwrap());
        let changed = instance.ok("PATCH", &path, Some(json!({"expiry_window": null}))).await;
        assert_eq!(changed["expiry_date"], Value::Null);
        let drained = instance.ok("PATCH", &format!("/tn/{TN}"), Some(json!({"draining": true}))).await;
        assert_eq!(drained["draining"], true);
    }
    assert_eq!(cloud.flowroute.taken().len(), 2);
}
