//! Checks what the service needs, and says what to mend. It sends no message, and shows neither secrets nor phone numbers.

use crate::{
    aws,
    domain::CLOCK_TOLERANCE,
    limits,
    provider::flowroute::{Answered, Client, ClientOptions, is_public},
    settings::{Problems, ProviderChoice, Runtime, Settings, Storage},
    store::{Dynamo, Sqlite, Store},
};
use chrono::{DateTime, Utc};
use rustix::fs::{Access, access};
use std::{fmt, path::Path, sync::Arc};
use tokio::time::timeout;

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub verdict: Verdict,
    /// What was checked.
    pub subject: &'static str,
    /// What is the case, and what to do about it.
    pub says: String,
}

/// How a thing that was checked is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Good.
    Good,
    /// It may be meant, or could not be checked.
    Note,
    /// It must be mended.
    Mend,
}

impl Verdict {
    fn of(self, subject: &'static str, says: impl Into<String>) -> Finding {
        Finding { verdict: self, subject, says: says.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Good => "ok",
            Verdict::Note => "note",
            Verdict::Mend => "MEND",
        };
        write!(f, "{verdict:<5} {:<9} {}", self.subject, self.says)
    }
}

/// Checks these settings, and everything that they name.
pub async fn examine(settings: Result<Settings, Problems>) -> Vec<Finding> {
    let settings = match settings {
        Ok(settings) => settings,
        Err(problems) => {
            let mut found: Vec<Finding> =
                problems.to_string().lines().map(|line| Verdict::Mend.of("settings", line)).collect();
            found.push(Verdict::Note.of("others", "not checked before the settings are mended"));
            return found;
        }
    };
    let warnings = settings.warnings.iter().map(|warning| Verdict::Note.of("settings", warning));
    let mut found = vec![Verdict::Good.of("settings", "can be read, and fit together")];
    found.extend(warnings);
    let ((store, store_time), (provider, provider_time)) =
        tokio::join!(check_store(&settings), check_provider(&settings.provider));
    found.push(store);
    found.push(check_clock(provider_time.or(store_time)));
    found.push(provider);
    found.extend(check_callback(&settings));
    found
}

/// A finding, and by how many seconds our clock is ahead of that of whoever has answered.
type Timed = (Finding, Option<i64>);

async fn check_store(settings: &Settings) -> Timed {
    match &settings.storage {
        Storage::Sqlite(path) if !path.exists() => (check_folder(path), None),
        Storage::Sqlite(path) => {
            let finding = match Sqlite::open(path) {
                Ok(store) => use_store(Arc::new(store), format!("SQLite, {}", path.display())).await,
                Err(error) => Verdict::Mend.of("store", error.to_string()),
            };
            (finding, None)
        }
        Storage::DynamoDb { table } => {
            let store = Dynamo::connect(table, settings.options.retention, false).await;
            let name = format!("DynamoDB, table {table}");
            let (finding, time) = tokio::join!(use_store(Arc::new(store), name), aws::dynamodb_time());
            (finding, time.map(ahead_of))
        }
    }
}

/// Does not create the database: its place may be a mistake.
fn check_folder(path: &Path) -> Finding {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let folder = absolute.ancestors().skip(1).find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    match access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Verdict::Note.of(
            "store",
            format!("there is no database {} yet; the server creates it when it starts", path.display()),
        ),
        Err(error) => Verdict::Mend.of(
            "store",
            format!(
                "the database {} cannot be created: {} cannot be written ({error}); let this user write it, or set \
                 SQLITE_PATH",
                path.display(),
                folder.display()
            ),
        ),
    }
}

async fn use_store(store: Arc<dyn Store>, name: String) -> Finding {
    let both = async {
        store.ping().await?;
        store.check_writes().await
    };
    let remedy = match store.name() {
        "sqlite" => "see that the disk has room and that no other process locks the file",
        _ => {
            "check DYNAMODB_TABLE, the region (AWS_REGION), the credentials and the rights of their role; for an emulator \
             `sms-proxy create-table` makes the table"
        }
    };
    match timeout(limits::DOCTOR, both).await {
        Ok(Ok(())) => Verdict::Good.of("store", format!("{name}: answers, and can be written")),
        Ok(Err(error)) => Verdict::Mend.of("store", format!("{name}: {error}; {remedy}")),
        Err(_) => Verdict::Mend.of("store", format!("{name}: no answer in time; {remedy}")),
    }
}

fn ahead_of(time: DateTime<Utc>) -> i64 {
    (Utc::now() - time).num_seconds()
}

fn check_clock(ahead: Option<i64>) -> Finding {
    let Some(ahead) = ahead else {
        return Verdict::Note
            .of("clock", "not checked: neither the provider nor the store has told the time");
    };
    let by = ahead.unsigned_abs();
    if by <= CLOCK_TOLERANCE.num_seconds().unsigned_abs() {
        return Verdict::Good.of("clock", "right, as far as the other side's clock shows");
    }
    let how = if ahead > 0 { "fast" } else { "slow" };
    Verdict::Mend.of("clock", format!("{by} s {how}; let a time service (NTP) set it"))
}

async fn check_provider(provider: &ProviderChoice) -> Timed {
    let options = match provider {
        ProviderChoice::Flowroute(options) => options.as_ref(),
        ProviderChoice::Sandbox => {
            let says =
                "the sandbox: it sends nothing; set FLOWROUTE_ACCESS_KEY and FLOWROUTE_SECRET_KEY to send";
            return (Verdict::Note.of("provider", says), None);
        }
    };
    match ask(options).await {
        Ok(answered) => (judge(answered), answered.date.map(ahead_of)),
        Err(error) => {
            let says = format!("{error}; check FLOWROUTE_API_URL, and that this machine may connect to it");
            (Verdict::Mend.of("provider", says), None)
        }
    }
}

async fn ask(options: &ClientOptions) -> Result<Answered, String> {
    let client = Client::new(options.clone()).map_err(|error| error.to_string())?;
    client.check(Utc::now()).await.map_err(|error| error.to_string())
}

fn judge(Answered { status, is_list, .. }: Answered) -> Finding {
    let (verdict, says) = match status {
        200 if is_list => (Verdict::Good, "Flowroute accepts the keys".to_owned()),
        401 | 403 => {
            let what = "Flowroute does not accept the keys";
            (Verdict::Mend, format!("{what} ({status}); check FLOWROUTE_ACCESS_KEY and FLOWROUTE_SECRET_KEY"))
        }
        429 | 500.. => {
            let what = "Flowroute answered";
            (Verdict::Note, format!("{what} {status}, so the keys could not be checked; try again later"))
        }
        _ => {
            let what = "does not answer as Flowroute does";
            (Verdict::Mend, format!("FLOWROUTE_API_URL {what} ({status}); check it"))
        }
    };
    verdict.of("provider", says)
}

/// The address at which Flowroute posts: its form, and the token in it.
fn check_callback(settings: &Settings) -> Vec<Finding> {
    let mut found = Vec::new();
    let is_sandbox = matches!(settings.provider, ProviderChoice::Sandbox);
    let has_token = settings.auth.webhook_token.is_some();
    if is_sandbox && settings.public_url.is_none() && settings.runtime == Runtime::Local {
        return vec![Verdict::Note.of("callback", "not needed: the sandbox receives nothing from Flowroute")];
    }
    if !has_token {
        let says =
            "WEBHOOK_TOKEN is not set, so anybody may post texts; set it, and put it into the callback URL";
        found.push(Verdict::Mend.of("callback", says));
    }
    let Some(url) = &settings.public_url else {
        let says = "PUBLIC_URL is not set: receipts are not requested, and the address cannot be checked; the callback URL \
                    at Flowroute must be https://YOUR-HOST/?token= and the value of WEBHOOK_TOKEN";
        found.push(Verdict::Note.of("callback", says));
        return found;
    };
    if url.scheme() != "https" || !is_public(url) {
        let says =
            format!("PUBLIC_URL ({url}) cannot be reached by Flowroute; set a public https:// address");
        found.push(Verdict::Mend.of("callback", says));
    }
    let path = url.path().trim_matches('/');
    let base = settings.base_path.as_deref().unwrap_or_default().trim_matches('/');
    if path != base {
        let says = format!(
            "PUBLIC_URL has the path /{path}, but BASE_PATH is /{base}: posts to it would be answered 404; make them equal"
        );
        found.push(Verdict::Mend.of("callback", says));
    }
    if found.is_empty() {
        let address = url.as_str().trim_end_matches('/');
        let says = format!(
            "{address}/?token= and the value of WEBHOOK_TOKEN; Flowroute needs it for SMS and for MMS"
        );
        found.push(Verdict::Good.of("callback", says));
    }
    found
}
