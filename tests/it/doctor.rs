//! `sms-proxy doctor`: what it checks, and what it says.

use std::path::Path;
use tempfile::TempDir;
use test_support::{
    ALICE, Backend, Loopback, Reply, TN,
    binary::{Binary, command},
    flowroute_standin::{ACCESS_KEY, FlowrouteStandin, SECRET_KEY},
    on_each_backend,
};

const TOKEN: &str = "a-token-of-the-test-01";
const KEY: &str = "an-api-key-of-the-test";

on_each_backend! { with 2 threads:
    all_is_well
    beside_a_running_server_it_changes_nothing
}

/// The exit code, and the lines, of which none has a secret.
async fn doctor(folder: &Path, settings: &[(&str, &str)]) -> (i32, Vec<String>) {
    let mut command = command(folder, settings);
    command.arg("doctor");
    let mut binary = Binary::start(command);
    let code = binary.ended().await.code().expect("no signal");
    let said = binary.stdout();
    for secret in [TOKEN, KEY, ACCESS_KEY, SECRET_KEY, "wrong-key"] {
        assert!(!said.contains(secret) && !binary.stderr().contains(secret), "{said}");
    }
    assert_eq!(binary.stderr(), "", "{said}");
    let lines: Vec<String> = said.lines().map(str::to_owned).collect();
    let mends = lines.iter().any(|line| line.starts_with("MEND"));
    assert_eq!(code, i32::from(mends), "{said}");
    (code, lines)
}

/// Asserts that a line begins with this verdict and subject, and has these words.
fn assert_says(lines: &[String], verdict: &str, subject: &str, words: &str) {
    let begin = format!("{verdict:<5} {subject:<9} ");
    let found = lines.iter().any(|line| line.starts_with(&begin) && line.contains(words));
    assert!(found, "{begin}{words}: {lines:#?}");
}

async fn all_is_well(backend: Backend) {
    let (records, flowroute) = (backend.records().await, FlowrouteStandin::start().await);
    let own = [("WEBHOOK_TOKEN", TOKEN), ("API_KEYS", KEY), ("PUBLIC_URL", "https://sms.example.com/x")];
    let settings = [&flowroute.settings(&records.settings())[..], &own].concat();
    Binary::serve(records.folder(), &settings).await.stop().await;
    let (code, lines) = doctor(records.folder(), &settings).await;
    assert_eq!((code, lines.len()), (0, 5), "{lines:#?}");
    for (subject, words) in [
        ("settings", "fit together"),
        ("store", "answers, and can be written"),
        ("clock", "right"),
        ("provider", "Flowroute accepts the keys"),
        ("callback", "https://sms.example.com/x/?token= and the value of WEBHOOK_TOKEN"),
    ] {
        assert_says(&lines, "ok", subject, words);
    }
    assert_eq!(flowroute.taken(), [], "nothing is sent");
}

async fn beside_a_running_server_it_changes_nothing(backend: Backend) {
    let records = backend.records().await;
    let server = Binary::serve(records.folder(), &records.settings()).await;
    server.ok("POST", "/tn", Some(serde_json::json!({"value": TN}))).await;
    let before = server.ok("GET", "/tn", None).await.body;
    let (code, lines) = doctor(records.folder(), &records.settings()).await;
    assert_eq!(code, 0, "{lines:#?}");
    assert_says(&lines, "note", "provider", "the sandbox");
    assert_eq!(server.ok("GET", "/tn", None).await.body, before);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_flowroute_does_not_accept_and_a_wrong_address_are_told_apart() {
    let (folder, flowroute) = (TempDir::new().unwrap(), FlowrouteStandin::start().await);
    let wrong_keys = [
        ("FLOWROUTE_API_URL", flowroute.url()),
        ("FLOWROUTE_ACCESS_KEY", "wrong-key"),
        ("FLOWROUTE_SECRET_KEY", "wrong-key-too"),
        ("WEBHOOK_TOKEN", TOKEN),
    ];
    let (code, lines) = doctor(folder.path(), &wrong_keys).await;
    assert_eq!(code, 1);
    assert_says(&lines, "MEND", "provider", "does not accept the keys (401)");
    for (reply, verdict, words) in [
        (Reply::answer(200, "<html>hello</html>"), "MEND", "FLOWROUTE_API_URL"),
        (Reply::answer(404, "{}"), "MEND", "FLOWROUTE_API_URL"),
        (Reply::redirect(302, "https://example.com/".into()), "MEND", "FLOWROUTE_API_URL"),
        (Reply::answer(403, format!("{{\"of\": \"{ALICE}\"}}")), "MEND", "does not accept the keys (403)"),
        (Reply::answer(503, ""), "note", "503"),
        (Reply::answer(429, ""), "note", "429"),
        (Reply::HangUp, "MEND", "cannot be reached"),
    ] {
        let server = Loopback::always(reply.clone()).await;
        let (url, keys) = (server.url("http"), flowroute.settings(&[("WEBHOOK_TOKEN", TOKEN)]));
        let keys = [&keys[..], &[("FLOWROUTE_API_URL", url.as_str())]].concat();
        let (_, lines) = doctor(folder.path(), &keys).await;
        assert_says(&lines, verdict, "provider", words);
        assert!(!lines.concat().contains(ALICE), "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_clock_is_found_by_flowroutes() {
    let (folder, flowroute) = (TempDir::new().unwrap(), FlowrouteStandin::start().await);
    for (hours, words) in [(-1, "s fast"), (1, "s slow"), (0, "")] {
        let date = chrono::Utc::now() + chrono::TimeDelta::hours(hours);
        let headers = vec![("date", date.format("%a, %d %b %Y %H:%M:%S GMT").to_string())];
        let server =
            Loopback::always(Reply::Answer { status: 200, headers, body: r#"{"data": []}"#.into() }).await;
        let url = server.url("http");
        let keys = [&flowroute.settings(&[])[..], &[("FLOWROUTE_API_URL", url.as_str())]].concat();
        let (_, lines) = doctor(folder.path(), &keys).await;
        assert_says(&lines, if hours == 0 { "ok" } else { "MEND" }, "clock", words);
        assert_says(&lines, "MEND", "callback", "WEBHOOK_TOKEN is not set");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_settings_are_all_named_and_nothing_else_is_tried() {
    let folder = TempDir::new().unwrap();
    let bad = [
        ("LOG_LEVEL", "loud"),
        ("API_KEYS", "wrong-key"),
        ("LEASE_SECONDS", "5"),
        ("BIND_ADDR", "0.0.0.0:1"),
    ];
    let (code, lines) = doctor(folder.path(), &bad).await;
    assert_eq!(code, 1);
    for name in ["LOG_LEVEL", "API_KEYS", "LEASE_SECONDS", "ALLOW_UNAUTHENTICATED"] {
        assert_says(&lines, "MEND", "settings", name);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_cannot_be_used_is_told_and_none_is_created() {
    let folder = TempDir::new().unwrap();
    let (code, lines) = doctor(folder.path(), &[]).await;
    assert_eq!(code, 0);
    assert_says(&lines, "note", "store", "there is no database local-sqlite/sms-proxy.db yet");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    std::fs::write(folder.path().join("notes.txt"), "not a database").unwrap();
    let (_, lines) = doctor(folder.path(), &[("SQLITE_PATH", "notes.txt")]).await;
    assert_says(&lines, "MEND", "store", "is not an sms-proxy database");
    for code in ["ResourceNotFoundException", "AccessDeniedException", "UnrecognizedClientException"] {
        let refusal = format!(r#"{{"__type": "com.amazonaws.dynamodb.v20120810#{code}"}}"#);
        let url = Loopback::always(Reply::answer(400, refusal)).await.url("http");
        // As in the function.
        let function = [
            ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9"),
            ("AWS_LAMBDA_FUNCTION_NAME", "sms-proxy"),
            ("STORAGE", "dynamodb"),
            ("DYNAMODB_TABLE", "the-table"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL_DYNAMODB", &url),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "wrong-key"),
        ];
        let (_, lines) = doctor(folder.path(), &function).await;
        assert_says(&lines, "MEND", "store", code);
        assert_says(&lines, "MEND", "store", "DYNAMODB_TABLE");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_url_that_flowroute_cannot_use_is_told() {
    let folder = TempDir::new().unwrap();
    for (url, base, verdict, words) in [
        ("http://127.0.0.1:8000", "", "MEND", "cannot be reached by Flowroute"),
        ("https://localhost", "", "MEND", "cannot be reached by Flowroute"),
        ("https://10.1.2.3/sms", "", "MEND", "cannot be reached by Flowroute"),
        ("https://[fd00::1]", "", "MEND", "cannot be reached by Flowroute"),
        ("https://sms-server", "", "MEND", "cannot be reached by Flowroute"),
        ("https://sms.example.com/a", "/b", "MEND", "BASE_PATH is /b"),
        ("https://sms.example.com", "/b", "MEND", "BASE_PATH is /b"),
        ("https://sms.example.com/b/", "/b", "ok", "https://sms.example.com/b/?token="),
        ("https://203.0.113.7", "", "MEND", "cannot be reached by Flowroute"),
        ("https://9.9.9.9:8443", "", "ok", "https://9.9.9.9:8443/?token="),
    ] {
        let own = [("PUBLIC_URL", url), ("BASE_PATH", base), ("WEBHOOK_TOKEN", TOKEN), ("API_KEYS", KEY)];
        let (_, lines) = doctor(folder.path(), &own).await;
        assert_says(&lines, verdict, "callback", words);
    }
    for (url, words) in
        [("http://sms.example.com", "https://"), ("https://sms.example.com/?token=wrong-key", "query")]
    {
        let (_, lines) = doctor(folder.path(), &[("PUBLIC_URL", url)]).await;
        assert_says(&lines, "MEND", "settings", words);
    }
}
