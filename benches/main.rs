//! Makes the figures of docs/benchmarks.md: `cargo bench --profile server`, or a part of them with its name behind `--`:
//! `relay`, `cold`, `warm`, `memory`, `growth`, `lists`, `transfer`, `soak`. `--quick` takes short turns, `--million` grows to
//! 1,000,000 sessions.

mod cold;
mod fill;
mod growth;
mod lists;
mod load;
mod memory;
mod meter;
mod process;
mod references;
mod relay;
mod report;
mod transfer;
mod warm;

use report::{Figures, Table};
use std::{io::Write, net::SocketAddr, path::Path, sync::LazyLock, time::Duration};

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["provider"] => references::provider().await,
        ["forwarder", provider] => references::forwarder(provider, None).await,
        ["forwarder", provider, database] => references::forwarder(provider, Some(Path::new(database))).await,
        ["held-lists", folder] => lists::reference(Path::new(folder)).await,
        ["fill", database] => fill::fill(Path::new(database), relay::PEOPLE, 0),
        ["load", to, connections, seconds] => by_hand(to, connections, seconds).await,
        _ if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() => references::bare_function().await,
        _ => measure(&words).await,
    }
}

async fn measure(words: &[&str]) {
    let is_quick = words.contains(&"--quick");
    let parts = ["relay", "cold", "warm", "memory", "growth", "lists", "transfer", "soak"];
    let has_names = words.iter().any(|word| parts.contains(word));
    let is_wanted = |part: &&str| words.contains(part) || (!has_names && *part != "soak");
    let (rounds, time) = if is_quick { (1, 1) } else { (5, 2) };
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // On the disk of the target folder: the system's folder for temporary files may be in memory.
    let (time, folder) = (Duration::from_secs(time), tempfile::tempdir_in(target).expect("a folder"));
    let machine = report::machine();
    let mut all = Vec::new();
    for part in parts.into_iter().filter(is_wanted) {
        let folder = folder.path().join(part);
        std::fs::create_dir_all(&folder).expect("a folder");
        say(&format!("\n{part}"));
        let figures = match part {
            "relay" => relay::measure(&folder, rounds, time).await,
            "growth" => growth::measure(&folder, rounds, time, is_quick, words.contains(&"--million")).await,
            "lists" => lists::measure(&folder, rounds * 3).await,
            "transfer" => transfer::measure(&folder, rounds, if is_quick { 10_000 } else { 100_000 }),
            "warm" => warm::measure(&folder, rounds * 200).await,
            "cold" => cold::measure(&folder, rounds * 4).await,
            "memory" => memory::measure(&folder, time * 3).await,
            _ => memory::soak(&folder).await,
        };
        say(&format!("\n{}", figures.table));
        all.push((part, figures));
    }
    if words.contains(&"--docs") {
        write_documents(&all, &machine, !has_names);
    }
}

/// Writes the figures into docs/benchmarks.md and, if all parts were measured, the README.
fn write_documents(all: &[(&str, Figures)], machine: &str, is_complete: bool) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let page = docs.join("benchmarks.md");
    for (part, figures) in all {
        report::replace(&page, part, &figures.table.to_string());
        if let Some(picture) = &figures.picture {
            std::fs::write(docs.join(format!("benchmarks-{part}.svg")), picture).expect("a file");
        }
    }
    if is_complete {
        let mut aims = Table::new(&["aim", "wanted", "measured", "reached"]);
        all.iter().flat_map(|(_, figures)| &figures.aims).for_each(|aim| aims.row(aim.row()));
        report::replace(&page, "aims", &aims.to_string());
        report::replace(&page, "machine", machine);
        let meanings: Vec<&str> =
            all.iter().map(|(_, figures)| &*figures.meaning).filter(|it| !it.is_empty()).collect();
        report::replace(&page, "meaning", &meanings.join(" "));
        let lines = all.iter().flat_map(|(_, figures)| &figures.lines);
        let lines: String = lines.map(|line| format!("- {line}\n")).collect();
        report::replace(&docs.join("../README.md"), "speed", &lines);
    }
}

/// Load on a service that was started by hand, on a database made by `fill`: for profiles of it.
async fn by_hand(to: &str, connections: &str, seconds: &str) {
    let time = Duration::from_secs(seconds.parse().expect("seconds"));
    let (to, connections) = (to.parse().expect("an address"), connections.parse().expect("a number"));
    let outcome = load::run(to, connections, time, relay::PEOPLE).await;
    let [p50, p99] = [0.5, 0.99].map(|share| outcome.percentile(share));
    say(&format!("{:.0} texts/s, p50 {p50:.2} ms, p99 {p99:.2} ms", outcome.per_second()));
}

/// Prints a line.
fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output");
}

/// Calls the service's API, which must succeed.
async fn post(to: SocketAddr, path: &str, body: &str) {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(reqwest::Client::new);
    let request = CLIENT.post(format!("http://{to}{path}"));
    let answer = request.header("content-type", "application/json").body(body.to_owned()).send().await;
    let answer = answer.expect("an answer");
    assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap_or_default());
}
