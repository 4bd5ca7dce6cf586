//! The same load with more and more sessions and messages on record.

use crate::{
    load::{self, People},
    post,
    process::{DATABASE, Server},
    report::{Aim, Figures, Table},
};
use chrono::{DateTime, Utc};
use sms_proxy::{
    domain::{Message, NewSession, Outbound, Settlement},
    store::{Entry, Imported, Snapshot, Sqlite},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

const CONNECTIONS: usize = 8;

/// How many records are stored in one write.
const AT_ONCE: u64 = 1000;

/// Makes a database with these sessions, and two settled messages for each.
pub(crate) async fn fill(path: &Path, people: People) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let (store, now) = (Sqlite::open(path).expect("a database"), Utc::now());
    let store = async |entries: Vec<Entry>| {
        assert_eq!(store.import(entries).await.expect("it is stored"), Imported::Done);
    };
    for begin in (0..people.sessions).step_by(usize::try_from(AT_ONCE).expect("a few")) {
        let these = begin..people.sessions.min(begin + AT_ONCE);
        let tns =
            these.clone().filter(|n| n % people.per_tn == 0).map(|n| people.tn(n).parse().expect("a number"));
        store(tns.map(|number| Entry::Tn { number, added_at: now, draining: false }).collect()).await;
        let (mut sessions, mut messages) = (Vec::new(), Vec::new());
        for n in these {
            let pair = People::pair(n, 0).map(|number| number.parse().expect("a number"));
            let new = NewSession::new(pair, now, None, "Hello.".into());
            let (session, notices) = new.on(people.tn(n).parse().expect("a number"));
            sessions.push(Entry::Session { session, ended_at: None, request: None });
            messages.extend(notices.map(|notice| Entry::Message(Box::new(sent(notice, now)))));
        }
        store(sessions).await;
        store(messages).await;
    }
}

/// The message after it was sent.
fn sent(message: Outbound, now: DateTime<Utc>) -> Message {
    let leased = Message::new(message, Some(now));
    let provider_id = format!("mdr2-{}", uuid::Uuid::new_v4().simple());
    leased.settle(leased.status.lease, &Settlement::Sent { provider_id }, now).expect("it may be settled").to
}

pub(crate) async fn measure(folder: &Path, time: Duration, is_quick: bool, to_million: bool) -> Figures {
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
    let mut each_size = Vec::new();
    let sizes: &[u64] = match (is_quick, to_million) {
        (true, _) => &[10, 1_000],
        (false, false) => &[10, 1_000, 100_000],
        (false, true) => &[10, 1_000, 100_000, 1_000_000],
    };
    for (&sessions, per_tn) in sizes.iter().flat_map(|sessions| [(sessions, 1), (sessions, 500)]) {
        if sessions == 1_000_000 && per_tn > 1 {
            continue;
        }
        let people = People { sessions, per_tn };
        let folder = folder.join(format!("{sessions}-{per_tn}"));
        fill(&folder.join(DATABASE), people).await;
        let server = Server::service(&folder, &provider.url(), &[("SESSIONS_PER_TN", "1000")]);
        load::run(server.address, CONNECTIONS, time / 3, people).await;
        let pages = server.pages_read();
        let outcome = load::run(server.address, CONNECTIONS, time, people).await;
        let pages_a_text = (server.pages_read() - pages) / outcome.texts() as f64;
        assert_eq!(outcome.errors, 0, "every text is relayed");
        if per_tn == 1 {
            each_size.push((outcome.per_second(), pages_a_text));
        }
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
    let mut figures = Figures::of(table);
    if let [(first, pages), .., (last, more_pages)] = each_size[..] {
        figures.aims = vec![
            Aim::at_least("throughput with the most sessions, of that with 10", 0.8, last / first),
            Aim::at_most("pages more that a text reads then", 4.0, more_pages - pages),
        ];
    }
    figures
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
