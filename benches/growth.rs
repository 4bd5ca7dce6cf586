//! The same load with more and more sessions and messages on record.

use crate::{
    load::{self, People},
    post,
    process::{DATABASE, Server},
    report::Table,
};
use chrono::Utc;
use futures_util::{StreamExt, stream};
use sms_proxy::{
    domain::{NewSession, Settlement, Sharing},
    store::{OpenSession, Outbox, Pool, Sessions, Sqlite},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

const CONNECTIONS: usize = 8;

/// Makes a database with these sessions, and two settled messages for each.
pub(crate) async fn fill(path: &Path, people: People) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let store = &Sqlite::open(path).expect("a database");
    // Some are left for the sessions that are opened later.
    let tns = people.sessions.div_ceil(people.per_tn) + 200;
    stream::iter(0..tns)
        .for_each_concurrent(256, async |n| {
            let tn = people.tn(n * people.per_tn).parse().expect("a number");
            store.add_tn(tn, Utc::now()).await.expect("a TN");
        })
        .await;
    stream::iter(0..people.sessions)
        .for_each_concurrent(256, async |n| {
            let now = Utc::now();
            let pair = People::pair(n, 0).map(|number| number.parse().expect("a number"));
            let sessions_per_tn = u32::try_from(people.per_tn).expect("a few");
            let sharing = Sharing { sessions_per_tn, ..Sharing::default() };
            let tn = Some(people.tn(n).parse().expect("a number"));
            let mut new = NewSession::new(pair, now, None, "Hello.".into());
            (new.virtual_tn, new.sharing) = (tn, sharing);
            let opened = store.open_session(new, now + Duration::from_secs(30)).await.expect("a session");
            let OpenSession::Opened { notices, .. } = opened else { panic!("no session: {opened:?}") };
            for notice in notices {
                let provider_id = format!("mdr2-{}", uuid::Uuid::new_v4().simple());
                store.settle(&notice, Settlement::Sent { provider_id }, now).await.expect("an outcome");
            }
        })
        .await;
}

pub(crate) async fn measure(
    folder: &Path,
    time: Duration,
    is_quick: bool,
    to_million: bool,
) -> (String, String) {
    let provider = Server::reference(&["provider"]);
    let mut table = Table::new(&[
        "sessions",
        "a TN",
        "texts/s",
        "p50 ms",
        "pages read a text",
        "sessions opened/s",
        "pages read a session",
        "MB",
    ]);
    let sizes: &[u64] = match (is_quick, to_million) {
        (true, _) => &[10, 1_000],
        (false, false) => &[10, 1_000, 100_000],
        (false, true) => &[10, 1_000, 100_000, 1_000_000],
    };
    for (&sessions, per_tn) in sizes.iter().flat_map(|sessions| [(sessions, 1), (sessions, 500)]) {
        let people = People { sessions, per_tn };
        let folder = folder.join(format!("{sessions}-{per_tn}"));
        fill(&folder.join(DATABASE), people).await;
        let server = Server::service(&folder, &provider.url(), &[("SESSIONS_PER_TN", "500")]);
        load::run(server.address, CONNECTIONS, time / 3, people).await;
        let pages = server.pages_read();
        let outcome = load::run(server.address, CONNECTIONS, time, people).await;
        let pages_a_text = (server.pages_read() - pages) / outcome.texts() as f64;
        assert_eq!(outcome.errors, 0, "every text is relayed");
        let (opened, pages_a_session) = open(&server).await;
        table.row(vec![
            sessions.to_string(),
            per_tn.to_string(),
            format!("{:.0}", outcome.per_second()),
            format!("{:.2}", outcome.percentile(0.5)),
            format!("{pages_a_text:.2}"),
            format!("{opened:.0}"),
            format!("{pages_a_session:.2}"),
            format!("{:.0}", server.memory("VmHWM")),
        ]);
        drop(server);
        std::fs::remove_dir_all(&folder).expect("it is removed");
    }
    (table.to_string(), String::new())
}

/// Opens sessions one after another; how many a second, and the pages read for each.
async fn open(server: &Server) -> (f64, f64) {
    const SESSIONS: u64 = 200;
    let (begun, pages) = (Instant::now(), server.pages_read());
    for n in 0..SESSIONS {
        let [a, b] = [14_150_000_000 + n, 16_170_000_000 + n];
        post(server.address, "/session", &format!(r#"{{"participant_a":"{a}","participant_b":"{b}"}}"#))
            .await;
    }
    let sessions = SESSIONS as f64;
    (sessions / begun.elapsed().as_secs_f64(), (server.pages_read() - pages) / sessions)
}
