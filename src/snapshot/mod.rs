//! All records of a store as a file of JSON lines, and back: for backups, and for moving to another store.
//!
//! The first line says what the file is, the last one how many records are between the two. The records are sorted, so
//! that the same records make the same file, in whatever store they are.

mod line;

use crate::store::{Entry, Exported, Imported, Place, Snapshot, StoreError};
use chrono::{DateTime, Utc};
use line::{End, Line, check_header};
use std::io::{self, Write};

/// How many records are handed to the store at a time.
const BATCH: usize = 500;

/// Why there is no export or import. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// So many messages are leased.
    #[error(
        "{0} messages are leased: they may be on their way right now; stop the service, wait for LEASE_SECONDS, run \
         `sms-proxy maintenance`, and try again"
    )]
    Leased(usize),
    /// The store is in use.
    #[error(
        "records changed while they were read; stop the service, its schedule and its webhook included, and try again"
    )]
    Changed,
    /// The file is not whole, or not one of ours.
    #[error("line {line} of the file is not right: {why}; nothing was written")]
    BadLine {
        /// Its number, counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The store holds something of its own.
    #[error(
        "the store holds something that is not in the file ({0}); choose an empty store, or one that a broken-off \
         import of this file has left; nothing was written"
    )]
    Foreign(Place),
    /// A record differs.
    #[error("the store holds another version of something that is in the file ({0}); nothing was written")]
    Differs(Place),
    /// A record's place was taken when it came to that.
    #[error(
        "this could not be put on record: {0}; something is in its place, or its TN is not free; nothing was \
         overwritten, and what came before it stays"
    )]
    InTheWay(Place),
    /// The store failed.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The file could not be written.
    #[error("cannot write the export: {0}")]
    Write(#[from] io::Error),
}

/// Writes everything on record, but for what was settled, received or ended before then; how many records it was.
///
/// # Errors
/// When a message is leased, since two stores must never send the same; when the store is in use or fails; when the
/// file can't be written.
pub async fn export(
    store: &dyn Snapshot,
    before: DateTime<Utc>,
    mut out: impl Write,
) -> Result<usize, Problem> {
    let entries = all(store, before).await?;
    write_line(&mut out, &Line::header())?;
    for entry in &entries {
        write_line(&mut out, &Line::from(entry))?;
    }
    write_line(&mut out, &Line::End(End { records: entries.len() }))?;
    out.flush()?;
    Ok(entries.len())
}

async fn all(store: &dyn Snapshot, before: DateTime<Utc>) -> Result<Vec<Entry>, Problem> {
    match store.export(before).await? {
        Exported::Entries(entries) => Ok(entries),
        Exported::Leased(count) => Err(Problem::Leased(count)),
        Exported::Changed => Err(Problem::Changed),
    }
}

fn write_line(out: &mut impl Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// So many records were put on record.
    pub imported: usize,
    /// So many were on record already.
    pub known: usize,
    /// So many were past their retention, and left out.
    pub past: usize,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { imported, known, past } = self;
        write!(f, "imported {imported} records; {known} were there already, {past} were past their retention")
    }
}

/// Puts everything in the file on record, but for what was settled, received or ended before then.
///
/// The store must be empty, or hold a part of the very same file: then the rest is put on record.
///
/// # Errors
/// When the file is not whole and right or the store holds anything else, with nothing written; when the store fails,
/// with a part of the file on record.
pub async fn import(store: &dyn Snapshot, file: &[u8], before: DateTime<Utc>) -> Result<Summary, Problem> {
    let held = all(store, before).await?;
    let (missing, summary) = compare(file, held, before)?;
    let mut batch: Vec<Entry> = Vec::new();
    for (number, line) in missing {
        let entry = entry(number, read(number, line)?)?;
        let same_kind = |last: &Entry| std::mem::discriminant(last) == std::mem::discriminant(&entry);
        if batch.len() == BATCH || !batch.last().is_none_or(same_kind) {
            put(store, std::mem::take(&mut batch)).await?;
        }
        batch.push(entry);
    }
    put(store, batch).await?;
    Ok(summary)
}

async fn put(store: &dyn Snapshot, batch: Vec<Entry>) -> Result<(), Problem> {
    match store.import(batch).await? {
        Imported::Done => Ok(()),
        Imported::InTheWay(place) => Err(Problem::InTheWay(place)),
    }
}

/// A line of the file, with its number.
type Numbered<'a> = (usize, &'a [u8]);

/// Reads the whole file, compares it with what the store holds, and tells which of its lines are not on record.
fn compare(
    file: &[u8],
    held: Vec<Entry>,
    before: DateTime<Utc>,
) -> Result<(Vec<Numbered<'_>>, Summary), Problem> {
    let bad = |line, why: &str| Problem::BadLine { line, why: why.into() };
    let file = file.strip_suffix(b"\n").unwrap_or(file);
    let mut lines = (1..).zip(file.split(|byte| *byte == b'\n'));
    let (_, first) = lines.next().unwrap_or_default();
    check_header(first).map_err(|why| Problem::BadLine { line: 1, why })?;
    let mut held = held.into_iter().peekable();
    let mut missing = Vec::new();
    let mut summary = Summary::default();
    let (mut records, mut last) = (0, None);
    while let Some((number, line)) = lines.next() {
        let entry = match read(number, line)? {
            Line::End(end) => {
                return match (lines.next(), held.next()) {
                    _ if end.records != records => Err(bad(number, "it counts other records than there are")),
                    (Some((number, _)), _) => Err(bad(number, "it follows the closing line")),
                    (None, Some(foreign)) => Err(Problem::Foreign(foreign.place())),
                    (None, None) => Ok((missing, summary)),
                };
            }
            record => entry(number, record)?,
        };
        let place = entry.place();
        if last.replace(place).is_some_and(|last| last >= place) {
            return Err(bad(number, "the record is there twice, or not in its place"));
        }
        records += 1;
        if entry.is_past(before) {
            summary.past += 1;
            continue;
        }
        match held.next_if(|held| held.place() <= place) {
            Some(held) if held == entry => summary.known += 1,
            Some(held) if held.place() == place => return Err(Problem::Differs(place)),
            Some(foreign) => return Err(Problem::Foreign(foreign.place())),
            None => {
                summary.imported += 1;
                missing.push((number, line));
            }
        }
    }
    Err(bad(records + 2, "the closing line is missing: the file was cut off"))
}

fn read(number: usize, line: &[u8]) -> Result<Line, Problem> {
    Line::read(line).map_err(|why| Problem::BadLine { line: number, why })
}

fn entry(number: usize, line: Line) -> Result<Entry, Problem> {
    let entry = match line {
        Line::Tn(line) => line.entry(),
        Line::Session(line) => line.entry(),
        Line::OptOut(line) => line.entry(),
        Line::Inbound(line) => line.entry(),
        Line::Message(line) => line.entry(),
        Line::Snapshot(_) | Line::End(_) => Err("it is no record".into()),
    };
    entry.map_err(|why| Problem::BadLine { line: number, why })
}
