//! One round of maintenance: ends expired sessions, sends what is due, reconciles what is unknown, deletes what is past
//! its retention (docs/reliability.md#maintenance).
//!
//! Its work is bounded, and concurrent rounds are safe: each message is leased to one sender, and one round at a time
//! drains the outbox. A part that fails does not stop the others; what is left is for the next round.

use super::{Result, Service, outbox::Attempt};
use crate::{
    domain::{Message, MessageId, Session, SessionId},
    limits,
    provider::SendError,
    store::{self, skip_unreadable},
    telemetry::metrics,
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::{collections::HashSet, fmt};
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, timeout, timeout_at},
};
use tracing::Instrument;

/// The number of records that are read at a time, and how many times in a round.
const BATCH: u32 = 100;
const MAX_BATCHES: usize = 50;
/// The number of sends, or of ends of sessions, that run concurrently.
const CONCURRENCY: usize = 8;
/// After this many consecutive failures the store is pinged.
const FAILURES_BEFORE_PING: usize = 5;

/// What a round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Sessions that were ended.
    pub expired: usize,
    /// Messages whose lease had expired.
    pub reclaimed: usize,
    /// Messages that were sent.
    pub sent: usize,
    /// Messages that were tried and not sent.
    pub not_sent: usize,
    /// Unknown messages that the provider's list has.
    pub found: usize,
    /// Unknown messages that it does not have: they will be sent.
    pub absent: usize,
    /// Unknown messages whose outcome can no longer be known.
    pub given_up: usize,
    /// Records that were deleted.
    pub forgotten: usize,
    /// A send failed in a way that may affect the others (not taken, outcome unknown, not tried): this round sends nothing
    /// more.
    pub stopped_sending: bool,
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expired, reclaimed, sent, not_sent, found, absent, given_up, forgotten, .. } = self;
        write!(
            f,
            "{expired} sessions expired, {sent} texts sent, {not_sent} tried and not sent, {reclaimed} reclaimed, \
             {found} found in the provider's list, {absent} absent from it, {given_up} unknown for good, \
             {forgotten} records forgotten"
        )
    }
}

impl Service {
    /// Runs one round of maintenance.
    ///
    /// # Errors
    /// With the first error of the store; every error is logged, and the other parts run all the same.
    pub async fn maintain(&self) -> Result<Round> {
        let deadline = Instant::now() + limits::MAINTENANCE_ROUND;
        let service = self.clone();
        self.run_detached(async move {
            let mut round = Round::default();
            // One that fails is logged, and stays pending.
            let _ = service.roll_back_pending(BATCH as usize).await;
            let mut parts = Vec::new();
            // If that is not known, the parts find out.
            if service.store.has_work(service.now()).await.unwrap_or(true) {
                parts.push(("expiry", service.expire_sessions(&mut round).await));
                parts.push(("reclaim", service.reclaim(&mut round).await));
                parts.push(("outbox", service.drain_and_reconcile(deadline, &mut round).await));
            }
            parts.push(("retention", service.forget(&mut round).await));
            if round != Round::default() {
                tracing::info!("maintenance: {round}");
            }
            let mut first = Ok(());
            for (part, done) in parts {
                if let Err(error) = &done {
                    tracing::error!(part, %error, "a part of maintenance failed");
                }
                first = first.and(done);
            }
            first.map(|()| round)
        })
        .await
    }

    /// Records the gauges for the operator.
    pub(crate) async fn sample(&self) {
        match timeout(limits::GAUGES, self.store.gauges(metrics::COUNTED_UP_TO)).await {
            Ok(Ok(gauges)) => metrics::sample(&gauges, self.now()),
            Ok(Err(error)) => {
                metrics::withdraw_sample();
                tracing::warn!(%error, "gauges not read");
            }
            Err(_) => {
                metrics::withdraw_sample();
                tracing::warn!("gauges not read: timed out");
            }
        }
    }

    /// Ends expired sessions; their notices are due then.
    async fn expire_sessions(&self, round: &mut Round) -> Result<()> {
        let deadline = Instant::now() + limits::ROUND_EXPIRY;
        // Sessions that could not be ended must not keep the others from being read.
        let mut skipped = HashSet::new();
        for _ in 0..MAX_BATCHES {
            let expired = self.store.expired_sessions(beyond(&skipped), self.now());
            let Ok(expired) = timeout_at(deadline, expired).await else { break };
            let mut expired = expired?;
            expired.retain(|session| !skipped.contains(&session.id));
            if expired.is_empty() {
                break;
            }
            self.expire_batch(expired, deadline, &mut skipped, round).await?;
            if !self.may_begin(deadline) {
                break;
            }
        }
        Ok(())
    }

    /// Ends these sessions concurrently. Stops early only if the store fails.
    async fn expire_batch(
        &self,
        expired: Vec<Session>,
        deadline: Instant,
        skipped: &mut HashSet<SessionId>,
        round: &mut Round,
    ) -> Result<()> {
        let mut expired = expired.into_iter();
        let mut ending = FuturesUnordered::new();
        let (mut failures, mut store) = (0, Ok(()));
        loop {
            while ending.len() < CONCURRENCY && store.is_ok() && self.may_begin(deadline) {
                let Some(session) = expired.next() else { break };
                ending.push(async move { (session.id, self.expire(&session, self.now(), None).await) });
            }
            let Some((session, ended)) = ending.next().await else { return store };
            match skip_unreadable(ended) {
                Ok(Some(Some(_))) => (round.expired, failures) = (round.expired + 1, 0),
                Ok(_) => _ = skipped.insert(session),
                Err(error) => {
                    tracing::error!(%session, %error, "expired session not ended");
                    skipped.insert(session);
                    failures += 1;
                }
            }
            if failures >= FAILURES_BEFORE_PING && store.is_ok() {
                failures = 0;
                store = self.ping().await;
            }
        }
    }

    async fn reclaim(&self, round: &mut Round) -> Result<()> {
        let deadline = Instant::now() + limits::ROUND_RECLAIM;
        while self.may_begin(deadline) {
            let reclaimed = self.store.reclaim(BATCH, self.now()).await?;
            round.reclaimed += reclaimed;
            if reclaimed < BATCH as usize {
                break;
            }
        }
        Ok(())
    }

    async fn forget(&self, round: &mut Round) -> Result<()> {
        let before = self.now() - self.options.retention;
        round.forgotten = self.store.forget(before, BATCH * 10).await?;
        Ok(())
    }

    /// Whether there is time left, and the process is not stopping.
    pub(super) fn may_begin(&self, deadline: Instant) -> bool {
        Instant::now() < deadline && !self.stopping.is_cancelled()
    }

    /// Drains the outbox and reconciles what is unknown, unless another process does or there is nothing.
    async fn drain_and_reconcile(&self, deadline: Instant, round: &mut Round) -> Result<()> {
        let now = self.now();
        if self.store.due(1, now).await?.is_empty() && self.store.unknown(1, None).await?.is_empty() {
            return Ok(());
        }
        let holder = MessageId::random().to_string();
        if !self.store.acquire_drain_lease(&holder, now, self.lease_until(now)).await? {
            return Ok(());
        }
        let mut sends = JoinSet::new();
        let mut done = self.drain(&holder, deadline - limits::ROUND_RECONCILE, &mut sends, round).await;
        // Also after an error, the running sends are settled first.
        while let Some(send) = sends.join_next().await {
            round.count(Some(send));
        }
        if done.is_ok() {
            done = self.reconcile(deadline, round).await;
        }
        self.store.release_drain_lease(&holder).await?;
        done
    }

    /// Sends what is due, oldest first in each batch. Stops when the provider does not take a message: it counts refused
    /// attempts too, and may treat retries as spam (docs/flowroute.md#limits).
    async fn drain(
        &self,
        holder: &str,
        deadline: Instant,
        sends: &mut Sends,
        round: &mut Round,
    ) -> Result<()> {
        // Messages that could not be leased must not keep the others from being read.
        let mut skipped = HashSet::new();
        for _ in 0..MAX_BATCHES {
            let mut due = self.store.due(beyond(&skipped), self.now()).await?;
            due.retain(|due| !skipped.contains(&due.id));
            if due.is_empty() {
                break;
            }
            for due in due {
                while sends.len() >= CONCURRENCY {
                    round.count(sends.join_next().await);
                }
                while let Some(done) = sends.try_join_next() {
                    round.count(Some(done));
                }
                if round.stopped_sending || !self.may_begin(deadline) {
                    return Ok(());
                }
                let turn = self.pacer.in_turn(due.has_media, |_| self.lease(holder, due.id)).await;
                match skip_unreadable(turn)?.unwrap_or(Turn::Skipped) {
                    Turn::Leased(leased) => {
                        let service = self.clone();
                        let send = async move { service.send_leased(*leased, service.deadline()).await };
                        sends.spawn(send.in_current_span());
                    }
                    Turn::Skipped => _ = skipped.insert(due.id),
                    Turn::DrainLeaseLost => return Ok(()),
                }
            }
            while let Some(done) = sends.join_next().await {
                round.count(Some(done));
            }
        }
        Ok(())
    }

    /// Leases a message as the holder of the drain lease.
    async fn lease(&self, holder: &str, message: MessageId) -> store::Result<Turn> {
        let now = self.now();
        let until = self.lease_until(now);
        if !self.store.acquire_drain_lease(holder, now, until).await? {
            return Ok(Turn::DrainLeaseLost);
        }
        let leased = self.store.lease(message, now, until).await?;
        Ok(leased.map_or(Turn::Skipped, |leased| Turn::Leased(Box::new(leased))))
    }
}

/// The result of leasing a message that is due.
enum Turn {
    /// It is leased to this process.
    Leased(Box<Message>),
    /// It is no longer due, or another process has leased it.
    Skipped,
    /// Another process drains the outbox now.
    DrainLeaseLost,
}

/// The number of records to read to get a batch besides those that were skipped.
fn beyond<T>(skipped: &HashSet<T>) -> u32 {
    BATCH.saturating_add(u32::try_from(skipped.len()).unwrap_or(u32::MAX))
}

type Sends = JoinSet<Attempt>;

impl Round {
    fn count(&mut self, done: Option<std::result::Result<Attempt, JoinError>>) {
        match done {
            Some(Ok(Attempt::Sent(_))) => self.sent += 1,
            Some(Ok(Attempt::Failed(SendError::Refused { .. }) | Attempt::TooOld | Attempt::Withdrawn)) => {
                self.not_sent += 1;
            }
            Some(_) => {
                self.not_sent += 1;
                self.stopped_sending = true;
            }
            None => {}
        }
    }
}
