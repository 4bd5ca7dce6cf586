//! Reads the settings and builds the service. Only this file, `store_commands` and `doctor` see `Settings`.

mod cli;
mod progress;
mod store_commands;

use clap::Parser;
use cli::{Cli, Command};
use sms_proxy::{
    aws::secrets_manager,
    doctor::{self, Verdict},
    http::{Hash, Parts, openapi, router},
    limits,
    provider::{Sandbox, flowroute},
    runtime::{lambda, process, server},
    service::Service,
    settings::{Problems, ProviderChoice, Runtime, Settings, Storage},
    store::{Dynamo, Sqlite, Store},
    telemetry::{logging, prometheus::Prometheus},
};
use std::{io::Write, process::ExitCode, sync::Arc, time::Duration};
use store_commands::Outcome;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    process::switch_off_core_dumps();
    match command {
        Some(Command::NewKey) => return new_key(),
        Some(Command::Openapi) => return print(openapi()),
        Some(Command::Completions { shell }) => {
            return if cli::print_completions(shell).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        _ => {}
    }
    let settings = Settings::load(secrets_manager::fetch).await;
    if matches!(command, Some(Command::Doctor)) {
        return examine(settings).await;
    }
    let settings = match settings {
        Ok(settings) => settings,
        Err(problems) => {
            eprintln!("sms-proxy cannot start with these settings:\n{problems}");
            return ExitCode::from(2);
        }
    };
    logging::start(settings.log_level, settings.runtime != Runtime::Local);
    logging::log_panics();
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    match run(command.unwrap_or(Command::Serve), settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sms-proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command, settings: Settings) -> Outcome<()> {
    match command {
        Command::Serve => serve(settings).await,
        Command::Maintenance => maintain(&settings).await,
        Command::Export => store_commands::export(&settings).await,
        Command::Import { file } => store_commands::import(&settings, file).await,
        Command::Health => Ok(server::probe(settings.bind).await?),
        Command::CreateTable => store_commands::create_table(&settings).await,
        // They run without settings, or with bad ones.
        Command::NewKey | Command::Openapi | Command::Completions { .. } | Command::Doctor => Ok(()),
    }
}

/// Builds the service, and the sandbox if that is the provider.
async fn build(settings: &Settings) -> Outcome<(Service, Option<Arc<Sandbox>>)> {
    let options = settings.options.clone();
    let store: Arc<dyn Store> = match &settings.storage {
        Storage::Sqlite(path) => Arc::new(Sqlite::open(path)?),
        Storage::DynamoDb { table } => {
            let may_freeze = settings.runtime != Runtime::Local;
            let store = Dynamo::connect(table, options.retention, may_freeze).await;
            Arc::new(store.with_receipts_by_provider_id(settings.receipts_by_provider_id))
        }
    };
    Ok(match &settings.provider {
        ProviderChoice::Flowroute(client) => {
            let client = Arc::new(flowroute::Client::new(client.as_ref().clone())?);
            (Service::new(store, client, options), None)
        }
        ProviderChoice::Sandbox => {
            let sandbox = Arc::new(Sandbox::default());
            (Service::new(store, Arc::clone(&sandbox) as _, options), Some(sandbox))
        }
    })
}

/// Prints what there is to mend.
async fn examine(settings: Result<Settings, Problems>) -> ExitCode {
    let found = doctor::examine(settings).await;
    let printed = found.iter().try_for_each(|finding| writeln!(std::io::stdout(), "{finding}"));
    let is_well = found.iter().all(|finding| finding.verdict != Verdict::Mend);
    if is_well && printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints a new key for its holder, and its hash for the settings.
fn new_key() -> ExitCode {
    let key = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
    print(&format!("x-api-key: {key}\nAPI_KEYS=sha256:{}", Hash::of(&key)))
}

/// Prints to standard output, and a line end.
fn print(text: &str) -> ExitCode {
    let printed = writeln!(std::io::stdout(), "{text}");
    if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn serve(settings: Settings) -> Outcome<()> {
    process::hide_memory();
    let local = settings.runtime == Runtime::Local;
    let bind = settings.bind;
    let listener = match local {
        true => Some(server::listen(bind).map_err(|e| format!("BIND_ADDR: cannot listen on {bind}: {e}"))?),
        false => None,
    };
    // Not before the port is taken: a server that is still running uses the same test database.
    if let (true, Storage::Sqlite(test_database)) = (settings.debug, &settings.storage) {
        Sqlite::remove(test_database)?;
    }
    let (service, sandbox) = build(&settings).await?;
    let provider = if sandbox.is_some() { "sandbox (nothing is really sent)" } else { "Flowroute" };
    let metrics = if local { Prometheus::start() } else { None };
    let upkeep = metrics.clone().map(|metrics| tokio::spawn(metrics.upkeep()));
    let router = router(Parts {
        service: service.clone(),
        auth: settings.auth,
        sandbox: sandbox.filter(|_| local),
        metrics,
        console: settings.console,
        base_path: settings.base_path,
        response_limit: (!local).then_some(limits::LAMBDA_RESPONSE),
    });
    let Some(listener) = listener else {
        return lambda::run(router, service, settings.function).await;
    };
    let address = listener.local_addr()?;
    // Before the log says that the server listens: whoever waits for that may stop it at once.
    let stop = stop_signal()?;
    match &settings.storage {
        Storage::Sqlite(path) => tracing::info!("storage: SQLite, {}", path.display()),
        Storage::DynamoDb { table } => tracing::info!("storage: DynamoDB, table {table}"),
    }
    tracing::info!("provider: {provider}");
    tracing::info!("listening on http://{address}");
    tracing::info!("try: curl http://{address}/tn");
    if settings.console {
        tracing::info!("console: http://{address}/console");
    }
    let maintenance = tokio::spawn(maintain_forever(service.clone(), settings.maintenance_interval));
    let limits = server::Limits { connections: process::connections(), ..server::Limits::default() };
    server::serve(listener, router, limits, stop).await;
    maintenance.abort();
    if let Some(upkeep) = upkeep {
        upkeep.abort();
    }
    if tokio::time::timeout(limits::FINISH, service.finish()).await.is_err() {
        tracing::warn!("messages were still being sent at the stop");
    }
    tracing::info!("stopped");
    Ok(())
}

async fn maintain_forever(service: Service, interval: Duration) {
    loop {
        // An error is logged where it happens; the next round retries.
        let _ = service.maintain().await;
        tokio::time::sleep(interval).await;
    }
}

async fn maintain(settings: &Settings) -> Outcome<()> {
    let (service, _) = build(settings).await?;
    let round = service.maintain().await?;
    writeln!(std::io::stdout(), "{round}")?;
    Ok(())
}

/// Whether SIGHUP is ignored, as `nohup` makes it. That is inherited.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Completes on Ctrl-C, SIGTERM, or the SIGHUP of a terminal that is closed.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = (!ignores_hangup()).then(|| signal(SignalKind::hangup())).transpose()?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            Some(_) = async { hangup.as_mut()?.recv().await } => {}
        }
        tracing::info!("stopping");
    })
}
