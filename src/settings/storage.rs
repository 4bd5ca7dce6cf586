//! Where the records are kept.

use super::{Runtime, reader::Reader};
use std::path::PathBuf;

/// The database of `DEBUG_MODE`, emptied at each start of the server.
pub const TEST_DATABASE: &str = "local-sqlite/test.db";

/// Where the records are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In this file; in `DEBUG_MODE` the test database.
    Sqlite(PathBuf),
    /// In this table.
    DynamoDb {
        /// Its name.
        table: String,
    },
}

pub(super) fn storage(reader: &mut Reader<'_>, runtime: Runtime, debug: bool) -> Storage {
    let path = database(reader);
    let table = reader.text("DYNAMODB_TABLE").unwrap_or_else(|| "sms-proxy".into());
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if !(3..=255).contains(&table.len()) || !table.chars().all(allowed) {
        reader.problem("DYNAMODB_TABLE", format!("\"{table}\" is not 3 to 255 letters, digits, _ . or -"));
    }
    let in_lambda = runtime == Runtime::Lambda;
    let chosen = reader.choice("STORAGE", &[("sqlite", true), ("dynamodb", false)]);
    match (chosen.unwrap_or(!in_lambda), debug) {
        (true, _) if in_lambda => {
            reader
                .problem("STORAGE", "sqlite cannot be used in AWS Lambda, whose disk forgets; use dynamodb");
            Storage::DynamoDb { table }
        }
        (true, true) => Storage::Sqlite(TEST_DATABASE.into()),
        (true, false) => Storage::Sqlite(path),
        (false, true) => {
            reader
                .problem("DEBUG_MODE", "has a test database with sqlite only; switch it off to use dynamodb");
            Storage::DynamoDb { table }
        }
        (false, false) => Storage::DynamoDb { table },
    }
}

fn database(reader: &mut Reader<'_>) -> PathBuf {
    let path = reader.text("SQLITE_PATH").unwrap_or_else(|| "local-sqlite/sms-proxy.db".into());
    // SQLite takes these for something else than a file.
    if path.starts_with(':') || path.starts_with("file:") {
        reader.problem("SQLITE_PATH", format!("\"{path}\" is not the path of a file"));
    }
    // The one file has many names: `./local-sqlite/test.db`, or its whole path.
    if std::path::absolute(&path).ok() == std::path::absolute(TEST_DATABASE).ok() {
        reader
            .problem("SQLITE_PATH", format!("{TEST_DATABASE} is emptied by DEBUG_MODE; choose another file"));
    }
    path.into()
}
