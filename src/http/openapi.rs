//! The OpenAPI document of the API.
//!
//! Its parts are in `src/http/openapi/`, one for each resource. Added here is what follows from the tables of routes and
//! reasons: the errors of each route, and the request id of each answer.

use super::{
    auth::Guard,
    reason::Reason,
    routes::{CONSOLE_ROUTES, METRICS_ROUTE, ROUTES, Route, SANDBOX_ROUTE},
};
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, io::Read, sync::LazyLock};

/// The parts as `build.rs` has packed them.
static PARTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz"));

static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());

/// What an operation of a part lists its own reasons in.
const OWN_REASONS: &str = "x-reasons";

/// The OpenAPI document, as JSON.
#[must_use]
pub fn openapi() -> &'static str {
    &DOCUMENT
}

fn document() -> Value {
    let mut packed = String::new();
    let parts = MultiGzDecoder::new(PARTS).read_to_string(&mut packed);
    let parts: Vec<Value> = parts.ok().and_then(|_| serde_json::from_str(&packed).ok()).unwrap_or_default();
    let mut document = json!({});
    for part in parts {
        merge(&mut document, part);
    }
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    for route in ROUTES.iter().chain(CONSOLE_ROUTES).chain([&SANDBOX_ROUTE, &METRICS_ROUTE]) {
        let operation = document["paths"][route.path].get_mut(route.method.to_ascii_lowercase());
        if let Some(operation) = operation.and_then(Value::as_object_mut) {
            add_errors(route, operation);
        }
    }
    let responses = document["components"]["responses"].as_object_mut();
    responses.into_iter().flat_map(Map::values_mut).for_each(add_request_id);
    // No operation is answered so: another method of its path is.
    for reason in Reason::ALL.iter().filter(|reason| **reason != Reason::MethodNotAllowed) {
        document["components"]["examples"][reason.as_str()] = json!({
            "summary": reason.meaning(),
            "value": {"message": reason.meaning(), "reason": reason.as_str()},
        });
    }
    document
}

/// Adds the fields of one object to another, in depth.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// The reasons of all routes that have what this one has.
fn common_reasons(route: &Route, operation: &Map<String, Value>) -> Vec<Reason> {
    use Reason as R;
    let mut reasons = vec![R::UnreadableEvent, R::ForeignOrigin, R::InternalError, R::StoreUnavailable];
    match route.guard {
        Guard::ApiKey => reasons.extend([R::Unauthorized, R::TooManyAttempts]),
        Guard::WebhookToken => reasons.extend([R::Unauthorized, R::TooManyAttempts, R::AddressNotAllowed]),
        Guard::Open => {}
    }
    if operation.contains_key("requestBody") {
        reasons.extend([R::MalformedJson, R::IncompleteBody, R::UnsupportedMediaType]);
        reasons.extend([R::BodyTooSlow, R::BodyTooLarge]);
        if route.guard != Guard::WebhookToken {
            reasons.push(R::UnknownField);
        }
    }
    let parameters = operation.get("parameters").and_then(Value::as_array);
    let is_limit = |parameter: &Value| parameter["$ref"] == "#/components/parameters/Limit";
    if parameters.is_some_and(|parameters| parameters.iter().any(is_limit)) {
        reasons.extend([R::InvalidLimit, R::ListTooLong]);
    }
    if route.path.contains('{') {
        // The parameter cannot be decoded.
        reasons.push(R::NotFound);
    }
    reasons
}

/// Adds the errors of a route to its operation: an answer for each status, with the reasons that have it.
fn add_errors(route: &Route, operation: &mut Map<String, Value>) {
    let own = operation.remove(OWN_REASONS).unwrap_or_default();
    let is_own = |reason: &Reason| own.as_array().is_some_and(|own| own.contains(&reason.as_str().into()));
    let common = common_reasons(route, operation);
    let mut by_status = BTreeMap::<u16, Vec<Reason>>::new();
    for reason in Reason::ALL.iter().filter(|reason| is_own(reason) || common.contains(reason)) {
        by_status.entry(reason.status().as_u16()).or_default().push(*reason);
    }
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    responses.extend(by_status.iter().map(|(status, reasons)| (status.to_string(), error(reasons))));
    responses.values_mut().for_each(add_request_id);
}

/// The answer with one of these reasons, which have the same status.
fn error(reasons: &[Reason]) -> Value {
    let description = reasons.iter().map(|reason| format!("`{}`: {}", reason.as_str(), reason.meaning()));
    let names: Vec<&str> = reasons.iter().map(|reason| reason.as_str()).collect();
    let example =
        |name: &&str| ((*name).to_owned(), json!({"$ref": format!("#/components/examples/{name}")}));
    let mut response = json!({
        "description": description.collect::<Vec<_>>().join("\n\n"),
        "content": {"application/json": {
            "schema": {
                "type": "object",
                "additionalProperties": false,
                "required": ["message", "reason"],
                "properties": {
                    "message": {"description": "For people.", "type": "string", "minLength": 1},
                    "reason": {"description": "For programs.", "type": "string", "enum": names},
                },
            },
            "examples": names.iter().map(example).collect::<Map<_, _>>(),
        }},
    });
    for (reason, header, component) in [
        (Reason::Unauthorized, "WWW-Authenticate", "Challenge"),
        (Reason::TooManyAttempts, "Retry-After", "RetryAfter"),
    ] {
        if reasons.contains(&reason) {
            response["headers"][header] = json!({"$ref": format!("#/components/headers/{component}")});
        }
    }
    response
}

fn add_request_id(response: &mut Value) {
    if response.get("$ref").is_none() {
        response["headers"]["x-request-id"] = json!({"$ref": "#/components/headers/RequestId"});
    }
}
