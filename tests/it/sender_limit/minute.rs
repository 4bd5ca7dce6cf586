//! Texts beyond the limit of a minute wait for their turn.

use super::{arrived, arrived_after, limited, numbers, texts};
use chrono::TimeDelta;
use serde_json::json;
use sms_proxy::service::Options;
use test_support::{ALICE, App, Backend, Outcome, TN, flat, fresh_id, on_each_backend, unpaced};
use tokio::task::JoinSet;

on_each_backend! {
    by_default_thirty_texts_a_minute_are_sent_and_the_others_in_order_once_their_time_has_come
    texts_of_the_same_millisecond_are_sent_in_order_too
    a_text_that_waits_shows_why
    a_text_does_not_overtake_earlier_ones_whose_time_has_come
    after_a_quiet_minute_a_text_is_sent_at_once
    texts_that_are_spread_over_time_are_never_held_back
    a_text_that_waits_is_sent_at_once_when_the_clock_is_set_back
    a_text_that_waits_long_keeps_its_turn_while_the_clock_is_right
    a_repeated_text_that_waits_is_sent_once_and_counts_once
    texts_that_wait_are_cancelled_when_the_session_ends
    a_text_whose_time_has_come_is_sent_again_if_the_provider_is_busy
}

on_each_backend! { slow:
    a_text_that_would_wait_for_more_than_an_hour_fails
}

on_each_backend! { with 4 threads:
    many_texts_at_once_are_each_sent_once
}

const MINUTE: TimeDelta = TimeDelta::minutes(1);

async fn by_default_thirty_texts_a_minute_are_sent_and_the_others_in_order_once_their_time_has_come(
    backend: Backend,
) {
    let sender_limit = Options::default().sender_limit;
    let app = backend.app_with(Options { sender_limit, ..unpaced() }).await;
    app.conversation(None).await;
    texts(&app, 0..75).await;
    assert_eq!(arrived(&app), numbers(0..30));
    assert_eq!(arrived_after(&app, TimeDelta::seconds(59)).await, numbers(0..0));
    assert_eq!(arrived_after(&app, TimeDelta::seconds(1)).await, numbers(30..60));
    assert_eq!(arrived_after(&app, TimeDelta::seconds(59)).await, numbers(0..0));
    assert_eq!(arrived_after(&app, TimeDelta::seconds(1)).await, numbers(60..75));
    app.settle_everything().await;
    assert_eq!(arrived(&app), numbers(0..0), "each once");
}

async fn texts_of_the_same_millisecond_are_sent_in_order_too(backend: Backend) {
    let (app, session) = limited(backend, 3, 100).await;
    for n in numbers(0..12) {
        app.text(ALICE, TN, &n).await;
    }
    assert_eq!(arrived(&app), numbers(0..3));
    for first in [3, 6, 9] {
        assert_eq!(arrived_after(&app, TimeDelta::milliseconds(60_010)).await, numbers(first..first + 3));
    }
    assert_eq!(app.relays(&session).await, ["sent"; 12]);
}

async fn a_text_that_waits_shows_why(backend: Backend) {
    let (app, session) = limited(backend, 1, 100).await;
    texts(&app, 0..2).await;
    let waiting = app.messages(&session).await.pop().unwrap();
    assert_eq!([&waiting["state"], &waiting["attempts"]], [&json!("waiting"), &json!(0)]);
    assert_eq!(waiting["reason"], "its sender has sent more texts in a minute than SENDER_TEXTS_PER_MINUTE");
    app.clock.advance(MINUTE);
    app.maintain().await;
    let sent = app.messages(&session).await.pop().unwrap();
    assert_eq!(
        [&sent["state"], &sent["attempts"], &sent["reason"]],
        [&json!("sent"), &json!(1), &json!(null)]
    );
}

async fn a_text_does_not_overtake_earlier_ones_whose_time_has_come(backend: Backend) {
    let (app, _) = limited(backend, 2, 100).await;
    texts(&app, 0..4).await;
    arrived(&app);
    // No round has run since their time came.
    app.clock.advance(MINUTE * 3);
    texts(&app, 4..7).await;
    assert_eq!(arrived(&app), numbers(0..0));
    assert_eq!(arrived_after(&app, TimeDelta::seconds(1)).await, numbers(2..6));
    assert_eq!(arrived_after(&app, MINUTE).await, numbers(6..7));
    app.clock.advance(MINUTE);
    texts(&app, 7..8).await;
    assert_eq!(arrived(&app), numbers(7..8), "none waits any more");
}

async fn after_a_quiet_minute_a_text_is_sent_at_once(backend: Backend) {
    let (app, _) = limited(backend, 2, 100).await;
    texts(&app, 0..3).await;
    assert_eq!(arrived(&app), numbers(0..2));
    assert_eq!(arrived_after(&app, MINUTE).await, numbers(2..3));
    texts(&app, 3..4).await;
    assert_eq!(arrived(&app), numbers(3..4));
}

async fn texts_that_are_spread_over_time_are_never_held_back(backend: Backend) {
    let (app, session) = limited(backend, 4, 100).await;
    for n in 0..20 {
        texts(&app, n..n + 1).await;
        app.clock.advance(TimeDelta::seconds(15));
    }
    assert_eq!(arrived(&app), numbers(0..20));
    assert_eq!(app.relays(&session).await, ["sent"; 20]);
}

async fn a_text_that_would_wait_for_more_than_an_hour_fails(backend: Backend) {
    let (app, session) = limited(backend, 1, 1_000).await;
    texts(&app, 0..65).await;
    // The first is sent at once, sixty wait up to an hour.
    let expected = [vec!["sent"], vec!["waiting"; 60], vec!["failed"; 4]].concat();
    assert_eq!(app.relays(&session).await, expected);
    let failed = app.messages(&session).await.into_iter().find(|message| message["state"] == "failed");
    assert!(failed.unwrap()["reason"].as_str().unwrap().contains("more than an hour"));
    arrived(&app);
    let mut all = Vec::new();
    for _ in 0..60 {
        let next = arrived_after(&app, MINUTE).await;
        assert!(next.len() <= 1, "{next:?}");
        all.extend(next);
    }
    assert_eq!(all, numbers(1..61));
}

async fn a_text_that_waits_is_sent_at_once_when_the_clock_is_set_back(backend: Backend) {
    for back in [TimeDelta::minutes(5), TimeDelta::days(1)] {
        let (app, _) = limited(backend, 1, 100).await;
        texts(&app, 0..3).await;
        arrived(&app);
        assert_eq!(arrived_after(&app, -back).await, numbers(1..3), "{back}");
        texts(&app, 3..4).await;
        assert_eq!(arrived(&app), numbers(3..4), "{back}: what is in the future does not count");
    }
}

async fn a_text_that_waits_long_keeps_its_turn_while_the_clock_is_right(backend: Backend) {
    let (app, _) = limited(backend, 1, 100).await;
    texts(&app, 0..50).await;
    // The last is due in 49 minutes, which is later than any backoff.
    assert_eq!(arrived(&app), numbers(0..1));
    assert_eq!(arrived_after(&app, TimeDelta::seconds(30)).await, numbers(0..0));
    assert_eq!(arrived_after(&app, TimeDelta::seconds(90)).await, numbers(1..3));
    assert_eq!(arrived_after(&app, MINUTE * 47).await, numbers(3..50));
}

async fn a_repeated_text_that_waits_is_sent_once_and_counts_once(backend: Backend) {
    let (app, session) = limited(backend, 2, 100).await;
    let posts: Vec<_> = numbers(0..4).iter().map(|body| flat(&fresh_id(), ALICE, TN, body)).collect();
    for post in &posts {
        for _ in 0..3 {
            assert_eq!(app.post(post).await.status, 200);
        }
        app.clock.advance(TimeDelta::milliseconds(1));
    }
    assert_eq!(arrived(&app), numbers(0..2));
    assert_eq!(arrived_after(&app, MINUTE).await, numbers(2..4));
    for post in &posts {
        assert_eq!(app.post(post).await.status, 200);
    }
    app.settle_everything().await;
    assert_eq!((arrived(&app), app.relays(&session).await), (vec![], vec![json!("sent"); 4]));
}

async fn texts_that_wait_are_cancelled_when_the_session_ends(backend: Backend) {
    let (app, session) = limited(backend, 2, 100).await;
    texts(&app, 0..5).await;
    app.end_session(&session).await;
    assert_eq!(app.relays(&session).await, ["sent", "sent", "cancelled", "cancelled", "cancelled"]);
    app.provider.clear();
    app.settle_everything().await;
    assert_eq!(arrived(&app), numbers(0..0));
}

async fn a_text_whose_time_has_come_is_sent_again_if_the_provider_is_busy(backend: Backend) {
    let (app, session) = limited(backend, 1, 100).await;
    texts(&app, 0..2).await;
    arrived(&app);
    app.provider.always(Outcome::Busy);
    assert_eq!(arrived_after(&app, MINUTE).await, numbers(0..0));
    app.provider.always(Outcome::Sent);
    assert_eq!(arrived_after(&app, TimeDelta::seconds(2)).await, numbers(1..2));
    assert_eq!(app.relays(&session).await, ["sent"; 2]);
}

async fn many_texts_at_once_are_each_sent_once(backend: Backend) {
    const AT_ONCE: usize = 16;
    let (app, session) = limited(backend, 5, 100).await;
    let mut posts = JoinSet::new();
    for n in numbers(0..AT_ONCE) {
        let app: App = app.clone();
        posts.spawn(async move { app.text(ALICE, TN, &n).await });
    }
    posts.join_all().await;
    let mut all = arrived(&app);
    if backend == Backend::Sqlite {
        assert_eq!(all.len(), 5);
    }
    for _ in 0..AT_ONCE {
        all.extend(arrived_after(&app, TimeDelta::milliseconds(60_020)).await);
    }
    all.sort_by_key(|body| body.parse::<usize>().unwrap());
    assert_eq!((all, app.relays(&session).await), (numbers(0..AT_ONCE), vec![json!("sent"); AT_ONCE]));
}
