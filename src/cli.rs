//! The command line.

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use std::{
    io::{self, Write},
    path::PathBuf,
};

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
    let mut command = Cli::command();
    // It adds `help`.
    command.build();
    let about =
        |command: &clap::Command| command.get_about().map(|about| about.to_string()).unwrap_or_default();
    // A description stands in single quotes.
    let commands =
        command.get_subcommands().map(|it| (it.get_name().to_owned(), about(it).replace('\'', "’")));
    let script = completions(shell, &commands.collect::<Vec<_>>());
    io::stdout().write_all(script.as_bytes())
}

/// The script: names of commands, the file of `import`, the shells of `completions`. It is written here, since no command
/// has options of its own, and `clap_complete` would add 78 kB to the function.
fn completions(shell: Shell, commands: &[(String, String)]) -> String {
    let each = |line: &dyn Fn(&str, &str) -> String| -> String {
        commands.iter().map(|(name, about)| line(name, about)).collect()
    };
    match shell {
        Shell::Bash => {
            let names = each(&|name, _| format!("{name} "));
            format!(
                r#"_sms_proxy() {{
    local words=
    case $COMP_CWORD:${{COMP_WORDS[1]}} in
        1:*) words="{names}--help --version" ;;
        2:completions) words="bash zsh fish" ;;
        2:import) return ;;
        *) words="--help" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _sms_proxy sms-proxy
"#
            )
        }
        Shell::Zsh => {
            let described = each(&|name, about| format!("        '{name}:{about}'\n"));
            format!(
                r#"#compdef sms-proxy
_sms-proxy() {{
    local -a commands=(
{described}    )
    if (( CURRENT == 2 )); then
        _describe command commands
    elif (( CURRENT == 3 )) && [[ $words[2] == completions ]]; then
        compadd bash zsh fish
    elif (( CURRENT == 3 )) && [[ $words[2] == import ]]; then
        _files
    fi
}}
if [[ $funcstack[1] == _sms-proxy ]]; then
    _sms-proxy "$@"
else
    compdef _sms-proxy sms-proxy
fi
"#
            )
        }
        Shell::Fish => {
            let line = |name: &str, about: &str| {
                format!("complete -c sms-proxy -n __fish_use_subcommand -a {name} -d '{about}'\n")
            };
            let described = each(&line);
            format!(
                "complete -c sms-proxy -f\n{described}\
                 complete -c sms-proxy -n '__fish_seen_subcommand_from import' -F\n\
                 complete -c sms-proxy -n '__fish_seen_subcommand_from completions' -a 'bash zsh fish'\n"
            )
        }
    }
}
