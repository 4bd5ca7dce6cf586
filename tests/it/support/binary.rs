//! The real binary, started in a folder of its own and gone when the test is.
#![allow(dead_code, reason = "each test target uses a part of it")]

use super::Answer;
use reqwest::Method;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long a condition may take to come true, on a slow machine too.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `check` gives a value.
pub async fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < give_up, "gave up waiting: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The binary in a working folder, with these variables and no others.
pub fn command(folder: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sms-proxy"));
    prepare(&mut command, folder, variables);
    command
}

/// Gives a command the working folder and the variables.
pub fn prepare(command: &mut Command, folder: &Path, variables: &[(&str, &str)]) {
    // Coverage is measured in the binary too.
    let profile = std::env::var_os("LLVM_PROFILE_FILE").map(|file| ("LLVM_PROFILE_FILE", file));
    command.current_dir(folder).env_clear().env("BIND_ADDR", "127.0.0.1:0").envs(profile);
    command.envs(variables.iter().copied());
}

/// What a pipe has carried so far.
struct Heard {
    text: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

impl Heard {
    fn from(pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&text);
        let listener = thread::spawn(move || {
            let mut lines = BufReader::new(pipe);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                heard.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self { text, listener: Some(listener) }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    /// To be called when the process has ended: waits for what is still in the pipe.
    fn finish(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.join().unwrap();
        }
    }
}

/// A running process; it is killed when this is dropped.
pub struct Binary {
    child: Child,
    stdout: Heard,
    stderr: Heard,
    client: reqwest::Client,
}

impl Binary {
    /// Starts a command as [`command`] makes it.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { child, stdout: Heard::from(stdout), stderr: Heard::from(stderr), client }
    }

    /// Starts the local server in `folder` and waits until it listens.
    pub async fn serve(folder: &Path, variables: &[(&str, &str)]) -> Server {
        Self::start(command(folder, variables)).listening().await
    }

    /// Waits until the process says where it listens.
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

    /// Starts the binary where it is to refuse: its exit code and what it says.
    pub async fn refusal(folder: &Path, variables: &[(&str, &str)]) -> (i32, String) {
        let mut binary = Self::start(command(folder, variables));
        let status = binary.ended().await;
        (status.code().expect("no signal"), binary.stderr())
    }

    /// Waits until the process has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let status = eventually("the process ends", || self.child.try_wait().unwrap()).await;
        self.stdout.finish();
        self.stderr.finish();
        status
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the process to stop.
    pub fn terminate(&self) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Ends the process on the spot, as a power cut or the kernel would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.stdout.finish();
        self.stderr.finish();
    }

    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

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
    pub binary: Binary,
    pub address: SocketAddr,
}

impl Server {
    /// A request to the server; the test adds what it needs.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method: Method = method.parse().unwrap();
        self.binary.client.request(method, format!("http://{}{path}", self.address))
    }

    /// Sends a call; a body goes as `application/json`.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(method, path);
        read(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    /// Sends a call that must be answered 200.
    pub async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let answer = self.call(method, path, body).await;
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        answer
    }

    /// Asks the server to stop, and waits until it has: with exit code 0.
    pub async fn stop(mut self) -> String {
        self.binary.terminate();
        let status = self.binary.ended().await;
        assert_eq!(status.code(), Some(0), "{}", self.binary.stderr());
        self.binary.stderr()
    }
}

/// Sends a request and reads the answer to its end.
pub async fn read(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: response.text().await.unwrap() }
}
