//! Texts through the service, and through what it is compared with, in turns.

use crate::{
    fill::fill,
    load::{self, Outcome, People},
    process::{DATABASE, Server},
    report::{Aim, Chart, Figures, Table, median},
};
use std::{path::Path, time::Duration};

const CONNECTIONS: [usize; 4] = [1, 8, 64, 256];
const NAMES: [&str; 3] = ["forwarder without a store", "durable limit", "sms-proxy"];
/// So many that each of the 20,000 senders sends some tens of texts in the whole run, all of which the limit on a sender's
/// texts counts: more than most people send in a day.
pub(crate) const PEOPLE: People = People { sessions: 10_000, per_tn: 1 };

/// One turn: what the load generator saw, and what the process used for a text.
struct Turn {
    outcome: Outcome,
    cpu_micros: f64,
    switches: f64,
}

async fn turn(server: &Server, connections: usize, time: Duration) -> Turn {
    let (cpu, switches) = (server.cpu(), server.context_switches());
    let outcome = load::run(server.address, connections, time, PEOPLE).await;
    let texts = outcome.texts() as f64;
    Turn {
        cpu_micros: (server.cpu() - cpu) * 1e6 / texts,
        switches: (server.context_switches() - switches) / texts,
        outcome,
    }
}

/// Measures, and returns the table and the picture. In each round every server has its turn.
pub(crate) async fn measure(folder: &Path, rounds: usize, time: Duration) -> Figures {
    let provider = Server::reference(&["provider"]);
    fill(&folder.join(DATABASE), PEOPLE, 0);
    let database = folder.join("limit.db").display().to_string();
    let servers = [
        Server::reference(&["forwarder", &provider.url()]),
        Server::reference(&["forwarder", &provider.url(), &database]),
        Server::service(folder, &provider.url(), &[]),
    ];
    let mut table = Table::new(&[
        "connections",
        "",
        "texts/s",
        "of the limit",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "CPU µs",
        "switches",
        "errors",
    ]);
    let (mut aims, mut lines, mut meaning) = (Vec::new(), Vec::new(), String::new());
    let mut chart = Chart::new("Texts per second, by connections", &NAMES);
    // The stand-in alone: what load generator and stand-in can do together.
    for connections in CONNECTIONS {
        let bare = load::run(provider.address, connections, time, PEOPLE).await;
        let mut turns: [Vec<Turn>; 3] = Default::default();
        for server in &servers {
            load::run(server.address, connections, time / 4, PEOPLE).await;
        }
        for _ in 0..rounds {
            for (server, turns) in servers.iter().zip(&mut turns) {
                turns.push(turn(server, connections, time).await);
            }
        }
        let of = |which: usize, value: &dyn Fn(&Turn) -> f64| median(turns[which].iter().map(value));
        let limit = of(1, &|turn| turn.outcome.per_second());
        let mut bars = Vec::new();
        for (which, name) in NAMES.iter().enumerate() {
            let per_second = of(which, &|turn| turn.outcome.per_second());
            let percentile = |share| format!("{:.2}", of(which, &|turn| turn.outcome.percentile(share)));
            table.row(vec![
                connections.to_string(),
                (*name).into(),
                format!("{per_second:.0}"),
                format!("{:.2}", per_second / limit),
                percentile(0.5),
                percentile(0.99),
                percentile(0.999),
                format!("{:.0}", of(which, &|turn| turn.cpu_micros)),
                format!("{:.1}", of(which, &|turn| turn.switches)),
                turns[which].iter().map(|turn| turn.outcome.errors).sum::<usize>().to_string(),
            ]);
            bars.push(per_second);
        }
        let ratio = of(2, &|turn| turn.outcome.per_second()) / limit;
        let p50 = of(2, &|turn| turn.outcome.percentile(0.5));
        match connections {
            1 => aims.push(Aim::at_least("of the durable limit, 1 connection", 0.8, ratio)),
            8 => {
                aims.push(Aim::at_least("of the durable limit, 8 connections", 0.7, ratio));
                let of_limit = p50 / of(1, &|turn| turn.outcome.percentile(0.5));
                aims.push(Aim::at_most("p50 of the limit's p50, 8 connections", 1.4, of_limit));
                let texts = bars[2];
                meaning = format!(
                    "One small machine relays {texts:.0} texts a second, each of which is on disk before it is sent; half of them \
                     take less than {p50:.1} ms. Flowroute takes far fewer from an access key (`FLOWROUTE_MAX_PER_SECOND`), so it \
                     is Flowroute that limits a service, not this program."
                );
                lines.push(format!(
                    "{texts:.0} texts a second over 8 connections, each on disk before it is sent; half of the texts took less \
                     than {p50:.1} ms."
                ));
                lines.push(format!(
                    "That is {ratio:.2} of what SQLite and the disk allow for two durable writes a text, measured in the same \
                     turns."
                ));
            }
            64 => aims.push(Aim::at_least("of the durable limit, 64 connections", 0.6, ratio)),
            _ => {
                let errors = turns[2].iter().map(|turn| turn.outcome.errors).sum::<usize>();
                aims.push(Aim::at_most("errors at 256 connections", 0.0, errors as f64));
            }
        }
        table.row(vec![
            connections.to_string(),
            "stand-in alone".into(),
            format!("{:.0}", bare.per_second()),
        ]);
        chart.group(&connections.to_string(), bars);
    }
    Figures { picture: Some(chart.svg()), aims, lines, meaning, ..Figures::of(table) }
}
