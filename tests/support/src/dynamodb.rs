//! A DynamoDB engine for each test, built once per test run. On a shared one calls wait for those of other tests, on a slow
//! machine longer than the program's time limits.
//!
//! `DYNAMODB_TEST_ENDPOINT` names another engine, which all of them use instead.

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region, timeout::TimeoutConfig},
};
use chrono::TimeDelta;
use sms_proxy::{
    aws,
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

/// An engine's process. It also ends when this process does, which closes its standard input.
struct Engine {
    url: String,
    process: Child,
}

impl Engine {
    fn start() -> Self {
        static PROGRAM: OnceLock<String> = OnceLock::new();
        let mut process = Command::new(PROGRAM.get_or_init(build))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the engine starts");
        let mut line = String::new();
        let output = process.stdout.take().expect("its output is piped");
        BufReader::new(output).read_line(&mut line).expect("it says where it listens");
        Self { url: line.trim().to_owned(), process }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Builds the engine, and returns its path.
fn build() -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let manifest = format!("{root}/tests/dynamodb-engine/Cargo.toml");
    let target = format!("{root}/target/dynamodb-engine");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "--manifest-path", &manifest, "--target-dir", &target]);
    assert!(build.status().expect("cargo runs").success(), "the DynamoDB engine of the tests does not build");
    format!("{target}/debug/dynamodb-engine")
}

/// The address of this thread's engine, which is started when it is first asked for and ends with the thread. Each test has a
/// thread of its own; tasks that run on others must be given the address.
pub fn engine_url() -> String {
    thread_local!(static ENGINE: Engine = Engine::start());
    std::env::var("DYNAMODB_TEST_ENDPOINT").unwrap_or_else(|_| ENGINE.with(|engine| engine.url.clone()))
}

/// The SDK configuration for an engine at this address.
pub fn sdk_config(url: &str) -> aws_config::SdkConfig {
    aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(aws_sdk_dynamodb::config::SharedCredentialsProvider::new(Credentials::new(
            KEY, KEY, None, None, "test",
        )))
        .endpoint_url(url)
        .http_client(aws::http_client(false))
        .build()
}

/// The program's own client without its time limits, so that nothing times out on a slow machine.
fn client_without_timeouts(url: &str) -> Client {
    let config = config_of(&sdk_config(url)).to_builder().timeout_config(TimeoutConfig::disabled());
    Client::from_conf(config.build())
}

/// A store on an empty table of its own.
pub async fn dynamodb() -> Arc<dyn Store> {
    create_store(&engine_url(), Duration::from_secs(60)).await
}

/// A store on an empty table of its own, reached at this address, with this time limit for an operation.
pub async fn create_store(url: &str, limit: Duration) -> Arc<dyn Store> {
    Table::create(url).await.without_timeouts(url).store(limit)
}

/// The same, for a service that does not request delivery receipts.
pub async fn create_store_without_receipts(url: &str, limit: Duration) -> Arc<dyn Store> {
    Table::create(url).await.without_timeouts(url).store_without_receipts(limit)
}

/// A table, and a client that reaches it.
#[derive(Debug, Clone)]
pub struct Table {
    /// The client.
    pub client: Client,
    /// The name of the table.
    pub name: String,
    /// The address of its engine.
    engine: String,
}

impl Table {
    /// An empty table with the program's own client, both at this address.
    pub async fn create(url: &str) -> Self {
        let name = format!("test-{}", MessageId::random());
        create_table(&client_without_timeouts(url), &name).await.expect("a table");
        Self { client: Client::from_conf(config_of(&sdk_config(url))), name, engine: engine_url() }
    }

    /// A table that does not exist, at an address where nothing listens.
    pub fn nowhere() -> Self {
        let nowhere = "http://127.0.0.1:1";
        let client = Client::from_conf(config_of(&sdk_config(nowhere)));
        Self { client, name: "none".into(), engine: nowhere.into() }
    }

    /// The same table, reached at this address by a client without time limits.
    pub fn without_timeouts(&self, url: &str) -> Self {
        Self { client: client_without_timeouts(url), ..self.clone() }
    }

    /// The same table, reached directly by a client without time limits.
    pub fn at_the_engine(&self) -> Self {
        self.without_timeouts(&self.engine)
    }

    /// A store on the table with this time limit for an operation.
    pub fn store(&self, limit: Duration) -> Arc<dyn Store> {
        Arc::new(self.opened().with_limit(limit))
    }

    /// A store on the table with the program's own limits.
    pub fn shipped(&self) -> Arc<dyn Store> {
        Arc::new(self.opened())
    }

    /// The same as [`store`](Self::store), for a service that does not request delivery receipts.
    pub fn store_without_receipts(&self, limit: Duration) -> Arc<dyn Store> {
        Arc::new(self.opened().with_receipts_by_provider_id(false).with_limit(limit))
    }

    fn opened(&self) -> Dynamo {
        Dynamo::new(self.client.clone(), &self.name, TimeDelta::days(30))
    }

    /// The variables by which the real binary finds the table at this address.
    pub fn settings<'a>(&'a self, url: &'a str) -> [(&'static str, &'a str); 5] {
        [
            ("DYNAMODB_TABLE", &self.name),
            ("AWS_ENDPOINT_URL_DYNAMODB", url),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", KEY),
        ]
    }
}
