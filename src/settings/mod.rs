//! The settings: [`SETTINGS`] is their table, [`Settings`] holds their checked values.

mod endpoints;
mod provider;
mod reader;
mod runtime;
mod secret_json;
mod secrets;
mod storage;
mod table;

pub use provider::ProviderChoice;
pub use reader::Problems;
pub use runtime::Runtime;
pub use storage::{Storage, TEST_DATABASE};
pub use table::{Kind, SETTINGS, Setting};

use crate::{
    aws::SecretArn,
    domain::{AllowedCountries, SenderLimit, Sharing},
    http::{ApiKey, Auth, Hash},
    limits,
    service::{OptOutWords, Options, Wording},
    store::ReplyQuota,
};
use chrono::TimeDelta;
use provider::{address, base_path, is_loopback, provider};
use reader::Reader;
use secrecy::{ExposeSecret, SecretString};
use secrets::auth;
use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::MetadataExt,
    path::Path,
    time::Duration,
};
use storage::storage;
use table::{
    ALLOW_UNAUTHENTICATED, ALLOWED_COUNTRIES, API_KEYS, BIND_ADDR, CONSOLE, DEBUG_MODE,
    FLOWROUTE_MAX_PER_SECOND, LEASE_SECONDS, LOG_LEVEL, LOOKUP_SETTLE_SECONDS, MAINTENANCE_INTERVAL,
    MEDIA_MISSING_MSG, MESSAGE_RETENTION_DAYS, NO_SESSION_MSG, NO_SESSION_MSG_PER_DAY,
    NO_SESSION_MSG_PER_HOUR, NO_SESSION_MSG_PER_MINUTE, NOT_DELIVERED_MSG, OPT_OUT_WORDS, ORG_NAME,
    PUBLIC_URL, RECEIPTS_BY_PROVIDER_ID, SECRETS_ARN, SEND_BUDGET_SECONDS, SENDER_TEXTS_PER_DAY,
    SENDER_TEXTS_PER_MINUTE, SESSION_END_MSG, SESSION_EXPIRED_MSG, SESSION_START_MSG, SESSIONS_PER_TN,
    TN_COOL_OFF_MINUTES, TN_COOL_OFF_STRICT, WEBHOOK_TOKEN,
};
use tracing::Level;
use url::Url;

/// The settings, checked.
#[derive(Debug)]
pub struct Settings {
    /// How the process was started: `AWS_LAMBDA_RUNTIME_API`, `AWS_LAMBDA_INITIALIZATION_TYPE`.
    pub runtime: Runtime,
    /// The name of the function: `AWS_LAMBDA_FUNCTION_NAME`, which Lambda sets.
    pub function: String,
    /// The options of the service: wording, quotas, times.
    pub options: Options,
    /// `STORAGE`, with `SQLITE_PATH` or `DYNAMODB_TABLE`.
    pub storage: Storage,
    /// `SMS_PROVIDER` and the `FLOWROUTE_…` settings.
    pub provider: ProviderChoice,
    /// `BASE_PATH`, or the path of `PUBLIC_URL`, if there is one.
    pub base_path: Option<String>,
    /// `PUBLIC_URL`.
    pub public_url: Option<Url>,
    /// `API_KEYS` and `WEBHOOK_TOKEN`.
    pub auth: Auth,
    /// `RECEIPTS_BY_PROVIDER_ID`.
    pub receipts_by_provider_id: bool,
    /// `CONSOLE`; false in the Lambda runtime unless it is set.
    pub console: bool,
    /// `BIND_ADDR`.
    pub bind: SocketAddr,
    /// `DEBUG_MODE`.
    pub debug: bool,
    /// `LOG_LEVEL`; debug in `DEBUG_MODE`.
    pub log_level: Level,
    /// What is allowed and probably not meant, one sentence for each setting.
    pub warnings: Vec<String>,
    /// `MAINTENANCE_INTERVAL`.
    pub maintenance_interval: Duration,
}

impl Settings {
    /// Reads the process's environment, `settings.toml` or the file that `SETTINGS_FILE` names, and the secret that
    /// `SECRETS_ARN` names and `fetch` returns.
    ///
    /// # Errors
    /// With every problem; if the file or the secret cannot be read, with that alone.
    pub async fn load<E: fmt::Display>(
        fetch: impl AsyncFnOnce(&SecretArn) -> Result<SecretString, E>,
    ) -> Result<Self, Problems> {
        // A value that is not UTF-8 gets a replacement character, which no setting allows.
        let environment =
            |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let chosen = environment("SETTINGS_FILE").filter(|path| !path.is_empty());
        let path = chosen.clone().unwrap_or_else(|| "settings.toml".into());
        let shared = others_may_read(Path::new(&path));
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if chosen.is_none() && error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                let what = format!("\"{path}\" cannot be read: {error}");
                return Err(Problems::one("SETTINGS_FILE", what));
            }
        };
        if let Some(name) = endpoints::plain(&environment).first() {
            return Err(Problems::one(name, endpoints::PLAIN));
        }
        let arn = Reader::new(&environment, file.as_deref()).given(&SECRETS_ARN);
        let secret = match arn.and_then(|arn| arn.parse().ok()) {
            Some(arn) => Some(fetch(&arn).await.map_err(|error| Problems::one(SECRETS_ARN.name, error))?),
            None => None,
        };
        let mut settings =
            Self::read(&environment, file.as_deref(), secret.as_ref().map(ExposeSecret::expose_secret))?;
        if shared {
            let what =
                format!("SETTINGS_FILE: others may read \"{path}\", and with it keys; chmod 600 {path}");
            settings.warnings.push(what.replace(char::is_control, " "));
        }
        Ok(settings)
    }

    /// Reads the settings from a lookup function, the text of a `settings.toml`, and the secret that `SECRETS_ARN`
    /// names. The function takes precedence over the file; a setting of the secret must be in neither.
    ///
    /// # Errors
    /// With every problem, one per line: the variable, the problem, what is expected.
    pub fn read(
        environment: &dyn Fn(&str) -> Option<String>,
        file: Option<&str>,
        secret: Option<&str>,
    ) -> Result<Self, Problems> {
        let reader = &mut Reader::new(environment, file);
        if let Some(secret) = secret {
            reader.add_secret(secret);
        }
        for name in endpoints::plain(environment) {
            reader.problem(name, endpoints::PLAIN);
        }
        let runtime = Runtime::detect(environment);
        let debug = reader.switch(&DEBUG_MODE);
        let public_url = address(reader, &PUBLIC_URL);
        let auth = auth(reader);
        let mut settings = Self {
            runtime,
            function: environment("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default(),
            options: options(reader),
            storage: storage(reader, runtime, debug),
            provider: provider(reader, runtime, public_url.clone(), auth.webhook_token.clone()),
            base_path: base_path(reader, public_url.as_ref()),
            public_url,
            auth,
            receipts_by_provider_id: reader.switch(&RECEIPTS_BY_PROVIDER_ID),
            console: console(reader, runtime),
            bind: reader.parsed(&BIND_ADDR).unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into()),
            debug,
            log_level: log_level(reader, debug),
            maintenance_interval: seconds(reader, &MAINTENANCE_INTERVAL),
            warnings: Vec::new(),
        };
        let allowed = reader.switch(&ALLOW_UNAUTHENTICATED);
        settings.auth.own_calls_only =
            runtime == Runtime::Local && settings.bind.ip().is_loopback() && !allowed;
        settings.check_together(reader, allowed);
        let warnings = std::mem::replace(reader, Reader::new(environment, None)).finish()?;
        Ok(Self { warnings, ..settings })
    }

    /// Flowroute's keys are for Flowroute: whoever may use the service must not learn them, nor the other way round.
    fn check_keys_of_flowroute(&self, reader: &mut Reader<'_>) {
        let ProviderChoice::Flowroute(client) = &self.provider else { return };
        let theirs = [&client.access_key, &client.secret_key].map(|key| Hash::of(key.expose_secret()));
        let is_theirs = |hash: &Hash| theirs.iter().any(|key| key.is(hash));
        let keys = self.auth.api_keys.iter().filter_map(|key| ApiKey::parse(key.expose_secret()).ok());
        let token = self.auth.webhook_token.as_ref().map(|token| Hash::of(token.expose_secret()));
        if keys.map(|key| key.hash).any(|key| is_theirs(&key)) {
            reader.problem(API_KEYS.name, "has one of Flowroute's keys; set another value");
        }
        if token.is_some_and(|token| is_theirs(&token)) {
            reader.problem(WEBHOOK_TOKEN.name, "is one of Flowroute's keys; set another value");
        }
    }

    fn check_together(&self, reader: &mut Reader<'_>, allowed: bool) {
        let Options { request_limit, lease, lookup_settle, .. } = self.options;
        if request_limit >= lease {
            let shortest = request_limit.as_secs() + 1;
            let what = format!("must be at least {shortest}: more than SEND_BUDGET_SECONDS + 4");
            reader.problem(LEASE_SECONDS.name, what);
        }
        if lease >= lookup_settle {
            let what = format!("must be more than LEASE_SECONDS ({})", lease.as_secs());
            reader.problem(LOOKUP_SETTLE_SECONDS.name, what);
        }
        if self.options.sharing.cool_off > self.options.retention {
            let longest = self.options.retention.num_minutes();
            let what = format!(
                "must be at most {longest}: past sessions are forgotten after MESSAGE_RETENTION_DAYS"
            );
            reader.problem(TN_COOL_OFF_MINUTES.name, what);
        }
        self.check_keys_of_flowroute(reader);
        let missing = match (self.auth.api_keys.is_empty(), self.auth.webhook_token.is_none()) {
            (true, true) => Some("API_KEYS and WEBHOOK_TOKEN are not set"),
            (true, false) => Some("API_KEYS is not set"),
            (false, true) => Some("WEBHOOK_TOKEN is not set"),
            (false, false) => None,
        };
        let reachable = match self.runtime {
            _ if self.public_url.as_ref().is_some_and(|url| !is_loopback(url)) => true,
            // A proxy passes on what others send.
            Runtime::Local => !self.bind.ip().is_loopback() || !self.auth.trusted_proxies.is_empty(),
            Runtime::LambdaEmulator => false,
            Runtime::Lambda => true,
        };
        if let Some(missing) = missing.filter(|_| reachable && !allowed) {
            let what =
                format!("{missing}, so anyone could use this service; set what is missing, or this to true");
            reader.problem(ALLOW_UNAUTHENTICATED.name, what);
        }
    }
}

/// Whether a user other than the file's owner may read it.
fn others_may_read(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|file| file.is_file() && file.mode() & 0o044 != 0)
}

fn seconds(reader: &mut Reader<'_>, setting: &Setting) -> Duration {
    Duration::from_secs(reader.number(setting).into())
}

fn options(reader: &mut Reader<'_>) -> Options {
    let send_budget = seconds(reader, &SEND_BUDGET_SECONDS);
    Options {
        wording: Wording {
            org_name: reader.words(&ORG_NAME),
            session_start: reader.words(&SESSION_START_MSG),
            session_end: reader.words(&SESSION_END_MSG),
            no_session: reader.words(&NO_SESSION_MSG),
            session_expired: reader.words(&SESSION_EXPIRED_MSG),
            media_missing: reader.words(&MEDIA_MISSING_MSG),
            not_delivered: reader.words(&NOT_DELIVERED_MSG),
            opt_out: opt_out_words(reader),
        },
        send_budget,
        request_limit: send_budget + limits::REQUEST_OVERHEAD,
        lease: seconds(reader, &LEASE_SECONDS),
        lookup_settle: seconds(reader, &LOOKUP_SETTLE_SECONDS),
        sharing: Sharing {
            sessions_per_tn: reader.number(&SESSIONS_PER_TN),
            cool_off: TimeDelta::minutes(reader.number(&TN_COOL_OFF_MINUTES).into()),
            strict: reader.switch(&TN_COOL_OFF_STRICT),
        },
        allowed_countries: allowed_countries(reader),
        reply_quota: ReplyQuota {
            per_hour: reader.number(&NO_SESSION_MSG_PER_HOUR),
            per_minute: reader.number(&NO_SESSION_MSG_PER_MINUTE),
            per_day: reader.number(&NO_SESSION_MSG_PER_DAY),
        },
        sender_limit: SenderLimit {
            per_minute: reader.number(&SENDER_TEXTS_PER_MINUTE),
            per_day: reader.number(&SENDER_TEXTS_PER_DAY),
        },
        max_per_second: reader.number(&FLOWROUTE_MAX_PER_SECOND),
        retention: TimeDelta::days(reader.number(&MESSAGE_RETENTION_DAYS).into()),
    }
}

fn allowed_countries(reader: &mut Reader<'_>) -> AllowedCountries {
    let names = reader.words(&ALLOWED_COUNTRIES);
    names.parse().unwrap_or_else(|error| {
        // An empty list is complained about already.
        if !names.trim().is_empty() {
            reader.problem(ALLOWED_COUNTRIES.name, format!("\"{names}\" {error}"));
        }
        AllowedCountries::default()
    })
}

fn opt_out_words(reader: &mut Reader<'_>) -> OptOutWords {
    let words = reader.words(&OPT_OUT_WORDS);
    words.parse().unwrap_or_else(|error| {
        reader.problem(OPT_OUT_WORDS.name, format!("\"{words}\" {error}"));
        OptOutWords::default()
    })
}

fn console(reader: &mut Reader<'_>, runtime: Runtime) -> bool {
    let is_set = reader.given(&CONSOLE).is_some();
    (is_set || runtime == Runtime::Local) && reader.switch(&CONSOLE)
}

fn log_level(reader: &mut Reader<'_>, debug: bool) -> Level {
    let name = reader.text(&LOG_LEVEL).unwrap_or_default();
    let level = match name.to_lowercase().as_str() {
        "trace" => Level::TRACE,
        "debug" | "10" => Level::DEBUG,
        "info" | "20" => Level::INFO,
        "warn" | "warning" | "30" => Level::WARN,
        "error" | "critical" | "40" | "50" => Level::ERROR,
        other => {
            reader.unexpected(&LOG_LEVEL, format!("\"{other}\""));
            Level::INFO
        }
    };
    if debug { level.max(Level::DEBUG) } else { level }
}
