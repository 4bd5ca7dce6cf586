//! Posts in forms other than the documented one: a text must not be lost for its form (docs/flowroute.md#what-is-accepted).

mod encodings;
mod json;
mod links;
mod numbers;
mod pictures;
mod stamps;

use axum::{body::Body, http::Request};
use base64::{Engine, prelude::BASE64_STANDARD};
use lambda_http::request::from_str;
use serde_json::{Value, json};
use test_support::{
    Answer, App, BOB,
    events::{Call, GATEWAYS},
    fresh_id,
};

pub type Headers<'a> = &'a [(&'a str, &'a str)];

/// Posts bytes to the router, and as an event of each gateway with its body in Base64. Returns one answer of each kind.
pub async fn post_bytes(app: &App, headers: Headers<'_>, body: &[u8]) -> Vec<Answer> {
    let mut request = Request::post("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answers = vec![app.send(request.body(Body::from(body.to_vec())).unwrap()).await];
    for gateway in GATEWAYS {
        let call = Call { method: "POST", path: "/", headers, body: Some(String::new()), ..Call::default() };
        let mut event = gateway.event(&call);
        event["body"] = BASE64_STANDARD.encode(body).into();
        event["isBase64Encoded"] = true.into();
        let event = from_str(&event.to_string()).unwrap();
        answers.push(app.send(sms_proxy::runtime::lambda::request(event)).await);
    }
    answers
}

/// What reached people since the last call: the recipient and the text of each.
pub fn arrived(app: &App) -> Vec<(String, String)> {
    let taken = app.provider.taken_by();
    app.provider.clear();
    taken
}

pub fn to_bob(body: &str) -> Vec<(String, String)> {
    vec![(BOB.to_owned(), body.to_owned())]
}

pub fn json_api(attributes: Value) -> String {
    json!({"data": {"id": fresh_id(), "type": "message", "attributes": attributes}}).to_string()
}
