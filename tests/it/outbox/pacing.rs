//! Pacing (docs/flowroute.md#limits). The tests count the sends in a second and do not measure how long one takes.

use chrono::TimeDelta;
use serde_json::{Value, json};
use sms_proxy::service::Options;
use std::time::{Duration, Instant};
use test_support::{ALICE, App, Backend, Outcome, TN, flat, fresh_id, on_each_backend, unpaced};
use tokio::task::JoinSet;

on_each_backend! {
    what_gets_no_slot_in_the_send_budget_waits_untried
    a_text_whose_session_ends_while_it_waits_for_a_slot_is_not_sent
    media_are_paced_apart_and_count_as_texts_too
    the_outbox_is_not_drained_while_another_holds_the_drain_lease
}

on_each_backend! { with 4 threads:
    a_burst_is_spread_out_and_none_of_it_is_lost
    the_outbox_is_drained_at_the_same_pace_oldest_first
}

const RATE: u32 = 20;

fn most_in_a_second(times: &[Instant]) -> usize {
    let within = |start: &Instant| {
        times
            .iter()
            .filter(|time| **time >= *start && time.duration_since(*start) < Duration::from_secs(1))
            .count()
    };
    times.iter().map(within).max().unwrap_or(0)
}

async fn paced(backend: Backend, max_per_second: u32) -> (App, Value) {
    let app = backend.app_with(Options { max_per_second, ..unpaced() }).await;
    let session = app.conversation(None).await;
    (app, session)
}

async fn a_burst_is_spread_out_and_none_of_it_is_lost(backend: Backend) {
    let (app, _) = paced(backend, RATE).await;
    let mut posts = JoinSet::new();
    for n in 0..40 {
        let app = app.clone();
        posts.spawn(async move { app.text(ALICE, TN, &n.to_string()).await });
    }
    posts.join_all().await;
    // On a slow engine the last ones may get no slot in the send budget.
    app.maintain().await;
    let mut bodies = app.provider.bodies();
    bodies.sort_by_key(|body| body.parse::<u32>().unwrap());
    assert_eq!(bodies, (0..40).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(most_in_a_second(&app.provider.times()) <= RATE as usize);
}

async fn the_outbox_is_drained_at_the_same_pace_oldest_first(backend: Backend) {
    let (app, _) = paced(backend, RATE).await;
    let (unpaced, bodies) =
        (App { service: app.service.clone(), ..app.clone() }, (0..40).map(|n| n.to_string()));
    app.provider.always(Outcome::Busy);
    let bodies: Vec<String> = bodies.collect();
    for body in &bodies {
        unpaced.text(ALICE, TN, body).await;
        app.clock.advance(TimeDelta::milliseconds(1));
    }
    app.provider.always(Outcome::Sent);
    app.provider.clear();
    app.clock.advance(TimeDelta::seconds(2));
    assert_eq!(app.maintain().await.sent, 40);
    assert_eq!(app.provider.bodies(), bodies);
    assert!(most_in_a_second(&app.provider.times()) <= RATE as usize);
}

async fn what_gets_no_slot_in_the_send_budget_waits_untried(backend: Backend) {
    let options = Options { send_budget: Duration::from_secs(1), max_per_second: 1, ..unpaced() };
    let app = backend.app_with(options).await;
    app.add_tn(TN).await;
    let session = app.open_session(ALICE, test_support::BOB, None).await;
    assert_eq!(app.provider.taken().len(), 1, "the second start message got no slot");
    let waiting: Vec<Value> =
        app.messages(&session).await.into_iter().filter(|m| m["state"] == "waiting").collect();
    assert_eq!((waiting.len(), &waiting[0]["attempts"]), (1, &json!(0)));
    app.maintain().await;
    assert_eq!(app.provider.taken().len(), 2);
}

async fn a_text_whose_session_ends_while_it_waits_for_a_slot_is_not_sent(backend: Backend) {
    let (app, session) = paced(backend, 1).await;
    let ended = tokio::spawn({
        let (app, session) = (app.clone(), session.clone());
        async move {
            while app.relays(&session).await.is_empty() {
                tokio::task::yield_now().await;
            }
            let id = session["session_id"].as_str().unwrap().parse().unwrap();
            let cause = sms_proxy::domain::EndCause::Deleted;
            app.store.end_session(id, cause, Vec::new(), app.clock.now(), None).await.unwrap().unwrap();
        }
    });
    app.text(ALICE, TN, "too late").await;
    ended.await.unwrap();
    assert_eq!((app.provider.taken(), app.relays(&session).await), (vec![], vec![json!("cancelled")]));
}

async fn media_are_paced_apart_and_count_as_texts_too(backend: Backend) {
    let (app, _) = paced(backend, RATE).await;
    let mut posts = JoinSet::new();
    for n in 0..3 {
        let included = json!([{"type": "media", "attributes": {"url": "https://media.example/1.png"}}]);
        let attributes = json!({"from": ALICE, "to": TN, "body": n.to_string()});
        let data = json!({"type": "message", "id": fresh_id(), "attributes": attributes});
        let media = json!({"data": data, "included": included});
        let text = flat(&fresh_id(), ALICE, TN, "text");
        for payload in [media, text] {
            let app = app.clone();
            posts.spawn(async move { assert_eq!(app.post(payload).await.status, 200) });
        }
    }
    posts.join_all().await;
    assert_eq!(app.provider.taken().len(), 6);
    let taken = app.provider.taken();
    let times = app.provider.times();
    let media: Vec<Instant> = taken
        .iter()
        .zip(times)
        .filter(|(text, _)| !text.media_urls.is_empty())
        .map(|(_, time)| time)
        .collect();
    assert_eq!((media.len(), most_in_a_second(&media)), (3, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_stalls_makes_no_burst() {
    let (app, _) = paced(Backend::Sqlite, 5).await;
    let path = app.database();
    let mut posts = JoinSet::new();
    for n in 0..12 {
        let app = app.clone();
        posts.spawn(async move { app.text(ALICE, TN, &n.to_string()).await });
    }
    while app.provider.taken().len() < 2 {
        tokio::task::yield_now().await;
    }
    tokio::task::spawn_blocking(move || {
        let db = rusqlite::Connection::open(path).unwrap();
        db.busy_timeout(Duration::from_secs(5)).unwrap();
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        std::thread::sleep(Duration::from_millis(700));
        db.execute_batch("COMMIT").unwrap();
    })
    .await
    .unwrap();
    posts.join_all().await;
    assert_eq!(app.provider.taken().len(), 12);
    assert!(most_in_a_second(&app.provider.times()) <= 5);
}

async fn the_outbox_is_not_drained_while_another_holds_the_drain_lease(backend: Backend) {
    let (app, _) = paced(backend, RATE).await;
    app.provider.always(Outcome::Busy);
    app.text(ALICE, TN, "hello").await;
    app.provider.always(Outcome::Sent);
    app.clock.advance(TimeDelta::seconds(5));
    let now = app.clock.now();
    let asked = app.provider.asked();
    let until = now + TimeDelta::seconds(30);
    assert!(app.store.acquire_drain_lease("another holder", now, until).await.unwrap());
    assert_eq!(app.maintain().await.sent, 0);
    assert_eq!(app.provider.asked(), asked, "two would send at twice the pace");
    app.clock.advance(TimeDelta::seconds(31));
    assert_eq!(app.maintain().await.sent, 1);
}
