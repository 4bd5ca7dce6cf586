//! Which failures of a call pass, and how long the call is made again.

use crate::store::{Result, StoreError};
use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    types::CancellationReason,
};
use std::time::Duration;
use tokio::time::Instant;

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(160);

/// Why a call that failed may be made again: it was not done, or nobody knows. `None`: the answer stands.
pub(super) fn passing<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<&'static str> {
    match error {
        SdkError::TimeoutError(_) => Some("no answer in time"),
        SdkError::DispatchFailure(_) => Some("it could not be reached"),
        SdkError::ResponseError(_) => Some("its answer could not be read"),
        SdkError::ServiceError(refused) if refused.raw().status().is_server_error() => Some("it failed"),
        SdkError::ServiceError(refused) => match refused.err().code()? {
            "ProvisionedThroughputExceededException" | "RequestLimitExceeded" | "ThrottlingException" => {
                Some("throttled")
            }
            "TransactionConflictException" | "TransactionInProgressException" => Some("contention"),
            _ => None,
        },
        _ => None,
    }
}

/// Why a cancelled transaction may be tried again, if nothing of it was refused for good.
pub(super) fn passing_reasons(reasons: &[CancellationReason]) -> Option<&'static str> {
    let mut why = "contention";
    for reason in reasons {
        match reason.code().unwrap_or("None") {
            "None" | "TransactionConflict" => {}
            "ThrottlingError" | "ProvisionedThroughputExceeded" => why = "throttled",
            _ => return None,
        }
    }
    Some(why)
}

/// Goes on trying for a while when others get in the way.
pub(super) struct Patience {
    give_up: Instant,
    pause: Duration,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self { give_up: Instant::now() + limit, pause: Duration::from_millis(10) }
    }

    /// Waits a moment, longer each time and at random, so that those who got in each other's way do not meet again.
    pub(super) async fn wait(&mut self, why: &str) -> Result<()> {
        if Instant::now() >= self.give_up {
            return Err(StoreError::Unavailable(why.to_owned()));
        }
        tokio::time::sleep(self.pause.mul_f64(rand::random_range(0.5..1.5))).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

/// What the SDK says, by its code: its full text may hold what was to be written.
pub(super) fn unavailable<E: ProvideErrorMetadata, R>(error: SdkError<E, R>) -> StoreError {
    let what = match &error {
        SdkError::ConstructionFailure(_) => "the request could not be made".to_owned(),
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        SdkError::DispatchFailure(_) => "it could not be reached".to_owned(),
        SdkError::ResponseError(_) => "its answer could not be read".to_owned(),
        other => other.code().unwrap_or("an error without a code").to_owned(),
    };
    StoreError::Unavailable(what)
}
