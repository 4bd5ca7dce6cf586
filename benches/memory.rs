//! How much memory the service takes.

use crate::{
    growth::fill,
    load,
    process::{DATABASE, Server},
    relay::PEOPLE,
    report::Table,
};
use std::{path::Path, time::Duration};

pub(crate) async fn measure(folder: &Path, time: Duration) -> (String, String) {
    let provider = Server::reference(&["provider"]);
    fill(&folder.join(DATABASE), PEOPLE).await;
    let server = Server::service(folder, &provider.url(), &[]);
    let mut table = Table::new(&["", "MB"]);
    let mut row =
        |name: &str, field: &str| table.row(vec![name.into(), format!("{:.1}", server.memory(field))]);
    row("idle, with 10,000 sessions", "VmRSS");
    for connections in [8, 64, 256] {
        load::run(server.address, connections, time, PEOPLE).await;
        row(&format!("most so far, after load over {connections} connections"), "VmHWM");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    row("idle after that", "VmRSS");
    (table.to_string(), String::new())
}
