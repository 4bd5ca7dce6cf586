//! Export and import by the command line, against a plain copy with SQLite.

use crate::{
    fill::fill,
    load::People,
    process,
    report::{Figures, Table, median},
};
use rusqlite::Connection;
use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
    time::Instant,
};

/// A session makes four records: its TN, itself, and two messages.
const RECORDS_A_SESSION: u64 = 4;
/// The tables that hold records, and the routes of the sessions.
const TABLES: [&str; 4] = ["tn", "session", "route", "outbound"];

pub(crate) fn measure(folder: &Path, rounds: usize, records: u64) -> Figures {
    let database = folder.join("full.db");
    fill(&database, People { sessions: records / RECORDS_A_SESSION, per_tn: 1 }, 0);
    let (file, again) = (folder.join("records.jsonl"), folder.join("again.jsonl"));
    let (imported, copied) = (folder.join("imported.db"), folder.join("copied.db"));
    let mut turns = Vec::new();
    for _ in 0..rounds {
        for database in [&imported, &copied] {
            sms_proxy::store::Sqlite::remove(database).expect("it is removed");
        }
        turns.push([
            seconds(|| export(&database, &file)),
            seconds(|| process::run(&imported, &["import", &file.display().to_string()], Stdio::null())),
            copy(&database, &copied),
        ]);
        export(&imported, &again);
        assert!(fs::read(&file).expect("it") == fs::read(&again).expect("it"), "the import has all records");
    }
    let mut table = Table::new(&["", "records", "s", "records/s", "times the copy"]);
    let times: [f64; 3] =
        std::array::from_fn(|which| median(turns.iter().map(|turn: &[f64; 3]| turn[which])));
    for (name, time) in
        ["export", "import into an empty store", "plain copy with SQLite"].into_iter().zip(times)
    {
        table.row(vec![
            name.into(),
            records.to_string(),
            format!("{time:.2}"),
            format!("{:.0}", records as f64 / time),
            format!("{:.1}", time / times[2]),
        ]);
    }
    Figures::of(table)
}

fn seconds(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64()
}

fn export(database: &Path, file: &Path) {
    process::run(database, &["export"], File::create(file).expect("a file").into());
}

/// Copies the rows into a database with the same tables and indexes, in one transaction; returns the seconds that it took.
fn copy(from: &Path, to: &Path) -> f64 {
    process::run(to, &["maintenance"], Stdio::null());
    let db = Connection::open(to).expect("a database");
    db.execute("ATTACH ?1 AS source", [from.display().to_string()]).expect("the other one");
    let rows: String =
        TABLES.map(|table| format!("INSERT INTO main.{table} SELECT * FROM source.{table};")).concat();
    seconds(|| {
        db.execute_batch(&format!("PRAGMA synchronous = FULL; BEGIN; {rows} COMMIT")).expect("the rows");
    })
}
