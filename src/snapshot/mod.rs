//! Export and import of all records of a store, as a file of JSON lines: for backups, and for moving to another store.
//!
//! The records are sorted, so that two stores with the same records export the same file.

mod line;

use crate::store::{Entry, EntryKey, Exported, Imported, Snapshot, StoreError};
use chrono::{DateTime, Utc};
use line::{Line, check_header};
use std::io::{self, Write};

/// The number of records that the store imports at a time.
const BATCH: usize = 500;

/// Why an export or import failed. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Messages are leased; how many.
    #[error(
        "{0} messages are leased: they may be on their way right now; stop the service, wait for LEASE_SECONDS, run \
         `sms-proxy maintenance`, and try again"
    )]
    Leased(usize),
    /// Records changed during the export.
    #[error(
        "records changed while they were read; stop the service, its schedule and its webhook included, and try again"
    )]
    Changed,
    /// The file is incomplete or malformed.
    #[error("line {line}: {why}; nothing was written")]
    BadLine {
        /// Its number, counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The store holds a record that is not in the file.
    #[error(
        "the store holds a record that is not in the file ({0}); choose an empty store, or one that an interrupted \
         import of this file has left; nothing was written"
    )]
    Foreign(EntryKey),
    /// The store holds another version of a record.
    #[error("the store holds another version of a record in the file ({0}); nothing was written")]
    Differs(EntryKey),
    /// A record conflicts with one that was stored meanwhile.
    #[error(
        "{0} was not stored: another record has its key, or its TN is not free; nothing was overwritten, and the records \
         before it stay stored"
    )]
    Conflict(EntryKey),
    /// The store failed.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The file could not be written.
    #[error("cannot write the export: {0}")]
    Write(#[from] io::Error),
}

/// Writes all records except those settled, received or ended before then; returns their number.
///
/// # Errors
/// When a message is leased, since two stores must never send the same message; when the store changes or fails; when the
/// file cannot be written.
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
    write_line(&mut out, &Line::End { records: entries.len() })?;
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

/// The result of an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records that were stored.
    pub imported: usize,
    /// Records that were stored already.
    pub known: usize,
    /// Records past their retention, which were left out.
    pub past: usize,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { imported, known, past } = self;
        write!(f, "imported {imported} records; {known} were there already, {past} were past their retention")
    }
}

/// Stores all records of the file except those settled, received or ended before then.
///
/// The store must be empty, or hold a part of the same file: then the rest is stored.
///
/// # Errors
/// When the file is incomplete or wrong or the store holds anything else, with nothing written; when the store fails, with
/// a part of the file stored.
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
        Imported::Conflict(key) => Err(Problem::Conflict(key)),
    }
}

/// The number of a line, and the line.
type Numbered<'a> = (usize, &'a [u8]);

/// Reads the whole file, compares it with what the store holds, and returns the lines that are not stored.
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
    let (mut has_opt_out_key, mut without_key) = (false, None);
    while let Some((number, line)) = lines.next() {
        let entry = match read(number, line)? {
            Line::End { records: counted } => {
                return match (lines.next(), held.next()) {
                    _ if counted != records => Err(bad(number, "its count of records is wrong")),
                    _ if let Some(number) = without_key => {
                        Err(bad(number, "an opt-out, and the file has no key of opt-outs"))
                    }
                    (Some((number, _)), _) => Err(bad(number, "nothing may follow the closing line")),
                    (None, Some(foreign)) => Err(Problem::Foreign(foreign.key())),
                    (None, None) => Ok((missing, summary)),
                };
            }
            record => entry(number, record)?,
        };
        let key = entry.key();
        if let Some(before) = last.replace(key).filter(|before| *before >= key) {
            return Err(bad(number, &unsorted(number, before, key)));
        }
        records += 1;
        has_opt_out_key |= matches!(entry, Entry::OptOutKey(_));
        if matches!(entry, Entry::OptOut { .. }) && !has_opt_out_key {
            without_key = without_key.or(Some(number));
        }
        if entry.is_past(before) {
            summary.past += 1;
            continue;
        }
        match held.next_if(|held| held.key() <= key) {
            Some(held) if held == entry => summary.known += 1,
            Some(held) if held.key() == key => return Err(Problem::Differs(key)),
            Some(foreign) => return Err(Problem::Foreign(foreign.key())),
            None => {
                summary.imported += 1;
                missing.push((number, line));
            }
        }
    }
    Err(bad(records + 2, "the closing line is missing: the file was cut off"))
}

fn unsorted(number: usize, before: EntryKey, key: EntryKey) -> String {
    let previous = number - 1;
    let rule = "records must be sorted and unique";
    match (key.kind(), before.kind()) {
        ((kind, _), _) if key == before => format!("{rule}: this {kind} is the one on line {previous} again"),
        ((kind, order), (other, _)) if kind == other => {
            format!(
                "{rule}: this {kind} comes before the one on line {previous} ({kind}s are sorted by {order})"
            )
        }
        ((kind, _), (other, _)) => format!(
            "{rule}: this {kind} comes before the {other} on line {previous} (first TNs, then the key of opt-outs, \
             opt-outs, sessions, inbound texts, messages)"
        ),
    }
}

fn read(number: usize, line: &[u8]) -> Result<Line, Problem> {
    Line::read(line).map_err(|why| Problem::BadLine { line: number, why })
}

fn entry(number: usize, line: Line) -> Result<Entry, Problem> {
    line.entry().map_err(|why| Problem::BadLine { line: number, why })
}
