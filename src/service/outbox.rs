//! Sends leased messages, and stores the outcomes.

use super::Service;
use crate::{
    domain::{LONGEST_BACKOFF, Message, MessageEvent, Settlement},
    limits,
    provider::{NotTaken, SendError},
    store::{self, StoreError},
    telemetry::metrics::{Call, Event, Timer, count},
};
use backon::{ConstantBuilder, Retryable};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// The shortest backoff between two attempts to send, in seconds.
const SHORTEST_BACKOFF: f64 = 1.0;
/// The age at which a message is no longer retried.
pub(super) const MAX_AGE: TimeDelta = TimeDelta::hours(24);

/// The result of one attempt to send a message.
#[derive(Debug)]
pub enum Attempt {
    /// The provider took it, under this id.
    Sent(String),
    /// The provider did not take it, or that is unknown.
    Failed(SendError),
    /// No time, no rate-limit slot, or the lease could not be renewed: it waits in the outbox.
    NotTried,
    /// It must no longer be sent.
    Withdrawn,
    /// It has been in the outbox for too long.
    TooOld,
}

impl Service {
    /// Why the provider refused this message or our credentials, if it did. For the caller only: it may quote the message.
    pub(super) fn refusal(&self, attempt: &Attempt) -> Option<String> {
        match attempt {
            Attempt::Failed(SendError::Refused { status, detail, quote, .. }) => Some(match quote.words() {
                "" => format!("{detail} ({status})"),
                words => format!("{detail} ({status}: {words})"),
            }),
            Attempt::Failed(SendError::NotTaken { cause: NotTaken::Credentials, .. }) => {
                Some(format!("{} does not accept the service's credentials", self.provider.name()))
            }
            _ => None,
        }
    }

    /// Sends messages that are leased to us, concurrently, and settles each. No send runs after the deadline.
    pub(super) async fn dispatch(&self, leased: Vec<Message>, deadline: Instant) -> Vec<Attempt> {
        join_all(leased.into_iter().map(|leased| self.send_in_turn(leased, deadline))).await
    }

    /// Returns messages that are leased to us to the outbox.
    pub(super) async fn defer(&self, leased: Vec<Message>) {
        let conclude = async |leased: Message| self.conclude(&leased, Attempt::NotTried).await;
        join_all(leased.into_iter().map(conclude)).await;
    }

    /// Acquires a rate-limit slot, then sends.
    async fn send_in_turn(&self, mut leased: Message, deadline: Instant) -> Attempt {
        let last_start = deadline - limits::MIN_ATTEMPT.min(self.options.send_budget / 2);
        let has_media = !leased.outbound.text.content.media_urls.is_empty();
        let renewed = self.pacer.in_turn(has_media, |waited| {
            let (now, held) = (self.now(), leased.clone());
            async move {
                let until = self.lease_until(now);
                // Its session may have ended meanwhile.
                match waited {
                    true => self.store.renew(&held, now, until).await,
                    false => self.store.confirm(&held, now, until).await,
                }
            }
        });
        match timeout_at(last_start, renewed).await {
            Ok(Ok(None)) => return self.conclude(&leased, Attempt::Withdrawn).await,
            Ok(Ok(Some(renewed))) => leased = renewed,
            Ok(Err(error)) => {
                tracing::warn!(outbound = %leased.outbound.id, %error, "lease not renewed");
                return self.conclude(&leased, Attempt::NotTried).await;
            }
            Err(_) => return self.conclude(&leased, Attempt::NotTried).await,
        }
        if Instant::now() < last_start {
            self.send_leased(leased, deadline).await
        } else {
            self.conclude(&leased, Attempt::NotTried).await
        }
    }

    /// Sends a message now, and settles it.
    pub(super) async fn send_leased(&self, leased: Message, deadline: Instant) -> Attempt {
        let left = deadline.saturating_duration_since(Instant::now());
        let attempt = if self.now() >= leased.outbound.created_at + MAX_AGE {
            Attempt::TooOld
        } else {
            // The outer timeout is for a provider that exceeds its limit.
            let limit = left.saturating_sub(Duration::from_millis(200));
            let send = timeout(left, self.provider.send(&leased.outbound, limit));
            let _timer = Timer::start(Call::ProviderSend);
            match send.await {
                Ok(Ok(provider_id)) => Attempt::Sent(provider_id),
                Ok(Err(error)) => Attempt::Failed(error),
                Err(_) => Attempt::Failed(SendError::Unknown { detail: "timed out".into() }),
            }
        };
        self.conclude(&leased, attempt).await
    }

    async fn conclude(&self, leased: &Message, attempt: Attempt) -> Attempt {
        self.log(leased, &attempt);
        count_attempt(&attempt);
        if let Some(settlement) = settlement(&attempt, leased, self.now()) {
            self.settle(leased, settlement).await;
        }
        attempt
    }

    /// Stores an outcome. If it cannot be stored, the lease expires and the message becomes `unknown`.
    async fn settle(&self, leased: &Message, settlement: Settlement) {
        let outbound = leased.outbound.id;
        let settle = async || match &settlement {
            Settlement::Sent { provider_id } => self.store.settle_sent(leased, provider_id, self.now()).await,
            other => self.store.settle(leased, other.clone(), self.now()).await,
        };
        match retry_unavailable(settle).await {
            Ok(Some(event)) => self.count_outcome(event),
            // A receipt or the end of its session settled it, or another sender has leased it since.
            Ok(None) => {
                tracing::info!(%outbound, "outcome not applied: the message is settled or leased again")
            }
            Err(error) => tracing::error!(%outbound, %error, "outcome not stored"),
        }
    }

    pub(super) fn count_outcome(&self, event: MessageEvent) {
        match event {
            MessageEvent::Failed => {
                self.failures.add(self.now());
                count(Event::TextsFailed);
            }
            MessageEvent::UnknownForGood => count(Event::UnknownForGood),
            _ => {}
        }
    }

    fn log(&self, leased: &Message, attempt: &Attempt) {
        if matches!(attempt, Attempt::Sent(_)) && !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let text = &leased.outbound.text;
        let (outbound, kind, to) = (leased.outbound.id, text.kind.as_str(), text.to.masked());
        let session = text.session.map(|id| id.to_string());
        match attempt {
            Attempt::Sent(_) => tracing::debug!(%outbound, kind, to, session, "sent"),
            Attempt::NotTried => {
                tracing::info!(%outbound, kind, to, session, "message not tried; it waits")
            }
            Attempt::Withdrawn => {
                tracing::info!(%outbound, kind, to, session, "message withdrawn")
            }
            Attempt::TooOld => {
                tracing::error!(%outbound, kind, to, session, "message not sent within 24 hours")
            }
            Attempt::Failed(error @ SendError::NotTaken { cause, .. }) if cause.needs_operator() => {
                let (provider, action) = (self.provider.name(), self.provider.remedy());
                tracing::error!(%outbound, kind, to, session, %error, action, "{provider} does not accept our requests");
            }
            Attempt::Failed(error) => {
                tracing::warn!(%outbound, kind, to, session, %error, "message not sent")
            }
        }
    }
}

/// Retries while the store is unavailable: what has already happened must be stored.
pub(super) async fn retry_unavailable<T, F>(call: impl FnMut() -> F) -> store::Result<T>
where
    F: Future<Output = store::Result<T>>,
{
    retry_unavailable_until(Instant::now() + limits::SETTLE_RETRY, call).await
}

/// Retries while the store is unavailable; starts no attempt after `give_up`.
pub(super) async fn retry_unavailable_until<T, F>(
    give_up: Instant,
    call: impl FnMut() -> F,
) -> store::Result<T>
where
    F: Future<Output = store::Result<T>>,
{
    let pause = ConstantBuilder::default().with_delay(limits::RETRY_PAUSE).without_max_times().with_jitter();
    let may_retry = |error: &StoreError| error.is_retryable() && Instant::now() < give_up;
    call.retry(pause).when(may_retry).await
}

/// The outcome of an attempt (docs/reliability.md#outcomes).
fn settlement(attempt: &Attempt, leased: &Message, now: DateTime<Utc>) -> Option<Settlement> {
    let too_old = now >= leased.outbound.created_at + MAX_AGE;
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
                SendError::NotTaken { .. } => {
                    Settlement::Waiting { due: now + backoff(leased.status.lease), reason }
                }
                SendError::Unknown { .. } => Settlement::Unknown { reason },
            }
        }
    })
}

/// The backoff after the n-th lease: exponential, with a jitter of a quarter.
fn backoff(leases: u32) -> TimeDelta {
    let longest = LONGEST_BACKOFF.as_seconds_f64();
    let doubled = SHORTEST_BACKOFF * 2f64.powi(i32::try_from(leases.saturating_sub(1)).unwrap_or(i32::MAX));
    let seconds = (doubled * rand::random_range(0.75..1.25)).clamp(SHORTEST_BACKOFF, longest);
    TimeDelta::from_std(Duration::from_secs_f64(seconds)).unwrap_or(TimeDelta::MAX)
}

fn count_attempt(attempt: &Attempt) {
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
