//! The faults that the proxy injects, and the calls that it injects them into.

use std::time::Duration;

/// How a call to DynamoDB fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call is applied; the connection is cut before the response.
    ResponseLost,
    /// The call is applied; the response is an internal error.
    AppliedServerError,
    /// The call is applied; no response comes.
    AppliedNoResponse,
    /// The call is applied after the client has timed out, and perhaps retried.
    AppliedLate,
    /// The call is applied after the store operation that made it has ended.
    AppliedMuchLater,
    /// The call is applied, slowly.
    Slow,
    /// The call is applied once [`release`](super::FaultProxy::release) is called.
    Held,
    /// The call is not applied; the connection is cut.
    ConnectionCut,
    /// The call is not applied; the response is an internal error.
    ServerError,
    /// The call is not applied; no response comes.
    NoResponse,
    /// The call is not applied; the response is a throttling error with this code.
    Throttled(&'static str),
    /// One part of a transaction, or every item of a batch read, is throttled. The call is not applied.
    PartThrottled,
    /// The call is not applied; another transaction holds the same items.
    Conflict,
}

impl Fault {
    /// Throttling because the table's or an index's capacity is used up.
    pub const THROTTLED: Self = Self::Throttled("ProvisionedThroughputExceededException");

    /// How long after the request the call reaches the engine.
    pub(super) fn delay(self) -> Duration {
        match self {
            // Less than one try of the client.
            Self::Slow => Duration::from_millis(650),
            // After one try of the client, and before it gives up.
            Self::AppliedLate => Duration::from_millis(900),
            Self::AppliedMuchLater => Duration::from_secs(4),
            _ => Duration::ZERO,
        }
    }
}

/// The operations that change something.
pub const WRITES: &[&str] = &["TransactWriteItems", "UpdateItem"];
/// The operations that change nothing.
pub const READS: &[&str] = &["GetItem", "BatchGetItem", "Query"];

/// The calls that a fault applies to.
#[derive(Debug, Clone)]
pub enum Calls {
    /// All of them.
    All,
    /// Those of these operations.
    Of(&'static [&'static str]),
    /// Those whose request body contains this.
    Containing(String),
}

impl Calls {
    pub(super) fn include(&self, operation: &str, request: &str) -> bool {
        match self {
            Self::All => true,
            Self::Of(operations) => operations.contains(&operation),
            Self::Containing(words) => request.contains(words),
        }
    }
}

impl From<&'static [&'static str]> for Calls {
    fn from(operations: &'static [&'static str]) -> Self {
        Self::Of(operations)
    }
}

impl<const N: usize> From<&'static [&'static str; N]> for Calls {
    fn from(operations: &'static [&'static str; N]) -> Self {
        Self::Of(operations)
    }
}
