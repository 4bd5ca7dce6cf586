//! A store that holds a record of every kind and state, written through the HTTP API.

use super::snapshot_store::SnapshotStore;
use axum::http::Request;
use chrono::TimeDelta;
use serde_json::{Value, json};
use sms_proxy::domain::{Kind, Outbound};
use test_support::{ALICE, App, BOB, Backend, EVE, Outcome, flat, fresh_id, number};

pub const POOL: u32 = 12;
/// The id of a text that was relayed, and of one that opted out.
pub const RELAYED: &str = "mdr2-relayed";
pub const STOPPED: &str = "mdr2-stopped";

/// The sessions, each as POST /session answered.
pub struct PopulatedStore {
    pub store: SnapshotStore,
    /// Alice and Bob; it has no end.
    pub talk: Value,
    /// Persons 3 and 4; both have opted out.
    pub blocked: Value,
    /// Persons 5 and 6; it has an end that is far away.
    pub later: Value,
    /// Persons 7 and 8; it has expired and is not ended.
    pub expired: Value,
    /// All stored sessions, ended ones too.
    pub all: Vec<Value>,
}

pub fn tn_of(session: &Value) -> &str {
    session["virtual_tn"].as_str().unwrap()
}

/// A text's first word says what becomes of it.
fn fate(message: &Outbound) -> Outcome {
    if message.text.kind == Kind::Start && message.text.to.digits() == number(66) {
        return Outcome::Refused;
    }
    match message.text.content.body.split(' ').next() {
        Some("busy") => Outcome::Busy,
        Some("lost") => Outcome::LostNoResponse,
        Some("unheard") => Outcome::SentNoResponse,
        Some("refused") => Outcome::Refused,
        Some("opted-out") => Outcome::OptedOut,
        _ => Outcome::Sent,
    }
}

/// Posts a text, a moment after what came before: at the same moment, each store has an order of its own.
async fn post(app: &App, text: Value) {
    app.clock.advance(TimeDelta::milliseconds(1));
    assert_eq!(app.post(text).await.status, 200);
}

async fn text(app: &App, from: &str, to: &str, body: &str) {
    post(app, flat(&fresh_id(), from, to, body)).await;
}

/// The statuses of receipts by level.
pub const STATUSES: [&str; 3] = ["", "smsc submit", "message buffered"];

pub async fn receipt(app: &App, message: &Value, named: bool, level: u8, code: Value) {
    let id = message["id"].as_str().unwrap();
    let query = if named { format!("?m={id}") } else { String::new() };
    let receipt = json!({"data": {"type": "delivery_receipt", "id": message["provider_id"], "attributes": {
        "body": "x", "level": level, "status": STATUSES[usize::from(level)], "status_code": code,
        "status_code_description": "as scripted", "timestamp": "2026-11-21T16:44:35.00Z"
    }}});
    let request = Request::post(format!("/{query}")).header("content-type", "application/json");
    assert_eq!(app.send(request.body(receipt.to_string().into()).unwrap()).await.status, 200);
}

/// A text with a picture.
fn picture(from: &str, to: &str, body: &str) -> Value {
    json!({
        "data": {"type": "message", "id": fresh_id(), "attributes": {"to": to, "from": from, "body": body, "is_mms": true}},
        "included": [
            {"type": "media", "attributes": {"url": "https://media.example/2.png?a=\"b\""}},
            {"type": "media", "attributes": {"url": "https://media.example/1.png"}}
        ]
    })
}

impl PopulatedStore {
    pub async fn on(backend: Backend) -> Self {
        let store = SnapshotStore::of(backend).await;
        let app = store.app.clone();
        app.provider.script(fate);
        for n in 0..POOL {
            app.add_tn(&number(1000 + n)).await;
            app.clock.advance(TimeDelta::milliseconds(7));
        }
        let mut all = vec![given_up(&app).await];
        let talk = app.open_session(ALICE, BOB, None).await;
        let blocked = app.open_session(&number(3), &number(4), None).await;
        let later = app.open_session(&number(5), &number(6), Some(10_000)).await;
        let expired = app.open_session(&number(7), &number(8), Some(60)).await;
        all.extend([&talk, &blocked, &later, &expired].map(Clone::clone));

        // The start of this one is refused.
        let refused = json!({"participant_a": number(65), "participant_b": number(66)});
        app.call("POST", "/session", Some(refused)).await.assert_error(502, "provider_rejected");

        // Ended ones: on request, with a waiting and an unknown text, and by expiry.
        let ended = app.open_session(&number(9), &number(10), None).await;
        text(&app, &number(9), tn_of(&ended), "busy and then cancelled").await;
        text(&app, &number(10), tn_of(&ended), "lost and then revoked").await;
        app.end_session(&ended).await;
        let over = app.open_session(&number(11), &number(12), Some(1)).await;
        app.clock.advance(TimeDelta::seconds(90));
        text(&app, &number(11), tn_of(&over), "too late").await;
        all.extend([ended, over]);

        // Opt-outs, by STOP and by a refusal of Flowroute, and an opt-in.
        post(&app, flat(STOPPED, &number(3), tn_of(&blocked), "STOP")).await;
        text(&app, &number(4), tn_of(&blocked), "never sent").await;
        text(&app, &number(3), tn_of(&blocked), "opted-out is what Flowroute says").await;
        text(&app, EVE, tn_of(&talk), "stop").await;
        text(&app, EVE, tn_of(&talk), "unstop").await;
        text(&app, EVE, tn_of(&talk), "who are you?").await;

        post(&app, flat(RELAYED, ALICE, tn_of(&talk), "the first \u{1F600}\n\t\"quoted\" \u{0}")).await;
        text(&app, BOB, tn_of(&talk), "refused words").await;
        text(&app, ALICE, tn_of(&talk), "lost but looked for once").await;
        text(&app, &number(7), tn_of(&expired), "busy until it is too late").await;
        app.maintain().await;
        text(&app, ALICE, tn_of(&talk), "busy now, to be sent later").await;
        post(&app, picture(BOB, tn_of(&talk), "busy with a picture")).await;
        text(&app, &number(5), tn_of(&later), "unheard of").await;
        let messages = app.messages(&talk).await;
        receipt(&app, &messages[0], true, 2, json!("1004")).await;
        receipt(&app, &messages[2], false, 1, Value::Null).await;
        receipt(&app, &messages[2], true, 2, json!(1003)).await;
        app.clock.advance(TimeDelta::minutes(61));
        Self { store, talk, blocked, later, expired, all }
    }
}

/// A session with a text that is unknown for good.
async fn given_up(app: &App) -> Value {
    let session = app.open_session(&number(1), &number(2), None).await;
    text(app, &number(1), tn_of(&session), "lost for good").await;
    app.provider.list_is_down(true);
    app.clock.advance(TimeDelta::hours(25));
    app.maintain().await;
    app.provider.list_is_down(false);
    session
}
