//! From record to settle: sends what is leased, and writes down what became of it.

use super::Service;
use crate::{
    metrics::{Event, count},
    provider::{NotTaken, SendError},
    store::{self, Leased, Settlement, StoreError},
};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};
use tracing::Instrument;

/// No attempt begins with less time left, unless the whole budget is smaller than twice this.
const SHORTEST_ATTEMPT: Duration = Duration::from_secs(3);
/// How long writing down an outcome may take.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);
/// How long the first and the longest pause between two attempts are, in seconds.
const PAUSES: (f64, f64) = (1.0, 15.0 * 60.0);
/// How long the outbox keeps trying.
pub(super) const LONGEST: TimeDelta = TimeDelta::hours(24);

/// What one attempt to send a message came to.
#[derive(Debug)]
pub enum Attempt {
    /// The provider took it, under this id.
    Sent(String),
    /// It did not, or nobody knows.
    Failed(SendError),
    /// There was no time or no place left for it; it waits in the outbox.
    NotTried,
    /// It must not be sent any more.
    Withdrawn,
    /// It has been in the outbox for too long.
    TooOld,
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
    /// Sends messages that were put on record leased to us, side by side, and settles each. No send goes on after the
    /// deadline.
    pub(super) async fn dispatch(&self, leased: Vec<Leased>, deadline: Instant) -> Vec<Attempt> {
        let mut attempts = JoinSet::new();
        for leased in leased {
            let service = self.clone();
            attempts.spawn(async move { service.send_in_turn(leased, deadline).await }.in_current_span());
        }
        attempts.join_all().await
    }

    /// Gives messages that were put on record leased to us back to the outbox.
    pub(super) async fn dispatch_later(&self, leased: Vec<Leased>) {
        let conclude = async |leased: Leased| self.conclude(&leased, Attempt::NotTried).await;
        join_all(leased.into_iter().map(conclude)).await;
    }

    /// Waits for a place in the pacing, then sends.
    async fn send_in_turn(&self, leased: Leased, deadline: Instant) -> Attempt {
        let last_start = deadline - SHORTEST_ATTEMPT.min(self.options.send_budget / 2);
        let has_media = !leased.outbound.text.content.media_urls.is_empty();
        let turn = self.pacer.in_turn(has_media, |waited| {
            let now = self.now();
            let renewed = self.store.renew(&leased, now, self.lease_until(now));
            // Its session may have ended while it waited.
            async move { if waited { renewed.await } else { Ok(true) } }
        });
        let may_go = timeout_at(last_start, turn).await;
        match may_go {
            Ok(Ok(true)) if Instant::now() < last_start => self.send_leased(leased, deadline).await,
            Ok(Ok(false)) => self.conclude(&leased, Attempt::Withdrawn).await,
            _ => self.conclude(&leased, Attempt::NotTried).await,
        }
    }

    /// Sends a message now, and settles it.
    pub(super) async fn send_leased(&self, leased: Leased, deadline: Instant) -> Attempt {
        let left = deadline.saturating_duration_since(Instant::now());
        let attempt = if self.now() >= leased.outbound.created_at + LONGEST {
            Attempt::TooOld
        } else {
            // A provider that overstays its time limit is cut off a little later.
            let limit = left.saturating_sub(Duration::from_millis(200));
            match timeout(left, self.provider.send(&leased.outbound, limit)).await {
                Ok(Ok(provider_id)) => Attempt::Sent(provider_id),
                Ok(Err(error)) => Attempt::Failed(error),
                Err(_) => Attempt::Failed(SendError::Unknown { detail: "no answer in time".into() }),
            }
        };
        self.conclude(&leased, attempt).await
    }

    async fn conclude(&self, leased: &Leased, attempt: Attempt) -> Attempt {
        log(leased, &attempt);
        tally(&attempt);
        if let Some(settlement) = settlement(&attempt, leased, self.now()) {
            self.settle(leased, settlement).await;
        }
        attempt
    }

    /// Writes down an outcome. What can't be written down is *unknown* when the lease runs out.
    async fn settle(&self, leased: &Leased, settlement: Settlement) {
        let outbound = leased.outbound.id;
        let written = insist(|| self.store.settle(leased, settlement.clone(), self.now())).await;
        match written {
            Ok(true) if matches!(settlement, Settlement::Failed { .. }) => count(Event::TextsFailed),
            Ok(true) => {}
            // A receipt came first, or the lease had run out.
            Ok(false) => tracing::info!(%outbound, "the message was settled already"),
            Err(error) => tracing::error!(%outbound, %error, "an outcome could not be written down"),
        }
    }
}

/// Asks a store that is not available again, for a while: what has happened outside must be written down.
pub(super) async fn insist<T, F>(write: impl Fn() -> F) -> store::Result<T>
where
    F: Future<Output = store::Result<T>>,
{
    insist_until(Instant::now() + SETTLE_LIMIT, write).await
}

/// Asks a store that is not available again; no longer begins to after `give_up`.
pub(super) async fn insist_until<T, F>(give_up: Instant, write: impl Fn() -> F) -> store::Result<T>
where
    F: Future<Output = store::Result<T>>,
{
    loop {
        match write().await {
            Err(StoreError::Unavailable(_)) if Instant::now() < give_up => {
                tokio::time::sleep(Duration::from_millis(100)).await
            }
            written => return written,
        }
    }
}

/// What is written down about an attempt (DESIGN.md 3, the table of outcomes).
fn settlement(attempt: &Attempt, leased: &Leased, now: DateTime<Utc>) -> Option<Settlement> {
    let too_old = now >= leased.outbound.created_at + LONGEST;
    let failed = |reason| Settlement::Failed { reason, opted_out: false };
    Some(match attempt {
        Attempt::Withdrawn => return None,
        Attempt::NotTried => Settlement::Deferred,
        Attempt::TooOld => failed("not sent within 24 hours".into()),
        Attempt::Sent(provider_id) => Settlement::Sent { provider_id: provider_id.clone() },
        Attempt::Failed(error) => {
            let reason = error.to_string();
            match error {
                SendError::Refused { opted_out, .. } => Settlement::Failed { reason, opted_out: *opted_out },
                SendError::NotTaken { .. } if too_old => {
                    failed(format!("not sent within 24 hours: {reason}"))
                }
                SendError::NotTaken { .. } => Settlement::Waiting { due: now + pause(leased.lease), reason },
                SendError::Unknown { .. } => Settlement::Unknown { reason },
            }
        }
    })
}

/// How long a message waits after its n-th lease: twice as long each time, give or take a quarter.
fn pause(leases: u32) -> TimeDelta {
    let (shortest, longest) = PAUSES;
    let doubled = shortest * 2f64.powi(i32::try_from(leases.saturating_sub(1)).unwrap_or(i32::MAX));
    let seconds = (doubled * rand::random_range(0.75..1.25)).clamp(shortest, longest);
    TimeDelta::from_std(Duration::from_secs_f64(seconds)).unwrap_or(TimeDelta::MAX)
}

fn tally(attempt: &Attempt) {
    match attempt {
        Attempt::Sent(_) => count(Event::TextsSent),
        Attempt::Failed(SendError::Refused { .. }) => count(Event::TextsRefused),
        Attempt::Failed(SendError::NotTaken { cause, .. }) => {
            count(Event::TextsNotTaken);
            if cause.needs_operator() {
                count(Event::Misconfigured);
            }
        }
        Attempt::Failed(SendError::Unknown { .. }) => count(Event::TextsUnknown),
        Attempt::NotTried | Attempt::Withdrawn | Attempt::TooOld => {}
    }
}

fn log(leased: &Leased, attempt: &Attempt) {
    let text = &leased.outbound.text;
    let (outbound, kind, to) = (leased.outbound.id, text.kind.as_str(), text.to.masked());
    let session = text.session.map(|id| id.to_string());
    match attempt {
        Attempt::Sent(_) => tracing::debug!(%outbound, kind, to, session, "sent"),
        Attempt::NotTried => tracing::info!(%outbound, kind, to, session, "no time left: the text waits"),
        Attempt::Withdrawn => {
            tracing::info!(%outbound, kind, to, session, "the text must not be sent any more")
        }
        Attempt::TooOld => {
            tracing::error!(%outbound, kind, to, session, "a text could not be sent for 24 hours")
        }
        Attempt::Failed(error @ SendError::NotTaken { cause, .. }) if cause.needs_operator() => {
            let mend = "check FLOWROUTE_ACCESS_KEY, FLOWROUTE_SECRET_KEY, FLOWROUTE_API_URL and the account";
            tracing::error!(%outbound, kind, to, session, %error, mend, "Flowroute does not accept our requests");
        }
        Attempt::Failed(error) => tracing::warn!(%outbound, kind, to, session, %error, "a text was not sent"),
    }
}
