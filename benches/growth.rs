//! The same load with more and more sessions and messages on record.

use crate::{
    fill::fill,
    load::{self, People},
    post,
    process::{DATABASE, Server},
    report::{Aim, Figures, Table, median},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

const CONNECTIONS: usize = 8;
/// How many sessions are opened in a turn, one after another.
const OPENED: u64 = 100;

/// What was measured in a turn, a value for each column of the table.
type Turn = [f64; 5];

/// A service with so many sessions, and its turns.
struct Case {
    people: People,
    server: Server,
    turns: Vec<Turn>,
}

impl Case {
    async fn start(people: People, folder: &Path, provider: &str, rounds: usize, time: Duration) -> Self {
        fill(&folder.join(DATABASE), people, OPENED * rounds as u64);
        let per_tn = people.per_tn.to_string();
        let server = Server::service(folder, provider, &[("SESSIONS_PER_TN", &per_tn)]);
        load::run(server.address, CONNECTIONS, time / 2, people).await;
        Self { people, server, turns: Vec::new() }
    }

    async fn turn(&mut self, time: Duration) {
        let pages = self.server.pages_read();
        let outcome = load::run(self.server.address, CONNECTIONS, time, self.people).await;
        assert_eq!(outcome.errors, 0, "every text is relayed");
        let pages_a_text = (self.server.pages_read() - pages) / outcome.texts() as f64;
        let [opened, pages_a_session] = self.open().await;
        self.turns.push([
            outcome.per_second(),
            outcome.percentile(0.5),
            pages_a_text,
            opened,
            pages_a_session,
        ]);
    }

    /// Opens sessions of people who have none; how many a second, and the pages read for each.
    async fn open(&self) -> [f64; 2] {
        let (begun, pages) = (Instant::now(), self.server.pages_read());
        let before = self.turns.len() as u64 * OPENED;
        for n in before..before + OPENED {
            let [a, b] = [14_150_000_000 + n, 16_170_000_000 + n];
            let body = format!(r#"{{"participant_a":"{a}","participant_b":"{b}"}}"#);
            post(self.server.address, "/session", &body).await;
        }
        let sessions = OPENED as f64;
        [sessions / begun.elapsed().as_secs_f64(), (self.server.pages_read() - pages) / sessions]
    }

    fn medians(&self) -> Turn {
        std::array::from_fn(|column| median(self.turns.iter().map(|turn| turn[column])))
    }
}

pub(crate) async fn measure(
    folder: &Path,
    rounds: usize,
    time: Duration,
    is_quick: bool,
    to_million: bool,
) -> Figures {
    let provider = Server::reference(&["provider"]);
    let sizes: &[u64] = match (is_quick, to_million) {
        (true, false) => &[10, 1_000],
        (false, false) => &[10, 1_000, 100_000],
        (_, true) => &[10, 1_000, 100_000, 1_000_000],
    };
    let mut cases = Vec::new();
    for (&sessions, per_tn) in sizes.iter().flat_map(|sessions| [(sessions, 1), (sessions, 500)]) {
        let folder = folder.join(format!("{sessions}-{per_tn}"));
        cases.push(Case::start(People { sessions, per_tn }, &folder, &provider.url(), rounds, time).await);
    }
    for _ in 0..rounds {
        for case in &mut cases {
            case.turn(time).await;
        }
    }
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
    for case in &cases {
        let [texts, p50, pages, opened, pages_a_session] = case.medians();
        table.row(vec![
            case.people.sessions.to_string(),
            case.people.per_tn.to_string(),
            format!("{texts:.0}"),
            format!("{p50:.2}"),
            format!("{pages:.2}"),
            format!("{opened:.0}"),
            format!("{pages_a_session:.2}"),
            format!("{:.0}", case.server.memory("VmHWM")),
        ]);
    }
    Figures { aims: aims(&cases), ..Figures::of(table) }
}

/// The most sessions against the best figures with fewer, in the worse case of one session on a TN and of many. With 10
/// sessions each sender has sent so many texts in a minute that counting them for the limit takes most of the time.
fn aims(cases: &[Case]) -> Vec<Aim> {
    let pairs: Vec<[Turn; 3]> = [1, 500]
        .into_iter()
        .filter_map(|per_tn| {
            let of_these = cases.iter().filter(|case| case.people.per_tn == per_tn).map(Case::medians);
            let turns: Vec<Turn> = of_these.collect();
            let (most, fewer) = turns.split_last()?;
            let best = |pick: fn(f64, f64) -> f64, column: usize| {
                fewer.iter().map(|turn| turn[column]).reduce(pick).unwrap_or(most[column])
            };
            let highest = std::array::from_fn(|column| best(f64::max, column));
            Some([*most, highest, std::array::from_fn(|column| best(f64::min, column))])
        })
        .collect();
    let least = |column: usize| {
        pairs.iter().map(|[most, highest, _]| most[column] / highest[column]).fold(f64::INFINITY, f64::min)
    };
    let most = |column: usize| {
        pairs.iter().map(|[most, _, lowest]| most[column] - lowest[column]).fold(f64::NEG_INFINITY, f64::max)
    };
    vec![
        Aim::at_least("texts a second with the most sessions, of the best with fewer", 0.8, least(0)),
        Aim::at_most("pages more that a text reads then", 4.0, most(2)),
        Aim::at_least("sessions opened a second then, of the best with fewer", 0.8, least(3)),
        Aim::at_most("pages more that an opened session reads then", 4.0, most(4)),
    ]
}
