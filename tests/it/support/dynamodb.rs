//! A real DynamoDB engine, built and started once a test run, with a table of its own for each test.
//!
//! With `DYNAMODB_TEST_ENDPOINT` the tests use the engine that runs there instead.

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region, timeout::TimeoutConfig},
};
use chrono::TimeDelta;
use sms_proxy::{
    domain::MessageId,
    store::{Dynamo, Store, config_of, create_table},
};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, OnceLock},
    time::Duration,
};

/// The engine; it ends when this process does, since its standard input is then closed.
struct Engine {
    url: String,
    _process: Option<Child>,
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| match std::env::var("DYNAMODB_TEST_ENDPOINT") {
        Ok(url) => Engine { url, _process: None },
        Err(_) => start(),
    })
}

fn start() -> Engine {
    let root = env!("CARGO_MANIFEST_DIR");
    let manifest = format!("{root}/tests/dynamodb-engine/Cargo.toml");
    let target = format!("{root}/target/dynamodb-engine");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "--manifest-path", &manifest, "--target-dir", &target]);
    assert!(build.status().expect("cargo runs").success(), "the DynamoDB engine of the tests does not build");
    let mut process = Command::new(format!("{target}/debug/dynamodb-engine"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the engine starts");
    let mut line = String::new();
    let output = process.stdout.take().expect("its output is piped");
    BufReader::new(output).read_line(&mut line).expect("it says where it listens");
    Engine { url: line.trim().to_owned(), _process: Some(process) }
}

/// Where the engine listens.
pub fn engine_url() -> &'static str {
    &engine().url
}

/// How the SDK reaches an engine.
pub fn sdk_config(url: &str) -> aws_config::SdkConfig {
    aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(aws_sdk_dynamodb::config::SharedCredentialsProvider::new(Credentials::new(
            "test", "test", None, None, "test",
        )))
        .endpoint_url(url)
        .build()
}

/// A store in an empty table of its own.
pub async fn dynamodb() -> Arc<dyn Store> {
    create_store(engine_url(), Duration::from_secs(60)).await
}

/// A store in an empty table of its own, reached here. However slow the engine is on a busy machine, nothing times out.
pub async fn create_store(url: &str, patience: Duration) -> Arc<dyn Store> {
    let (client, table) = empty_table(url).await;
    Arc::new(Dynamo::new(client, table, TimeDelta::days(30)).with_patience(patience))
}

/// An empty table: a client that reaches it, and its name.
pub async fn empty_table(url: &str) -> (Client, String) {
    let config = config_of(&sdk_config(url)).to_builder().timeout_config(TimeoutConfig::disabled()).build();
    let client = Client::from_conf(config);
    let table = format!("test-{}", MessageId::random());
    create_table(&client, &table).await.expect("a table");
    (client, table)
}
