//! Tests that run on each backend of the store, and where the real binary keeps its records in them.
#![allow(dead_code, reason = "each test target uses a part of it")]

use super::dynamodb::{Table, engine_url};
use sms_proxy::store::{Sqlite, Store};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

/// What keeps the records of a service under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Dynamodb,
}

impl Backend {
    /// How many rounds or callers there are: fewer on the engine, where each takes longer.
    pub fn many(self, all: u32, fewer: u32) -> u32 {
        if self == Self::Sqlite { all } else { fewer }
    }

    /// An empty place for the records of the real binary.
    pub async fn records(self) -> Records {
        self.records_through(None).await
    }

    /// The same; the binary reaches the engine at this address instead of its own.
    pub async fn records_through(self, url: Option<&str>) -> Records {
        let table = match self {
            Self::Sqlite => None,
            Self::Dynamodb => Some(Table::create(engine_url()).await),
        };
        let url = url.map(str::to_owned).or_else(|| table.as_ref().map(|_| engine_url().to_owned()));
        Records { folder: TempDir::new().expect("a temporary folder"), table, url }
    }
}

/// The working folder of the real binary, and the table where its records are unless they are in that folder.
pub struct Records {
    folder: TempDir,
    table: Option<Table>,
    url: Option<String>,
}

impl Records {
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The SQLite file, if there is one.
    pub fn database(&self) -> PathBuf {
        self.folder().join("local-sqlite/sms-proxy.db")
    }

    /// The variables by which the binary finds its records, but for `STORAGE`.
    pub fn place(&self) -> Vec<(&str, &str)> {
        match (&self.table, &self.url) {
            (Some(table), Some(url)) => table.settings(url).to_vec(),
            _ => Vec::new(),
        }
    }

    /// The variables by which the binary finds its records.
    pub fn settings(&self) -> Vec<(&str, &str)> {
        let storage = if self.table.is_some() { "dynamodb" } else { "sqlite" };
        [&[("STORAGE", storage)][..], &self.place()].concat()
    }

    /// The same records beside the binary.
    pub fn store(&self) -> Arc<dyn Store> {
        match &self.table {
            Some(table) => table.at_the_engine().store(Duration::from_secs(60)),
            None => Arc::new(Sqlite::open(self.database()).expect("the database opens")),
        }
    }
}

/// Makes a test of each of these functions on each backend: `name::sqlite` and `name::dynamodb`. One that is left out
/// is a function that nobody calls, which the compiler reports.
macro_rules! on_each_backend {
    (with $threads:tt threads: $($case:ident)*) => {
        on_each_backend! { @ #[tokio::test(flavor = "multi_thread", worker_threads = $threads)] $($case)* }
    };
    (@ #[$test:meta] $($case:ident)*) => {$(
        mod $case {
            #[$test]
            async fn sqlite() {
                super::$case($crate::support::Backend::Sqlite).await;
            }

            #[$test]
            async fn dynamodb() {
                super::$case($crate::support::Backend::Dynamodb).await;
            }
        }
    )*};
    ($($case:ident)*) => {
        on_each_backend! { @ #[tokio::test] $($case)* }
    };
}

pub(crate) use on_each_backend;
