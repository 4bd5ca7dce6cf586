//! The command line: help, completions, and the progress of long commands.

use std::{
    io::Write,
    process::{Command, Stdio},
};
use tempfile::TempDir;
use test_support::binary::{Binary, command, eventually, prepare};

const COMMANDS: [&str; 10] = [
    "serve",
    "maintenance",
    "doctor",
    "export",
    "import",
    "health",
    "new-key",
    "openapi",
    "create-table",
    "completions",
];

/// What the binary prints with these arguments.
async fn printed(arguments: &[&str]) -> String {
    let folder = TempDir::new().unwrap();
    // Settings that are wrong do not matter.
    let mut command = command(folder.path(), &[("LOG_LEVEL", "loud")]);
    command.args(arguments);
    let mut binary = Binary::start(command);
    assert!(binary.ended().await.success(), "{}", binary.stderr());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    binary.stdout()
}

#[tokio::test]
async fn the_help_of_each_command_has_an_example() {
    let whole = printed(&["--help"]).await;
    assert!(whole.contains("Example"), "{whole}");
    for name in COMMANDS {
        assert!(whole.contains(&format!("\n  {name} ")), "{name}: {whole}");
        for flag in ["--help", "-h"] {
            let help = printed(&[name, flag]).await;
            let (_, example) = help.split_once("Example").unwrap_or_else(|| panic!("{name}: {help}"));
            assert!(example.contains(&format!("sms-proxy {name}")), "{name}: {help}");
        }
    }
    let (_, listed) = whole.split_once("Commands:\n").unwrap();
    let listed = listed.lines().take_while(|line| !line.is_empty()).count();
    assert_eq!(listed, COMMANDS.len() + 1, "and help: {whole}");
}

#[tokio::test]
async fn completions_name_every_command_and_bash_reads_them() {
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&["completions", shell]).await;
        for name in COMMANDS {
            assert!(script.contains(name), "{shell}: {name}");
        }
        if shell == "bash" {
            let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
            bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
            assert!(bash.wait().unwrap().success());
        }
    }
    let script = printed(&["completions", "bash"]).await;
    for (line, expected) in [
        ("sms-proxy do", "doctor"),
        ("sms-proxy completions z", "zsh"),
        ("sms-proxy export --", "--help"),
        ("sms-proxy import x", ""),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let ask = format!(
            "{script}\nCOMP_WORDS=({line}) COMP_CWORD={} && _sms_proxy; echo \"${{COMPREPLY[@]}}\"",
            words.len() - 1
        );
        let answer = Command::new("bash").args(["-c", &ask]).output().unwrap();
        assert_eq!(String::from_utf8(answer.stdout).unwrap().trim(), expected, "{line}");
    }
    let folder = TempDir::new().unwrap();
    let mut command = command(folder.path(), &[]);
    command.args(["completions", "csh"]);
    let mut binary = Binary::start(command);
    assert_eq!(binary.ended().await.code(), Some(2));
    assert!(binary.stderr().contains("bash, zsh, fish"), "{}", binary.stderr());
}

/// An import whose file does not end, so that it goes on until it is killed.
fn endless_import(folder: &TempDir) -> Command {
    let mut command = Command::new("sh");
    prepare(&mut command, folder.path(), &[("PATH", "/usr/bin:/bin"), ("TERM", "xterm")]);
    command
}

#[tokio::test]
async fn an_import_of_more_than_a_second_shows_a_line_every_ten_seconds_without_a_terminal() {
    let folder = TempDir::new().unwrap();
    let mut command = endless_import(&folder);
    command.args(["-c", "tail -f /dev/null | \"$0\" import", env!("CARGO_BIN_EXE_sms-proxy")]);
    let binary = Binary::start(command);
    eventually("a line", || binary.stderr().starts_with("reading the file, 10 s\n").then_some(())).await;
    let pid = binary.pid().to_string();
    assert!(Command::new("pkill").args(["-P", &pid]).status().unwrap().success());
}

#[tokio::test]
async fn an_import_of_more_than_a_second_shows_one_line_that_is_replaced_on_a_terminal() {
    let folder = TempDir::new().unwrap();
    let mut command = endless_import(&folder);
    let import = format!("tail -f /dev/null | {} import", env!("CARGO_BIN_EXE_sms-proxy"));
    command.args(["-c", "exec script -qfec \"$0\" terminal", &import]);
    let _binary = Binary::start(command);
    let shown = || std::fs::read_to_string(folder.path().join("terminal")).unwrap_or_default();
    eventually("the terminal shows it", || shown().contains("\r\x1b[Kreading the file, 2 s").then_some(()))
        .await;
    let shown = shown();
    assert!(!shown.contains("reading the file, 0 s"), "{shown}");
    let (_, lines) = shown.split_once("\r\x1b[K").unwrap();
    assert!(!lines.contains('\n'), "{lines}");
}
