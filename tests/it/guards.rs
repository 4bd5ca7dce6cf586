//! The guards of all routes, on the server and through events: who is let in and who is not.

use axum::{body::Body, http::Request};
use sms_proxy::{
    http::{Auth, Guard, Hash, ROUTES, Route},
    runtime::lambda,
};
use tempfile::TempDir;
use test_support::{
    App,
    binary::{Binary, command},
    events::{Call, GATEWAYS},
    fresh_id,
    runtime_api::RuntimeApi,
    unpaced,
};

pub(crate) const KEY: &str = "an-api-key-0123456789";
pub(crate) const NAMED_KEY: &str = "a-named-key-0123456789";
pub(crate) const HASHED_KEY: &str = "a-hashed-key-0123456789";
const TOKEN: &str = "a-webhook-token-0123456789";

/// A service with three keys, two of which have names, and a token.
pub(crate) fn guarded() -> App {
    let hashed = format!("night-shift=sha256:{}", Hash::of(HASHED_KEY).to_string().to_uppercase());
    let named = format!("dispatch={NAMED_KEY}");
    let api_keys = vec![KEY.into(), named.into(), hashed.into()];
    App::with(unpaced(), Auth { api_keys, webhook_token: Some(TOKEN.into()), ..Auth::default() })
}

/// Headers of a request.
type Headers<'a> = [(&'a str, &'a str)];

/// Sends a request to the server's router, and through each gateway; the answers must have the same status.
async fn status(app: &App, route: &Route, query: &[(&str, &str)], headers: &Headers<'_>) -> u16 {
    let path = route.path.replace("{value}", "12062992129").replace("{id}", "x");
    let encoded = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let mut request = Request::builder().method(route.method).uri(format!("{path}?{encoded}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let status = app.send(request.body(Body::empty()).unwrap()).await.status;
    for gateway in GATEWAYS {
        let mut event = gateway.event(&Call { method: route.method, path: &path, query, ..Call::default() });
        repeat(&mut event, query, headers);
        let event_of_aws = lambda::with_repeated_headers(serde_json::from_value(event.clone()).unwrap());
        let answer = app.send(lambda::request(event_of_aws.into())).await;
        assert_eq!(answer.status, status, "{} {path} {headers:?} by {event}", route.method);
    }
    status
}

/// Adds headers and a query to an event as AWS does when names repeat: joined by commas, or as lists.
fn repeat(event: &mut serde_json::Value, query: &[(&str, &str)], headers: &Headers<'_>) {
    let values = |pairs: &[(&str, &str)], name: &str| -> Vec<String> {
        pairs.iter().filter(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned()).collect()
    };
    for (name, last) in headers {
        let all = values(headers, name);
        if event["version"] == "2.0" {
            event["headers"][*name] = all.join(",").into();
        } else {
            event["headers"][*name] = (*last).into();
            event["multiValueHeaders"][*name] = all.into();
        }
    }
    if event["version"] == "2.0" {
        return;
    }
    for (name, _) in query {
        event["multiValueQueryStringParameters"][*name] = values(query, name).into();
    }
}

#[tokio::test]
async fn only_health_and_the_description_are_open_and_all_other_routes_ask_for_a_key_or_the_token() {
    let open: Vec<_> = ROUTES.iter().filter(|route| route.guard == Guard::Open).map(|it| it.path).collect();
    assert_eq!(open, ["/health", "/openapi.json"]);
    let token: Vec<_> = ROUTES.iter().filter(|it| it.guard == Guard::WebhookToken).collect();
    assert!(matches!(token[..], [Route { method: "POST", path: "/", .. }]), "{token:?}");
    let app = guarded();
    for route in ROUTES {
        let expected = if route.guard == Guard::Open { 200 } else { 401 };
        assert_eq!(status(&app, route, &[], &[]).await, expected, "{} {}", route.method, route.path);
    }
}

#[tokio::test]
async fn every_guarded_route_refuses_wrong_empty_doubled_and_partial_keys_and_admits_right_ones() {
    let (longer, basic, bearer) = (format!("{KEY}0"), format!("Basic {KEY}"), format!("Bearer {KEY}"));
    let (list, spaced) = (format!("{KEY},{KEY}"), format!("{KEY}, wrong"));
    let (named, hash) = (format!("dispatch={NAMED_KEY}"), Hash::of(HASHED_KEY).to_string());
    let (written, upper) = (format!("sha256:{hash}"), KEY.to_uppercase());
    let key = "x-api-key";
    let wrong: &[&Headers<'_>] = &[
        &[(key, "")],
        &[(key, "wrong-key-0123456789")],
        &[(key, &KEY[..KEY.len() - 1])],
        &[(key, &KEY[1..])],
        &[(key, &longer)],
        &[(key, &upper)],
        &[(key, TOKEN)],
        &[(key, &named)],
        &[(key, &hash)],
        &[(key, &written)],
        &[(key, &list)],
        &[(key, &spaced)],
        &[(key, KEY), (key, "wrong-key-0123456789")],
        &[(key, "wrong-key-0123456789"), (key, KEY)],
        &[(key, KEY), (key, KEY)],
        &[(key, KEY), (key, NAMED_KEY)],
        &[(key, KEY), (key, "")],
        &[(key, "wrong-key-0123456789"), ("authorization", &bearer)],
        &[("authorization", &bearer), ("authorization", &bearer)],
        &[("authorization", KEY)],
        &[("authorization", &basic)],
    ];
    let right: &[&Headers<'_>] = &[
        &[(key, KEY)],
        &[(key, NAMED_KEY)],
        &[(key, HASHED_KEY)],
        &[("authorization", &bearer)],
        &[(key, KEY), ("authorization", "Basic b3RoZXI6cHJveHk=")],
    ];
    for route in ROUTES.iter().filter(|route| route.guard == Guard::ApiKey) {
        // A service of its own, which has not counted many wrong keys yet.
        let app = guarded();
        for headers in wrong {
            assert_eq!(status(&app, route, &[], headers).await, 401, "{} {headers:?}", route.path);
        }
        for headers in right {
            assert_ne!(status(&app, route, &[], headers).await, 401, "{} {headers:?}", route.path);
        }
    }
}

#[tokio::test]
async fn the_webhook_refuses_wrong_doubled_and_partial_tokens() {
    let app = guarded();
    let post = ROUTES.iter().find(|route| route.guard == Guard::WebhookToken).unwrap();
    let longer = format!("{TOKEN}0");
    let wrong: &[&[(&str, &str)]] = &[
        &[("token", "")],
        &[("token", KEY)],
        &[("token", &TOKEN[1..])],
        &[("token", &longer)],
        &[("Token", TOKEN)],
        &[("token", TOKEN), ("token", "wrong")],
        &[("token", "wrong"), ("token", TOKEN)],
    ];
    for query in wrong {
        assert_eq!(status(&app, post, query, &[]).await, 401, "{query:?}");
    }
    assert_eq!(status(&app, post, &[], &[("x-api-key", KEY)]).await, 401, "an API key is no token");
    assert_eq!(status(&app, post, &[("token", TOKEN)], &[]).await, 400, "an empty body");
    assert_eq!(status(&app, post, &[("m", "1"), ("token", TOKEN)], &[]).await, 400);
}

#[tokio::test]
async fn without_keys_calls_of_other_sites_and_other_names_are_refused() {
    let auth = || Auth { own_calls_only: true, ..Auth::default() };
    let app = App::with(unpaced(), auth());
    let own: &[&Headers<'_>] = &[
        &[],
        &[("host", "localhost")],
        &[("host", "LocalHost:8000")],
        &[("host", "app.localhost:8000")],
        &[("host", "127.0.0.1:8000")],
        &[("host", "127.8.9.1")],
        &[("host", "[::1]:8000")],
        &[("host", "[::1]")],
        &[("host", "localhost:8000"), ("origin", "http://localhost:3000")],
        &[("host", "localhost:8000"), ("origin", "https://127.0.0.1")],
        &[("host", "localhost:8000"), ("origin", "HTTP://[::1]:8000")],
    ];
    let foreign: &[&Headers<'_>] = &[
        &[("host", "evil.example")],
        &[("host", "evil.example:8000")],
        &[("host", "127.0.0.1.evil.example:8000")],
        &[("host", "localhost.evil.example")],
        &[("host", "notlocalhost")],
        &[("host", "localhost@evil.example")],
        &[("host", "evil.example@localhost")],
        &[("host", "192.168.1.10:8000")],
        &[("host", "203.0.113.7")],
        &[("host", "[2001:db8::1]:8000")],
        &[("host", "")],
        &[("host", "localhost, evil.example")],
        &[("host", "localhost"), ("host", "evil.example")],
        &[("host", "localhost:8000"), ("origin", "https://evil.example")],
        &[("host", "localhost:8000"), ("origin", "http://localhost.evil.example")],
        &[("host", "localhost:8000"), ("origin", "http://localhost@evil.example")],
        &[("host", "localhost:8000"), ("origin", "null")],
        &[("host", "localhost:8000"), ("origin", "")],
        &[("host", "localhost:8000"), ("origin", "file://")],
        &[("host", "localhost:8000"), ("origin", "chrome-extension://localhost")],
        &[("origin", "https://evil.example")],
    ];
    let call = async |app: &App, method: &str, uri: &str, headers: &Headers<'_>| {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        app.send(request.body(Body::empty()).unwrap()).await
    };
    for route in ROUTES {
        let path = route.path.replace("{value}", "12062992129").replace("{id}", "x");
        for headers in own {
            assert_ne!(call(&app, route.method, &path, headers).await.status, 403, "{path} {headers:?}");
        }
        for headers in foreign {
            call(&app, route.method, &path, headers).await.assert_error(403, "foreign_origin");
        }
        let target = format!("http://evil.example:8000{path}");
        call(&app, route.method, &target, &[("host", "localhost")]).await.assert_error(403, "foreign_origin");
        let target = format!("http://localhost:8000{path}");
        assert_ne!(call(&app, route.method, &target, &[("host", "localhost")]).await.status, 403, "{target}");
    }
    let only_token = App::with(unpaced(), Auth { webhook_token: Some(TOKEN.into()), ..auth() });
    let tunnel: &Headers<'_> = &[("host", "tunnel.example")];
    call(&only_token, "GET", "/tn", tunnel).await.assert_error(403, "foreign_origin");
    assert_eq!(call(&only_token, "POST", &format!("/?token={TOKEN}"), tunnel).await.status, 400);
    let only_keys = App::with(unpaced(), Auth { api_keys: vec![KEY.into()], ..auth() });
    call(&only_keys, "POST", "/", tunnel).await.assert_error(403, "foreign_origin");
    assert_eq!(call(&only_keys, "GET", "/tn", &[tunnel[0], ("x-api-key", KEY)]).await.status, 200);
    assert_eq!(call(&only_keys, "GET", "/health", tunnel).await.status, 200);
}

#[tokio::test]
async fn the_server_refuses_foreign_hosts_without_keys_unless_the_operator_allows_them() {
    let folder = TempDir::new().unwrap();
    for (settings, expected) in [
        (&[][..], 403),
        (&[("ALLOW_UNAUTHENTICATED", "true")][..], 200),
        (&[("WEBHOOK_TOKEN", TOKEN)][..], 403),
        (&[("API_KEYS", KEY)][..], 200),
    ] {
        let server = Binary::serve(folder.path(), settings).await;
        let request = server.request("GET", "/tn").header("host", "evil.example").header("x-api-key", KEY);
        assert_eq!(request.send().await.unwrap().status(), expected, "{settings:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn new_key_prints_a_key_and_its_hash_which_admit() {
    let folder = TempDir::new().unwrap();
    let mut made = Vec::new();
    for _ in 0..2 {
        // Settings that are wrong do not matter.
        let mut command = command(folder.path(), &[("LOG_LEVEL", "loud")]);
        command.arg("new-key");
        let mut binary = Binary::start(command);
        assert!(binary.ended().await.success());
        let said = binary.stdout();
        let (key, hash) = said.trim().split_once('\n').unwrap();
        made.push((
            key.strip_prefix("x-api-key: ").unwrap().to_owned(),
            hash.strip_prefix("API_KEYS=").unwrap().to_owned(),
        ));
    }
    assert_ne!(made[0], made[1]);
    let [(first, hash), (second, _)] = &made[..] else { panic!() };
    let keys = format!("by-hash={hash},{second}");
    let server = Binary::serve(folder.path(), &[("API_KEYS", &keys)]).await;
    for (key, expected) in [(first, 200), (second, 200), (hash, 401)] {
        let answer = server.request("GET", "/tn").header("x-api-key", key).send().await.unwrap();
        assert_eq!(answer.status(), expected);
    }
    let log = server.stop().await;
    assert!(log.contains("by-hash") && !log.contains(first) && !log.contains(second), "{log}");
}

#[tokio::test]
async fn a_function_behind_any_gateway_refuses_a_doubled_key() {
    let (runtime, folder) = (RuntimeApi::start().await, TempDir::new().unwrap());
    let _function = runtime.function(folder.path(), &[("API_KEYS", KEY)]);
    for gateway in GATEWAYS {
        for (headers, expected) in [
            (&[("x-api-key", KEY)][..], 200),
            (&[("x-api-key", KEY), ("x-api-key", "wrong")][..], 401),
            (&[("x-api-key", "wrong"), ("x-api-key", KEY)][..], 401),
            (&[("x-api-key", KEY), ("x-api-key", KEY)][..], 401),
        ] {
            let mut event = gateway.event(&Call { method: "GET", path: "/session", ..Call::default() });
            repeat(&mut event, &[], headers);
            assert_eq!(runtime.invoke(&fresh_id(), &event).await["statusCode"], expected, "{event}");
        }
    }
}
