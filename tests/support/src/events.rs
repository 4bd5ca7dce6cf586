//! Events as API Gateway and function URLs make them of an HTTP request.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

/// An API Gateway or function URL in front of the function.
#[derive(Debug, Clone, Copy)]
pub struct Gateway {
    /// A recorded event, for `GET /`.
    template: &'static str,
    /// The prefix of the paths in its events.
    base: &'static str,
}

macro_rules! gateways {
    ($($(#[$doc:meta])* $name:ident = $file:literal, $base:literal;)*) => {
        $(
            $(#[$doc])*
            pub const $name: Gateway = Gateway {
                template: include_str!(concat!("../events/", $file, ".json")),
                base: $base,
            };
        )*

        /// All of them.
        pub const GATEWAYS: &[Gateway] = &[$($name),*];
    };
}

gateways! {
    /// A REST API with a stage.
    REST_PROD = "rest-prod", "";
    /// A REST API whose stage is called `tn`.
    REST_STAGE_TN = "rest-stage-tn", "";
    /// A REST API at a custom domain whose base path is called like the stage.
    REST_CUSTOM_DOMAIN = "rest-custom-domain", "/prod";
    /// An HTTP API with the default stage.
    HTTP_DEFAULT = "http-default", "";
    /// An HTTP API with a named stage.
    HTTP_PROD = "http-prod", "/prod";
    /// An HTTP API whose stage is called `tn`.
    HTTP_STAGE_TN = "http-stage-tn", "/tn";
    /// An HTTP API that encodes bodies in Base64.
    HTTP_BASE64 = "http-base64", "";
    /// A function URL.
    FUNCTION_URL = "function-url", "";
}

/// An HTTP request to turn into an event.
#[derive(Debug, Default, Clone)]
pub struct Call<'a> {
    /// The method.
    pub method: &'a str,
    /// The path.
    pub path: &'a str,
    /// The names and values of the query, decoded.
    pub query: &'a [(&'a str, &'a str)],
    /// The headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: Option<String>,
}

impl Gateway {
    /// The event for this request.
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

/// Fills an event of a REST API (payload format 1.0). Its path is without the stage.
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

/// Fills an event of an HTTP API or a function URL (payload format 2.0). Its raw path begins with a named stage.
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
        Some(("console", _)) => "/console/{file}",
        _ if path == "/" => "/",
        _ => "/{proxy+}",
    }
}

/// The folder and the parameter of a path that has one.
fn parameter(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix('/')?.split_once('/').filter(|(folder, _)| *folder != "participant")
}
