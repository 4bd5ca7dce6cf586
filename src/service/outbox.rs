//! From record to settle: sends what is leased, and writes down what became of it.

use super::Service;
use crate::{
    provider::{NotTaken, SendError},
    store::{Leased, Settlement},
};
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;
use tokio::{task::JoinSet, time::Instant};
use tracing::Instrument;

/// No attempt begins with less time left, unless the whole budget is smaller than twice this.
const SHORTEST_ATTEMPT: Duration = Duration::from_secs(3);
/// How long writing down an outcome may take.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);
/// How long the first and the longest pause between two attempts are.
const PAUSES: (f64, f64) = (1.0, 15.0 * 60.0);

/// What one attempt to send a message came to.
#[derive(Debug)]
pub enum Attempt {
    /// The provider took it, under this id.
    Sent(String),
    /// It was not, or nobody knows.
    Failed(SendError),
    /// There was no time left for it; it waits in the outbox.
    NotTried,
}

/// Why the provider will have nothing to do with a message, if that is so: it refused the message itself, or us.
pub(super) fn refusal(attempt: &Attempt) -> Option<String> {
    match attempt {
        Attempt::Failed(SendError::Refused { status, detail, .. }) => Some(format!("{detail} ({status})")),
        Attempt::Failed(SendError::NotTaken { cause: NotTaken::Credentials, .. }) => {
            Some("Flowroute does not accept the service's credentials".into())
        }
        _ => None,
    }
}

impl Service {
    /// Sends messages that are leased to us, all at once, and settles each. Nothing is sent after the deadline.
    pub(super) async fn dispatch(&self, leased: Vec<Leased>, deadline: Instant) -> Vec<Attempt> {
        let mut attempts = JoinSet::new();
        for leased in leased {
            let service = self.clone();
            attempts.spawn(async move { service.attempt(leased, deadline).await }.in_current_span());
        }
        attempts.join_all().await
    }

    async fn attempt(&self, leased: Leased, deadline: Instant) -> Attempt {
        let left = deadline.saturating_duration_since(Instant::now());
        let attempt = if left < SHORTEST_ATTEMPT.min(self.options.send_budget / 2) {
            Attempt::NotTried
        } else {
            // A provider that overstays its time limit is cut off here.
            match tokio::time::timeout(left, self.provider.send(&leased.outbound, left)).await {
                Ok(Ok(provider_id)) => Attempt::Sent(provider_id),
                Ok(Err(error)) => Attempt::Failed(error),
                Err(_) => Attempt::Failed(SendError::Unknown { detail: "no answer in time".into() }),
            }
        };
        log(&leased, &attempt);
        let settlement = settlement(&attempt, leased.lease, self.now());
        self.settle(&leased, settlement).await;
        attempt
    }

    /// Writes down an outcome; a store that fails is asked again while there is time. What can't be written down
    /// is *unknown* when the lease runs out.
    async fn settle(&self, leased: &Leased, settlement: Settlement) {
        let give_up = Instant::now() + SETTLE_LIMIT;
        loop {
            let error = match self.store.settle(leased, settlement.clone(), self.now()).await {
                Ok(true) => return,
                Ok(false) => {
                    tracing::warn!(message = %leased.outbound.id, "the lease of a message had run out");
                    return;
                }
                Err(error) => error,
            };
            if Instant::now() >= give_up {
                tracing::error!(message = %leased.outbound.id, %error, "an outcome could not be written down");
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn settlement(attempt: &Attempt, tries: u32, now: DateTime<Utc>) -> Settlement {
    match attempt {
        Attempt::NotTried => {
            Settlement::Waiting { due: now, reason: "there was no time left in the request".into() }
        }
        Attempt::Sent(provider_id) => Settlement::Sent { provider_id: provider_id.clone() },
        Attempt::Failed(error) => {
            let reason = error.to_string();
            match error {
                SendError::Refused { .. } => Settlement::Failed { reason },
                SendError::NotTaken { .. } => Settlement::Waiting { due: now + pause(tries), reason },
                SendError::Unknown { .. } => Settlement::Unknown { reason },
            }
        }
    }
}

/// How long a message waits after its n-th attempt: twice as long each time, give or take a quarter.
fn pause(tries: u32) -> TimeDelta {
    let (shortest, longest) = PAUSES;
    let doubled = shortest * 2f64.powi(i32::try_from(tries.saturating_sub(1)).unwrap_or(i32::MAX));
    let seconds = (doubled * rand::random_range(0.75..1.25)).clamp(shortest, longest);
    TimeDelta::from_std(Duration::from_secs_f64(seconds)).unwrap_or(TimeDelta::MAX)
}

fn log(leased: &Leased, attempt: &Attempt) {
    let text = &leased.outbound.text;
    let (message, kind, to) = (leased.outbound.id, text.kind.as_str(), text.to.masked());
    let session = text.session.map(|id| id.to_string());
    match attempt {
        Attempt::Sent(_) => tracing::debug!(%message, kind, to, session, "sent"),
        Attempt::NotTried => tracing::info!(%message, kind, to, session, "no time left: the text waits"),
        Attempt::Failed(error @ SendError::NotTaken { cause, .. }) if cause.needs_operator() => {
            let mend = "check FLOWROUTE_ACCESS_KEY, FLOWROUTE_SECRET_KEY and FLOWROUTE_API_URL";
            tracing::error!(%message, kind, to, session, %error, mend, "Flowroute does not accept our requests");
        }
        Attempt::Failed(error) => tracing::warn!(%message, kind, to, session, %error, "a text was not sent"),
    }
}
