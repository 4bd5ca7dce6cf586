//! A real DynamoDB engine, built and started once a test run, with a table of its own for each test.
//!
//! With `DYNAMODB_TEST_ENDPOINT` the tests use the engine that runs there instead.
#![allow(dead_code, reason = "each test target uses a part of it")]

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

const REGION: &str = "us-east-1";
/// The access key and the secret key; engines of tests take any.
const KEY: &str = "test";

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
        .region(Region::new(REGION))
        .credentials_provider(aws_sdk_dynamodb::config::SharedCredentialsProvider::new(Credentials::new(
            KEY, KEY, None, None, "test",
        )))
        .endpoint_url(url)
        .build()
}

/// A table of the engine's that a test has for itself.
pub struct Table(String);

impl Table {
    /// An empty one, made by the engine that is reached here.
    pub async fn create(url: &str) -> Self {
        let table = Self(format!("test-{}", MessageId::random()));
        create_table(&client(url), &table.0).await.expect("a table");
        table
    }

    /// The variables by which the real binary finds it.
    pub fn settings<'a>(&'a self, url: &'a str) -> [(&'a str, &'a str); 5] {
        [
            ("DYNAMODB_TABLE", &self.0),
            ("AWS_ENDPOINT_URL_DYNAMODB", url),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", KEY),
        ]
    }

    /// A store in it, reached here. However slow the engine is on a busy machine, nothing times out.
    pub fn store(&self, url: &str, limit: Duration) -> Arc<dyn Store> {
        Arc::new(Dynamo::new(client(url), &self.0, TimeDelta::days(30)).with_limit(limit))
    }
}

fn client(url: &str) -> Client {
    let config = config_of(&sdk_config(url)).to_builder().timeout_config(TimeoutConfig::disabled());
    Client::from_conf(config.build())
}

/// A store in an empty table of its own.
pub async fn dynamodb() -> Arc<dyn Store> {
    create_store(engine_url(), Duration::from_secs(60)).await
}

/// A store in an empty table of its own, reached here.
pub async fn create_store(url: &str, limit: Duration) -> Arc<dyn Store> {
    Table::create(url).await.store(url, limit)
}

/// An empty table: a client that reaches it, and its name.
pub async fn empty_table(url: &str) -> (Client, String) {
    let Table(name) = Table::create(url).await;
    (client(url), name)
}
