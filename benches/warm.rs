//! What an invocation of the running function takes besides the answers of DynamoDB and Flowroute.

use crate::{
    load::People,
    meter::Meter,
    process::{Server, cpu},
    report::{Figures, Table, median},
};
use serde_json::json;
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use test_support::{
    binary::Binary,
    dynamodb::{Table as DynamoDb, engine_url},
    events::{Call, HTTP_DEFAULT},
    runtime_api::RuntimeApi,
};

/// Sessions whose participants text, so that the limit on a sender's texts finds a few earlier ones.
const PEOPLE: People = People { sessions: 50, per_tn: 1 };
const API_KEY: &str = "0123456789abcdef0123456789abcdef";
const WEBHOOK_TOKEN: &str = "fedcba9876543210fedcba9876543210";
/// The function's memory, and what AWS takes for a second of a gigabyte: docs/aws.md#costs.
const GIGABYTES: f64 = 0.25;
const DOLLARS_PER_GB_SECOND: f64 = 16.67e-6;

/// A process in the Lambda runtime.
struct Function {
    runtime: RuntimeApi,
    process: Binary,
}

/// What the invocations of a function took, in milliseconds.
struct Taken {
    wall: Vec<f64>,
    peers: Vec<f64>,
    cpu: f64,
}

impl Function {
    async fn invoke(&self, path: &str, body: String) {
        let call = Call {
            method: "POST",
            path,
            query: &[("token", WEBHOOK_TOKEN)],
            headers: &[("content-type", "application/json"), ("x-api-key", API_KEY)],
            body: Some(body),
        };
        let id = uuid::Uuid::new_v4().to_string();
        let answer = self.runtime.invoke(&id, &HTTP_DEFAULT.event(&call)).await;
        assert_eq!(answer["statusCode"], 200, "{path}: {answer}");
    }

    /// Invokes it with texts, one after another.
    async fn texts(&self, texts: usize, meter: &Meter) -> Taken {
        let before = cpu(self.process.pid());
        let (mut wall, mut peers) = (Vec::new(), Vec::new());
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        for _ in 0..texts {
            let text = PEOPLE.text();
            meter.take();
            let begun = Instant::now();
            self.invoke("/", text).await;
            wall.push(millis(begun.elapsed()));
            peers.push(millis(meter.take()));
        }
        let cpu = (cpu(self.process.pid()) - before) * 1000.0 / texts as f64;
        Taken { wall, peers, cpu }
    }
}

impl Taken {
    fn row(&self, name: &str) -> Vec<String> {
        let [wall, peers, own] = [self.wall(), self.peers(), self.own()].map(|time| format!("{time:.2}"));
        vec![name.into(), wall, peers, own, format!("{:.2}", self.cpu)]
    }

    fn wall(&self) -> f64 {
        median(self.wall.iter().copied())
    }

    fn peers(&self) -> f64 {
        median(self.peers.iter().copied())
    }

    fn own(&self) -> f64 {
        median(self.wall.iter().zip(&self.peers).map(|(wall, peers)| wall - peers))
    }
}

pub(crate) async fn measure(folder: &Path, texts: usize) -> Figures {
    let meter = Meter::default();
    let runtime = RuntimeApi::start().await;
    let bare = Command::new(std::env::current_exe().expect("this program"));
    let bare = Function { process: runtime.run(bare), runtime };
    let provider = Server::reference(&["provider"]);
    let table = DynamoDb::create(&engine_url()).await;
    let engine = engine_url().trim_start_matches("http://").parse().expect("its address");
    let (store, flowroute) = (meter.before(engine).await, meter.before(provider.address).await);
    let settings = [
        &table.settings(&store)[..],
        &[
            ("FLOWROUTE_API_URL", flowroute.as_str()),
            ("FLOWROUTE_ACCESS_KEY", "an-access-key"),
            ("FLOWROUTE_SECRET_KEY", "a-secret-key"),
            ("FLOWROUTE_MAX_PER_SECOND", "0"),
            ("SENDER_TEXTS_PER_MINUTE", "1000"),
            ("STORAGE", "dynamodb"),
            ("API_KEYS", API_KEY),
            ("WEBHOOK_TOKEN", WEBHOOK_TOKEN),
        ],
    ]
    .concat();
    let runtime = RuntimeApi::start().await;
    let service = Function { process: runtime.function(folder, &settings), runtime };
    for n in 0..PEOPLE.sessions {
        let [a, b] = People::pair(n, 0);
        service.invoke("/tn", json!({"value": PEOPLE.tn(n)}).to_string()).await;
        let session = json!({"participant_a": a, "participant_b": b, "virtual_tn": PEOPLE.tn(n)});
        service.invoke("/session", session.to_string()).await;
    }
    // The first texts open connections.
    for function in [&bare, &service] {
        function.texts(20, &meter).await;
    }
    let (nothing, text) = (bare.texts(texts, &meter).await, service.texts(texts, &meter).await);
    let mut table = Table::new(&["an invocation", "ms", "of these its peers'", "its own", "CPU ms"]);
    table.row(nothing.row("bare `lambda_http` program"));
    table.row(text.row("sms-proxy, a text"));
    let own = text.own();
    let dollars = own * 1000.0 * GIGABYTES * DOLLARS_PER_GB_SECOND;
    let meaning = format!(
        "On Lambda a text takes {own:.1} ms of the function itself, and the time of DynamoDB's and Flowroute's answers. These \
         milliseconds of a million texts cost ${dollars:.2}; all that AWS charges for a million texts is ${} \
         ([costs](aws.md#costs), calculated).",
        dollars_for_a_million()
    );
    Figures { meaning, ..Figures::of(table) }
}

/// The sum of docs/aws.md#costs.
fn dollars_for_a_million() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/aws.md");
    let page = std::fs::read_to_string(page).expect("the page of costs");
    let sum =
        page.lines().find_map(|line| line.strip_prefix("| **together** | | | **")?.strip_suffix("** |"));
    sum.expect("the sum of the costs").to_owned()
}
