//! Reads the settings and puts the parts together; the only place that picks things.

use clap::{Parser, Subcommand};
use sms_proxy::{
    http::{Parts, router},
    lambda, logging,
    provider::{Provider, Sandbox, flowroute},
    server,
    service::{Options, Service},
    settings::{ProviderChoice, Runtime, Settings},
    store::Sqlite,
};
use std::{error::Error, process::ExitCode, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// How long a stop waits for texts that are on their way: longer than any of them may take.
const FINISH_LIMIT: Duration = Duration::from_secs(30);

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
}

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let settings = match Settings::load() {
        Ok(settings) => settings,
        Err(problems) => {
            eprintln!("sms-proxy cannot start with these settings:\n{problems}");
            return ExitCode::from(2);
        }
    };
    logging::start(settings.log_level, settings.runtime != Runtime::Local);
    let done = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Into::into).and_then(
        |tokio| {
            tokio.block_on(async {
                match command.unwrap_or(Command::Serve) {
                    Command::Serve => serve(settings).await,
                }
            })
        },
    );
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sms-proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(settings: Settings) -> Result<(), Box<dyn Error + Send + Sync>> {
    if settings.debug {
        Sqlite::remove(&settings.database)?;
    }
    let store = Sqlite::open(&settings.database)?;
    let (provider, sandbox): (Arc<dyn Provider>, _) = match settings.provider {
        ProviderChoice::Flowroute(options) => (Arc::new(flowroute::Client::new(options)?), None),
        ProviderChoice::Sandbox => {
            let sandbox = Arc::new(Sandbox::default());
            (Arc::clone(&sandbox) as _, Some(sandbox))
        }
    };
    let options =
        Options { wording: settings.wording, send_budget: settings.send_budget, lease: settings.lease };
    let service = Service::new(Arc::new(store), provider, options);
    let local = settings.runtime == Runtime::Local;
    let carrier = if sandbox.is_some() { "sandbox (nothing is really sent)" } else { "Flowroute" };
    let parts = Parts {
        service: service.clone(),
        auth: settings.auth,
        sandbox: sandbox.filter(|_| local),
        answer_limit: (!local).then_some(lambda::ANSWER_LIMIT),
    };
    if !local {
        return lambda::run(router(parts)).await;
    }
    let bind = settings.bind;
    let listener =
        TcpListener::bind(bind).await.map_err(|e| format!("BIND_ADDR: cannot listen on {bind}: {e}"))?;
    let address = listener.local_addr()?;
    tracing::info!("storage: SQLite, {}", settings.database.display());
    tracing::info!("provider: {carrier}");
    tracing::info!("listening on http://{address}");
    tracing::info!("try: curl http://{address}/tn");
    server::serve(listener, router(parts), server::Limits::default(), stop_signal()?).await;
    if tokio::time::timeout(FINISH_LIMIT, service.finish()).await.is_err() {
        tracing::warn!("some texts were still on their way at the stop");
    }
    tracing::info!("stopped");
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
