//! From the start of the function to its first poll of Lambda's Runtime API.

use crate::{
    references::hanging,
    report::{Aim, Figures, Table, median},
};
use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tokio::net::TcpListener;

/// Milliseconds until the process connects to its Runtime API.
async fn first_poll(mut command: Command, folder: &Path, settings: &[(&str, &str)]) -> f64 {
    let runtime = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = runtime.local_addr().expect("its address").to_string();
    command.current_dir(folder).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.envs([
        ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
        ("STORAGE", "dynamodb"),
        ("AWS_LAMBDA_FUNCTION_NAME", "sms-proxy"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "log"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "log"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("FLOWROUTE_ACCESS_KEY", "an-access-key"),
        ("FLOWROUTE_SECRET_KEY", "a-secret-key"),
        ("API_KEYS", "0123456789abcdef0123456789abcdef"),
        ("WEBHOOK_TOKEN", "fedcba9876543210fedcba9876543210"),
    ]);
    let begun = Instant::now();
    let mut child = command.envs(settings.iter().copied()).spawn().expect("it starts");
    let polled = tokio::time::timeout(Duration::from_secs(20), runtime.accept()).await;
    let elapsed = begun.elapsed();
    let _ = child.kill();
    let _ = child.wait();
    polled.expect("it polls in time").expect("a connection");
    elapsed.as_secs_f64() * 1000.0
}

/// An address at which connections are refused.
async fn refusing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("its address")
}

pub(crate) async fn measure(folder: &Path, rounds: usize) -> Figures {
    let provider = crate::process::Server::reference(&["provider"]);
    let (refused, hangs) = (format!("http://{}", refusing().await), format!("http://{}", hanging().await));
    let (refused, hangs, there) = (refused.as_str(), hangs.as_str(), provider.url());
    let there = there.as_str();
    let bare = std::env::current_exe().expect("this program");
    // The provider's stand-in answers DynamoDB's calls with something that is no item: enough to have a connection.
    let cases: [(&str, Option<[&str; 2]>); 6] = [
        ("bare `lambda_http` program", None),
        ("sms-proxy, DynamoDB and Flowroute there", Some([there, there])),
        ("… DynamoDB refuses connections", Some([refused, there])),
        ("… Flowroute refuses connections", Some([there, refused])),
        ("… DynamoDB does not answer", Some([hangs, there])),
        ("… Flowroute does not answer", Some([there, hangs])),
    ];
    let mut times = vec![Vec::new(); cases.len()];
    for round in 0..rounds {
        for ((_, urls), times) in cases.iter().zip(&mut times) {
            let time = match urls {
                None => first_poll(Command::new(&bare), folder, &[]).await,
                // The slow ones need fewer turns.
                Some(urls) if urls.contains(&hangs) && round > 1 => continue,
                Some([dynamodb, flowroute]) => {
                    let settings =
                        [("AWS_ENDPOINT_URL_DYNAMODB", *dynamodb), ("FLOWROUTE_API_URL", *flowroute)];
                    first_poll(Command::new(env!("CARGO_BIN_EXE_sms-proxy")), folder, &settings).await
                }
            };
            times.push(time);
        }
    }
    let mut table = Table::new(&["from exec to the first poll", "ms"]);
    let times: Vec<f64> = times.into_iter().map(|times| median(times.into_iter())).collect();
    for ((name, _), time) in cases.iter().zip(&times) {
        table.row(vec![(*name).into(), format!("{time:.1}")]);
    }
    let mut figures = Figures::of(table);
    let [bare, there, refused, no_flowroute, hangs, flowroute_hangs] = times[..] else { return figures };
    let most = |a: f64, b: f64| a.max(b);
    figures.aims = vec![
        Aim::at_most("ms to the first poll, above the bare program", 10.0, there - bare),
        Aim::at_most("ms more if a peer refuses", 100.0, most(refused, no_flowroute) - there),
        Aim::at_most("ms more if a peer hangs", 1000.0, most(hangs, flowroute_hangs) - there),
    ];
    figures.lines = vec![format!(
        "The Lambda function asks for its first event {there:.0} ms after its start, connections included."
    )];
    figures
}
