//! Requests as they are sent to Flowroute.

use super::{ACCESS_KEY, ID, LONG, SECRET_KEY, client, client_of, message, options, taken};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use sms_proxy::provider::{
    Provider,
    flowroute::{
        ApiVersion::{self, V2, V2_1, V2_2},
        Client, ClientOptions,
    },
};
use test_support::{ALICE, Loopback, Reply, Seen, TN};

const PICTURES: [&str; 2] = ["https://example.com/1.gif?a=b&c=d", "https://example.com/2.png"];

async fn request(version: ApiVersion, body: &str, media_urls: &[&str]) -> Seen {
    let server = Loopback::always(taken()).await;
    let client = client_of(&server.url("http"), version);
    assert_eq!(client.send(&message(body, media_urls), LONG).await.as_deref(), Ok(ID));
    server.only_request()
}

async fn json_of(version: ApiVersion, body: &str, media_urls: &[&str]) -> Value {
    let request = request(version, body, media_urls).await;
    serde_json::from_str(&request.body).expect("JSON")
}

fn json_api(attributes: Value) -> Value {
    json!({"data": {"type": "message", "attributes": attributes}})
}

#[tokio::test]
async fn the_newer_versions_get_json_api() {
    for version in [V2_1, V2_2] {
        let expected = json_api(json!({"to": ALICE, "from": TN, "body": "hello"}));
        assert_eq!(json_of(version, "hello", &[]).await, expected);
    }
}

#[tokio::test]
async fn the_old_version_gets_flat_json_with_both_possible_field_names() {
    let expected = json!({"to": ALICE, "from": TN, "body": "hello", "content": "hello"});
    assert_eq!(json_of(V2, "hello", &[]).await, expected);
}

#[tokio::test]
async fn the_newer_versions_get_media_as_an_mms() {
    for version in [V2_1, V2_2] {
        let expected = json!({
            "to": ALICE, "from": TN, "body": "look", "is_mms": true, "media_urls": PICTURES,
        });
        assert_eq!(json_of(version, "look", &PICTURES).await, json_api(expected));
    }
}

#[tokio::test]
async fn media_without_a_text_are_sent_without_a_body() {
    for version in [V2_1, V2_2] {
        let expected = json!({"to": ALICE, "from": TN, "is_mms": true, "media_urls": PICTURES});
        assert_eq!(json_of(version, "", &PICTURES).await, json_api(expected));
    }
}

#[tokio::test]
async fn the_old_version_gets_media_urls_below_the_text_one_per_line() {
    let addresses = PICTURES.join("\n");
    let under = format!("look\n{addresses}");
    let expected = json!({"to": ALICE, "from": TN, "body": under, "content": under});
    assert_eq!(json_of(V2, "look", &PICTURES).await, expected);
    let expected = json!({"to": ALICE, "from": TN, "body": addresses, "content": addresses});
    assert_eq!(json_of(V2, "", &PICTURES).await, expected);
}

#[tokio::test]
async fn every_character_of_a_text_is_preserved() {
    let text = " \"quoted\" \\ 😀 ü\u{2028}\r\n\t\u{7f}\u{1} ";
    for version in [V2, V2_1, V2_2] {
        let json = json_of(version, text, &[]).await;
        let body = if version == V2 { &json["body"] } else { &json["data"]["attributes"]["body"] };
        assert_eq!(body, text);
    }
}

#[tokio::test]
async fn each_version_has_its_path_and_its_media_type() {
    for (version, path, media_type) in [
        (V2, "/v2/messages", "application/json"),
        (V2_1, "/v2.1/messages", "application/vnd.api+json"),
        (V2_2, "/v2.2/messages", "application/vnd.api+json"),
    ] {
        let request = request(version, "hello", &[]).await;
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", path));
        assert_eq!(request.header("content-type"), media_type);
        assert_eq!(request.header("accept"), media_type);
    }
}

#[tokio::test]
async fn the_path_of_the_base_url_is_kept() {
    for ending in ["", "/"] {
        let server = Loopback::always(taken()).await;
        let client = client_of(&format!("{}/proxy/flowroute{ending}", server.url("http")), V2_1);
        client.send(&message("hello", &[]), LONG).await.expect("sent");
        assert_eq!(server.only_request().path, "/proxy/flowroute/v2.1/messages");
    }
}

#[tokio::test]
async fn the_keys_are_sent_as_basic_authentication() {
    let request = request(V2_1, "hello", &[]).await;
    let pair = BASE64_STANDARD.encode(format!("{ACCESS_KEY}:{SECRET_KEY}"));
    assert_eq!(request.header("authorization"), format!("Basic {pair}"));
}

#[tokio::test]
async fn consecutive_texts_share_a_connection() {
    let server = Loopback::always(taken()).await;
    let client = client(&server);
    for _ in 0..5 {
        client.send(&message("hello", &[]), LONG).await.expect("sent");
    }
    assert_eq!((server.requests().len(), server.connections()), (5, 1));
}

#[tokio::test]
async fn receipts_are_requested_at_our_url_with_our_id_and_the_token() {
    for (public_url, base) in [
        ("https://proxy.example.com", "https://proxy.example.com/"),
        ("https://proxy.example.com/", "https://proxy.example.com/"),
        ("https://example.com/prod", "https://example.com/prod/"),
    ] {
        for (token, rest) in [(None, ""), (Some("a token&more"), "&token=a+token%26more")] {
            let server = Loopback::always(taken()).await;
            let reachable = ClientOptions {
                public_url: Some(public_url.parse().unwrap()),
                webhook_token: token.map(Into::into),
                ..options(&server.url("http"), V2_1)
            };
            let message = message("hello", &[]);
            Client::new(reachable).unwrap().send(&message, LONG).await.unwrap();
            let sent: Value = serde_json::from_str(&server.only_request().body).unwrap();
            let callback = format!("{base}?m={}{rest}", message.id);
            assert_eq!(sent["data"]["attributes"]["dlr_callback"], json!(callback));
        }
    }
}

#[tokio::test]
async fn the_old_version_has_no_receipts() {
    let server = Loopback::always(taken()).await;
    let reachable = ClientOptions {
        public_url: Some("https://proxy.example.com".parse().unwrap()),
        ..options(&server.url("http"), V2)
    };
    Client::new(reachable).unwrap().send(&message("hello", &[]), LONG).await.unwrap();
    assert!(!server.only_request().body.contains("proxy.example.com"));
}

#[tokio::test]
async fn a_preconnected_connection_is_used_for_the_first_text_and_sends_no_credentials_before() {
    let server = Loopback::answering([Reply::answer(404, ""), taken()]).await;
    let client = client(&server);
    client.connect().await;
    let greeting = server.only_request();
    assert_eq!((greeting.method.as_str(), greeting.path.as_str()), ("HEAD", "/"));
    assert!(!greeting.headers.contains_key("authorization"), "{greeting:?}");
    client.send(&message("hello", &[]), LONG).await.expect("accepted");
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
}
