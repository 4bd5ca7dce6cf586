//! The command line.

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::{generate, shells};
use std::{io, path::PathBuf};

/// Two people text each other through a Flowroute number that belongs to neither.
///
/// Settings are environment variables, or lines in settings.toml: see docs/settings.md.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example: try it without an account, and open http://127.0.0.1:8000/console\n  sms-proxy"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve HTTP, or the events of the Lambda runtime when started by it (the default)
    #[command(after_help = "Example:\n  BIND_ADDR=127.0.0.1:9000 sms-proxy serve")]
    Serve,
    /// Run one round of maintenance and print its result
    #[command(after_help = "Example: send what waits now, while the server runs\n  sms-proxy maintenance")]
    Maintenance,
    /// Check settings, store, clock, the provider's credentials and the callback URL, and say what to mend
    ///
    /// It sends no message. It exits with 1 if something must be mended.
    #[command(after_help = "Example: with the settings of the function\n  \
        STORAGE=dynamodb DYNAMODB_TABLE=sms-proxy SECRETS_ARN=arn:aws:secretsmanager:… sms-proxy doctor")]
    Doctor,
    /// Write all records to standard output, as JSON lines; they hold phone numbers and texts not yet sent
    ///
    /// STORAGE, SQLITE_PATH and DYNAMODB_TABLE choose the store. Stop the service first.
    #[command(after_help = "Example:\n  sms-proxy export > backup.jsonl")]
    Export,
    /// Store the records of an export, in an empty store; repeat it if it is interrupted
    ///
    /// STORAGE, SQLITE_PATH and DYNAMODB_TABLE choose the store. Keep the service stopped meanwhile.
    #[command(
        after_help = "Example: move to DynamoDB\n  STORAGE=dynamodb DYNAMODB_TABLE=sms-proxy sms-proxy import backup.jsonl"
    )]
    Import {
        /// The file that `export` wrote; standard input without it
        file: Option<PathBuf>,
    },
    /// Check the health of the local server with these settings; exits with 1 if it is unhealthy
    #[command(after_help = "Example:\n  BIND_ADDR=127.0.0.1:9000 sms-proxy health")]
    Health,
    /// Make an API key or a token: print it for its holder, and as a hash for API_KEYS
    #[command(after_help = "Example:\n  sms-proxy new-key")]
    NewKey,
    /// Print the OpenAPI document of the HTTP API, as `GET /openapi.json` serves it
    #[command(after_help = "Example:\n  sms-proxy openapi > openapi.json")]
    Openapi,
    /// Create the DynamoDB table; for emulators, since in AWS the template does
    #[command(after_help = "Example:\n  \
        STORAGE=dynamodb AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8001 sms-proxy create-table")]
    CreateTable,
    /// Print a script that completes these commands in a shell
    #[command(
        after_help = "Example:\n  sms-proxy completions bash > ~/.local/share/bash-completion/completions/sms-proxy"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// A shell with completions.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the completions for a shell.
pub(crate) fn print_completions(shell: Shell) -> io::Result<()> {
    let mut script = Vec::new();
    let (command, name) = (&mut Cli::command(), "sms-proxy");
    match shell {
        Shell::Bash => generate(shells::Bash, command, name, &mut script),
        Shell::Zsh => generate(shells::Zsh, command, name, &mut script),
        Shell::Fish => generate(shells::Fish, command, name, &mut script),
    }
    io::Write::write_all(&mut io::stdout(), &script)
}
