//! Reads the settings and puts the parts together; the only place that picks things.

use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};
use sms_proxy::{
    http::{Parts, router},
    lambda, logging,
    provider::{Sandbox, flowroute},
    secrets_manager, server,
    service::Service,
    settings::{ProviderChoice, Runtime, Settings, Storage},
    snapshot,
    store::{Dynamo, Snapshot, Sqlite, Store, create_table},
};
use std::{
    error::Error,
    io::{BufWriter, Read, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// How long a stop waits for texts that are on their way: longer than any of them may take.
const FINISH_LIMIT: Duration = Duration::from_secs(30);

/// How long one record of an import is tried when the table is busy.
const IMPORT_PATIENCE: Duration = Duration::from_secs(60);

/// Two people text each other through a Flowroute number that belongs to neither.
///
/// Settings are environment variables, or lines in settings.toml: see the README.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve HTTP, or the events of the Lambda runtime when started by it (the default)
    Serve,
    /// Do one round of maintenance and print what it did
    Maintenance,
    /// Write all records to standard output, as JSON lines; they hold phone numbers and texts not yet sent
    ///
    /// STORAGE, SQLITE_PATH and DYNAMODB_TABLE choose the store. Stop the service first.
    Export,
    /// Put the records of an export on record, in an empty store; to be repeated if it breaks off
    ///
    /// STORAGE, SQLITE_PATH and DYNAMODB_TABLE choose the store. Keep the service stopped meanwhile.
    Import {
        /// The file that `export` has written; standard input without it
        file: Option<PathBuf>,
    },
    /// Ask the local server that runs with these settings whether it is well; exits with 1 if it is not
    Health,
    /// Make the DynamoDB table; for emulators, since in AWS the template does
    CreateTable,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let settings = match Settings::load(secrets_manager::fetch).await {
        Ok(settings) => settings,
        Err(problems) => {
            eprintln!("sms-proxy cannot start with these settings:\n{problems}");
            return ExitCode::from(2);
        }
    };
    logging::start(settings.log_level, settings.runtime != Runtime::Local);
    match run(command.unwrap_or(Command::Serve), settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sms-proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

async fn run(command: Command, settings: Settings) -> Outcome<()> {
    match command {
        Command::Serve => serve(settings).await,
        Command::Maintenance => maintain(&settings).await,
        Command::Export => export(&settings).await,
        Command::Import { file } => import(&settings, file).await,
        Command::Health => Ok(server::probe(settings.bind).await?),
        Command::CreateTable => make_table(&settings).await,
    }
}

/// The service as the settings want it, and the sandbox if that is its provider.
async fn build(settings: &Settings) -> Outcome<(Service, Option<Arc<Sandbox>>)> {
    let options = settings.options();
    let store: Arc<dyn Store> = match &settings.storage {
        Storage::Sqlite(path) => Arc::new(Sqlite::open(path)?),
        Storage::DynamoDb { table } => {
            let may_freeze = settings.runtime != Runtime::Local;
            Arc::new(Dynamo::connect(table, options.retention, may_freeze).await)
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

async fn serve(settings: Settings) -> Outcome<()> {
    let local = settings.runtime == Runtime::Local;
    let bind = settings.bind;
    let listener = match local {
        true => Some(
            TcpListener::bind(bind).await.map_err(|e| format!("BIND_ADDR: cannot listen on {bind}: {e}"))?,
        ),
        false => None,
    };
    // Only now: a server that runs already has the same test database.
    if let (true, Storage::Sqlite(test_database)) = (settings.debug, &settings.storage) {
        Sqlite::remove(test_database)?;
    }
    let (service, sandbox) = build(&settings).await?;
    let carrier = if sandbox.is_some() { "sandbox (nothing is really sent)" } else { "Flowroute" };
    let router = router(Parts {
        service: service.clone(),
        auth: settings.auth,
        sandbox: sandbox.filter(|_| local),
        answer_limit: (!local).then_some(lambda::ANSWER_LIMIT),
    });
    let Some(listener) = listener else {
        return lambda::run(router, service, settings.function).await;
    };
    let address = listener.local_addr()?;
    match &settings.storage {
        Storage::Sqlite(path) => tracing::info!("storage: SQLite, {}", path.display()),
        Storage::DynamoDb { table } => tracing::info!("storage: DynamoDB, table {table}"),
    }
    tracing::info!("provider: {carrier}");
    tracing::info!("listening on http://{address}");
    tracing::info!("try: curl http://{address}/tn");
    let maintenance = tokio::spawn(maintain_always(service.clone(), settings.maintenance_interval));
    server::serve(listener, router, server::Limits::default(), stop_signal()?).await;
    maintenance.abort();
    if tokio::time::timeout(FINISH_LIMIT, service.finish()).await.is_err() {
        tracing::warn!("some texts were still on their way at the stop");
    }
    tracing::info!("stopped");
    Ok(())
}

/// One round after the other, beginning now.
async fn maintain_always(service: Service, interval: Duration) {
    loop {
        if let Err(error) = service.maintain().await {
            tracing::error!(%error, "maintenance failed; it is tried again");
        }
        tokio::time::sleep(interval).await;
    }
}

async fn maintain(settings: &Settings) -> Outcome<()> {
    let (service, _) = build(settings).await?;
    let round = service.maintain().await?;
    writeln!(std::io::stdout(), "{round}")?;
    Ok(())
}

/// The store that the settings choose, to be written out or filled.
async fn whole_store(settings: &Settings) -> Outcome<Box<dyn Snapshot>> {
    Ok(match &settings.storage {
        Storage::Sqlite(path) => Box::new(Sqlite::open(path)?),
        Storage::DynamoDb { table } => {
            let store = Dynamo::connect(table, settings.options().retention, false).await;
            Box::new(store.with_limit(IMPORT_PATIENCE))
        }
    })
}

/// What was settled, received or ended before then is forgotten, and left out of exports and imports.
fn forgotten(settings: &Settings) -> DateTime<Utc> {
    Utc::now() - settings.options().retention
}

async fn export(settings: &Settings) -> Outcome<()> {
    if let Storage::Sqlite(path) = &settings.storage
        && !path.exists()
    {
        return Err(format!("there is no database {}; set SQLITE_PATH", path.display()).into());
    }
    let store = whole_store(settings).await?;
    let out = BufWriter::new(std::io::stdout());
    let records = snapshot::export(store.as_ref(), forgotten(settings), out).await?;
    eprintln!("exported {records} records");
    Ok(())
}

async fn import(settings: &Settings, file: Option<PathBuf>) -> Outcome<()> {
    let text = match &file {
        Some(path) => std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?,
        None => {
            let mut text = Vec::new();
            std::io::stdin().read_to_end(&mut text)?;
            text
        }
    };
    let store = whole_store(settings).await?;
    let summary = snapshot::import(store.as_ref(), &text, forgotten(settings)).await?;
    eprintln!("{summary}");
    Ok(())
}

async fn make_table(settings: &Settings) -> Outcome<()> {
    let Storage::DynamoDb { table } = &settings.storage else {
        return Err("STORAGE is not dynamodb, so there is no table to make".into());
    };
    create_table(&Dynamo::client(false).await, table).await?;
    writeln!(std::io::stdout(), "made the table {table}")?;
    Ok(())
}

/// Ready when the process is asked to stop, by Ctrl-C or SIGTERM.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
    })
}
