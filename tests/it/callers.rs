//! Callers told apart by their address: who may post, and how many wrong keys one may send.

use axum::{
    body::Body,
    http::{Request, request::Builder},
};
use sms_proxy::{
    http::{Auth, Peer},
    runtime::lambda,
};
use std::net::IpAddr;
use tempfile::TempDir;
use test_support::{
    ALICE, Answer, App, TN,
    binary::Binary,
    events::{Call, GATEWAYS},
    flat, fresh_id, unpaced,
};

const KEY: &str = "an-api-key-0123456789";
const TOKEN: &str = "a-webhook-token-0123456789";
/// The path of a post with the right token.
const POST: &str = "/?token=a-webhook-token-0123456789";

fn text() -> String {
    flat(&fresh_id(), ALICE, TN, "hello").to_string()
}

async fn send(app: &App, from: &str, request: Builder, body: String) -> Answer {
    let peer = Peer(from.parse().unwrap());
    app.send(request.extension(peer).body(Body::from(body)).unwrap()).await
}

fn with_token(auth: Auth) -> App {
    App::with(unpaced(), Auth { webhook_token: Some(TOKEN.into()), ..auth })
}

#[tokio::test]
async fn only_allowed_addresses_may_post_and_they_need_the_token() {
    let allowed = "198.51.100.0/24, 192.0.2.7, 2001:db8:7::/48".parse().unwrap();
    let app = with_token(Auth { webhook_allowed: allowed, ..Auth::default() });
    for (from, status) in [
        ("198.51.100.1", 200),
        ("198.51.100.255", 200),
        ("::ffff:198.51.100.1", 200),
        ("192.0.2.7", 200),
        ("2001:db8:7:1::5", 200),
        ("198.51.101.1", 403),
        ("192.0.2.8", 403),
        ("127.0.0.1", 403),
        ("::1", 403),
        ("2001:db8:8::5", 403),
    ] {
        assert_eq!(send(&app, from, Request::post(POST), text()).await.status, status, "{from}");
        let forged = Request::post(POST).header("x-forwarded-for", "198.51.100.1");
        assert_eq!(send(&app, from, forged, text()).await.status, status, "{from}, forged");
    }
    send(&app, "198.51.100.1", Request::post("/"), text()).await.assert_error(401, "unauthorized");
    send(&app, "192.0.2.8", Request::post("/"), text()).await.assert_error(403, "address_not_allowed");
    let unknown = app.send(Request::post(POST).body(Body::from(text())).unwrap()).await;
    unknown.assert_error(403, "address_not_allowed");
    assert_eq!(
        send(&app, "192.0.2.8", Request::get("/tn"), String::new()).await.status,
        200,
        "for posts only"
    );
}

#[tokio::test]
async fn only_a_named_proxy_tells_who_posts() {
    let auth = || Auth {
        webhook_allowed: "198.51.100.0/24".parse().unwrap(),
        trusted_proxies: "10.0.0.0/8, 127.0.0.1".parse().unwrap(),
        ..Auth::default()
    };
    let app = with_token(auth());
    for (from, forwarded, status) in [
        ("10.0.0.1", &["198.51.100.1"][..], 200),
        ("127.0.0.1", &["203.0.113.5, 198.51.100.1"], 200),
        ("10.0.0.1", &["198.51.100.1, 10.9.9.9"], 200),
        ("10.0.0.1", &["198.51.100.1:4711"], 200),
        ("10.0.0.1", &["203.0.113.5", "198.51.100.1"], 200),
        ("198.51.100.1", &["203.0.113.5"], 200),
        ("198.51.100.1", &[], 200),
        ("10.0.0.1", &["198.51.100.1, 203.0.113.5"], 403),
        ("10.0.0.1", &["198.51.100.1", "203.0.113.5"], 403),
        ("10.0.0.1", &["198.51.100.1, unknown"], 403),
        ("10.0.0.1", &["198.51.100.1, "], 403),
        ("10.0.0.1", &[], 403),
        ("203.0.113.5", &["198.51.100.1"], 403),
    ] {
        let mut request = Request::post(POST);
        for value in forwarded {
            request = request.header("x-forwarded-for", *value);
        }
        assert_eq!(send(&app, from, request, text()).await.status, status, "{from} {forwarded:?}");
    }
}

#[tokio::test]
async fn behind_a_gateway_the_address_is_that_of_its_caller() {
    for gateway in GATEWAYS {
        let (body, query) = (Some(text()), &[("token", TOKEN)]);
        let forged = &[("x-forwarded-for", "203.0.113.77")];
        let event = gateway.event(&Call { method: "POST", path: "/", query, headers: forged, body });
        let context = &event["requestContext"];
        let source =
            context["identity"]["sourceIp"].as_str().or(context["http"]["sourceIp"].as_str()).unwrap();
        for (allowed, status) in [(source, 200), ("203.0.113.77", 403)] {
            let app = with_token(Auth { webhook_allowed: allowed.parse().unwrap(), ..Auth::default() });
            let whole = lambda::with_repeated_headers(serde_json::from_value(event.clone()).unwrap());
            assert_eq!(app.send(lambda::request(whole.into())).await.status, status, "{event}");
        }
    }
}

#[tokio::test]
async fn the_server_knows_the_address_of_its_peer() {
    let folder = TempDir::new().unwrap();
    let (proxy, keys) = (("TRUSTED_PROXIES", "127.0.0.1"), [("API_KEYS", KEY), ("WEBHOOK_TOKEN", TOKEN)]);
    for (settings, expected) in [
        (&[("WEBHOOK_ALLOWED_IPS", "127.0.0.0/8")][..], 200),
        (&[("WEBHOOK_ALLOWED_IPS", "198.51.100.0/24")][..], 403),
        (&[("WEBHOOK_ALLOWED_IPS", "198.51.100.0/24"), proxy][..], 200),
    ] {
        let server = Binary::serve(folder.path(), &[&keys, settings].concat()).await;
        let post = server.request("POST", POST).header("x-forwarded-for", "198.51.100.9").body(text());
        let answer = post.header("content-type", "application/json").send().await.unwrap();
        assert_eq!(answer.status(), expected, "{settings:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn wrong_keys_beyond_a_limit_are_answered_429_and_right_ones_are_admitted() {
    let auth = Auth { api_keys: vec![KEY.into()], ..Auth::default() };
    let app = with_token(auth);
    let get = |key: &str| Request::get("/tn").header("x-api-key", key);
    let guesser = "203.0.113.5";
    let mut statuses = Vec::new();
    for n in 0..1010 {
        statuses.push(send(&app, guesser, get(&format!("wrong-key-{n:010}")), String::new()).await.status);
    }
    assert!(statuses[..1000].iter().all(|status| *status == 401), "{statuses:?}");
    assert!(statuses[1000..].iter().all(|status| *status == 429), "{statuses:?}");
    let refused = send(&app, guesser, Request::post("/?token=wrong"), text()).await;
    refused.assert_error(429, "too_many_attempts");
    assert_eq!(refused.headers["retry-after"], "60");
    for _ in 0..3 {
        assert_eq!(send(&app, guesser, get(KEY), String::new()).await.status, 200);
        assert_eq!(send(&app, guesser, Request::post(POST), text()).await.status, 200);
    }
    send(&app, "203.0.113.6", get("wrong"), String::new()).await.assert_error(401, "unauthorized");
    send(&app, guesser, Request::get("/tn"), String::new()).await.assert_error(401, "unauthorized");
}

#[tokio::test]
async fn a_guesser_with_many_addresses_is_limited_too() {
    let app = App::with(unpaced(), Auth { api_keys: vec![KEY.into()], ..Auth::default() });
    let mut last = 0;
    for n in 0..6000_u32 {
        // IPv6 addresses of one network count as one caller, so each has a network of its own.
        let address = IpAddr::from((0x2001_0db8_u128 << 96 | u128::from(n) << 64).to_be_bytes());
        let request = Request::get("/tn").header("x-api-key", "wrong");
        last = send(&app, &address.to_string(), request, String::new()).await.status;
    }
    assert_eq!(last, 429);
    let right = Request::get("/tn").header("x-api-key", KEY);
    assert_eq!(send(&app, "2001:db8::7", right, String::new()).await.status, 200);
}
