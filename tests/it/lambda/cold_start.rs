//! A cold start with settings that cannot work.

use super::function::{API_KEY, Cloud, REAL, WEBHOOK_TOKEN};
use serde_json::Value;
use tempfile::TempDir;
use test_support::{
    Backend, TN,
    binary::Binary,
    events::HTTP_DEFAULT,
    flat,
    flowroute_standin::FlowrouteStandin,
    fresh_id,
    runtime_api::{FUNCTION, RuntimeApi},
};

#[tokio::test]
async fn lambda_refuses_settings_that_cannot_work_there() {
    let flowroute = FlowrouteStandin::start().await;
    let keys = [("API_KEYS", API_KEY), ("WEBHOOK_TOKEN", WEBHOOK_TOKEN)];
    let real = [("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9"), REAL];
    let sound = [&flowroute.settings(&keys)[..], &real].concat();
    let sandbox = [&keys[..], &real, &[("SMS_PROVIDER", "sandbox")]].concat();
    let no_keys = [&keys[..], &real].concat();
    let open = [&flowroute.settings(&[])[..], &real].concat();
    let but = |name, value| [&sound[..], &[(name, value)]].concat();
    for (settings, name) in [
        (but("STORAGE", "sqlite"), "STORAGE"),
        (but("DYNAMODB_TABLE", "no table"), "DYNAMODB_TABLE"),
        (but("DEBUG_MODE", "true"), "DEBUG_MODE"),
        (but("LEASE_SECONDS", "5"), "LEASE_SECONDS"),
        (sandbox, "SMS_PROVIDER"),
        (no_keys, "SMS_PROVIDER"),
        (open, "ALLOW_UNAUTHENTICATED"),
    ] {
        let folder = TempDir::new().unwrap();
        let (code, said) = Binary::refusal(folder.path(), &[&settings[..], FUNCTION].concat()).await;
        assert_eq!(code, 2, "{said}");
        let named: Vec<_> = said.lines().filter(|line| line.starts_with(&format!("{name}: "))).collect();
        assert_eq!((named.len(), said.lines().count()), (1, 2), "{name}: {said}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_table_is_logged_and_answered_503() {
    let cloud = Cloud::on(Backend::Dynamodb).await;
    let runtime = RuntimeApi::start().await;
    let settings = [&cloud.settings()[..], &[("DYNAMODB_TABLE", "no-such-table")]].concat();
    let binary = runtime.function(cloud.records.folder(), &settings);
    let mut function =
        super::function::Function { gateway: HTTP_DEFAULT, runtime, binary, on_dynamodb: false };
    function.call("GET", "/tn", None).await.assert_error(503, "store_unavailable");
    let text = flat(&fresh_id(), "12065551212", TN, "hello");
    function.post(&text).await.assert_error(503, "store_unavailable");
    function.call("GET", "/health", None).await.assert_error(503, "store_unavailable");
    function.binary.kill();
    let log = function.binary.stdout();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let errors = lines.filter(|line| line["level"] == "ERROR").count();
    assert!(errors >= 2 && log.contains("ResourceNotFoundException"), "{log}");
    assert_eq!(cloud.flowroute.taken(), []);
}
