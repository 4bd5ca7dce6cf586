//! Every setting: its name, its default, what it means, and what is wrong with a bad one.

mod bundle;
mod provider;
mod reader;
mod secrets;
mod storage;

pub use bundle::{InvalidArn, SecretArn};
pub use provider::ProviderChoice;
pub use reader::Problems;
pub use storage::{Storage, TEST_DATABASE};

use crate::{
    http::Auth,
    service::{Options, Wording},
    store::AnswerLimits,
};
use chrono::TimeDelta;
use provider::{address, provider};
use reader::Reader;
use secrecy::{ExposeSecret, SecretString};
use secrets::auth;
use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use storage::storage;
use tracing::Level;
use url::Url;

/// What happens in a request besides sending: reading, recording, settling (DESIGN.md 3, Times).
const BESIDES_SENDING: Duration = Duration::from_secs(4);

/// How the process was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// A server of its own.
    Local,
    /// Inside something that speaks Lambda's runtime protocol, such as `cargo lambda watch`.
    LambdaEmulator,
    /// Inside AWS Lambda.
    Lambda,
}

/// The settings, checked.
#[derive(Debug)]
pub struct Settings {
    /// How the process was started: `AWS_LAMBDA_RUNTIME_API`, `AWS_LAMBDA_INITIALIZATION_TYPE`.
    pub runtime: Runtime,
    /// What the function is called in AWS Lambda: `AWS_LAMBDA_FUNCTION_NAME`, which Lambda sets.
    pub function: String,
    /// `ORG_NAME` and the five messages.
    pub wording: Wording,
    /// `NO_SESSION_MSG_PER_HOUR`: answers to one stranger on one TN.
    pub answers_per_hour: u32,
    /// `NO_SESSION_MSG_PER_MINUTE`: answers to strangers in all. Like those of an hour they are counted in one item of
    /// the store, which bounds them.
    pub answers_per_minute: u32,
    /// `STORAGE`, with `SQLITE_PATH` or `DYNAMODB_TABLE`.
    pub storage: Storage,
    /// `SMS_PROVIDER` and the `FLOWROUTE_…` settings.
    pub provider: ProviderChoice,
    /// `FLOWROUTE_MAX_PER_SECOND`: 0 means as fast as can be.
    pub max_per_second: u32,
    /// `PUBLIC_URL`: where Flowroute reaches us, to report on deliveries.
    pub public_url: Option<Url>,
    /// `SEND_BUDGET_SECONDS`.
    pub send_budget: Duration,
    /// `LEASE_SECONDS`.
    pub lease: Duration,
    /// `LOOKUP_SETTLE_SECONDS`.
    pub lookup_settle: Duration,
    /// `API_KEYS` and `WEBHOOK_TOKEN`.
    pub auth: Auth,
    /// `BIND_ADDR`.
    pub bind: SocketAddr,
    /// `DEBUG_MODE`.
    pub debug: bool,
    /// `LOG_LEVEL`; debug in `DEBUG_MODE`.
    pub log_level: Level,
    /// `MESSAGE_RETENTION_DAYS`.
    pub retention_days: u32,
    /// `MAINTENANCE_INTERVAL`.
    pub maintenance_interval: Duration,
}

impl Settings {
    /// Reads the process's environment, `settings.toml` or the file that `SETTINGS_FILE` names, and the secret that
    /// `SECRETS_ARN` names, which `fetch` gets.
    ///
    /// # Errors
    /// With everything that is wrong; if the secret can't be had, with that alone.
    pub async fn load<E: fmt::Display>(
        fetch: impl AsyncFnOnce(&SecretArn) -> Result<SecretString, E>,
    ) -> Result<Self, Problems> {
        // What is not UTF-8 becomes something that no setting allows, and is complained about.
        let environment =
            |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let named = environment("SETTINGS_FILE").filter(|path| !path.is_empty());
        let path = named.clone().unwrap_or_else(|| "settings.toml".into());
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                let what = format!("\"{path}\" cannot be read: {error}");
                return Err(Problems::one("SETTINGS_FILE", what));
            }
        };
        let arn = Reader::new(&environment, file.as_deref()).text("SECRETS_ARN");
        let secret = match arn.and_then(|arn| arn.parse().ok()) {
            Some(arn) => Some(fetch(&arn).await.map_err(|error| Problems::one("SECRETS_ARN", error))?),
            None => None,
        };
        Self::read(&environment, file.as_deref(), secret.as_ref().map(ExposeSecret::expose_secret))
    }

    /// Reads the settings from a lookup function, the text of a `settings.toml`, and that of the secret that
    /// `SECRETS_ARN` names. The function wins over the file; what is in the secret must be in neither.
    ///
    /// # Errors
    /// With everything that is wrong, a line each: the variable, what is wrong with it, what would be right.
    pub fn read(
        environment: &dyn Fn(&str) -> Option<String>,
        file: Option<&str>,
        secret: Option<&str>,
    ) -> Result<Self, Problems> {
        let reader = &mut Reader::new(environment, file);
        if let Some(secret) = secret {
            reader.open(secret);
        }
        let runtime =
            match (environment("AWS_LAMBDA_RUNTIME_API"), environment("AWS_LAMBDA_INITIALIZATION_TYPE")) {
                (None, _) => Runtime::Local,
                (Some(_), None) => Runtime::LambdaEmulator,
                (Some(_), Some(_)) => Runtime::Lambda,
            };
        let debug = reader.switch("DEBUG_MODE");
        let public_url = address(reader, "PUBLIC_URL", None);
        let auth = auth(reader);
        let settings = Self {
            runtime,
            function: environment("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default(),
            wording: wording(reader),
            answers_per_hour: reader.number("NO_SESSION_MSG_PER_HOUR", 0..=1000, 3),
            answers_per_minute: reader.number("NO_SESSION_MSG_PER_MINUTE", 0..=1000, 30),
            storage: storage(reader, runtime, debug),
            provider: provider(reader, runtime, public_url.clone(), auth.webhook_token.clone()),
            max_per_second: reader.number("FLOWROUTE_MAX_PER_SECOND", 0..=1000, 5),
            public_url,
            send_budget: seconds(reader, "SEND_BUDGET_SECONDS", 8),
            lease: seconds(reader, "LEASE_SECONDS", 30),
            lookup_settle: seconds(reader, "LOOKUP_SETTLE_SECONDS", 300),
            auth,
            bind: reader
                .parsed("BIND_ADDR", "an address with a port, such as 127.0.0.1:8000")
                .unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 8000).into()),
            debug,
            log_level: log_level(reader, debug),
            retention_days: reader.number("MESSAGE_RETENTION_DAYS", 2..=3650, 30),
            maintenance_interval: seconds(reader, "MAINTENANCE_INTERVAL", 5),
        };
        settings.check_together(reader);
        std::mem::replace(reader, Reader::new(environment, None)).finish().map(|()| settings)
    }

    /// What of the settings concerns the service itself.
    #[must_use]
    pub fn options(&self) -> Options {
        Options {
            wording: self.wording.clone(),
            send_budget: self.send_budget,
            request_limit: self.send_budget + BESIDES_SENDING,
            lease: self.lease,
            lookup_settle: self.lookup_settle,
            answers: AnswerLimits { per_hour: self.answers_per_hour, per_minute: self.answers_per_minute },
            max_per_second: self.max_per_second,
            retention: TimeDelta::days(self.retention_days.into()),
        }
    }

    fn check_together(&self, reader: &mut Reader<'_>) {
        let Self { send_budget, lease, lookup_settle, .. } = *self;
        if send_budget + BESIDES_SENDING >= lease {
            let shortest = (send_budget + BESIDES_SENDING).as_secs() + 1;
            reader.problem(
                "LEASE_SECONDS",
                format!("must be at least {shortest}: SEND_BUDGET_SECONDS + 4, and more"),
            );
        }
        if lease >= lookup_settle {
            reader.problem(
                "LOOKUP_SETTLE_SECONDS",
                format!("must be more than LEASE_SECONDS ({})", lease.as_secs()),
            );
        }
        let anybody_may_call = self.auth.api_keys.is_empty() || self.auth.webhook_token.is_none();
        let reachable = match self.runtime {
            Runtime::Local => !self.bind.ip().is_loopback(),
            Runtime::LambdaEmulator => false,
            Runtime::Lambda => true,
        };
        if !reader.switch("ALLOW_UNAUTHENTICATED") && anybody_may_call && reachable {
            let missing = match (self.auth.api_keys.is_empty(), self.auth.webhook_token.is_none()) {
                (true, true) => "API_KEYS and WEBHOOK_TOKEN are not set",
                (true, false) => "API_KEYS is not set",
                _ => "WEBHOOK_TOKEN is not set",
            };
            reader.problem(
                "ALLOW_UNAUTHENTICATED",
                format!("{missing}, so anybody could use this service; set what is missing, or this to true"),
            );
        }
    }
}

fn seconds(reader: &mut Reader<'_>, name: &'static str, default: u32) -> Duration {
    Duration::from_secs(reader.number(name, 1..=86_400, default).into())
}

fn wording(reader: &mut Reader<'_>) -> Wording {
    let default = Wording::default();
    let mut said = |name, default: String| match reader.raw(name) {
        None => default,
        Some(words) if words.trim().is_empty() => {
            reader.problem(name, "must not be empty; remove it to get the default");
            default
        }
        Some(words) => words,
    };
    Wording {
        org_name: said("ORG_NAME", default.org_name),
        session_start: said("SESSION_START_MSG", default.session_start),
        session_end: said("SESSION_END_MSG", default.session_end),
        no_session: said("NO_SESSION_MSG", default.no_session),
        session_expired: reader.raw("SESSION_EXPIRED_MSG").unwrap_or(default.session_expired),
    }
}

fn log_level(reader: &mut Reader<'_>, debug: bool) -> Level {
    let given = reader.text("LOG_LEVEL").map(|level| level.to_lowercase());
    let level = match given.as_deref() {
        None if debug => Level::DEBUG,
        None | Some("info" | "20") => Level::INFO,
        Some("trace") => Level::TRACE,
        Some("debug" | "10") => Level::DEBUG,
        Some("warn" | "warning" | "30") => Level::WARN,
        Some("error" | "critical" | "40" | "50") => Level::ERROR,
        Some(other) => {
            reader.problem(
                "LOG_LEVEL",
                format!("\"{other}\" is not trace, debug, info, warn, error, 10, 20, 30, 40 or 50"),
            );
            Level::INFO
        }
    };
    if debug { level.max(Level::DEBUG) } else { level }
}
