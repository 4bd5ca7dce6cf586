//! Random posts and management calls, through the router and as events: none makes the service fail, and only calls that are
//! answered 2xx change the store. `RANDOM_CALLS` says how many, `RANDOM_CALLS_SEED` which.

pub(super) mod generator;

use axum::{body::Body, http::Request};
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, TimeDelta};
use generator::{Generated, Generator};
use lambda_http::request::from_str;
use rusqlite::Connection;
use sms_proxy::{
    http::{Auth, Parts, router},
    service::Options,
    store::{Dynamo, Exported, Snapshot, Store},
};
use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use test_support::{
    Answer, App, Backend,
    dynamodb::{Table, engine_url},
    events::{Call, GATEWAYS},
    openapi, parts, sqlite_in_memory, unpaced,
};

/// The calls are shared between this many services, on stores of their own.
const SERVICES: u64 = 4;
/// On DynamoDB, a new table is taken after so many.
const CALLS_OF_A_TABLE: u64 = 500;
pub(super) const KEY: &str = "an-api-key-of-the-test";
pub(super) const TOKEN: &str = "a-token-of-the-test";

/// A request, as it comes to the router; `None` if the gateway would not make one of it.
fn request(generated: &Generated) -> Option<Request<Body>> {
    let Generated { method, path, query, headers, body, gateway, .. } = generated;
    let Some(gateway) = gateway else {
        let path = if query.is_empty() { path.clone() } else { format!("{path}?{query}") };
        let request = Request::builder().method(method.as_str()).uri(path);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        return request.body(Body::from(body.clone())).ok();
    };
    let query: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
    let query: Vec<_> = query.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let call = Call { method, path, query: &query, headers: &headers, body: Some(String::new()) };
    // REST APIs, the first three, have a resource for each path that they pass on.
    let has_resource =
        ["/tn/", "/session/"].iter().any(|prefix| path.starts_with(prefix)) || path.rfind('/') == Some(0);
    let gateways = if has_resource { GATEWAYS } else { &GATEWAYS[3..] };
    let mut event = gateways[gateway % gateways.len()].event(&call);
    match String::from_utf8(body.clone()) {
        Ok(text) if gateway % 2 == 0 => {
            (event["body"], event["isBase64Encoded"]) = (text.into(), false.into())
        }
        _ => {
            (event["body"], event["isBase64Encoded"]) = (BASE64_STANDARD.encode(body).into(), true.into());
        }
    }
    from_str(&event.to_string()).ok().map(sms_proxy::runtime::lambda::request)
}

/// A connection to the database that counts the rows which anybody changes from now on.
fn counting(app: &App) -> Connection {
    let database = Connection::open(app.database()).unwrap();
    database.execute_batch("CREATE TABLE changes (n INTEGER); INSERT INTO changes VALUES (0)").unwrap();
    let tables =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('changes', 'sqlite_sequence')";
    let mut statement = database.prepare(tables).unwrap();
    let tables: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    drop(statement);
    for table in tables {
        // Picks correct the keys of the free list, whatever the answer.
        let update = if table == "tn" { "UPDATE OF value, added_at, sessions, draining" } else { "UPDATE" };
        for (n, change) in ["INSERT", update, "DELETE"].iter().enumerate() {
            let trigger = format!(
                "CREATE TRIGGER {table}_{n} AFTER {change} ON {table} BEGIN UPDATE changes SET n = n + 1; END"
            );
            database.execute_batch(&trigger).unwrap();
        }
    }
    database
}

/// Sees whether the store is changed.
pub(super) enum Watch {
    Sqlite(Connection, Arc<dyn Store>),
    Dynamodb(Arc<Dynamo>),
}

/// The state of the store: how many rows were changed so far, or all records.
#[derive(PartialEq)]
pub(super) enum Seen {
    Changes(i64),
    Records(Exported),
}

impl Watch {
    pub(super) async fn look(&self) -> Seen {
        match self {
            Self::Sqlite(database, store) => {
                // Another connection sees the outcome of a text later than the store.
                store.ping().await.unwrap();
                Seen::Changes(database.query_row("SELECT n FROM changes", [], |row| row.get(0)).unwrap())
            }
            Self::Dynamodb(store) => Seen::Records(store.export(DateTime::UNIX_EPOCH).await.unwrap()),
        }
    }
}

/// A service with key and token on an empty store of this backend, and what sees its changes.
pub(super) async fn watched(backend: Backend, options: Options) -> (App, Watch) {
    let auth = Auth { api_keys: vec![KEY.into()], webhook_token: Some(TOKEN.into()), ..Auth::default() };
    let guarded = |app: App| {
        let router = router(Parts { auth, console: true, ..parts(&app.service) });
        App { router, ..app }
    };
    if backend == Backend::Sqlite {
        let (store, folder) = sqlite_in_memory();
        let app = guarded(App { folder: Some(Arc::new(folder)), ..App::on(store, options) });
        let database = counting(&app);
        let store = Arc::clone(&app.store);
        return (app, Watch::Sqlite(database, store));
    }
    let table = Table::create(&engine_url()).await.at_the_engine();
    let store = Dynamo::new(table.client.clone(), &table.name, TimeDelta::days(30));
    let store = Arc::new(store.with_limit(Duration::from_secs(60)));
    (guarded(App::on(Arc::clone(&store) as _, options)), Watch::Dynamodb(store))
}

/// Sends a request; again if the machine was so busy that the store did not begin with it before its time limit.
pub(super) async fn send_patiently(app: &App, request: Request<Body>) -> Answer {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    loop {
        let answer = app.send_random(Request::from_parts(head.clone(), Body::from(body.clone()))).await;
        let id = answer.headers["x-request-id"].to_str().unwrap();
        let was_busy = |line: &String| line.contains(id) && line.contains("are waiting");
        if answer.status != 503 || !logged_errors().iter().any(was_busy) {
            return answer;
        }
    }
}

/// The errors that were logged.
fn logged_errors() -> Vec<String> {
    test_support::logged().lines().filter(|line| line.contains("ERROR")).map(str::to_owned).collect()
}

pub(super) fn assert_harmless(answer: &Answer, changed: bool, is_head: bool, what: &str) {
    assert!(answer.status < 500, "{what}: {answer:?}; logged: {:?}", logged_errors());
    if answer.status >= 300 {
        assert!(!changed, "the store was changed. {what}: {answer:?}");
        if !is_head {
            let json = answer.json();
            assert!(json["reason"].is_string() && json["message"].is_string(), "{what}: {answer:?}");
        }
    }
}

/// Sends so many calls. Returns how many of each kind were answered 2xx.
async fn send_calls(backend: Backend, seed: u64, calls: u64) -> BTreeMap<&'static str, u32> {
    let (mut app, mut watch) = watched(backend, unpaced()).await;
    let mut generator = Generator::new(seed, KEY, TOKEN);
    let mut accepted = BTreeMap::new();
    let mut before = watch.look().await;
    for n in 0..calls {
        // A look at DynamoDB reads all records, so that a table may not grow for long.
        if backend == Backend::Dynamodb && n % CALLS_OF_A_TABLE == CALLS_OF_A_TABLE - 1 {
            (app, watch) = watched(backend, unpaced()).await;
            before = watch.look().await;
        }
        let generated = generator.call();
        let Some(request) = request(&generated) else { continue };
        let path = request.uri().path().to_owned();
        let answer = send_patiently(&app, request).await;
        openapi::check(&generated.method, &path, &answer);
        let what = format!("seed {seed}, call {n}, {generated:?}");
        let after = watch.look().await;
        assert_harmless(&answer, after != before, generated.method == "HEAD", &what);
        before = after;
        if answer.status < 300 {
            *accepted.entry(generated.kind).or_default() += 1;
            generator.learn(&answer.body);
        }
    }
    accepted
}

/// A number of the environment, or this one.
pub(super) fn variable(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |number| number.parse().expect(name))
}

fn run(share: u64) {
    run_on(Backend::Sqlite, share, variable("RANDOM_CALLS", 50_000) / SERVICES);
}

fn run_on(backend: Backend, share: u64, calls: u64) {
    let seed = variable("RANDOM_CALLS_SEED", 1) * SERVICES + share;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sent = AssertUnwindSafe(|| runtime.block_on(send_calls(backend, seed, calls)));
    let accepted = std::panic::catch_unwind(sent).unwrap_or_else(|panic| {
        eprintln!("to repeat this: RANDOM_CALLS_SEED={}", seed / SERVICES);
        std::panic::resume_unwind(panic)
    });
    // Else the calls are too random to find anything.
    for kind in generator::KINDS {
        assert!(accepted.get(kind).is_some_and(|count| *count >= 10), "{kind}: {accepted:?}");
    }
    eprintln!("random calls on {backend:?}, seed {seed}: accepted {accepted:?}");
}

#[test]
fn a_quarter_of_the_random_calls_is_harmless() {
    run(0);
}

#[test]
#[ignore = "slow"]
fn another_quarter_of_the_random_calls_is_harmless() {
    run(1);
}

#[test]
#[ignore = "slow"]
fn a_third_quarter_of_the_random_calls_is_harmless() {
    run(2);
}

#[test]
#[ignore = "slow"]
fn the_last_quarter_of_the_random_calls_is_harmless() {
    run(3);
}

/// Fewer, as all records are read after each.
#[test]
#[ignore = "slow"]
fn random_calls_on_dynamodb_are_harmless() {
    run_on(Backend::Dynamodb, 0, variable("RANDOM_CALLS", 50_000) / 50);
}
