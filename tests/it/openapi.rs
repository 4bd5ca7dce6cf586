//! The OpenAPI document: it has what the program has. Each answer that any test gets is held against it as well
//! (`test_support::openapi`).

use serde_json::{Value, json};
use sms_proxy::{
    http::{
        Auth, CONSOLE_ROUTES, Guard, METRICS_ROUTE, Parts, ROUTES, Reason, Route, SANDBOX_ROUTE, openapi,
        router,
    },
    runtime::lambda,
};
use std::collections::BTreeSet;
use tempfile::TempDir;
use test_support::{
    ALICE, Answer, App, TN,
    binary::{Binary, command},
    events::{Call, GATEWAYS},
    openapi::{DOCUMENT, problems, validator},
    parts, unpaced,
};

fn all_routes() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().chain(CONSOLE_ROUTES).chain([&SANDBOX_ROUTE, &METRICS_ROUTE])
}

/// The methods and paths of the document with their operations.
fn operations() -> Vec<(String, &'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let of_path = |(path, methods): (&'static String, &'static Value)| {
        let operations = methods.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters");
        operations.map(move |(method, operation)| (method.to_uppercase(), path.as_str(), operation))
    };
    paths.iter().flat_map(of_path).collect()
}

/// What is at this place, or where it refers to.
fn resolved(value: &'static Value) -> &'static Value {
    let target = value["$ref"].as_str().map(|target| DOCUMENT.pointer(&target[1..]).unwrap());
    target.unwrap_or(value)
}

/// The reasons of an operation with their status.
fn reasons(operation: &'static Value) -> BTreeSet<(&'static str, &'static str)> {
    let mut reasons = BTreeSet::new();
    for (status, response) in operation["responses"].as_object().unwrap() {
        let names = &response["content"]["application/json"]["schema"]["properties"]["reason"]["enum"];
        let names = names.as_array().into_iter().flatten();
        reasons.extend(names.map(|name| (status.as_str(), name.as_str().unwrap())));
    }
    reasons
}

/// The schema and the example of the JSON body that an operation takes, if it takes one.
fn body(operation: &'static Value) -> Option<(&'static Value, &'static Value)> {
    let content = &resolved(operation.get("requestBody")?)["content"]["application/json"];
    Some((&content["schema"], &content["example"]))
}

/// The management calls with a body: method, path with parameters filled in, schema and example of the body.
fn calls_with_a_body() -> impl Iterator<Item = (String, String, &'static Value, &'static Value)> {
    operations().into_iter().filter(|(_, path, _)| *path != "/").filter_map(|(method, path, operation)| {
        let (schema, example) = body(operation)?;
        let path = path.replace("{value}", TN).replace("{id}", "cae5cd5c43464b8da9c3dc8642f5ae0d");
        Some((method, path, schema, example))
    })
}

#[test]
fn every_route_is_in_the_document_and_asks_for_what_its_guard_asks_for() {
    let documented: BTreeSet<_> = operations()
        .into_iter()
        .map(|(method, path, operation)| {
            let security = operation.get("security").unwrap_or(&DOCUMENT["security"]);
            (method, path, security.to_string())
        })
        .collect();
    let security = |guard| match guard {
        Guard::ApiKey => json!([{"ApiKey": []}, {"Bearer": []}]),
        Guard::WebhookToken => json!([{"WebhookToken": []}, {"WebhookPassword": []}]),
        Guard::Open => json!([]),
    };
    let routes =
        all_routes().map(|route| (route.method.to_owned(), route.path, security(route.guard).to_string()));
    assert_eq!(documented, routes.collect());
}

#[test]
fn every_reason_is_in_the_document_with_its_status_its_meaning_and_an_example() {
    let all: BTreeSet<_> =
        operations().into_iter().flat_map(|(_, _, operation)| reasons(operation)).collect();
    // A method that a path does not have is in no operation.
    let of_operations = || Reason::ALL.iter().filter(|reason| **reason != Reason::MethodNotAllowed);
    let expected: Vec<_> =
        of_operations().map(|reason| (reason.status().as_str().to_owned(), reason.as_str())).collect();
    assert_eq!(
        all.into_iter().map(|(status, name)| (status.to_owned(), name)).collect::<BTreeSet<_>>(),
        expected.into_iter().collect()
    );
    for reason in of_operations() {
        let example = &DOCUMENT["components"]["examples"][reason.as_str()];
        assert_eq!(example["value"]["reason"], reason.as_str());
        assert!(reason.meaning().ends_with('.'), "{}", reason.meaning());
    }
}

#[test]
fn the_parts_name_known_reasons_only_and_none_twice() {
    let known: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/openapi");
    let mut parts = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let part: Value =
            serde_json::from_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap();
        for operation in
            part["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values())
        {
            let own: Vec<_> = operation["x-reasons"].as_array().into_iter().flatten().collect();
            let names: BTreeSet<_> = own.iter().map(|name| name.as_str().unwrap()).collect();
            assert!(names.is_subset(&known) && names.len() == own.len(), "{own:?}");
        }
        parts += 1;
    }
    assert!(parts > 5, "{parts}");
}

#[tokio::test]
async fn the_document_has_the_fields_that_each_call_knows() {
    let app = App::new();
    let mut calls = 0;
    for (method, path, schema, _) in calls_with_a_body() {
        let answer = app.call(&method, &path, Some(json!({"nowhere_known": 1}))).await;
        answer.assert_error(400, "unknown_field");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        let known: BTreeSet<_> = message.split_once("known fields: ").unwrap().1.split(", ").collect();
        let listed: BTreeSet<_> =
            schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(listed, known, "{method} {path}");
        assert_eq!(schema["additionalProperties"], false, "{method} {path}");
        calls += 1;
    }
    assert!(calls >= 6, "{calls}");
}

#[tokio::test]
async fn the_document_says_which_fields_are_required() {
    let app = App::new();
    for (method, path, schema, example) in calls_with_a_body() {
        let required = schema["required"].as_array().unwrap();
        for name in schema["properties"].as_object().unwrap().keys() {
            let mut body = example.clone();
            body.as_object_mut().unwrap().remove(name);
            let answer = app.call(&method, &path, Some(body)).await.json();
            let reason = answer["reason"].as_str().unwrap_or_default();
            let is_missing = ["missing_field", "invalid_draining"].contains(&reason);
            assert_eq!(
                is_missing,
                required.contains(&json!(name)),
                "{method} {path} without {name}: {answer}"
            );
        }
    }
}

#[tokio::test]
async fn the_examples_of_requests_are_read() {
    let app = App::new();
    for (method, path, _, example) in calls_with_a_body() {
        let answer = app.call(&method, &path, Some(example.clone())).await;
        // A pool without TNs and sessions can refuse them, but nothing is wrong with their form.
        let refusals = ["tn_not_found", "session_not_found", "opt_out_not_found", "no_tn_available"];
        let reason = if answer.status == 200 { Value::Null } else { answer.json()["reason"].take() };
        assert!(
            reason.as_str().is_none_or(|reason| refusals.contains(&reason)),
            "{method} {path}: {answer:?}"
        );
    }
    let post = resolved(&DOCUMENT["paths"]["/"]["post"]["requestBody"]);
    for content in post["content"].as_object().unwrap().values() {
        for (name, example) in content["examples"].as_object().unwrap() {
            let answer = app.post(&example["value"]).await;
            assert_eq!(answer.status, 200, "{name}: {answer:?}");
        }
    }
}

#[test]
fn the_examples_are_of_their_schemas() {
    let mut checked = 0;
    let mut check = |place: String, content: &Value| {
        let named =
            content["examples"].as_object().into_iter().flatten().map(|(_, example)| &example["value"]);
        for example in content.get("example").into_iter().chain(named).filter(|example| !example.is_null()) {
            let problems: Vec<_> =
                validator(&format!("{place}/schema")).iter_errors(example).map(|e| e.to_string()).collect();
            assert!(problems.is_empty(), "{place}: {problems:?}: {example}");
            checked += 1;
        }
    };
    for (method, path, operation) in operations() {
        let place = format!("/paths/{}/{}", path.replace('/', "~1"), method.to_lowercase());
        for media_type in ["application/json", "application/vnd.api+json"] {
            let media_place = format!("content/{}", media_type.replace('/', "~1"));
            for (name, response) in operation["responses"].as_object().unwrap() {
                if response.get("$ref").is_none() {
                    check(
                        format!("{place}/responses/{name}/{media_place}"),
                        &response["content"][media_type],
                    );
                }
            }
            if let Some(body) = operation.get("requestBody").filter(|body| body.get("$ref").is_none()) {
                check(format!("{place}/requestBody/{media_place}"), &body["content"][media_type]);
            }
        }
    }
    for kind in ["responses", "requestBodies"] {
        for (name, component) in DOCUMENT["components"][kind].as_object().unwrap() {
            let place = format!("/components/{kind}/{name}/content/application~1json");
            check(place, &component["content"]["application/json"]);
        }
    }
    assert!(checked > 15, "{checked}");
}

/// An answer to `GET /tn/{value}` with this body, which is right but for what a test changes.
fn answer(status: u16, body: &Value) -> Answer {
    let headers = [("content-type", "application/json"), ("x-request-id", "1")];
    let headers = headers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    Answer { status, headers: headers.collect(), body: body.to_string() }
}

#[test]
fn an_answer_that_the_document_does_not_have_is_found() {
    let path = format!("/tn/{TN}");
    let found = |answer: &Answer| !problems("GET", &path, answer).is_empty();
    assert!(!found(&answer(200, &json!({"session_id": null, "value": TN}))));
    assert!(!found(&answer(404, &json!({"message": "no", "reason": "tn_not_found"}))));
    for (status, body) in [
        (200, json!({"session_id": null, "number": TN})),
        (200, json!({"session_id": null, "value": TN, "more": 1})),
        (200, json!({"session_id": null})),
        (200, json!({"session_id": "x", "value": TN})),
        (201, json!({"session_id": null, "value": TN})),
        (404, json!({"message": "no", "reason": "session_not_found"})),
        (400, json!({"message": "no", "reason": "tn_not_found"})),
        (404, json!({"reason": "tn_not_found"})),
        (409, json!({"message": "no", "reason": "tn_in_use"})),
    ] {
        assert!(found(&answer(status, &body)), "{status} {body}");
    }
    let mut without_id = answer(200, &json!({"session_id": null, "value": TN}));
    without_id.headers.remove("x-request-id");
    assert!(found(&without_id));
    let mut text = answer(200, &json!({"session_id": null, "value": TN}));
    text.headers.insert("content-type", "text/plain".parse().unwrap());
    assert!(found(&text));
    assert!(!problems("PUT", &path, &answer(200, &json!({}))).is_empty());
}

#[tokio::test]
async fn everybody_gets_the_document_from_the_server_below_a_base_path_and_through_each_gateway() {
    let auth = Auth { api_keys: vec!["an-api-key-0123456789".into()], ..Auth::default() };
    let app = App::with(unpaced(), auth);
    for path in ["/openapi.json", "/openapi.json?token=x"] {
        let answer = app.call("GET", path, None).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, openapi()));
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    for gateway in GATEWAYS {
        let event = gateway.event(&Call { method: "GET", path: "/openapi.json", ..Call::default() });
        let event = lambda::with_repeated_headers(serde_json::from_value(event).unwrap());
        let answer = app.send(lambda::request(event.into())).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, openapi()));
    }
    let parts = Parts { base_path: Some("/sms".into()), ..parts(&app.service) };
    let below = App { router: router(parts), ..app };
    for path in ["/openapi.json", "/sms/openapi.json"] {
        assert_eq!(below.call("GET", path, None).await.body, openapi());
    }
    below.call("POST", "/openapi.json", None).await.assert_error(405, "method_not_allowed");
    // The server is the folder that the document is in, whatever is before it.
    let server = DOCUMENT["servers"][0]["url"].as_str().unwrap();
    for (document, base) in [
        ("https://a.example/openapi.json", "https://a.example/"),
        ("https://a.example/sms/openapi.json", "https://a.example/sms/"),
        ("https://a.example/prod/v1/openapi.json", "https://a.example/prod/v1/"),
    ] {
        assert_eq!(url::Url::parse(document).unwrap().join(server).unwrap().as_str(), base);
    }
}

#[tokio::test]
async fn the_program_prints_the_document_without_any_settings() {
    let folder = TempDir::new().unwrap();
    // Settings that the service would refuse.
    let mut openapi_command = command(folder.path(), &[("STORAGE", "nowhere"), ("LOG_LEVEL", "?")]);
    openapi_command.arg("openapi");
    let mut binary = Binary::start(openapi_command);
    assert!(binary.ended().await.success(), "{}", binary.stderr());
    assert_eq!(binary.stdout(), format!("{}\n", openapi()));
    assert_eq!(DOCUMENT["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn the_sandbox_and_the_console_answer_as_the_document_says() {
    let folder = TempDir::new().unwrap();
    let server = Binary::serve(folder.path(), &[]).await;
    server.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    server
        .ok("POST", "/session", Some(json!({"participant_a": ALICE, "participant_b": "12065551299"})))
        .await;
    let messages = server.ok("GET", "/sandbox/messages", None).await.json();
    assert_eq!(messages["messages"].as_array().unwrap().len(), 2);
    for path in ["/console", "/console/style.css", "/console/app.js"] {
        server.ok("GET", path, None).await;
    }
    server.stop().await;
}
