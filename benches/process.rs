//! Starts what is measured, as processes of their own, and reads what the system knows of them.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The database of the service, in its folder.
pub(crate) const DATABASE: &str = "local-sqlite/sms-proxy.db";

/// Runs a command of the program on this database, to its end. `output` is where its standard output goes.
pub(crate) fn run(database: &Path, arguments: &[&str], output: Stdio) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sms-proxy"));
    command.env_clear().env("SQLITE_PATH", database).args(arguments);
    let command = command.stdin(Stdio::null()).stdout(output).stderr(Stdio::piped());
    let ended = command.spawn().and_then(|child| child.wait_with_output()).expect("it runs");
    assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

/// A server that runs until it is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    _log: tempfile::NamedTempFile,
}

impl Server {
    /// Starts the service in a folder, with these settings besides those of the benchmark.
    pub(crate) fn service(folder: &Path, provider: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sms-proxy"));
        command.current_dir(folder).env_clear();
        command.envs([
            ("BIND_ADDR", "127.0.0.1:0"),
            ("FLOWROUTE_API_URL", provider),
            ("FLOWROUTE_ACCESS_KEY", "an-access-key"),
            ("FLOWROUTE_SECRET_KEY", "a-secret-key"),
            ("FLOWROUTE_MAX_PER_SECOND", "0"),
            ("SENDER_TEXTS_PER_MINUTE", "1000"),
            ("SENDER_TEXTS_PER_DAY", "5000"),
        ]);
        command.envs(settings.iter().copied());
        Self::start(command)
    }

    /// Starts this program in another part: what the service is compared with.
    pub(crate) fn reference(arguments: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(arguments);
        Self::start(command)
    }

    /// Its log goes to a file, as in most installations.
    fn start(mut command: Command) -> Self {
        let log = tempfile::NamedTempFile::new().expect("a file for its log");
        let standard_error = log.reopen().expect("the same file");
        let mut child = command.stdin(Stdio::null()).stderr(standard_error).spawn().expect("it starts");
        let address = loop {
            let said = fs::read_to_string(log.path()).expect("its log");
            if let Some((_, rest)) = said.split_once("listening on http://")
                && let Some((address, _)) = rest.split_once(char::is_whitespace)
            {
                break address.parse().expect("an address");
            }
            assert!(child.try_wait().expect("its state").is_none(), "it has ended: {said}");
            std::thread::sleep(Duration::from_millis(5));
        };
        Self { child, address, _log: log }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The seconds of CPU that it has used.
    pub(crate) fn cpu(&self) -> f64 {
        cpu(self.child.id())
    }

    /// Megabytes: `VmRSS` for now, `VmHWM` for the most so far.
    pub(crate) fn memory(&self, field: &str) -> f64 {
        number(&self.proc("status"), field) / 1024.0
    }

    /// How often its threads gave up or lost the processor.
    pub(crate) fn context_switches(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
        let status = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
        status.map(|s| number(&s, "voluntary_ctxt_switches") + number(&s, "nonvoluntary_ctxt_switches")).sum()
    }

    /// The pages of the database that it has read from the file, of 4,096 bytes: it reads nothing else by `read`.
    pub(crate) fn pages_read(&self) -> f64 {
        number(&self.proc("io"), "rchar") / 4096.0
    }

    fn proc(&self, file: &str) -> String {
        proc(self.child.id(), file)
    }
}

/// The seconds of CPU that a process has used.
pub(crate) fn cpu(process: u32) -> f64 {
    let stat = proc(process, "stat");
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok());
    // A tick of the system's clock for user space is a hundredth of a second.
    ticks.sum::<f64>() / 100.0
}

fn proc(process: u32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default()
}

fn number(lines: &str, field: &str) -> f64 {
    let value = lines.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(f64::NAN)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
