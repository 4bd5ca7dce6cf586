//! Events as API Gateway and function URLs make them of an HTTP request.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

/// One way from the internet to the function.
#[derive(Debug, Clone, Copy)]
pub struct Door {
    /// An event that came this way, for `GET /`.
    template: &'static str,
    /// What this way puts before the path that the function is told.
    base: &'static str,
}

macro_rules! door {
    ($name:literal, $base:literal) => {
        Door { template: include_str!(concat!("../events/", $name, ".json")), base: $base }
    };
}

pub const REST_PROD: Door = door!("rest-prod", "");
pub const REST_STAGE_TN: Door = door!("rest-stage-tn", "");
/// The base path of the custom domain is called like the stage.
pub const REST_CUSTOM_DOMAIN: Door = door!("rest-custom-domain", "/prod");
pub const HTTP_DEFAULT: Door = door!("http-default", "");
pub const HTTP_PROD: Door = door!("http-prod", "/prod");
pub const HTTP_STAGE_TN: Door = door!("http-stage-tn", "/tn");
/// A body that API Gateway takes for binary.
pub const HTTP_BASE64: Door = door!("http-base64", "");
pub const FUNCTION_URL: Door = door!("function-url", "");

pub const DOORS: [Door; 8] = [
    REST_PROD,
    REST_STAGE_TN,
    REST_CUSTOM_DOMAIN,
    HTTP_DEFAULT,
    HTTP_PROD,
    HTTP_STAGE_TN,
    HTTP_BASE64,
    FUNCTION_URL,
];

/// A request before it becomes an event.
#[derive(Debug, Default, Clone)]
pub struct Call<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// Decoded names and values.
    pub query: &'a [(&'a str, &'a str)],
    pub headers: &'a [(&'a str, &'a str)],
    pub body: Option<String>,
}

impl Door {
    /// The event that this request becomes.
    pub fn event(&self, call: &Call<'_>) -> Value {
        let mut event: Value = serde_json::from_str(self.template).unwrap();
        let path = format!("{}{}", self.base, call.path);
        if event["version"] == "2.0" {
            fill_v2(&mut event, call, &path)
        } else {
            fill_v1(&mut event, call, &path)
        }
        if let Some(body) = &call.body {
            let encoded = event["isBase64Encoded"] == true;
            event["body"] = if encoded { BASE64_STANDARD.encode(body) } else { body.clone() }.into();
        } else {
            event["isBase64Encoded"] = false.into();
        }
        event
    }
}

/// A REST API's (payload format 1.0), whose path is told without the stage.
fn fill_v1(event: &mut Value, call: &Call<'_>, path: &str) {
    let resource = resource(call.path);
    event["httpMethod"] = call.method.into();
    event["path"] = path.into();
    event["resource"] = resource.into();
    if let Some((_, value)) = parameter(call.path) {
        event["pathParameters"] = json!({ parameter(resource).unwrap().1.trim_matches(['{', '}']): value });
    }
    let context = &mut event["requestContext"];
    context["httpMethod"] = call.method.into();
    context["resourcePath"] = resource.into();
    let outer = context["path"].as_str().unwrap().trim_end_matches('/').to_owned();
    context["path"] = format!("{outer}{}", call.path).into();
    for (name, value) in call.headers {
        event["headers"][name] = json!(value);
        event["multiValueHeaders"][name] = json!([value]);
    }
    if !call.query.is_empty() {
        let single: Map<_, _> =
            call.query.iter().map(|(name, value)| ((*name).into(), json!(value))).collect();
        let multi: Map<_, _> =
            call.query.iter().map(|(name, value)| ((*name).into(), json!([value]))).collect();
        event["queryStringParameters"] = single.into();
        event["multiValueQueryStringParameters"] = multi.into();
    }
}

/// An HTTP API's or a function URL's (payload format 2.0), whose raw path has a named stage in front.
fn fill_v2(event: &mut Value, call: &Call<'_>, path: &str) {
    event["rawPath"] = path.into();
    let function_url = event["requestContext"]["domainName"].as_str().unwrap().contains(".lambda-url.");
    if !function_url {
        let route = format!("{} {}", call.method, resource(call.path));
        event["requestContext"]["routeKey"] = route.as_str().into();
        event["routeKey"] = route.into();
    }
    event["requestContext"]["http"]["method"] = call.method.into();
    event["requestContext"]["http"]["path"] = path.into();
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(call.query).finish();
    event["rawQueryString"] = query.into();
    for (name, value) in call.headers {
        event["headers"][name.to_lowercase()] = json!(value);
    }
    event["headers"]["content-length"] = call.body.as_ref().map_or(0, String::len).to_string().into();
}

/// The route that API Gateway matches a path with.
fn resource(path: &str) -> &'static str {
    match parameter(path) {
        Some(("tn", _)) => "/tn/{value}",
        Some(("session", _)) => "/session/{id}",
        _ if path == "/" => "/",
        _ => "/{proxy+}",
    }
}

fn parameter(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix('/')?.split_once('/')
}
