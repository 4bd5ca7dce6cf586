//! The commands that work on a whole store: export, import, create-table.

use crate::progress::Progress;
use chrono::{DateTime, Utc};
use sms_proxy::{
    limits,
    runtime::process,
    settings::{Settings, Storage},
    snapshot,
    store::{self, Dynamo, Snapshot, Sqlite},
};
use std::{
    error::Error,
    io::{BufWriter, Read, Write},
    path::PathBuf,
};

/// The result of a command; the error is for the operator.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The store of these settings, for export or import.
async fn open_store(settings: &Settings) -> Outcome<Box<dyn Snapshot>> {
    Ok(match &settings.storage {
        Storage::Sqlite(path) => Box::new(Sqlite::open(path)?),
        Storage::DynamoDb { table } => {
            let store = Dynamo::connect(table, settings.options.retention, false).await;
            Box::new(
                store
                    .with_receipts_by_provider_id(settings.receipts_by_provider_id)
                    .with_limit(limits::IMPORT_RECORD),
            )
        }
    })
}

/// Records that were settled, received or ended earlier are past their retention.
fn retained_since(settings: &Settings) -> DateTime<Utc> {
    Utc::now() - settings.options.retention
}

/// Writes all records to standard output.
pub(crate) async fn export(settings: &Settings) -> Outcome<()> {
    if let Storage::Sqlite(path) = &settings.storage
        && !path.exists()
    {
        return Err(format!("there is no database {}; set SQLITE_PATH", path.display()).into());
    }
    let store = open_store(settings).await?;
    // The shell may have created the file for everybody to read.
    process::make_output_private();
    let progress = Progress::start("reading the store");
    let (store, out) = (progress.watching(store, None), progress.counting(BufWriter::new(std::io::stdout())));
    let exported = snapshot::export(&store, retained_since(settings), out).await;
    drop(progress);
    let records = exported?;
    eprintln!("exported {records} records");
    Ok(())
}

/// Stores the records of a file, or of standard input.
pub(crate) async fn import(settings: &Settings, file: Option<PathBuf>) -> Outcome<()> {
    let progress = Progress::start("reading the file");
    let text = match &file {
        Some(path) => std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?,
        None => {
            let mut text = Vec::new();
            std::io::stdin().read_to_end(&mut text)?;
            text
        }
    };
    // All lines but the first and the last are records.
    let records = text.iter().filter(|byte| **byte == b'\n').count().saturating_sub(2);
    let store = progress.watching(open_store(settings).await?, Some(records));
    let imported = snapshot::import(&store, &text, retained_since(settings)).await;
    drop(progress);
    let summary = imported?;
    eprintln!("{summary}");
    Ok(())
}

/// Creates the DynamoDB table.
pub(crate) async fn create_table(settings: &Settings) -> Outcome<()> {
    let Storage::DynamoDb { table } = &settings.storage else {
        return Err("STORAGE is not dynamodb, so there is no table to create".into());
    };
    store::create_table(&Dynamo::client(false).await, table).await?;
    writeln!(std::io::stdout(), "created the table {table}")?;
    Ok(())
}
