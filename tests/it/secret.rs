//! The real binary with its keys in AWS Secrets Manager.

use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::{
    Loopback, Reply,
    binary::{Binary, command, read},
    flowroute_standin::{ACCESS_KEY, FlowrouteStandin, SECRET_KEY},
    runtime_api::RuntimeApi,
};

const ARN: &str = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:sms-proxy-Ab12Cd";
const API_KEY: &str = "a-key-from-the-secret";
const TOKEN: &str = "a-token-from-the-secret";

/// A scripted Secrets Manager, and the settings that make the binary use it. No region is set: the ARN has one.
struct Vault {
    server: Loopback,
    url: String,
}

impl Vault {
    async fn answering(replies: impl Into<Vec<Reply>>) -> Self {
        let server = Loopback::answering(replies).await;
        let url = server.url("http");
        Self { server, url }
    }

    fn settings<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut settings = vec![
            ("SECRETS_ARN", ARN),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.url.as_str()),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ];
        settings.extend_from_slice(more);
        settings
    }
}

fn found(secret: &Value) -> Reply {
    Reply::answer(200, json!({"ARN": ARN, "Name": "sms-proxy", "SecretString": secret.to_string()}))
}

fn refused(status: u16, code: &str) -> Reply {
    Reply::answer(status, json!({"__type": code, "Message": "hush: arn:aws:iam::123456789012:user/x"}))
}

fn keys() -> Value {
    json!({
        "FLOWROUTE_ACCESS_KEY": ACCESS_KEY,
        "FLOWROUTE_SECRET_KEY": SECRET_KEY,
        "API_KEYS": API_KEY,
        "WEBHOOK_TOKEN": TOKEN,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_are_read_once_at_the_start() {
    let (vault, flowroute) = (Vault::answering([found(&keys())]).await, FlowrouteStandin::start().await);
    let folder = TempDir::new().unwrap();
    let server =
        Binary::serve(folder.path(), &vault.settings(&[("FLOWROUTE_API_URL", flowroute.url())])).await;
    for _ in 0..2 {
        let with_key = server.request("GET", "/tn").header("x-api-key", API_KEY);
        assert_eq!(read(with_key).await.status, 200);
        read(server.request("GET", "/tn")).await.assert_error(401, "unauthorized");
        let post = |token| server.request("POST", &format!("/?token={token}")).body("{}");
        read(post("another-token-than-that")).await.assert_error(401, "unauthorized");
        read(post(TOKEN)).await.assert_error(400, "missing_field");
    }
    let asked = vault.server.only_request();
    assert_eq!(asked.header("x-amz-target"), "secretsmanager.GetSecretValue");
    assert_eq!(serde_json::from_str::<Value>(&asked.body).unwrap(), json!({"SecretId": ARN}));
    assert!(asked.header("authorization").contains("/eu-west-2/secretsmanager/"), "{asked:?}");
    let log = server.stop().await;
    assert!(log.contains("provider: Flowroute"), "{log}");
    for secret in [ACCESS_KEY, SECRET_KEY, API_KEY, TOKEN] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}

#[tokio::test]
async fn maintenance_reads_the_keys_too() {
    let vault = Vault::answering([found(&json!({"API_KEYS": "too-short"}))]).await;
    let folder = TempDir::new().unwrap();
    let mut maintenance = command(folder.path(), &vault.settings(&[]));
    maintenance.arg("maintenance");
    let mut binary = Binary::start(maintenance);
    assert_eq!(binary.ended().await.code(), Some(2));
    assert!(binary.stderr().contains("\nAPI_KEYS: has a key of fewer than"), "{}", binary.stderr());
    assert_eq!(vault.server.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_reads_the_keys_before_its_first_event() {
    let (vault, flowroute) = (Vault::answering([found(&keys())]).await, FlowrouteStandin::start().await);
    let (runtime, folder) = (RuntimeApi::start().await, TempDir::new().unwrap());
    let settings = vault.settings(&[("FLOWROUTE_API_URL", flowroute.url()), ("STORAGE", "sqlite")]);
    let _binary = runtime.function(folder.path(), &settings);
    runtime.asked_for_an_event().await;
    assert_eq!(vault.server.requests().len(), 1);
}

#[tokio::test]
async fn a_failed_call_of_secrets_manager_is_retried() {
    let half = Reply::Cut { status: 200, body: "{".into() };
    for trouble in
        [refused(400, "ThrottlingException"), Reply::answer(500, "{}"), Reply::HangUp, half, Reply::Silence]
    {
        let vault = Vault::answering([trouble.clone(), found(&json!({"API_KEYS": API_KEY}))]).await;
        let folder = TempDir::new().unwrap();
        let server = Binary::serve(folder.path(), &vault.settings(&[])).await;
        assert_eq!(read(server.request("GET", "/tn")).await.status, 401, "{trouble:?}");
        assert_eq!(vault.server.requests().len(), 2, "{trouble:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unavailable_secret_stops_the_start_with_one_line() {
    let not_text = Reply::answer(200, json!({"ARN": ARN, "SecretBinary": "aHVzaA=="}));
    for (reply, expected) in [
        (refused(400, "AccessDeniedException"), "allow secretsmanager:GetSecretValue"),
        (refused(400, "ResourceNotFoundException"), "check the ARN"),
        (refused(400, "InvalidRequestException"), "restore it"),
        (refused(400, "DecryptionFailure"), "kms:Decrypt"),
        (refused(400, "UnrecognizedClientException"), "check the AWS credentials"),
        (refused(500, "InternalServiceError"), "answered InternalServiceError"),
        (not_text, "store it as text"),
        (Reply::HangUp, "did not answer; check the network"),
        (Reply::Silence, "did not answer; check the network"),
    ] {
        let (vault, folder) = (Vault::answering([reply]).await, TempDir::new().unwrap());
        let (code, said) = Binary::refusal(folder.path(), &vault.settings(&[])).await;
        let mut lines = said.lines().skip(1);
        let line = lines.next().unwrap_or_default();
        assert!(line.starts_with("SECRETS_ARN: ") && line.contains(expected), "{expected}: {said}");
        assert_eq!((code, lines.next()), (2, None), "{said}");
        assert!(!said.contains("hush"), "{said}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_secret_is_not_fetched_over_the_internet_without_encryption() {
    let folder = TempDir::new().unwrap();
    for name in ["AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL"] {
        let settings = [("SECRETS_ARN", ARN), (name, "http://secrets.example.com")];
        let (code, said) = Binary::refusal(folder.path(), &settings).await;
        let line = format!("{name}: leads over the internet without encryption");
        assert!(code == 2 && said.lines().nth(1).is_some_and(|said| said.starts_with(&line)), "{said}");
    }
}
