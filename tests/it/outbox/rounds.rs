//! A round of maintenance runs all its parts, also when some of the work fails.

use crate::contract::fixtures::{alice, at, bob, conversation, fill_pool, opt, relay, sending, talking, tn};
use chrono::TimeDelta;
use rusqlite::Connection;
use serde_json::json;
use std::time::Duration;
use test_support::{
    ALICE, App, BOB, Backend, Outcome, TN,
    fault_proxy::{Fault, FaultProxy},
    flat, fresh_id, number, unpaced, without_timeouts,
};

/// Sessions of which this is true cannot be ended.
fn break_sessions(app: &App, condition: &str) {
    let database = Connection::open(app.database()).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    let broken = format!(
        "CREATE TRIGGER broken BEFORE UPDATE OF ended_at ON session WHEN {condition}
         BEGIN SELECT RAISE(ABORT, 'broken by the test'); END"
    );
    database.execute_batch(&broken).unwrap();
}

/// Opens sessions of different people on numbers of their own.
async fn open_sessions(app: &App, count: u32, minutes: u32) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        app.add_tn(&number(1_000 + n)).await;
        let session = app.open_session(&number(2_000 + 2 * n), &number(2_001 + 2 * n), Some(minutes)).await;
        ids.push(session["session_id"].as_str().unwrap().to_owned());
    }
    ids
}

/// Alice's "hello" to Bob is in the outbox, and the provider takes texts again.
async fn a_text_waits(app: &App) {
    app.conversation(None).await;
    app.provider.always(Outcome::Busy);
    app.text(ALICE, TN, "hello").await;
    app.provider.always(Outcome::Sent);
}

#[tokio::test]
async fn sessions_that_cannot_be_ended_stop_neither_the_others_nor_the_outbox() {
    let app = App::new();
    a_text_waits(&app).await;
    let ids = open_sessions(&app, 130, 1).await;
    app.add_tn(&number(900)).await;
    let last = app.open_session(&number(901), &number(902), Some(2)).await;
    break_sessions(&app, &format!("OLD.id <> x'{}'", last["session_id"].as_str().unwrap()));
    app.provider.clear();
    app.clock.advance(TimeDelta::minutes(3));
    let round = app.maintain().await;
    assert_eq!((round.expired, round.sent), (1, 3), "{} cannot be ended; a text, two notices", ids.len());
}

#[tokio::test]
async fn a_session_that_cannot_be_rolled_back_yet_does_not_block_the_outbox() {
    let app = App::new();
    a_text_waits(&app).await;
    break_sessions(&app, "true");
    app.provider.always(Outcome::Refused);
    app.add_tn(&number(900)).await;
    let pair = json!({"participant_a": number(901), "participant_b": number(902)});
    assert_ne!(app.call("POST", "/session", Some(pair)).await.status, 200);
    app.provider.always(Outcome::Sent);
    app.clock.advance(TimeDelta::seconds(2));
    assert!(app.maintain().await.sent >= 1);
    assert!(app.provider.bodies().contains(&"hello".to_owned()));
}

#[tokio::test]
async fn one_round_reclaims_more_than_the_store_does_at_a_time() {
    let app = App::new();
    let session = conversation(&app.store, None).await;
    for _ in 0..130 {
        sending(&app.store, relay(&session), 1).await;
    }
    app.clock.advance(TimeDelta::minutes(5));
    assert_eq!(app.maintain().await.reclaimed, 130);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_store_reclaims_what_it_can_in_its_time_and_says_how_much() {
    let (store, proxy) = FaultProxy::store_with_limit(Duration::from_secs(2)).await;
    let session = conversation(&store, None).await;
    for _ in 0..24 {
        sending(&store, relay(&session), 1).await;
    }
    proxy.fail(&["UpdateItem"], Fault::Slow, u32::MAX);
    let mut reclaimed = 0;
    while reclaimed < 24 {
        let more = store.reclaim(100, at(60)).await.unwrap();
        assert!(more > 0);
        reclaimed += more;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn when_very_many_sessions_expire_together_the_outbox_is_still_drained() {
    let (store, proxy) = FaultProxy::store_with_limit(Duration::from_secs(60)).await;
    let app = App::on(store, without_timeouts());
    a_text_waits(&app).await;
    fill_pool(&app.store, 200).await;
    for _ in 0..200 {
        talking(&app.store, [alice(), bob()], 0, Some(60)).await;
    }
    app.provider.clear();
    app.clock.advance(TimeDelta::minutes(5));
    proxy.fail(&["TransactWriteItems"], Fault::Slow, u32::MAX);
    let round = app.maintain().await;
    assert!(round.expired > 0 && round.expired < 200, "{round}");
    assert!(app.provider.taken_by().contains(&(BOB.to_owned(), "hello".to_owned())), "{round}");
    proxy.recover();
    while !app.store.expired_sessions(1, app.clock.now()).await.unwrap().is_empty() {
        assert!(app.maintain().await.expired > 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn texts_that_cannot_be_leased_do_not_block_the_others() {
    let (store, proxy) = FaultProxy::store_with_limit(Duration::from_secs(60)).await;
    let app = App::on(store, unpaced());
    app.conversation(None).await;
    app.provider.always(Outcome::Busy);
    for n in 0..101 {
        app.text(ALICE, TN, &format!("hidden {n}")).await;
    }
    opt(&app.store, tn(9), BOB.parse().unwrap(), true, 0).await;
    let key = proxy.opt_outs().await["pk"]["S"].as_str().unwrap().to_owned();
    proxy.rewrite_as_newer_release(key, "OPT").await;
    app.clock.advance(TimeDelta::seconds(1));
    app.text(BOB, TN, "shown").await;
    app.provider.always(Outcome::Sent);
    app.clock.advance(TimeDelta::seconds(5));
    assert_eq!(app.maintain().await.sent, 1);
    assert_eq!(app.provider.bodies(), ["shown"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_message_keeps_no_other_from_being_reclaimed_or_withdrawn() {
    let app = Backend::Sqlite.app().await;
    let session = app.conversation(None).await;
    app.provider.always(Outcome::SentThenCrash);
    for text in ["first", "second"] {
        app.post(flat(&fresh_id(), ALICE, TN, text)).await;
    }
    let database = Connection::open(app.database()).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    let damaged = database.execute("UPDATE outbound SET media_urls = 'not JSON' WHERE body = 'first'", []);
    assert_eq!(damaged, Ok(1));
    app.clock.advance(TimeDelta::minutes(1));
    let states = || {
        let mut query = database.prepare("SELECT state, revoked FROM outbound WHERE kind = 'relay'").unwrap();
        let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?))).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>()
    };
    app.maintain().await;
    assert_eq!(states(), [("sending".to_owned(), false), ("unknown".to_owned(), false)], "one is reclaimed");
    app.provider.always(Outcome::Sent);
    app.end_session(&session).await;
    assert_eq!(states(), [("sending".to_owned(), false), ("unknown".to_owned(), true)], "and withdrawn");
}
