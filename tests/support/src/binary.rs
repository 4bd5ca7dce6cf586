//! The real binary in a working directory of its own, killed with the test.

use crate::{Answer, openapi};
use reqwest::Method;
use serde_json::Value;
use std::{
    ffi::OsString,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long a test waits for a condition or a response, on a slow machine too.
pub const WAIT_LIMIT: Duration = Duration::from_secs(120);

/// Waits until `check` returns a value.
pub async fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + WAIT_LIMIT;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < give_up, "gave up waiting: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The path of the binary. Cargo sets the variable when it runs a test.
fn program() -> OsString {
    std::env::var_os("CARGO_BIN_EXE_sms-proxy").expect("cargo runs this test")
}

/// A command that runs the binary in this working directory with these variables and no others.
pub fn command(folder: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program());
    prepare(&mut command, folder, variables);
    command
}

/// Sets the working directory and the variables of a command.
pub fn prepare(command: &mut Command, folder: &Path, variables: &[(&str, &str)]) {
    // Coverage is measured in the binary too.
    let profile = std::env::var_os("LLVM_PROFILE_FILE").map(|file| ("LLVM_PROFILE_FILE", file));
    command.current_dir(folder).env_clear().env("BIND_ADDR", "127.0.0.1:0").envs(profile);
    command.envs(variables.iter().copied());
}

/// The output of a process so far.
struct Captured {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Captured {
    fn from(pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let captured = Arc::clone(&text);
        let reader = thread::spawn(move || {
            let mut lines = BufReader::new(pipe);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                captured.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    /// Waits for the rest of the output, once the process has ended.
    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

/// A running process; it is killed when this is dropped.
pub struct Binary {
    child: Child,
    stdout: Captured,
    stderr: Captured,
    client: reqwest::Client,
}

impl Binary {
    /// Starts a command that [`command`] made.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let client = reqwest::Client::builder().no_proxy().timeout(WAIT_LIMIT).build().unwrap();
        Self { child, stdout: Captured::from(stdout), stderr: Captured::from(stderr), client }
    }

    /// Starts the local server and waits until it listens.
    pub async fn serve(folder: &Path, variables: &[(&str, &str)]) -> Server {
        Self::start(command(folder, variables)).listening().await
    }

    /// Waits until the process logs its address.
    pub async fn listening(mut self) -> Server {
        let address = eventually("the server listens", || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended ({ended:?}): {}", self.stderr());
            let stderr = self.stderr();
            let line = stderr.lines().find(|line| line.contains("listening on http://"))?;
            Some(line.split_once("http://")?.1.trim().parse().unwrap())
        })
        .await;
        Server { binary: self, address }
    }

    /// Starts the binary, which must exit by itself. Returns its exit code and what it logged.
    pub async fn refusal(folder: &Path, variables: &[(&str, &str)]) -> (i32, String) {
        let mut binary = Self::start(command(folder, variables));
        let status = binary.ended().await;
        (status.code().expect("no signal"), binary.stderr())
    }

    /// Waits until the process exits by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let status = eventually("the process ends", || self.child.try_wait().unwrap()).await;
        self.stdout.finish();
        self.stderr.finish();
        status
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let (signal, pid) = (format!("-{name}"), self.pid().to_string());
        assert!(Command::new("kill").args([&signal, &pid]).status().unwrap().success());
    }

    /// Kills the process, as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.stdout.finish();
        self.stderr.finish();
    }

    /// The standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// The standard error output so far, which is the log.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The local server.
pub struct Server {
    /// The process.
    pub binary: Binary,
    /// The address that it listens on.
    pub address: SocketAddr,
}

impl Server {
    /// A request to the server, for the test to complete.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method: Method = method.parse().unwrap();
        self.binary.client.request(method, format!("http://{}{path}", self.address))
    }

    /// Sends a request; a body is sent as `application/json`.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(method, path);
        read(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    /// Sends a request that must be answered 200.
    pub async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let answer = self.call(method, path, body).await;
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        answer
    }

    /// Stops the server, which must exit with code 0. Returns its log.
    pub async fn stop(self) -> String {
        self.stop_by("TERM").await
    }

    /// Stops the server by this signal.
    pub async fn stop_by(mut self, signal: &str) -> String {
        self.binary.signal(signal);
        let status = self.binary.ended().await;
        assert_eq!(status.code(), Some(0), "{}", self.binary.stderr());
        self.binary.stderr()
    }
}

/// Sends a request to the service and reads the whole response, which must be one that the OpenAPI document has.
pub async fn read(request: reqwest::RequestBuilder) -> Answer {
    let (client, request) = request.build_split();
    let request = request.unwrap();
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let response = client.execute(request).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let answer = Answer { status, headers, body: response.text().await.unwrap() };
    openapi::check(method.as_str(), &path, &answer);
    answer
}
