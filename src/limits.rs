//! The limits of time and size that are not settings. docs/reliability.md#time-limits says how they are nested and why.
//!
//! With the settings: `SEND_BUDGET_SECONDS` < request limit < `LEASE_SECONDS` < `LOOKUP_SETTLE_SECONDS`, which is checked
//! at start. Within the fixed ones, at compile time: see `NESTED`.

use std::time::Duration;

/// Pairs of limits of which the first must be shorter.
const NESTED: [(Duration, Duration); 11] = [
    (RESPONSE_MARGIN, REQUEST_OVERHEAD),
    (STORE_OPERATION, REQUEST_OVERHEAD),
    (DYNAMODB_BACKOFF, DYNAMODB_ATTEMPT),
    (DYNAMODB_ATTEMPT, DYNAMODB_CALL),
    (DYNAMODB_CALL, STORE_OPERATION),
    (SQLITE_QUEUE, STORE_OPERATION),
    (HEALTH_CHECK, PROBE),
    (LIST_PAGE, MAX_READING),
    (MIN_READING, MAX_READING),
    (MAX_IDLE, FLOWROUTE_IDLE),
    (SECRET_ATTEMPT, SECRET),
];
const _: () = {
    let mut i = 0;
    while i < NESTED.len() {
        assert!(NESTED[i].0.as_millis() < NESTED[i].1.as_millis());
        i += 1;
    }
    let parts = ROUND_EXPIRY.as_millis() + ROUND_RECLAIM.as_millis() + ROUND_RECONCILE.as_millis();
    assert!(parts < MAINTENANCE_ROUND.as_millis());
};

/// Time for everything in a request but sending. Request limit = send budget + this.
pub const REQUEST_OVERHEAD: Duration = Duration::from_secs(4);
/// How long before the request limit a request stops waiting for its work.
pub const RESPONSE_MARGIN: Duration = Duration::from_millis(500);
/// The time that must be left to start an attempt to send, or half of the send budget if that is less.
pub const MIN_ATTEMPT: Duration = Duration::from_secs(3);
/// Retrying the store to store an outcome or a rollback.
pub const SETTLE_RETRY: Duration = Duration::from_secs(2);
/// The pause between two of these attempts; jitter adds up to the same again.
pub const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Connecting to Flowroute.
pub const FLOWROUTE_CONNECT: Duration = Duration::from_secs(2);
/// Pooling an idle connection to Flowroute. Short: the outcome of a message sent over a stale connection is *unknown*.
pub const FLOWROUTE_IDLE: Duration = Duration::from_secs(20);
/// One page of Flowroute's message list.
pub const LIST_PAGE: Duration = Duration::from_secs(5);
/// The largest page of it that is read, in bytes.
pub const LIST_PAGE_SIZE: usize = 4 * 1024 * 1024;
/// A list with more pages counts as endless.
pub const LIST_PAGES: usize = 500;
/// How much of Flowroute's response to a send is read, in bytes; they have a few hundred.
pub const FLOWROUTE_RESPONSE: usize = 64 * 1024;
/// How much of the provider's words about a refusal the caller is shown, in characters.
pub const QUOTE: usize = 200;
/// How many messages the sandbox keeps.
pub const SANDBOX_MESSAGES: usize = 1000;
/// Reading the provider's message list.
pub const MAX_READING: Duration = Duration::from_secs(15);
/// The list is not read with less time left than this.
pub const MIN_READING: Duration = Duration::from_secs(2);
/// One operation of the store, except lists. On DynamoDB three quarters of it are the retry budget.
pub const STORE_OPERATION: Duration = Duration::from_secs(2);
/// One call of the SDK, with the SDK's own attempts.
pub const DYNAMODB_CALL: Duration = Duration::from_millis(1800);
/// One attempt within an SDK call.
pub const DYNAMODB_ATTEMPT: Duration = Duration::from_millis(700);
/// The longest pause between two of our own tries.
pub const DYNAMODB_BACKOFF: Duration = Duration::from_millis(160);
/// Waiting in the queue of the writer or of the readers.
pub const SQLITE_QUEUE: Duration = Duration::from_secs(1);
/// SQLite: storing that a text was sent waits this long for a write whose transaction it can share. If the process dies
/// meanwhile, the text is looked up at Flowroute.
pub const DEFERRED_WRITE: Duration = Duration::from_millis(2);
/// Waiting for another process's lock.
pub const SQLITE_LOCK: Duration = Duration::from_secs(1);
/// The age at which the key of opt-outs is read again from a table.
pub const OPT_OUT_KEY: Duration = Duration::from_secs(60);
/// Waiting for those who read the write-ahead log after an erasure.
pub const SCRUB_RETRY: Duration = Duration::from_secs(3);
/// Opening the file while other processes open it too.
pub const SQLITE_OPEN: Duration = Duration::from_secs(10);
/// Receiving the body of a request.
pub const REQUEST_BODY: Duration = Duration::from_secs(10);
/// The body of a post to the webhook, in bytes.
pub const WEBHOOK_BODY: usize = 256 * 1024;
/// The pause between two warnings of refused posts.
pub const WARNING: Duration = Duration::from_secs(60);
/// The pause between two lines of the log on calls without a key or token.
pub const ANONYMOUS_LINE: Duration = Duration::from_secs(1);
/// The time in which the wrong keys and tokens of a caller are counted.
pub const ATTEMPTS_WINDOW: Duration = Duration::from_secs(60);
/// How many of them are answered 401 in that time; further ones are answered 429.
pub const ATTEMPTS: u32 = 1000;
/// How many callers are counted by themselves.
pub const ATTEMPTS_CALLERS: usize = 4096;
/// Local server: receiving a head, from the start of the connection, then from the first byte of the head.
pub const REQUEST_HEAD: Duration = Duration::from_secs(10);
/// Local server: the size of a head that is always read, in bytes. Up to as much again may be in the buffer.
pub const HEAD_SIZE: usize = 32 * 1024;
/// Local server: a client taking a part of a response.
pub const RESPONSE_PART: Duration = Duration::from_secs(30);
/// Local server: waiting for the next request on a connection. Load balancers keep idle connections for 60 s, and answer 502
/// if the server closes one as they send a request.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Local server: concurrent connections. With [`HEAD_SIZE`] this bounds the memory that strangers can take.
pub const CONNECTIONS: usize = 1024;
/// Local server: connections that the system queues until they are accepted. A client whose connection finds the queue full
/// tries again a second later.
pub const QUEUE: u32 = 4096;
/// Local server: open files that are not clients' connections.
pub const OTHER_FILES: u64 = 128;
/// The longest response in Lambda, in bytes: Lambda accepts 6 MB, the envelope included.
pub const LAMBDA_RESPONSE: usize = 6_000_000 - 16_384;
/// How long the result of a health check is reused, and how long one may take.
pub const HEALTH_CHECK: Duration = Duration::from_secs(2);
/// A store that was not written for this long is written to find out whether it can be.
pub const WRITE_CHECK: Duration = Duration::from_secs(10);
/// A probe of the server's health: longer than the health check.
pub const PROBE: Duration = Duration::from_secs(4);
/// A stop waits this long for running requests.
pub const STOP: Duration = Duration::from_secs(20);
/// Then it waits this long for messages that are being sent: longer than any send.
pub const FINISH: Duration = Duration::from_secs(30);
/// A round of maintenance starts nothing more after this time.
pub const MAINTENANCE_ROUND: Duration = Duration::from_secs(45);
/// Ending expired sessions in a round.
pub const ROUND_EXPIRY: Duration = Duration::from_secs(10);
/// Reclaiming messages in a round.
pub const ROUND_RECLAIM: Duration = Duration::from_secs(5);
/// A round stops starting sends this long before its end: reconciliation gets what the running sends leave of this.
pub const ROUND_RECONCILE: Duration = Duration::from_secs(15);
/// Reading the gauges.
pub const GAUGES: Duration = Duration::from_secs(3);
/// The pause after which durations that Prometheus has not fetched are added to their buckets.
pub const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// Checking the store for `doctor`.
pub const DOCTOR: Duration = Duration::from_secs(10);
/// Retrying one record of an import while the table is busy.
pub const IMPORT_RECORD: Duration = Duration::from_secs(60);
/// The idle time after which the pooled connections of a process that may be frozen count as stale.
pub const MAX_IDLE: Duration = Duration::from_secs(2);
/// Connecting to AWS.
pub const AWS_CONNECT: Duration = Duration::from_secs(1);
/// Reading the secret, finding credentials included. Lambda's init phase has 10 s.
pub const SECRET: Duration = Duration::from_secs(5);
/// One attempt to read the secret.
pub const SECRET_ATTEMPT: Duration = Duration::from_millis(1500);
/// The number of attempts.
pub const SECRET_ATTEMPTS: u32 = 3;
/// Opening connections ahead of the first event.
pub const INIT_CONNECT: Duration = Duration::from_millis(900);
