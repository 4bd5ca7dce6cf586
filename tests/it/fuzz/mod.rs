//! Fuzzing of what comes from outside: posts, numbers, management calls, events.
//!
//! Inputs are real ones with random damage, on services that are new every hundred inputs or so. `FUZZ_SECONDS` says how
//! long (default 1). A failure shows the input, writes it to a file, and shows the seed that repeats the whole sequence
//! (`ARBTEST_SEED`). Inputs that have failed, or are likely to, belong into `corpus/`, whose files are tried first.

mod calls;
mod damage;
mod events;
mod numbers;
mod posts;

use crate::random_calls::{KEY, Watch, assert_harmless, send_patiently, variable, watched};
use axum::{body::Body, http::Request};
use serde_json::{Value, json};
use std::{
    cell::Cell,
    fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    time::{Duration, Instant},
};
use test_support::{Answer, App, Backend, TN, pair, without_timeouts};

/// How many random bytes choose the inputs of one service, at most: enough for about a hundred.
const BYTES: u32 = 4096;

/// A service with a session of Alice and Bob, and keys.
struct Subject {
    app: App,
    watch: Watch,
    /// The id of the session.
    session: String,
}

impl Subject {
    async fn start(backend: Backend) -> Self {
        let (app, watch) = watched(backend, without_timeouts()).await;
        let subject = Self { app, watch, session: String::new() };
        assert_eq!(subject.call("POST", "/tn", &json!({"value": TN})).await.status, 200);
        let opened = subject.call("POST", "/session", &pair()).await.json();
        subject.app.provider.clear();
        Self { session: opened["session_id"].as_str().unwrap().to_owned(), ..subject }
    }

    /// Sends a management call with the key.
    async fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let request = Request::builder().method(method).uri(path).header("x-api-key", KEY);
        let request = request.header("content-type", "application/json").body(body.to_string().into());
        self.send(request.unwrap()).await
    }

    /// Sends a request. It must not fail, and only an answer 2xx may change the store.
    async fn send(&self, request: Request<Body>) -> Answer {
        let (before, is_head) = (self.watch.look().await, request.method() == "HEAD");
        let answer = send_patiently(&self.app, request).await;
        assert_harmless(&answer, self.watch.look().await != before, is_head, "of this input");
        answer
    }
}

/// Runs the check on one input; a failure shows the input and keeps it in a file.
async fn try_input(name: &str, subject: &Subject, input: &[u8], check: &impl AsyncFn(&Subject, &[u8])) {
    let checked = AssertUnwindSafe(check(subject, input));
    if let Err(panic) = futures_util::FutureExt::catch_unwind(checked).await {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        let kept =
            fs::write(&file, input).map_or_else(|error| error.to_string(), |()| file.display().to_string());
        eprintln!("the input of {name} that fails, also in {kept}:\n{}", input.escape_ascii());
        resume_unwind(panic);
    }
}

/// Tries the corpus of this name, then damaged seeds for `FUZZ_SECONDS`.
fn fuzz(name: &str, seeds: Vec<Vec<u8>>, check: impl AsyncFn(&Subject, &[u8])) {
    fuzz_on(Backend::Sqlite, name, seeds, check);
}

fn fuzz_on(backend: Backend, name: &str, seeds: Vec<Vec<u8>>, check: impl AsyncFn(&Subject, &[u8])) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fuzz/corpus").join(name);
    let corpus: Vec<Vec<u8>> =
        fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    runtime.block_on(async {
        for input in seeds.iter().chain(&corpus) {
            try_input(name, &Subject::start(backend).await, input, &check).await;
        }
    });
    let seeds = [seeds, corpus].concat();
    let (tried, started) = (Cell::new(0_u64), Instant::now());
    let search = arbtest::arbtest(|random| {
        runtime.block_on(async {
            let subject = Subject::start(backend).await;
            while !random.is_empty() {
                try_input(name, &subject, &damage::damaged(random, &seeds)?, &check).await;
                tried.set(tried.get() + 1);
            }
            Ok(())
        })
    });
    let search = search.size_max(BYTES).budget(Duration::from_secs(variable("FUZZ_SECONDS", 1)));
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| search.run())) {
        eprintln!("to repeat: ARBTEST_SEED=… cargo test --locked --test it -- fuzz::{name}");
        resume_unwind(panic);
    }
    eprintln!("fuzz {name} on {backend:?}: {} inputs in {:.0?}", tried.get(), started.elapsed());
}
