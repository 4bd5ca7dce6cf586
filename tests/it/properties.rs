//! Properties that hold for any input.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::{collection::vec, prelude::*};
use rusqlite::{Connection, types::Value as Cell};
use serde_json::{Value, json};
use sms_proxy::{
    domain::{Content, Decision, Inbound, NewSession, Number, Route},
    service::{Wording, relay::decide},
};
use test_support::{ALICE, App, BOB, EVE, TN};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "\\+?1?[0-9]{9,12}".prop_map(Value::from),
        (10_000_000_000_u64..=19_999_999_999).prop_map(Value::from),
        (-2_i64..5_256_003).prop_map(Value::from),
        prop::sample::select(vec![TN, ALICE, BOB, EVE]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any::<String>(), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// A management request, mostly with its own fields, with any values.
fn any_call() -> impl Strategy<Value = (&'static str, &'static str, Value)> {
    let routes = vec![
        ("POST", "/tn", &["value"][..]),
        ("DELETE", "/tn", &["value"]),
        ("POST", "/session", &["participant_a", "participant_b", "expiry_window"]),
        ("DELETE", "/session", &["session_id"]),
    ];
    let fields = (prop::sample::select(routes), vec(any_json(), 3), prop::option::weighted(0.1, any_json()));
    fields.prop_map(|((method, path, names), values, whole)| {
        let fields = names.iter().zip(values).map(|(name, value)| ((*name).to_owned(), value)).collect();
        (method, path, whole.unwrap_or(Value::Object(fields)))
    })
}

/// Everything that the store holds.
async fn contents(app: &App) -> Vec<Vec<Cell>> {
    // Another connection sees the outcome of a text later than the store.
    app.store.ping().await.unwrap();
    let db = Connection::open(app.database()).unwrap();
    let mut rows = Vec::new();
    for table in ["tn", "session", "route", "inbound", "outbound", "opt_out", "drain_lease"] {
        let mut statement = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let read = statement.query_map([], |row| (0..columns).map(|n| row.get(n)).collect()).unwrap();
        rows.extend(read.map(|row: rusqlite::Result<Vec<Cell>>| row.unwrap()));
    }
    rows
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_field_value_breaks_the_service_or_changes_the_store_unless_accepted(
        calls in vec(any_call(), 1..12)
    ) {
        block_on(async {
            let app = App::new();
            app.conversation(Some(10)).await;
            for (method, path, body) in calls {
                let before = contents(&app).await;
                let answer = app.call(method, path, Some(body.clone())).await;
                prop_assert!(answer.status < 500, "{method} {path} {body}: {answer:?}");
                if answer.status >= 300 {
                    prop_assert_eq!(before, contents(&app).await, "{} {} {}", method, path, body);
                    prop_assert!(answer.json()["reason"].is_string() && answer.json()["message"].is_string());
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_request_body_breaks_the_webhook(
        id in any_json(), from in any_json(), to in any_json(), body in any_json(), whole in any_json()
    ) {
        block_on(async {
            let app = App::new();
            app.conversation(None).await;
            let attributes = json!({"from": from, "to": to, "body": body, "timestamp": id});
            let flat = json!({"from": from, "to": to, "body": body, "id": id});
            let message = json!({"data": {"type": "message", "id": id, "attributes": attributes}, "included": whole});
            for payload in [flat, message, json!({"data": whole}), whole] {
                let status = app.post(&payload).await.status;
                prop_assert!(status == 200 || status == 400, "{payload}: {status}");
            }
            Ok(())
        })?;
    }

    #[test]
    fn messages_go_only_to_the_participants_or_the_sender(
        people in prop::sample::subsequence((0..6_u64).collect::<Vec<_>>(), 3),
        sender in 0..6_u64,
        kind in 0..5_usize,
        age in prop::option::of(-10_000..10_000_i64),
        previous_end in prop::option::of(-10_000..10_000_i64),
        text in any::<String>(),
    ) {
        let number = |n: u64| Number::try_from(12_065_550_000 + n).unwrap();
        let (a, b, tn) = (number(people[0]), number(people[1]), number(people[2]));
        let now: DateTime<Utc> = DateTime::UNIX_EPOCH;
        let at = |milliseconds| now + TimeDelta::milliseconds(milliseconds);
        let (session, _) = NewSession::new([a, b], now, None, String::new()).on(tn);
        let route = match kind {
            0 => Route::NotOurTn,
            1 => Route::SenderIsTn,
            2 => Route::Stranger { blocked: None },
            3 => Route::Live { session, previous_end: previous_end.map(at) },
            _ => Route::Expired(session),
        };
        let sender = number(sender);
        let inbound = Inbound {
            id: None,
            from: sender,
            to: tn,
            content: Content::from(text.as_str()),
            sent_at: age.map(at),
            media_missing: false,
        };
        let (Decision::Send(texts) | Decision::Expire(texts)) = decide(&route, &inbound, &Wording::default())
        else {
            return Ok(());
        };
        if let (3, Some(end), Some(age)) = (kind, previous_end, age) {
            prop_assert!(age >= end, "a text that was sent before the previous session ended is not relayed");
        }
        for text in texts {
            prop_assert_eq!(text.from, tn);
            let allowed = match &route {
                Route::Live { .. } if sender == a => text.to == b,
                Route::Live { .. } if sender == b => text.to == a,
                Route::Expired(_) => text.to == a || text.to == b,
                _ => text.to == sender,
            };
            prop_assert!(allowed, "{route:?} {sender:?} {text:?}");
            if text.to == sender && !matches!(route, Route::Expired(_)) {
                prop_assert_ne!(text.content, inbound.content.clone());
            }
        }
    }
}
