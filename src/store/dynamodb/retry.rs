//! Which failures of a call are retried, and for how long.
//!
//! `backon` is not used: whether to retry depends on what is read here, not on an error alone.

use crate::{
    limits,
    store::{Result, StoreError},
};
use aws_sdk_dynamodb::{
    error::{BuildError, ProvideErrorMetadata, SdkError},
    types::CancellationReason,
};
use std::time::Duration;
use tokio::time::Instant;

/// Why a failed call may be repeated: it had no effect, or its outcome is unknown. `None`: the response is final.
pub(super) fn retryable<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<&'static str> {
    match error {
        SdkError::ServiceError(refused) if refused.raw().status().is_server_error() => Some("it failed"),
        SdkError::ServiceError(refused) => match refused.err().code()? {
            "ProvisionedThroughputExceededException" | "RequestLimitExceeded" | "ThrottlingException" => {
                Some("throttled")
            }
            "TransactionConflictException" | "TransactionInProgressException" => Some("contention"),
            _ => None,
        },
        SdkError::ConstructionFailure(_) => None,
        error => no_response(error),
    }
}

/// Why a cancelled transaction may be repeated, if no condition in it failed.
pub(super) fn retryable_reasons(reasons: &[CancellationReason]) -> Option<&'static str> {
    reasons.iter().try_fold("contention", |why, reason| match reason.code().unwrap_or("None") {
        "None" | "TransactionConflict" => Some(why),
        "ThrottlingError" | "ProvisionedThroughputExceeded" => Some("throttled"),
        _ => None,
    })
}

/// How long an operation may retry, with exponential backoff and jitter.
pub(super) struct RetryBudget {
    until: Instant,
    backoff: Duration,
}

impl RetryBudget {
    pub(super) fn new(limit: Duration) -> Self {
        Self { until: Instant::now() + limit, backoff: Duration::from_millis(10) }
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] for this reason when the budget is used up.
    pub(super) async fn wait(&mut self, why: &str) -> Result<()> {
        if Instant::now() >= self.until {
            return Err(StoreError::Unavailable(why.to_owned()));
        }
        tokio::time::sleep(self.backoff.mul_f64(rand::random_range(0.5..1.5))).await;
        self.backoff = (self.backoff * 2).min(limits::DYNAMODB_BACKOFF);
        Ok(())
    }
}

/// The error by its code: the SDK's full text may quote private data.
pub(super) fn unavailable<E: ProvideErrorMetadata, R>(error: SdkError<E, R>) -> StoreError {
    let code = || error.code().unwrap_or("an error without a code");
    StoreError::Unavailable(no_response(&error).unwrap_or_else(code).to_owned())
}

pub(super) fn malformed(error: BuildError) -> StoreError {
    StoreError::Unavailable(format!("a malformed request: {error}"))
}

fn no_response<E, R>(error: &SdkError<E, R>) -> Option<&'static str> {
    match error {
        SdkError::ConstructionFailure(_) => Some("the request could not be built"),
        SdkError::TimeoutError(_) => Some("the call timed out"),
        SdkError::DispatchFailure(_) => Some("it could not be reached"),
        SdkError::ResponseError(_) => Some("its response could not be read"),
        _ => None,
    }
}
