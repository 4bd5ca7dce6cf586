//! The texts of each participant are limited (docs/reliability.md#limit-for-each-sender).

mod day;
mod minute;
mod others;
mod responders;
mod rule;
mod strangers;

use chrono::TimeDelta;
use serde_json::Value;
use sms_proxy::{domain::SenderLimit, service::Options};
use test_support::{ALICE, App, Backend, NOT_DELIVERED, TN, unpaced};

/// A conversation of Alice and Bob with this limit, and its session.
async fn limited(backend: Backend, per_minute: u32, per_day: u32) -> (App, Value) {
    let sender_limit = SenderLimit { per_minute, per_day };
    let app = backend.app_with(Options { sender_limit, ..unpaced() }).await;
    let session = app.conversation(None).await;
    (app, session)
}

/// Alice's texts with these numbers, a millisecond apart.
async fn texts(app: &App, numbers: std::ops::Range<usize>) {
    for n in numbers {
        app.text(ALICE, TN, &n.to_string()).await;
        app.clock.advance(TimeDelta::milliseconds(1));
    }
}

/// The texts that have reached the provider since the last call, in order, without notices to senders.
fn arrived(app: &App) -> Vec<String> {
    let taken = app.provider.taken().into_iter().map(|text| text.body);
    let bodies = taken.filter(|body| body != NOT_DELIVERED).collect();
    app.provider.clear();
    bodies
}

/// The same, after a round of maintenance this much later.
async fn arrived_after(app: &App, later: TimeDelta) -> Vec<String> {
    app.clock.advance(later);
    app.maintain().await;
    arrived(app)
}

fn numbers(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| n.to_string()).collect()
}
