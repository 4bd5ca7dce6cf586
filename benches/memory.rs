//! How much memory the service takes.

use crate::{
    fill::fill,
    load,
    process::{DATABASE, Server},
    relay::PEOPLE,
    report::{Aim, Figures, Table},
};
use std::{path::Path, time::Duration};

/// The service on a database of 10,000 sessions, and its provider.
async fn start(folder: &Path) -> [Server; 2] {
    fill(&folder.join(DATABASE), PEOPLE, 0);
    let provider = Server::reference(&["provider"]);
    [Server::service(folder, &provider.url(), &[]), provider]
}

pub(crate) async fn measure(folder: &Path, time: Duration) -> Figures {
    let [server, _provider] = start(folder).await;
    let mut table = Table::new(&["", "MB"]);
    let mut row = |name: &str, field: &str| {
        let megabytes = server.memory(field);
        table.row(vec![name.into(), format!("{megabytes:.1}")]);
        megabytes
    };
    let idle = row("idle, with 10,000 sessions", "VmRSS");
    let mut under_load = Vec::new();
    for connections in [8, 64, 256] {
        load::run(server.address, connections, time, PEOPLE).await;
        under_load.push(row(&format!("most so far, after load over {connections} connections"), "VmHWM"));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    row("idle after that", "VmRSS");
    let mut figures = Figures::of(table);
    figures.aims = vec![
        Aim::at_most("MB idle", 16.0, idle),
        Aim::at_most("MB under load over 64 connections", 48.0, under_load[1]),
    ];
    figures.lines =
        vec![format!("{:.0} MB of memory at most with 64 connections under full load.", under_load[1])];
    figures
}

/// Five minutes of load over 64 connections.
pub(crate) async fn soak(folder: &Path) -> Figures {
    let [server, _provider] = start(folder).await;
    let mut table = Table::new(&["minutes of load", "MB", "texts"]);
    let mut texts = 0;
    for minute in 1..=5 {
        texts += load::run(server.address, 64, Duration::from_secs(60), PEOPLE).await.texts();
        table.row(vec![minute.to_string(), format!("{:.1}", server.memory("VmRSS")), texts.to_string()]);
    }
    Figures::of(table)
}
