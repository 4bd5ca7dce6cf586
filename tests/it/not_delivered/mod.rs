//! The sender of a text that is not delivered is told (docs/reliability.md#the-sender-is-told).

mod causes;
mod concurrent;
mod late;
mod limits;
mod moved;
mod receipts;

use serde_json::Value;
use test_support::{App, NOT_DELIVERED, Outcome};

/// Who got the notice since the last call, in order.
fn told(app: &App) -> Vec<String> {
    let taken = app.provider.taken().into_iter();
    let told = taken.filter(|text| text.body == NOT_DELIVERED).map(|text| text.to).collect();
    app.provider.clear();
    told
}

/// Runs maintenance; who got the notice since the last call.
async fn told_next(app: &App) -> Vec<String> {
    app.maintain().await;
    told(app)
}

/// A text of this sender, which Flowroute refuses.
async fn refused(app: &App, from: &str, tn: &str) {
    app.provider.always(Outcome::Refused);
    app.text(from, tn, "no way").await;
    app.provider.always(Outcome::Sent);
}

/// The notices of a session as `GET /message` shows them: to whom each is, and its state.
async fn notices(app: &App, session: &Value) -> Vec<[String; 2]> {
    let messages = app.messages(session).await.into_iter();
    let notices = messages.filter(|message| message["kind"] == "not_delivered");
    notices.map(|notice| ["to", "state"].map(|name| notice[name].as_str().unwrap().to_owned())).collect()
}
