//! Holds the answers of the service against its OpenAPI document. Every answer that a test gets is checked, so an answer
//! that the document does not have fails the first test that sees it.

use crate::Answer;
use jsonschema::Validator;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

/// The document.
pub static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(sms_proxy::http::openapi()).expect("JSON"));

/// The validators that were made so far, by the place of their schema in the document.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// Asserts that the document has this answer to a request.
#[track_caller]
pub fn check(method: &str, path: &str, answer: &Answer) {
    let problems = problems(method, path, answer);
    assert!(
        problems.is_empty(),
        "the OpenAPI document has no such answer to {method} {path}: {problems:?}: {answer:?}"
    );
}

/// In what an answer differs from those in the document. A path that is not in it has none.
pub fn problems(method: &str, path: &str, answer: &Answer) -> Vec<String> {
    let Some(template) = template(path) else { return Vec::new() };
    let listed = if method == "HEAD" { "get".to_owned() } else { method.to_lowercase() };
    // Methods are case-sensitive: `Post` is none of the document's.
    let is_known = method == method.to_uppercase();
    if !is_known || DOCUMENT["paths"][template].get(&listed).is_none() {
        let is_refused = answer.status == 405 && answer.headers.contains_key("allow");
        return if is_refused { Vec::new() } else { vec!["the method is not in the document".into()] };
    }
    let place = ["paths", template, &listed, "responses", &answer.status.to_string()];
    let place = place.map(|part| part.replace('~', "~0").replace('/', "~1")).join("/");
    let (response, place) = resolve(&format!("/{place}"));
    if response.is_null() {
        return vec!["the status is not in the document".into()];
    }
    let mut problems = missing_headers(response, answer);
    if method != "HEAD" {
        problems.extend(body_problems(response, &place, answer));
    }
    problems
}

/// The path of the document that a request's path belongs to. A base path may be before it, which is not looked for, but
/// must not be taken for a route: `/tn/tn` is below one.
fn template(path: &str) -> Option<&'static str> {
    let paths = DOCUMENT["paths"].as_object().expect("an object");
    let is_value = |given: &str| !given.is_empty() && !paths.contains_key(&format!("/{given}"));
    let is_of = |template: &str| {
        let (template, path) = (template.split('/'), path.split('/'));
        template.clone().count() == path.clone().count()
            && template
                .zip(path)
                .all(|(part, given)| part == given || (part.starts_with('{') && is_value(given)))
    };
    let exact = paths.get_key_value(path).map(|(path, _)| path.as_str());
    exact.or_else(|| paths.keys().map(String::as_str).find(|template| is_of(template)))
}

/// What is at this place of the document, and where that is if it is a reference.
fn resolve(place: &str) -> (&'static Value, String) {
    let value = DOCUMENT.pointer(place).unwrap_or(&Value::Null);
    match value["$ref"].as_str().and_then(|target| target.strip_prefix('#')) {
        Some(target) => resolve(target),
        None => (value, place.to_owned()),
    }
}

fn missing_headers(response: &Value, answer: &Answer) -> Vec<String> {
    let headers = response["headers"].as_object().into_iter().flatten();
    let missing = headers.filter(|(name, _)| !answer.headers.contains_key(name.as_str()));
    missing.map(|(name, _)| format!("there is no {name}")).collect()
}

fn body_problems(response: &Value, place: &str, answer: &Answer) -> Vec<String> {
    let Some(content) = response.get("content") else {
        return if answer.body.is_empty() { Vec::new() } else { vec!["the body is not empty".into()] };
    };
    let declared = answer.headers.get("content-type").map_or("", |value| value.to_str().unwrap());
    let media_type = declared.split(';').next().unwrap_or_default();
    match (content.get(media_type), media_type) {
        (None, _) => vec![format!("the content type {media_type} is not in the document")],
        (Some(_), "application/json") => {
            let validator = validator(&format!("{place}/content/application~1json/schema"));
            let Ok(body) = serde_json::from_str(&answer.body) else {
                return vec!["the body is not JSON".into()];
            };
            validator.iter_errors(&body).map(|error| error.to_string()).collect()
        }
        (Some(_), _) => Vec::new(),
    }
}

/// The validator of the schema at this place of the document.
pub fn validator(place: &str) -> Arc<Validator> {
    let make = || {
        // References lead to places in the document, so the schema is one of the whole document. Braces are escaped in a URI.
        let place = place.replace('{', "%7B").replace('}', "%7D");
        let schema = json!({"$ref": format!("#{place}"), "paths": DOCUMENT["paths"], "components": DOCUMENT["components"]});
        Arc::new(jsonschema::validator_for(&schema).expect("a schema"))
    };
    let mut validators = VALIDATORS.lock().expect("no panic while locked");
    Arc::clone(validators.entry(place.to_owned()).or_insert_with(make))
}
