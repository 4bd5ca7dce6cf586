//! The store's backends, as tests run on each of them.

use crate::dynamodb::{Table, engine_url};
use sms_proxy::store::{Sqlite, Store};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

/// A backend of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A SQLite file.
    Sqlite,
    /// A DynamoDB table.
    Dynamodb,
}

impl Backend {
    /// How many rounds or callers a test has: fewer on the engine, where each takes longer.
    pub fn many(self, all: u32, fewer: u32) -> u32 {
        if self == Self::Sqlite { all } else { fewer }
    }

    /// An empty store for the real binary.
    pub async fn records(self) -> Records {
        self.records_through(None).await
    }

    /// An empty store for the real binary, which reaches the engine at this address instead of the engine's own.
    pub async fn records_through(self, url: Option<&str>) -> Records {
        let (table, engine) = match self {
            Self::Sqlite => (None, String::new()),
            Self::Dynamodb => (Some(Table::create(&engine_url()).await), engine_url()),
        };
        let url = url.map_or(engine, str::to_owned);
        Records { folder: TempDir::new().expect("a temporary folder"), table, url }
    }
}

/// The working directory of the real binary, and the table of its records if they are not in that directory.
pub struct Records {
    folder: TempDir,
    table: Option<Table>,
    url: String,
}

impl Records {
    /// The working directory.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The SQLite file, if there is one.
    pub fn database(&self) -> PathBuf {
        self.folder().join("local-sqlite/sms-proxy.db")
    }

    /// The variables by which the binary finds its table, without `STORAGE`.
    pub fn table_settings(&self) -> Vec<(&str, &str)> {
        self.table.as_ref().map_or_else(Vec::new, |table| table.settings(&self.url).to_vec())
    }

    /// The variables by which the binary finds its records.
    pub fn settings(&self) -> Vec<(&str, &str)> {
        let storage = if self.table.is_some() { "dynamodb" } else { "sqlite" };
        [&[("STORAGE", storage)][..], &self.table_settings()].concat()
    }

    /// The same store, opened in this process.
    pub fn store(&self) -> Arc<dyn Store> {
        match &self.table {
            Some(table) => table.at_the_engine().store(Duration::from_secs(60)),
            None => Arc::new(Sqlite::open(self.database()).expect("the database opens")),
        }
    }
}

/// Makes `name::sqlite` and `name::dynamodb`, a test on each backend, of each of these functions. The compiler reports
/// a function that is left out as unused. Those that are `slow` run on DynamoDB in `.ci/run` only.
#[macro_export]
macro_rules! on_each_backend {
    (@ #[$test:meta] slow: $slow:literal $($case:ident)*) => {$(
        mod $case {
            #[$test]
            async fn sqlite() {
                super::$case($crate::Backend::Sqlite).await;
            }

            #[$test]
            #[cfg_attr($slow, ignore = "slow")]
            async fn dynamodb() {
                super::$case($crate::Backend::Dynamodb).await;
            }
        }
    )*};
    (@ with $threads:literal threads, slow: $slow:literal $($case:ident)*) => {
        $crate::on_each_backend! {
            @ #[tokio::test(flavor = "multi_thread", worker_threads = $threads)] slow: $slow $($case)*
        }
    };
    (slow, with $threads:literal threads: $($case:ident)*) => {
        $crate::on_each_backend! { @ with $threads threads, slow: true $($case)* }
    };
    (with $threads:literal threads: $($case:ident)*) => {
        $crate::on_each_backend! { @ with $threads threads, slow: false $($case)* }
    };
    (slow: $($case:ident)*) => {
        $crate::on_each_backend! { @ #[tokio::test] slow: true $($case)* }
    };
    ($($case:ident)*) => {
        $crate::on_each_backend! { @ #[tokio::test] slow: false $($case)* }
    };
}
