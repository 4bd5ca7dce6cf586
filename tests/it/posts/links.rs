//! Links to pictures: those to public hosts are passed on, the others are left out and said so.

use super::post_bytes;
use serde_json::{Value, json};
use test_support::{ALICE, App, Backend, TN, fresh_id, logged, on_each_backend};

on_each_backend! {
    links_to_public_hosts_are_passed_on_as_they_are
    a_link_that_is_left_out_does_not_hide_behind_one_that_is_passed_on
}

on_each_backend! { slow:
    other_links_are_left_out_and_the_recipient_and_the_operator_are_told
}

const NOTICE: &str = "[YOUR ORG NAME]: A picture could not be passed on.";
const GOOD: &str = "https://media.example/a.jpg";

const PUBLIC: [&str; 15] = [
    "https://mms-media-prod.s3.amazonaws.com/942549551265177600-IMG_0001.jpg?AWSAccessKeyId=X&Expires=1&Signature=a%2Bb/c=",
    "https://s3.us-west-2.amazonaws.com/flowroute-messaging-media/x?next=http://127.0.0.1/@localhost",
    "http://media.example/a.jpg",
    "https://media.example:8443/a.jpg#x",
    "https://media.example",
    "https://media.example?x=1",
    "HTTPS://MEDIA.EXAMPLE/a.jpg",
    "https://media.example./a.jpg",
    "https://my_bucket.media.example/a@b.jpg",
    "https://localhost.example/a.jpg",
    "https://internal.example/a.jpg",
    "https://notlocal.internals/a.jpg",
    "https://8.8.8.8/a.jpg",
    "https://172.32.0.1/a.jpg",
    "https://[2600:1f18::1]/a.jpg",
];

const REFUSED: [&str; 73] = [
    "file:///etc/passwd",
    "javascript:alert(1)",
    "data:image/png;base64,iVBORw0KGgo=",
    "ftp://media.example/a.jpg",
    "gopher://media.example/a.jpg",
    "blob:https://media.example/a",
    "about:blank",
    "mailto:someone@media.example",
    "//media.example/a.jpg",
    "/a.jpg",
    "media.example/a.jpg",
    "https:media.example/a.jpg",
    "https:/media.example/a.jpg",
    "https:\\\\media.example\\a.jpg",
    "https:///media.example/a.jpg",
    "https://",
    "https://?x",
    "https://.",
    "https://:443/",
    "https://user@media.example/a.jpg",
    "https://user:password@media.example/a.jpg",
    "https://@media.example/a.jpg",
    "https://media.example@127.0.0.1/",
    "https://media.example\\@127.0.0.1/",
    "https://127.0.0.1\\.media.example/",
    "https://media.example:99999/",
    "https://media%2Eexample/a.jpg",
    "https://med ia.example/a.jpg",
    "https://media\n.example/a.jpg",
    "https://m\u{200b}edia.example/a.jpg",
    "https://localhost/a.jpg",
    "https://LOCALHOST/a.jpg",
    "https://localhost./a.jpg",
    "https://localhost../a.jpg",
    "https://%6c%6fcalhost/a.jpg",
    "https://a.localhost/a.jpg",
    "https://printer/a.jpg",
    "https://printer.local/a.jpg",
    "https://metadata.google.internal/computeMetadata/v1/",
    "https://metadata.google.internal./computeMetadata/v1/",
    "https://METADATA.GOOGLE.INTERNAL/",
    "https://router.lan/",
    "https://router.home.arpa/",
    "http://169.254.169.254/latest/meta-data/",
    "https://169.254.169.254./latest/meta-data/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://%31%32%37.0.0.1/",
    "https://１２７.0.0.1/",
    "https://127。0。0。1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://10.1.2.3/",
    "https://172.16.0.1/",
    "https://192.168.1.1:8080/",
    "https://100.64.0.1/",
    "https://198.18.0.1/",
    "https://203.0.113.7/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[fe80::1]/",
    "https://[fd00:ec2::254]/",
    "https://[2002:7f00:1::]/",
];

/// Posts of a text from Alice with this link, in each of the places that a post has for one.
fn posts(link: &Value) -> Vec<Value> {
    let json_api = |more: Value, included: Value| {
        let mut attributes = json!({"from": ALICE, "to": TN, "body": "look", "is_mms": true});
        attributes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let data = json!({"id": fresh_id(), "type": "message", "attributes": attributes});
        json!({"data": data, "included": included})
    };
    let part = json!([{"type": "media", "id": "1", "attributes": {"url": link, "mime_type": "image/jpeg"}}]);
    vec![
        json_api(json!({}), part),
        json_api(json!({"media_urls": [link]}), json!([])),
        json_api(json!({"media": [{"media_url": {"href": link}}]}), json!([])),
        json!({"id": fresh_id(), "from": ALICE, "to": TN, "body": "look", "media_url": link}),
        json!({"id": fresh_id(), "from": ALICE, "to": TN, "body": "look", "media_urls": [link]}),
    ]
}

/// The text and the pictures of the only message that arrived since the last call.
fn only(app: &App) -> (String, Vec<String>) {
    let [text] = &app.provider.taken()[..] else { panic!("{:?}", app.provider.taken()) };
    app.provider.clear();
    (text.body.clone(), text.media_urls.clone())
}

async fn links_to_public_hosts_are_passed_on_as_they_are(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    for link in PUBLIC {
        for post in posts(&json!(link)) {
            assert_eq!(app.post(&post).await.status, 200);
            assert_eq!(only(&app), ("look".into(), vec![link.into()]), "{post}");
        }
    }
    assert!(!logged().contains("WARN"), "{}", logged());
}

async fn other_links_are_left_out_and_the_recipient_and_the_operator_are_told(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    for link in REFUSED {
        for post in posts(&json!(link)) {
            let before = logged().matches("without a usable address").count();
            assert_eq!(app.post(&post).await.status, 200);
            assert_eq!(only(&app), (format!("look\n{NOTICE}"), vec![]), "{link} in {post}");
            let log = logged();
            assert_eq!(log.matches("without a usable address").count(), before + 1, "{post}");
            let line = log.lines().rfind(|line| line.contains("without a usable address")).unwrap();
            assert!(line.contains("WARN") && line.contains("id=\"mdr2-") && !line.contains(link), "{line}");
        }
    }
    // An empty link is no link.
    for post in posts(&json!("")) {
        assert_eq!(app.post(&post).await.status, 200);
        assert_eq!(only(&app).1, Vec::<String>::new(), "{post}");
    }
    let headers = [("content-type", "application/json")];
    for link in [REFUSED[0], "http://169.254.169.254/"] {
        let post = posts(&json!(link)).swap_remove(0).to_string();
        for answer in post_bytes(&app, &headers, post.as_bytes()).await {
            assert_eq!(answer.status, 200);
        }
        assert_eq!(only(&app), (format!("look\n{NOTICE}"), vec![]), "through each gateway, once");
    }
}

async fn a_link_that_is_left_out_does_not_hide_behind_one_that_is_passed_on(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    for bad in ["file:///etc/passwd", "http://10.0.0.1/", "data:,x", ""] {
        for links in [json!([GOOD, bad]), json!([bad, GOOD]), json!([{"url": bad}, {"url": GOOD}])] {
            let post =
                json!({"id": fresh_id(), "from": ALICE, "to": TN, "body": "look", "media_urls": links});
            assert_eq!(app.post(&post).await.status, 200);
            assert_eq!(only(&app), (format!("look\n{NOTICE}"), vec![GOOD.into()]), "{post}");
        }
    }
}
