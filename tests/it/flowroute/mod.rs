//! Flowroute's client against a scripted server.

mod outcomes;
mod refusals;
mod requests;
mod sizes;
mod surrogates;

use chrono::Utc;
use secrecy::SecretString;
use sms_proxy::{
    domain::{Content, Kind, Outbound, Text},
    provider::{
        Provider, SendError,
        flowroute::{ApiVersion, Client, ClientOptions},
    },
};
use std::time::Duration;
use test_support::{ALICE, Loopback, Reply, TN};

const ACCESS_KEY: &str = "the-access-key";
const SECRET_KEY: &str = "the-secret-key/with:signs";
const ID: &str = "mdr2-39cadeace66e11e7aff806cd7f24ba2d";
/// A time limit that no test reaches.
const LONG: Duration = Duration::from_secs(60);

fn options(url: &str, version: ApiVersion) -> ClientOptions {
    ClientOptions {
        url: url.parse().expect("an address"),
        version,
        access_key: SecretString::from(ACCESS_KEY),
        secret_key: SecretString::from(SECRET_KEY),
        public_url: None,
        webhook_token: None,
        may_freeze: false,
    }
}

fn client_of(url: &str, version: ApiVersion) -> Client {
    Client::new(options(url, version)).expect("a client")
}

fn client(server: &Loopback) -> Client {
    client_of(&server.url("http"), ApiVersion::V2_1)
}

/// A message from the TN to Alice.
fn message(body: &str, media_urls: &[&str]) -> Outbound {
    let text = Text {
        kind: Kind::Relay,
        session: None,
        from: TN.parse().expect("a number"),
        to: ALICE.parse().expect("a number"),
        to_role: None,
        blocked: None,
        content: Content {
            body: body.into(),
            media_urls: media_urls.iter().copied().map(str::to_owned).collect(),
        },
    };
    Outbound::new(text, Utc::now())
}

/// The outcome of a text that gets this reply.
async fn outcome(reply: Reply) -> Result<String, SendError> {
    let server = Loopback::always(reply).await;
    let outcome = client(&server).send(&message("hello", &[]), LONG).await;
    server.only_request();
    outcome
}

/// Flowroute's response to a text that it accepts (`docs/flowroute.md#sending`).
fn taken() -> Reply {
    let link = format!("https://api.flowroute.com/v2.1/messages/{ID}");
    Reply::answer(202, serde_json::json!({"data": {"links": {"self": link}, "type": "message", "id": ID}}))
}
