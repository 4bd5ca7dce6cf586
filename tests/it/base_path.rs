//! The service behind a base path: a custom domain with a key in its mapping, or a reverse proxy.

use axum::{
    body::Body,
    http::{Method, Request},
};
use lambda_http::request::from_str;
use serde_json::json;
use sms_proxy::{
    http::{Parts, router},
    runtime::lambda,
};
use tempfile::TempDir;
use test_support::{
    ALICE, App, TN,
    binary::Binary,
    events::{Call, FUNCTION_URL, GATEWAYS, Gateway, HTTP_DEFAULT, HTTP_PROD, REST_PROD},
    flat, fresh_id, parts,
};

/// A service below this base path.
fn below(base: &str) -> App {
    let app = App::new();
    let parts = Parts { console: true, base_path: Some(base.to_owned()), ..parts(&app.service) };
    App { router: router(parts), ..app }
}

/// The status of the response to an event whose path is this one, at a custom domain.
async fn through(app: &App, gateway: &Gateway, method: &str, path: &str, body: Option<String>) -> u16 {
    let headers = &[("Content-Type", "application/json")];
    let mut event = gateway.event(&Call { method, path: "/", headers, body, ..Call::default() });
    event["requestContext"]["domainName"] = "sms.example.com".into();
    let field = if event["version"] == "2.0" { "rawPath" } else { "path" };
    event[field] = path.into();
    let event = from_str(&event.to_string()).unwrap();
    app.send(lambda::request(event)).await.status
}

#[tokio::test]
async fn the_base_path_of_a_custom_domain_is_taken_off_every_kind_of_event() {
    for base in ["/sms", "/v1/sms", "/prod", "/tn"] {
        for gateway in [HTTP_DEFAULT, HTTP_PROD, REST_PROD, FUNCTION_URL] {
            let app = below(base);
            let tn = Some(json!({"value": TN}).to_string());
            assert_eq!(through(&app, &gateway, "POST", &format!("{base}/tn"), tn).await, 200, "{base}");
            for path in ["/tn", &format!("/tn/{TN}"), "/session", "/health"] {
                for path in [path, &format!("{base}{path}")] {
                    assert_eq!(through(&app, &gateway, "GET", path, None).await, 200, "{base}: {path}");
                }
            }
            for path in ["/", &format!("{base}/")] {
                let text = Some(flat(&fresh_id(), ALICE, TN, "hello").to_string());
                assert_eq!(through(&app, &gateway, "POST", path, text).await, 200, "{base}: {path}");
            }
        }
    }
}

#[tokio::test]
async fn without_a_slash_after_it_the_base_path_is_the_webhook() {
    for gateway in [HTTP_DEFAULT, REST_PROD, FUNCTION_URL] {
        let app = below("/sms");
        app.add_tn(TN).await;
        let text = Some(flat(&fresh_id(), ALICE, TN, "hello").to_string());
        assert_eq!(through(&app, &gateway, "POST", "/sms", text).await, 200);
        assert_eq!(app.provider.taken().len(), 1);
    }
}

#[tokio::test]
async fn the_base_path_is_taken_off_once_and_only_as_a_whole() {
    let app = below("/sms");
    for path in
        ["/smsx/tn", "/sm/tn", "/sms/sms/tn", "//sms/tn", "/x/sms/tn", "/SMS/tn", "/sms/nope", "/sms/tn/"]
    {
        let request = Request::builder().method(Method::GET).uri(path).body(Body::empty()).unwrap();
        assert_eq!(app.send(request).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn every_event_reaches_its_path_although_there_is_a_base_path() {
    for gateway in GATEWAYS {
        let app = below("/sms");
        let event = gateway.event(&Call { method: "GET", path: "/tn", ..Call::default() });
        let event = from_str(&event.to_string()).unwrap();
        assert_eq!(app.send(lambda::request(event)).await.status, 200, "{gateway:?}");
    }
}

#[tokio::test]
async fn the_local_server_takes_the_path_of_public_url_or_base_path_off() {
    for setting in [
        ("PUBLIC_URL", "https://example.com/sms"),
        ("PUBLIC_URL", "https://example.com/sms/"),
        ("BASE_PATH", "/sms"),
        ("BASE_PATH", "sms/"),
        ("BASE_PATH", "https://example.com/sms"),
    ] {
        let folder = TempDir::new().unwrap();
        let server = Binary::serve(folder.path(), &[setting, ("ALLOW_UNAUTHENTICATED", "true")]).await;
        server.ok("POST", "/sms/tn", Some(json!({"value": TN}))).await;
        let page = server.ok("GET", "/sms/tn?limit=1", None).await.json();
        assert_eq!(page["virtual_tns"][0]["value"], TN, "{setting:?}");
        server.ok("GET", "/tn", None).await;
        server.ok("POST", "/sms", Some(flat(&fresh_id(), ALICE, TN, "hello"))).await;
    }
}
