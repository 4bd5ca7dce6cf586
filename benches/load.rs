//! The load generator: connections that each send the next text once the last one is answered.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// Whom the texts come from, and to which TNs.
#[derive(Clone, Copy)]
pub(crate) struct People {
    /// The number of sessions.
    pub(crate) sessions: u64,
    /// The number of sessions on one TN.
    pub(crate) per_tn: u64,
}

impl People {
    /// The TN of the n-th session.
    pub(crate) fn tn(self, n: u64) -> String {
        format!("{}", 12_060_000_000 + n / self.per_tn)
    }

    /// The participants of the n-th session, the second one first if `turned` is 1.
    pub(crate) fn pair(n: u64, turned: u64) -> [String; 2] {
        let mut pair = [format!("{}", 12_120_000_000 + n), format!("{}", 13_050_000_000 + n)];
        pair.rotate_left(usize::from(turned == 1));
        pair
    }

    /// A text of a participant of some session, as Flowroute posts it; each has an id of its own.
    pub(crate) fn text(self) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        // Sessions in an order that no cache foresees.
        let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let session = (mixed >> 8) % self.sessions;
        let [from, _] = Self::pair(session, mixed >> 63);
        let (id, tn) = (uuid::Uuid::new_v4().simple(), self.tn(session));
        format!(r#"{{"to":"{tn}","from":"{from}","body":"On my way, five minutes. {n}","id":"mdr2-{id}"}}"#)
    }

    /// A request that posts such a text.
    fn post(self, request: &mut Vec<u8>) {
        let body = self.text();
        request.clear();
        let head = "POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ";
        request.extend_from_slice(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes());
    }
}

/// What a turn of load gave.
pub(crate) struct Outcome {
    /// Microseconds, sorted.
    latencies: Vec<u32>,
    elapsed: Duration,
    /// Answers other than 200, and connections that broke.
    pub(crate) errors: usize,
}

impl Outcome {
    pub(crate) fn texts(&self) -> usize {
        self.latencies.len()
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.texts() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency in milliseconds that this share of the texts did not exceed.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.latencies.get(at).map_or(f64::NAN, |&micros| f64::from(micros) / 1000.0)
    }
}

/// Sends texts over this many connections for a while.
pub(crate) async fn run(to: SocketAddr, connections: usize, time: Duration, people: People) -> Outcome {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        tasks.spawn(connection(to, begun + time, people));
    }
    let mut outcome = Outcome { latencies: Vec::new(), elapsed: Duration::ZERO, errors: 0 };
    while let Some(done) = tasks.join_next().await {
        let (latencies, errors) = done.unwrap_or_default();
        outcome.latencies.extend(latencies);
        outcome.errors += errors;
    }
    outcome.elapsed = begun.elapsed();
    outcome.latencies.sort_unstable();
    outcome
}

async fn connection(to: SocketAddr, until: Instant, people: People) -> (Vec<u32>, usize) {
    let (mut latencies, mut errors) = (Vec::new(), 0);
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    let Ok(mut stream) = TcpStream::connect(to).await else { return (latencies, 1) };
    let _ = stream.set_nodelay(true);
    while Instant::now() < until {
        people.post(&mut request);
        let begun = Instant::now();
        match exchange(&mut stream, &request, &mut answer).await {
            Ok(status) if status / 100 == 2 => {
                latencies.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
            Ok(_) => errors += 1,
            Err(_) => return (latencies, errors + 1),
        }
    }
    (latencies, errors)
}

/// Sends one request and reads its answer; returns the status.
pub(crate) async fn exchange(
    stream: &mut TcpStream,
    request: &[u8],
    answer: &mut Vec<u8>,
) -> std::io::Result<u16> {
    stream.write_all(request).await?;
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(length) = whole(answer)
            && answer.len() >= length
        {
            let status = std::str::from_utf8(&answer[9..12]).ok().and_then(|status| status.parse().ok());
            return status.ok_or_else(|| std::io::ErrorKind::InvalidData.into());
        }
    }
}

/// The length of a message with its head and body, once its head is there.
pub(crate) fn whole(message: &[u8]) -> Option<usize> {
    let head = message.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let lines = std::str::from_utf8(&message[..head]).ok()?.lines();
    let length = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    Some(head + length.unwrap_or(0))
}
