//! Sessions with an idempotency key, draining and new expiries, while the process dies or another instance does the same.

use crate::faults::fixture::{DEFAULT_TIMES, Fixture, add_tn, ask, until, was_too_slow};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use test_support::{
    Answer, Backend,
    binary::{Server, eventually, read},
    fresh_number, on_each_backend,
};
use tokio::task::JoinSet;

const SHARED: [(&str, &str); 1] = [("SESSIONS_PER_TN", "50")];

on_each_backend! { with 2 threads:
    of_two_instances_with_one_key_one_opens_the_session
    what_was_answered_before_a_crash_about_tns_and_expiries_holds_after_it
}

on_each_backend! { slow, with 2 threads:
    a_session_that_was_stored_before_a_crash_is_found_by_its_key_and_both_are_told_once
}

/// A request for a session with a key.
#[derive(Clone)]
struct Keyed {
    key: String,
    people: [String; 2],
}

impl Keyed {
    fn new() -> Self {
        Self {
            key: format!("key of {}", fresh_number()).replace(' ', "-"),
            people: [fresh_number(), fresh_number()],
        }
    }

    fn request(&self, server: &Server) -> reqwest::RequestBuilder {
        let body =
            json!({"participant_a": self.people[0], "participant_b": self.people[1], "expiry_window": 600});
        server.request("POST", "/session").header("Idempotency-Key", &self.key).json(&body)
    }

    /// Makes the request until it is answered.
    async fn open(&self, server: &Server) -> Answer {
        until("a session is open", server, async || {
            let answer = read(self.request(server)).await;
            if was_too_slow(server, answer.status) {
                return None;
            }
            assert_eq!(answer.status, 200, "{answer:?}");
            Some(answer)
        })
        .await
    }

    /// Waits until both start messages are sent.
    async fn both_are_told(&self, server: &Server, session: &Value) {
        let path = format!("/message?session_id={}", session["session_id"].as_str().unwrap());
        until("the start messages are sent", server, async || {
            let messages = ask(server, &path).await["messages"].as_array().unwrap().clone();
            assert_eq!(messages.len(), 2);
            messages.iter().all(|message| message["state"] == "sent").then_some(())
        })
        .await;
    }
}

/// Asserts that each of these has one session, and that Flowroute took one start message for each participant.
async fn assert_opened_once(fixture: &Fixture, server: &Server, all: &[Keyed]) {
    for keyed in all {
        let first = keyed.open(server).await;
        assert_eq!(keyed.open(server).await.body, first.body);
        keyed.both_are_told(server, &first.json()).await;
    }
    let list = ask(server, "/session").await;
    assert_eq!(list["total_sessions"], all.len());
    let mut expected: Vec<String> = all.iter().flat_map(|keyed| keyed.people.clone()).collect();
    let mut told: Vec<String> = fixture.flowroute.taken().into_iter().map(|(to, _)| to).collect();
    expected.sort();
    told.sort();
    assert_eq!(told, expected);
}

async fn a_session_that_was_stored_before_a_crash_is_found_by_its_key_and_both_are_told_once(
    backend: Backend,
) {
    let fixture = Fixture::new(backend).await;
    let mut server = fixture.serve(&SHARED).await;
    for _ in 0..2 {
        add_tn(&server).await;
    }
    // Of the start messages in flight at the crash, Flowroute accepts some and others not, and answers none.
    fixture.flowroute.delay_accepting(Duration::from_millis(300));
    fixture.flowroute.delay_answering(Duration::from_secs(5));
    let all: Vec<Keyed> = (0..12).map(|_| Keyed::new()).collect();
    let mut calls = JoinSet::new();
    for (n, keyed) in all.iter().enumerate() {
        let request = keyed.request(&server);
        calls.spawn(async move {
            tokio::time::sleep(Duration::from_millis(25 * n as u64)).await;
            request.send().await.is_ok()
        });
    }
    eventually("some were accepted", || (fixture.flowroute.taken().len() >= 4).then_some(())).await;
    server.binary.kill();
    let answered = calls.join_all().await;
    assert!(answered.contains(&false), "all were answered before the crash");
    fixture.flowroute.delay_answering(Duration::from_millis(300));
    server = fixture.serve(&SHARED).await;
    assert_opened_once(&fixture, &server, &all).await;
    server.stop().await;
}

async fn of_two_instances_with_one_key_one_opens_the_session(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let settings = [&DEFAULT_TIMES[..], &SHARED].concat();
    let servers = [fixture.serve(&settings).await, fixture.serve(&settings).await];
    add_tn(&servers[0]).await;
    let mut all = Vec::new();
    for _ in 0..backend.many(20, 5) {
        let keyed = Keyed::new();
        let mut calls = JoinSet::new();
        for n in 0..30 {
            calls.spawn(read(keyed.request(&servers[n % 2])));
        }
        let mut bodies: Vec<String> = Vec::new();
        for answer in calls.join_all().await {
            if !was_too_slow(&servers[0], answer.status) {
                assert_eq!(answer.status, 200, "{answer:?}");
                bodies.push(answer.body);
            }
        }
        bodies.push(keyed.open(&servers[1]).await.body);
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
        all.push(keyed);
    }
    assert_opened_once(&fixture, &servers[0], &all).await;
    let [one, other] = servers;
    one.stop().await;
    other.stop().await;
}

/// Drains a TN, and lets a session expire later and later, until the service dies. Returns whether the first was answered,
/// and the last expiry that was.
async fn change_until_crash(
    client: reqwest::Client,
    [tn, session]: [String; 2],
    answered: Arc<AtomicUsize>,
) -> (bool, Option<String>) {
    let (mut is_draining, mut expiry) = (false, None);
    for minutes in 1.. {
        let (url, body) = match is_draining {
            false => (&tn, json!({"draining": true})),
            true => (&session, json!({"expiry_window": 10 * minutes})),
        };
        let Ok(answer) = client.patch(url).json(&body).send().await else { break };
        // The engine may be too slow on a busy machine.
        if answer.status() != 503 {
            assert_eq!(answer.status(), 200);
            let Ok(body) = answer.json::<Value>().await else { break };
            match is_draining {
                false => is_draining = true,
                true => expiry = Some(body["expiry_date"].as_str().unwrap().to_owned()),
            }
            answered.fetch_add(1, Ordering::SeqCst);
        }
    }
    (is_draining, expiry)
}

async fn what_was_answered_before_a_crash_about_tns_and_expiries_holds_after_it(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let mut server = fixture.serve(&SHARED).await;
    let mut changed = BTreeMap::new();
    for _ in 0..4 {
        let tn = add_tn(&server).await;
        changed
            .insert(tn, Keyed::new().open(&server).await.json()["session_id"].as_str().unwrap().to_owned());
    }
    let (answered, mut callers) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (tn, session) in changed {
        let urls = [format!("/tn/{tn}"), format!("/session/{session}")];
        let urls = urls.map(|path| format!("http://{}{path}", server.address));
        let (client, answered) = (client.clone(), Arc::clone(&answered));
        callers.spawn(async move {
            let told = change_until_crash(client, urls, answered).await;
            (tn, session, told)
        });
    }
    eventually("they are being changed", || (answered.load(Ordering::SeqCst) >= 20).then_some(())).await;
    server.binary.kill();
    let told = callers.join_all().await;
    server = fixture.serve(&SHARED).await;
    for (tn, session, (is_draining, expiry)) in told {
        let shown = ask(&server, &format!("/tn/{tn}")).await;
        assert!(shown["draining"] == true || !is_draining, "{shown}");
        let shown = ask(&server, &format!("/session/{session}")).await;
        // The last one, or the one that was not answered.
        assert!(shown["expiry_date"].as_str() >= expiry.as_deref(), "{shown}: {expiry:?}");
    }
    server.stop().await;
}
