//! Pictures, in the places where a post may have them, and those that are announced and not there.

use super::arrived;
use chrono::TimeDelta;
use serde_json::{Value, json};
use test_support::{ALICE, App, BOB, Backend, EVE, TN, fresh_id, logged, on_each_backend, unpaced};

on_each_backend! {
    pictures_arrive_from_every_place_that_a_post_has_for_them
    the_other_is_told_of_a_picture_that_is_announced_and_not_there
    a_text_that_is_nothing_but_a_missing_picture_is_answered_like_any_other
    without_the_notice_the_words_arrive_alone
    layout_is_no_picture
    blanks_in_the_address_of_a_picture_are_encoded
}

const NOTICE: &str = "[YOUR ORG NAME]: A picture could not be passed on.";
const A: &str = "https://media.example/a.jpg";
const B: &str = "https://media.example/b.jpg";

/// Posts a text with these fields in the post, in `data` and beside the text.
async fn post(app: &App, body: Value, [post, data, attributes]: [&Value; 3]) {
    let join = |mut to: Value, more: &Value| {
        to.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        to
    };
    let attributes = join(json!({"from": ALICE, "to": TN, "body": body}), attributes);
    let data = join(json!({"id": fresh_id(), "type": "message", "attributes": attributes}), data);
    let answer = app.post(join(json!({"data": data}), post)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Posts a text in the flat shape with these fields.
async fn post_flat(app: &App, body: Value, more: &Value) {
    let mut post = json!({"id": fresh_id(), "from": ALICE, "to": TN, "body": body});
    post.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    assert_eq!(app.post(post).await.status, 200);
}

/// The text and the pictures of the only message that arrived since the last call.
fn only(app: &App) -> (String, Vec<String>) {
    let [text] = &app.provider.taken()[..] else { panic!("{:?}", app.provider.taken()) };
    app.provider.clear();
    (text.body.clone(), text.media_urls.clone())
}

fn part(id: &str, url: &Value) -> Value {
    json!({"id": id, "type": "media", "attributes": {"url": url, "mime_type": "image/jpeg"}})
}

fn named(ids: Value) -> Value {
    json!({"relationships": {"media": {"data": ids}}})
}

async fn pictures_arrive_from_every_place_that_a_post_has_for_them(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    let a = part("1", &json!(A));
    let by_id = json!({"id": "1", "type": "media"});
    let none = json!({"is_mms": true});
    for media in [
        json!({"included": [a]}),
        json!({"included": a}),
        json!({"included": {"0": a}}),
        json!({"included": {"data": [a]}}),
        json!({"included": {"media": a}}),
        json!({"included": [{"id": "1", "attributes": {"url": A}}]}),
        json!({"included": [{"id": 1, "type": "media", "url": A}]}),
        json!({"included": [{"id": "9", "type": "user", "attributes": {"url": B}}, a]}),
        json!({"included": [{"id": "9", "type": "user"}, a]}),
        json!({"included": [a, a]}),
        json!({"relationships": {"media": {"data": [a]}}}),
        json!({"relationships": {"media": [by_id]}, "included": [a]}),
        json!({"relationships": {"media": {"data": by_id, "links": {"self": B}}}, "included": [a]}),
    ] {
        for place in 0..3 {
            let mut fields = [&none; 3];
            fields[place] = &media;
            post(&app, json!("hi"), fields).await;
            assert_eq!(only(&app), ("hi".into(), vec![A.into()]), "{media} at {place}");
        }
        post_flat(&app, Value::Null, &media).await;
        assert_eq!(only(&app), (String::new(), vec![A.into()]), "{media}");
    }
    for media in [
        json!({"media_urls": [A, B]}),
        json!({"media": [{"url": A}, {"media_url": B}]}),
        json!({"media": {"0": {"url": A}, "1": {"url": B}}}),
        json!({"media_url": A, "included": [part("2", &json!(B))]}),
        json!({"media_urls": [A, B], "included": [part("1", &json!(A)), part("2", &json!(B))]}),
    ] {
        post(&app, json!("hi"), [&json!({}), &json!({}), &media]).await;
        let mut flowroutes = only(&app);
        flowroutes.1.sort();
        assert_eq!(flowroutes, ("hi".into(), vec![A.into(), B.into()]), "{media}");
        post_flat(&app, json!("hi"), &media).await;
        assert_eq!(only(&app).1.len(), 2, "{media}");
    }
    assert!(!logged().contains("WARN"), "{}", logged());
}

async fn the_other_is_told_of_a_picture_that_is_announced_and_not_there(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    let missing = |url: Value| json!({"included": [part("1", &url)]});
    let mut posts = vec![
        json!({"is_mms": true}),
        json!({"is_mms": "true"}),
        json!({"is_mms": 1, "included": []}),
        named(json!([{"id": "1", "type": "media"}])),
        named(json!({"id": "1", "type": "media"})),
        named(json!([{"id": 1}])),
        json!({"relationships": {"media": [{"id": "1"}]}}),
        json!({"is_mms": true, "included": null}),
        json!({"included": [null]}),
        json!({"included": {"0": {"id": "1", "type": "media", "attributes": null}}}),
        json!({"included": [{"id": "1", "type": "media", "attributes": {}}]}),
        json!({"included": [{"id": "1", "type": "media", "links": {"self": "https://api.example/1"}}]}),
        json!({"media_urls": [""]}),
        json!({"media_urls": [null]}),
        json!({"media_url": "photo.jpg"}),
    ];
    let urls = [
        json!(null),
        json!(""),
        json!(" "),
        json!(5),
        json!([]),
        json!("a.jpg"),
        json!("//a/b"),
        json!("ftp://a/b"),
    ];
    posts.extend(urls.map(missing));
    for media in posts {
        let before = logged().matches("WARN").count();
        post(&app, json!("look"), [&media, &json!({}), &media]).await;
        assert_eq!(only(&app), (format!("look\n{NOTICE}"), vec![]), "{media}");
        post_flat(&app, json!(""), &media).await;
        assert_eq!(only(&app), (NOTICE.to_owned(), vec![]), "{media}");
        let lines = logged();
        assert_eq!(lines.matches("WARN").count(), before + 2, "{media}: {lines}");
        let last = lines.lines().rfind(|line| line.contains("WARN")).unwrap().to_owned();
        assert!(last.contains("id=\"mdr2-") && last.contains("without a usable address"), "{last}");
    }
    // The pictures that are there arrive.
    let two = json!({"included": [part("1", &json!(A)), part("2", &json!(null))]});
    post(&app, json!("both"), [&two, &json!({}), &json!({})]).await;
    assert_eq!(only(&app), (format!("both\n{NOTICE}"), vec![A.into()]));
    let two = named(json!([{"id": "1"}, {"id": "2"}]));
    post(&app, json!("both"), [&json!({"included": [part("2", &json!(B))]}), &two, &json!({})]).await;
    assert_eq!(only(&app), (format!("both\n{NOTICE}"), vec![B.into()]));
    // No picture is announced.
    for media in [
        json!({}),
        json!({"is_mms": false}),
        json!({"is_mms": "false"}),
        json!({"media_urls": []}),
        named(json!([])),
    ] {
        post(&app, json!("hi"), [&media, &media, &media]).await;
        assert_eq!(only(&app), ("hi".into(), vec![]), "{media}");
    }
}

async fn a_text_that_is_nothing_but_a_missing_picture_is_answered_like_any_other(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(Some(1)).await;
    let media = json!({"is_mms": true});
    let text = json!({"id": fresh_id(), "from": EVE, "to": TN, "body": null, "is_mms": true});
    assert_eq!(app.post(&text).await.status, 200);
    let answers = arrived(&app);
    assert!(answers.len() == 1 && answers[0].1.contains("An active session was not found"), "{answers:?}");
    for _ in 0..2 {
        let text = json!({"id": "mdr2-once", "from": BOB, "to": TN, "body": null, "is_mms": true});
        assert_eq!(app.post(&text).await.status, 200);
    }
    assert_eq!(arrived(&app), [(ALICE.to_owned(), NOTICE.to_owned())]);
    assert_eq!(app.relays(&session).await, ["sent"]);
    app.clock.advance(TimeDelta::minutes(1));
    post_flat(&app, Value::Null, &media).await;
    assert!(arrived(&app).iter().all(|(_, body)| body.contains("has expired")));
}

async fn without_the_notice_the_words_arrive_alone(backend: Backend) {
    for empty in ["", "  "] {
        let mut options = unpaced();
        options.wording.media_missing = empty.into();
        let app = backend.app_with(options).await;
        app.conversation(None).await;
        post_flat(&app, json!("look"), &json!({"is_mms": true})).await;
        assert_eq!(only(&app), ("look".into(), vec![]));
        post_flat(&app, Value::Null, &json!({"is_mms": true})).await;
        assert_eq!(arrived(&app), []);
        assert!(logged().contains("OnlyMissingMedia") && logged().contains("WARN"), "{}", logged());
    }
    let mut options = unpaced();
    options.wording.media_missing = "No picture".into();
    let app = backend.app_with(options).await;
    app.conversation(None).await;
    post_flat(&app, json!("look"), &json!({"is_mms": true})).await;
    assert_eq!(only(&app).0, "look\n[YOUR ORG NAME]: No picture");
}

async fn layout_is_no_picture(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    for layout in [
        json!({"url": "https://media.example/0.smil", "mime_type": "application/smil"}),
        json!({"url": null, "mime_type": "application/smil+xml; charset=utf-8"}),
        json!({"url": "https://media.example/0", "mime_type": "Application/SMIL"}),
        json!({"url": "https://media.example/0", "file_name": "smil.smil", "mime_type": ""}),
        json!({"url": "https://media.example/0", "file_name": "0.smi"}),
        json!({"file_name": "0.SMIL"}),
    ] {
        let layout = json!({"id": "0", "type": "media", "attributes": layout});
        let both = json!({"included": [layout, part("1", &json!(A))]});
        let names = named(json!([{"id": "0"}, {"id": "1"}]));
        post(&app, json!("hi"), [&both, &names, &json!({"is_mms": true})]).await;
        assert_eq!(only(&app), ("hi".into(), vec![A.into()]), "{layout}");
        let alone = json!({"included": [layout]});
        post(&app, json!("hi"), [&alone, &named(json!([{"id": "0"}])), &json!({"is_mms": true})]).await;
        assert_eq!(only(&app), ("hi".into(), vec![]), "{layout}");
        post(&app, Value::Null, [&alone, &json!({}), &json!({"is_mms": true})]).await;
        assert_eq!(arrived(&app), [], "{layout}");
        // The layout is there, and the picture is not.
        post(&app, json!("hi"), [&alone, &names, &json!({"is_mms": true})]).await;
        assert_eq!(only(&app), (format!("hi\n{NOTICE}"), vec![]), "{layout}");
    }
}

async fn blanks_in_the_address_of_a_picture_are_encoded(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    for (url, encoded) in [
        ("https://media.example/my photo.jpg", "https://media.example/my%20photo.jpg"),
        (" https://media.example/a.jpg\n", A),
        ("https://media.example/a%20b c.jpg?x=1&y=%2F", "https://media.example/a%20b%20c.jpg?x=1&y=%2F"),
        ("https://media.example/ü\u{a0}.jpg", "https://media.example/%C3%BC%C2%A0.jpg"),
        ("https://media.example/a\tb\n.jpg", "https://media.example/a%09b%0A.jpg"),
        ("https://media.example/\"a\"<b>.jpg", "https://media.example/%22a%22%3Cb%3E.jpg"),
        ("HTTP://media.example/a.jpg", "HTTP://media.example/a.jpg"),
    ] {
        post(&app, json!("hi"), [&json!({"included": [part("1", &json!(url))]}), &json!({}), &json!({})])
            .await;
        assert_eq!(only(&app), ("hi".into(), vec![encoded.into()]));
        post_flat(&app, json!("hi"), &json!({"media_urls": [url]})).await;
        assert_eq!(only(&app), ("hi".into(), vec![encoded.into()]));
    }
}
