//! An empty store that the service, a snapshot and the real binary can all use.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sms_proxy::{
    snapshot::{self, Problem, Summary},
    store::{Dynamo, Snapshot, Sqlite},
};
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;
use test_support::{
    App, Backend,
    dynamodb::{Table, engine_url},
    unpaced,
};

const RETENTION: TimeDelta = TimeDelta::days(30);

pub struct SnapshotStore {
    pub app: App,
    pub snapshot: Arc<dyn Snapshot>,
    /// The settings that make the binary use this store.
    settings: Vec<(&'static str, String)>,
    /// The table, if there is one.
    pub table: Option<Table>,
    _folder: TempDir,
}

impl SnapshotStore {
    pub async fn of(backend: Backend) -> Self {
        let store = Self::new(backend).await;
        // As the first health check of a service does.
        store.app.store.check_writes().await.unwrap();
        store
    }

    async fn new(backend: Backend) -> Self {
        let folder = TempDir::new().unwrap();
        match backend {
            Backend::Sqlite => {
                let path = folder.path().join("test.db");
                let store = Arc::new(Sqlite::open(&path).unwrap());
                let settings = vec![("SQLITE_PATH", path.to_str().unwrap().to_owned())];
                Self {
                    app: App::on(Arc::clone(&store) as _, unpaced()),
                    snapshot: store,
                    settings,
                    table: None,
                    _folder: folder,
                }
            }
            Backend::Dynamodb => {
                let table = Table::create(&engine_url()).await.at_the_engine();
                let store = Dynamo::new(table.client.clone(), &table.name, RETENTION);
                let store = Arc::new(store.with_limit(Duration::from_secs(60)));
                let mut settings = vec![("STORAGE", "dynamodb".to_owned())];
                settings.extend(table.settings(&engine_url()).map(|(name, value)| (name, value.to_owned())));
                let app = App::on(Arc::clone(&store) as _, unpaced());
                Self { app, snapshot: store, settings, table: Some(table), _folder: folder }
            }
        }
    }

    /// An empty store whose service has the same time as this one.
    pub async fn beside(other: &Self, backend: Backend) -> Self {
        let store = Self::of(backend).await;
        store.app.clock.advance(other.app.clock.now() - store.app.clock.now());
        store
    }

    pub fn settings(&self) -> Vec<(&str, &str)> {
        self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    fn before(&self) -> DateTime<Utc> {
        self.app.clock.now() - RETENTION
    }

    /// What an export writes.
    pub async fn exported(&self) -> Result<String, Problem> {
        let mut file = Vec::new();
        snapshot::export(self.snapshot.as_ref(), self.before(), &mut file).await?;
        Ok(String::from_utf8(file).unwrap())
    }

    /// What an export writes, which must succeed.
    pub async fn export(&self) -> String {
        self.exported().await.unwrap()
    }

    pub async fn import(&self, file: impl AsRef<[u8]>) -> Result<Summary, Problem> {
        snapshot::import(self.snapshot.as_ref(), file.as_ref(), self.before()).await
    }
}

/// The records of a file of this kind.
pub fn records(file: &str, kind: &str) -> Vec<Value> {
    let lines = file.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter_map(|line| line.get(kind).cloned()).collect()
}

/// A file of these lines, its first and its last one included.
pub fn file(lines: &[String]) -> String {
    let first = r#"{"snapshot":{"format":"sms-proxy snapshot","version":1}}"#;
    let last = format!(r#"{{"end":{{"records":{}}}}}"#, lines.len());
    let lines = lines.iter().map(String::as_str);
    std::iter::once(first).chain(lines).chain([last.as_str()]).flat_map(|line| [line, "\n"]).collect()
}

/// The records of a file, without its first and its last line.
pub fn lines(file: &str) -> Vec<String> {
    let mut lines: Vec<String> = file.lines().skip(1).map(str::to_owned).collect();
    lines.pop();
    lines
}
