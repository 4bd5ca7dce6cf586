//! Reads what Lambda hands to the function, so that nothing in it makes `lambda_http` panic.

use axum::http::{HeaderMap, Uri, header};
use base64::{Engine, prelude::BASE64_STANDARD};
use lambda_http::request::LambdaRequest;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json, value::RawValue};
use std::{collections::HashMap, panic::catch_unwind};
use url::Url;

/// The most headers of an event. Gateways pass on 10 KB of them; a header map panics beyond 24,576.
const MOST_HEADERS: usize = 10_000;

/// What is invoked.
#[derive(Debug)]
pub enum Payload {
    /// An event that can become a request, with every value of a header.
    Event(LambdaRequest),
    /// An event without content from the same gateway as one that cannot.
    Flawed(LambdaRequest, Flaw),
}

/// The queries of an event of a REST API.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Queries {
    query_string_parameters: Option<HashMap<String, Value>>,
    multi_value_query_string_parameters: Option<HashMap<String, Value>>,
}

/// Why an event of a gateway cannot become a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The body is said to be Base64 and is not.
    #[error("its body is not Base64")]
    Body,
    /// No URL can have its host, path or query.
    #[error("no URL can have its host, path or query")]
    Address,
    /// It has too many headers.
    #[error("it has more than {MOST_HEADERS} headers")]
    Headers,
    /// A field that gateways always write is missing, or has another type.
    #[error("it is not of the form that gateways write")]
    Form,
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        // A panic would end the process here, and a header map panics if it becomes too large.
        let payload = catch_unwind(|| Self::read(json.get())).ok().flatten();
        payload.ok_or_else(|| {
            tracing::warn!("event refused: it cannot be read");
            de::Error::custom("the event cannot be read")
        })
    }
}

impl Payload {
    fn read(json: &str) -> Option<Self> {
        let event = serde_json::from_str(json).ok()?;
        let LambdaRequest::PassThrough(_) = event else { return Some(Self::checked(event, json)) };
        if is_maintenance(json) {
            return Some(Self::Event(event));
        }
        // `lambda_http` takes a gateway's event for another one if a header has a letter outside ASCII.
        let mut value: Value = serde_json::from_str(json).ok()?;
        remove_odd_headers(&mut value);
        let json = value.to_string();
        Some(match serde_json::from_str(&json).ok()? {
            LambdaRequest::PassThrough(_) if value["requestContext"].is_object() => {
                let empty = if value["version"] == "2.0" {
                    LambdaRequest::ApiGatewayV2(Default::default())
                } else {
                    LambdaRequest::ApiGatewayV1(Default::default())
                };
                Self::Flawed(empty, Flaw::Form)
            }
            event => Self::checked(event, &json),
        })
    }

    fn checked(event: LambdaRequest, json: &str) -> Self {
        let event = with_repeated_headers(event);
        let flaw = if has_parameter_without_values(json) { Some(Flaw::Form) } else { flaw(&event) };
        match flaw {
            Some(flaw) => Self::Flawed(emptied(&event), flaw),
            None => Self::Event(event),
        }
    }
}

/// Removes the headers that have a letter outside ASCII, with all their values: half of a doubled key would be one key.
fn remove_odd_headers(event: &mut Value) {
    let parts = ["headers", "multiValueHeaders"];
    let all = parts.iter().filter_map(|part| event.get(part)?.as_object()).flatten();
    let odd = all.filter(|(_, value)| !value.to_string().is_ascii());
    let odd: Vec<String> = odd.map(|(name, _)| name.to_ascii_lowercase()).collect();
    for part in parts {
        if let Some(headers) = event.get_mut(part).and_then(Value::as_object_mut) {
            headers.retain(|name, _| !odd.contains(&name.to_ascii_lowercase()));
        }
    }
}

/// Whether this is the input that the schedule has.
pub(super) fn is_maintenance(input: &str) -> bool {
    let input = serde_json::from_str::<Value>(input);
    input.is_ok_and(|input| input == json!({"sms-proxy": "maintenance"}))
}

/// An event of the same gateway without content.
fn emptied(event: &LambdaRequest) -> LambdaRequest {
    match event {
        LambdaRequest::ApiGatewayV2(_) => LambdaRequest::ApiGatewayV2(Default::default()),
        _ => LambdaRequest::ApiGatewayV1(Default::default()),
    }
}

/// The event with every value of a header that was sent more than once.
///
/// An event of a REST API has all values of a header, and the last one once more. `lambda_http` would keep that one only, so
/// that a second API key would not be seen.
#[must_use]
pub fn with_repeated_headers(mut event: LambdaRequest) -> LambdaRequest {
    if let LambdaRequest::ApiGatewayV1(event) = &mut event {
        for name in event.multi_value_headers.keys() {
            event.headers.remove(name);
        }
    }
    event
}

/// Whether a parameter of the query has a list of no values, at which `query_map` panics.
fn has_parameter_without_values(json: &str) -> bool {
    let Ok(queries) = serde_json::from_str::<Queries>(json) else { return false };
    let queries = [queries.query_string_parameters, queries.multi_value_query_string_parameters];
    let mut values = queries.iter().flatten().flat_map(HashMap::values);
    values.any(|values| values.as_array().is_some_and(Vec::is_empty))
}

/// Why `lambda_http` would panic when it makes a request of this event, or `None` if it would not.
fn flaw(event: &LambdaRequest) -> Option<Flaw> {
    let (body, is_encoded, header_count, has_address) = match event {
        LambdaRequest::ApiGatewayV1(event) => {
            let (stage, domain) = (&event.request_context.stage, &event.request_context.domain_name);
            let query = if event.multi_value_query_string_parameters.is_empty() {
                event.query_string_parameters.to_query_string()
            } else {
                event.multi_value_query_string_parameters.to_query_string()
            };
            let has_address = has_address(&event.headers, [domain, stage, &event.path], &query);
            let header_count = event.headers.len() + event.multi_value_headers.len();
            (&event.body, event.is_base64_encoded, header_count, has_address)
        }
        LambdaRequest::ApiGatewayV2(event) => {
            let (stage, domain) = (&event.request_context.stage, &event.request_context.domain_name);
            let query = event.raw_query_string.as_deref().unwrap_or_default();
            let has_address = has_address(&event.headers, [domain, stage, &event.raw_path], query);
            (&event.body, event.is_base64_encoded, event.headers.len(), has_address)
        }
        _ => return None,
    };
    let is_decodable = !is_encoded || body.as_ref().is_none_or(|body| BASE64_STANDARD.decode(body).is_ok());
    if header_count > MOST_HEADERS {
        return Some(Flaw::Headers);
    }
    if !has_address {
        return Some(Flaw::Address);
    }
    (!is_decodable).then_some(Flaw::Body)
}

/// Whether the URL that `lambda_http` makes of these is one. The path may get the stage in front of it.
fn has_address(headers: &HeaderMap, [domain, stage, path]: [&Option<String>; 3], query: &str) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = header("x-forwarded-proto").unwrap_or("https");
    let host = header(header::HOST.as_str()).or(domain.as_deref()).unwrap_or("localhost");
    let (stage, path) = (stage.as_deref().unwrap_or_default(), path.as_deref().unwrap_or_default());
    let is_address = |path: String| {
        let url = Url::parse(&format!("{scheme}://{host}{path}"));
        url.is_ok_and(|url| format!("{url}?{query}").parse::<Uri>().is_ok())
    };
    (path.is_empty() || path.starts_with('/'))
        && is_address(path.to_owned())
        && is_address(format!("/{stage}{path}"))
}
