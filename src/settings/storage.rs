//! The store and its settings.

use super::{
    Runtime,
    reader::Reader,
    table::{DEBUG_MODE, DYNAMODB_TABLE, SQLITE_PATH, STORAGE},
};
use std::path::PathBuf;

/// The database of `DEBUG_MODE`, which each start of the server empties.
pub const TEST_DATABASE: &str = "local-sqlite/test.db";

/// The chosen store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// SQLite, with this database; in `DEBUG_MODE` the test database.
    Sqlite(PathBuf),
    /// DynamoDB.
    DynamoDb {
        /// The name of the table.
        table: String,
    },
}

pub(super) fn storage(reader: &mut Reader<'_>, runtime: Runtime, debug: bool) -> Storage {
    let path = database(reader);
    let table = reader.text(&DYNAMODB_TABLE).unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if !(3..=255).contains(&table.len()) || !table.chars().all(allowed) {
        reader.unexpected(&DYNAMODB_TABLE, format!("\"{table}\""));
    }
    let in_lambda = runtime == Runtime::Lambda;
    let sqlite = reader.choice(&STORAGE).map_or(!in_lambda, |chosen| chosen == "sqlite");
    match (sqlite, debug) {
        (true, _) if in_lambda => {
            let what = "sqlite cannot be used in AWS Lambda, whose disk is temporary; use dynamodb";
            reader.problem(STORAGE.name, what);
            Storage::DynamoDb { table }
        }
        (true, true) => Storage::Sqlite(TEST_DATABASE.into()),
        (true, false) => Storage::Sqlite(path),
        (false, true) => {
            let what = "has a test database with sqlite only; switch it off to use dynamodb";
            reader.problem(DEBUG_MODE.name, what);
            Storage::DynamoDb { table }
        }
        (false, false) => Storage::DynamoDb { table },
    }
}

fn database(reader: &mut Reader<'_>) -> PathBuf {
    let path = reader.text(&SQLITE_PATH).unwrap_or_default();
    // SQLite would not take these for the path of a file.
    if path.starts_with(':') || path.starts_with("file:") {
        reader.unexpected(&SQLITE_PATH, format!("\"{path}\""));
    }
    // The same file can be written in many ways, such as `./local-sqlite/test.db`.
    if std::path::absolute(&path).ok() == std::path::absolute(TEST_DATABASE).ok() {
        let what = format!("{TEST_DATABASE} is emptied by DEBUG_MODE; choose another file");
        reader.problem(SQLITE_PATH.name, what);
    }
    path.into()
}
