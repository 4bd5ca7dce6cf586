//! Charsets and compression.

use super::{arrived, post_bytes, to_bob};
use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use lambda_http::request::from_str;
use std::io::Write;
use test_support::{
    ALICE, App, BOB, Backend, TN,
    events::{Call, GATEWAYS},
    flat, fresh_id, logged, on_each_backend,
};

on_each_backend! {
    texts_in_a_declared_charset_arrive
    compressed_texts_arrive
}

async fn texts_in_a_declared_charset_arrive(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    let post = |body: &[u8]| {
        let [before, after] = [format!(r#"{{"to":"{TN}","from":"{ALICE}","body":""#), "\"}".to_owned()];
        [before.as_bytes(), body, after.as_bytes()].concat()
    };
    let utf_16 = |bom: &[u8], bytes: fn(u16) -> [u8; 2]| {
        let post = String::from_utf8(post("naïve 😀".as_bytes())).unwrap();
        [bom, &post.encode_utf16().flat_map(bytes).collect::<Vec<_>>()].concat()
    };
    let json = "application/json";
    for (declared, body, expected) in [
        (json.to_owned(), [&b"\xef\xbb\xbf"[..], &post(b"caf\xc3\xa9")].concat(), "café"),
        (format!("{json}; charset=iso-8859-1"), post(b"caf\xe9"), "café"),
        (format!("{json};charset=\"ISO-8859-1\""), post(b"caf\xe9"), "café"),
        (format!("{json}; v=1; CHARSET = latin1"), post(b"caf\xe9"), "café"),
        (format!("{json}; charset=windows-1252"), post(b"\x93caf\xe9\x94 \x80"), "“café” €"),
        ("application/vnd.api+json; charset=windows-1251".to_owned(), post(b"\xcf\xf0\xe8"), "При"),
        (format!("{json}; charset=shift_jis"), post(b"\x83e\x83X\x83g"), "テスト"),
        (format!("{json}; charset=utf-8"), post(b"caf\xc3\xa9"), "café"),
        (format!("{json}; charset=us-ascii"), post(b"caf\xc3\xa9"), "café"),
        (format!("{json}; charset="), post(b"caf\xc3\xa9"), "café"),
        (format!("{json}; charset=utf-16"), utf_16(b"\xff\xfe", u16::to_le_bytes), "naïve 😀"),
        (json.to_owned(), utf_16(b"\xfe\xff", u16::to_be_bytes), "naïve 😀"),
        (format!("{json}; charset=utf-16be"), utf_16(b"", u16::to_be_bytes), "naïve 😀"),
    ] {
        for answer in post_bytes(&app, &[("content-type", &declared)], &body).await {
            assert_eq!(answer.status, 200, "{declared}: {answer:?}");
        }
        let arrived = arrived(&app);
        assert_eq!(arrived.len(), 1 + GATEWAYS.len(), "{declared}");
        assert!(arrived.iter().all(|(to, body)| to == BOB && body == expected), "{declared}: {arrived:?}");
    }
    assert!(!logged().contains("WARN"), "{}", logged());
    for (declared, warning) in [
        (json, "the post has bytes that are not of its charset charset=\"UTF-8\""),
        ("application/json; charset=utf-8", "the post has bytes that are not of its charset"),
        (
            "application/json; charset=martian",
            "unknown charset; the post is read as UTF-8 charset=\"martian\"",
        ),
    ] {
        post_bytes(&app, &[("content-type", declared)], &post(b"caf\xe9")).await;
        assert_eq!(arrived(&app)[0].1, "caf\u{FFFD}", "{declared}");
        assert!(logged().contains(warning), "{}", logged());
    }
}

#[tokio::test]
async fn an_event_with_a_text_is_read_as_that_text_whatever_charset_and_encoding_its_headers_name() {
    let app = App::new();
    app.conversation(None).await;
    for gateway in GATEWAYS {
        let headers =
            &[("Content-Type", "application/json; charset=iso-8859-1"), ("Content-Encoding", "gzip")];
        let body = Some(flat(&fresh_id(), ALICE, TN, "café").to_string());
        let mut event = gateway.event(&Call {
            method: "POST",
            path: "/",
            headers,
            body: body.clone(),
            ..Call::default()
        });
        event["body"] = body.into();
        event["isBase64Encoded"] = false.into();
        let request = sms_proxy::runtime::lambda::request(from_str(&event.to_string()).unwrap());
        assert_eq!(app.send(request).await.status, 200);
        assert_eq!(arrived(&app), to_bob("café"));
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(body).unwrap();
    packed.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    packed.write_all(body).unwrap();
    packed.finish().unwrap()
}

fn deflate(body: &[u8]) -> Vec<u8> {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
    packed.write_all(body).unwrap();
    packed.finish().unwrap()
}

async fn compressed_texts_arrive(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    let latin = ("content-type", "application/json; charset=iso-8859-1");
    let mut body = flat("", ALICE, TN, "caf_").to_string().into_bytes();
    let at = body.iter().position(|byte| *byte == b'_').unwrap();
    body[at] = 0xe9;
    for (coding, packed) in [
        ("gzip", gzip(&body)),
        ("x-gzip", gzip(&body)),
        (" GZip ", gzip(&body)),
        ("deflate", zlib(&body)),
        ("deflate", deflate(&body)),
        ("identity", body.clone()),
        ("", body.clone()),
        ("deflate, gzip", gzip(&zlib(&body))),
    ] {
        for answer in post_bytes(&app, &[latin, ("content-encoding", coding)], &packed).await {
            assert_eq!(answer.status, 200, "{coding}: {answer:?}");
        }
        let arrived = arrived(&app);
        assert_eq!(arrived.len(), 1 + GATEWAYS.len(), "{coding}");
        assert!(arrived.iter().all(|arrived| *arrived == to_bob("café")[0]), "{coding}: {arrived:?}");
    }
    // A proxy has unpacked the body and left the header.
    let plain = flat(&fresh_id(), ALICE, TN, "plain").to_string();
    post_bytes(&app, &[("content-encoding", "gzip")], plain.as_bytes()).await;
    assert_eq!(arrived(&app), to_bob("plain"));
}

#[tokio::test]
async fn what_cannot_be_unpacked_within_the_limit_is_refused() {
    let app = App::new();
    app.conversation(None).await;
    let bomb = flat(&fresh_id(), ALICE, TN, &"y".repeat(50_000_000)).to_string().into_bytes();
    let text = flat(&fresh_id(), ALICE, TN, "hi").to_string().into_bytes();
    let cut = &gzip(&text)[..30];
    for (coding, body, status, reason) in [
        ("gzip", &gzip(&bomb)[..], 413, "body_too_large"),
        ("deflate", &zlib(&bomb), 413, "body_too_large"),
        ("deflate", &deflate(&bomb), 413, "body_too_large"),
        ("gzip, gzip", &gzip(&gzip(&bomb)), 413, "body_too_large"),
        ("br", &text, 415, "unsupported_media_type"),
        ("gzip, zstd", &text, 415, "unsupported_media_type"),
        ("gzip", cut, 400, "incomplete_body"),
        ("gzip", b"\x1f\x8b\x08garbage", 400, "incomplete_body"),
        ("gzip", b"", 400, "malformed_json"),
    ] {
        for answer in post_bytes(&app, &[("content-encoding", coding)], body).await {
            answer.assert_error(status, reason);
        }
    }
    let long = flat(&fresh_id(), ALICE, TN, &"y".repeat(200_000)).to_string();
    post_bytes(&app, &[("content-encoding", "gzip")], &gzip(long.as_bytes())).await;
    assert_eq!(arrived(&app).len(), 1);
}
