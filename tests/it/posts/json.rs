//! JSON that other programs cannot read.

use super::arrived;
use test_support::{ALICE, Backend, TN, fresh_id, on_each_backend};

on_each_backend! {
    texts_with_unusual_json_in_fields_that_are_not_used_arrive
}

/// A text in both shapes, with these fields beside the usual ones.
fn shapes(more: &str) -> [String; 2] {
    let fields = |id: &str| format!(r#""to": "{TN}", "from": "{ALICE}", "body": "hi"{id}, {more}"#);
    let [first, second] = [(); 2].map(|()| format!(r#", "id": "{}""#, fresh_id()));
    [
        format!("{{{}}}", fields(&first)),
        format!(
            r#"{{"data": {{"type": "message"{second}, {more}, "attributes": {{{}}}}}, {more}}}"#,
            fields("")
        ),
    ]
}

async fn texts_with_unusual_json_in_fields_that_are_not_used_arrive(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    let deep = format!(r#""x": {}{}"#, "[".repeat(20_000), "]".repeat(20_000));
    let deep_object = format!(r#""x": {}1{}"#, r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    for more in [
        r#""amount_nanodollars": 1e999"#,
        r#""amount_nanodollars": -1e-999"#,
        r#""amount_nanodollars": 123456789012345678901234567890"#,
        r#""amount_nanodollars": NaN, "x": -Infinity"#,
        r#""status": "a	b""#,
        r#""x": "\ud800", "y": "\u0000""#,
        r#""id2": 1, "id2": 2"#,
        &deep,
        &deep_object,
    ] {
        for post in shapes(more) {
            assert_eq!(app.post(&post).await.status, 200, "{:.200}", post);
            assert_eq!(arrived(&app).len(), 1, "{post:.200}");
        }
    }
    // In a field that is used there is no text to be had.
    let post = format!(r#"{{"to": "{TN}", "from": "{ALICE}", "body": {}}}"#, &deep[5..]);
    app.post(&post).await.assert_error(400, "wrong_type");
    app.post(&post[..post.len() - 9]).await.assert_error(400, "malformed_json");
}
