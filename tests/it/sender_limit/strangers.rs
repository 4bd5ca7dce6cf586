//! Answers to strangers are limited by the day, too.

use chrono::TimeDelta;
use sms_proxy::{service::Options, store::ReplyQuota};
use test_support::{App, Backend, TN, fresh_number, number, on_each_backend, unpaced};

on_each_backend! {
    all_strangers_together_get_no_more_answers_in_a_day_than_the_quota
    answers_in_the_future_do_not_count_in_the_quota_of_a_day
}

on_each_backend! { slow:
    by_default_a_thousand_strangers_a_day_are_answered
}

async fn with_quota(backend: Backend, per_day: u32) -> App {
    let reply_quota = ReplyQuota { per_hour: 100, per_minute: 10_000, per_day };
    let app = backend.app_with(Options { reply_quota, ..unpaced() }).await;
    for tn in [TN.to_owned(), number(1)] {
        app.add_tn(&tn).await;
    }
    app
}

/// How many of so many strangers are answered.
async fn answered(app: &App, strangers: usize) -> usize {
    app.provider.clear();
    for n in 0..strangers {
        // On different TNs.
        let tn = if n % 2 == 0 { TN.to_owned() } else { number(1) };
        app.text(&fresh_number(), &tn, "hello?").await;
    }
    app.provider.taken().len()
}

async fn all_strangers_together_get_no_more_answers_in_a_day_than_the_quota(backend: Backend) {
    let app = with_quota(backend, 5).await;
    let hour = TimeDelta::hours(1);
    assert_eq!(answered(&app, 3).await, 3);
    app.clock.advance(hour * 12);
    assert_eq!(answered(&app, 4).await, 2);
    app.clock.advance(hour * 12 - TimeDelta::milliseconds(1));
    assert_eq!(answered(&app, 2).await, 0);
    app.clock.advance(TimeDelta::milliseconds(1));
    assert_eq!(answered(&app, 5).await, 3);
    app.clock.advance(hour * 12);
    assert_eq!(answered(&app, 5).await, 2);
    let none = with_quota(backend, 0).await;
    assert_eq!(answered(&none, 2).await, 0);
}

async fn by_default_a_thousand_strangers_a_day_are_answered(backend: Backend) {
    let app = with_quota(backend, Options::default().reply_quota.per_day).await;
    assert_eq!(answered(&app, 1_002).await, 1_000);
    app.clock.advance(TimeDelta::hours(25));
    assert_eq!(answered(&app, 3).await, 3);
}

async fn answers_in_the_future_do_not_count_in_the_quota_of_a_day(backend: Backend) {
    for back in [TimeDelta::minutes(5), TimeDelta::days(400)] {
        let app = with_quota(backend, 2).await;
        assert_eq!(answered(&app, 3).await, 2);
        app.clock.advance(-back);
        assert_eq!(answered(&app, 3).await, 2, "{back}");
    }
}
