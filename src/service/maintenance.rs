//! One round of maintenance: ends what has expired, sends what is due, looks up what is unknown, forgets what is old.
//!
//! Its work is bounded, and two rounds at once are safe: each message is leased to one sender, and one round at a time
//! drains the outbox.

use super::{Result, Service, outbox::Attempt, sessions::on_record};
use crate::{
    domain::MessageId,
    metrics,
    provider::SendError,
    store::{self, EndCause, Leased, readable},
};
use std::{fmt, time::Duration};
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, timeout},
};
use tracing::Instrument;

/// After this time a round begins nothing more (DESIGN.md 3, Times).
pub const ROUND_LIMIT: Duration = Duration::from_secs(45);
/// What of this the look-up gets at least, however much is due.
const FOR_LOOKUP: Duration = Duration::from_secs(15);
/// How long counting how full the store is may take.
const SAMPLE_LIMIT: Duration = Duration::from_secs(3);
/// How much is read from the store at a time, and how often.
const AT_ONCE: u32 = 100;
const PARTS: usize = 50;
/// How many sends of a drain may run side by side.
const SENDS_AT_ONCE: usize = 8;

/// What a round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Sessions that were ended.
    pub expired: usize,
    /// Messages whose sender had died.
    pub reclaimed: usize,
    /// Messages that were sent.
    pub sent: usize,
    /// Messages that were tried and not sent.
    pub not_sent: usize,
    /// Unknown messages that the provider's list shows.
    pub found: usize,
    /// Unknown messages that it does not show: they will be sent.
    pub absent: usize,
    /// Unknown messages that nobody will ever know about.
    pub given_up: usize,
    /// Records that were forgotten.
    pub forgotten: usize,
    /// The provider did not take a message that it may take later: nothing more is tried in this round.
    pub provider_is_shut: bool,
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
    /// Does one round of maintenance.
    ///
    /// # Errors
    /// When the store fails. What was done until then stays done.
    pub async fn maintain(&self) -> Result<Round> {
        let deadline = Instant::now() + ROUND_LIMIT;
        let service = self.clone();
        self.to_the_end(async move {
            let mut round = Round::default();
            service.undo_unwanted().await?;
            service.expire(deadline, &mut round).await?;
            round.reclaimed = service.store.reclaim(AT_ONCE, service.now()).await?;
            service.empty_outbox(deadline, &mut round).await?;
            let before = service.now() - service.options.retention;
            round.forgotten = service.store.forget(before, AT_ONCE * 10).await?;
            if round != Round::default() {
                tracing::info!("maintenance: {round}");
            }
            Ok(round)
        })
        .await
    }

    /// Writes down for the operator how full the store is.
    pub(crate) async fn sample(&self) {
        let gauges = timeout(SAMPLE_LIMIT, self.store.gauges(metrics::COUNTED_UP_TO)).await;
        match gauges {
            Ok(Ok(gauges)) => metrics::sample(&gauges, self.now()),
            Ok(Err(error)) => tracing::warn!(%error, "it could not be counted how full the store is"),
            Err(_) => tracing::warn!("it took too long to count how full the store is"),
        }
    }

    /// Ends expired sessions; their notices are due then.
    async fn expire(&self, deadline: Instant, round: &mut Round) -> Result<()> {
        for _ in 0..PARTS {
            let now = self.now();
            let expired = self.store.expired_sessions(AT_ONCE, now).await?;
            if expired.is_empty() || Instant::now() >= deadline {
                break;
            }
            let before = round.expired;
            for session in expired {
                let notices = on_record(self.options.wording.expired_notices(&session), now);
                let ended = self.store.end_session(session.id, EndCause::Expired, notices, now, None).await;
                round.expired += usize::from(readable(ended)?.flatten().is_some());
            }
            // Those that are left can only be ended by others.
            if round.expired == before {
                break;
            }
        }
        Ok(())
    }

    /// Drains the outbox and looks up what is unknown, unless somebody else does or there is nothing.
    async fn empty_outbox(&self, deadline: Instant, round: &mut Round) -> Result<()> {
        let now = self.now();
        if self.store.due(1, now).await?.is_empty() && self.store.unknown(1, None).await?.is_empty() {
            return Ok(());
        }
        let holder = MessageId::random().to_string();
        if !self.store.begin_drain(&holder, now, self.lease_until(now)).await? {
            return Ok(());
        }
        let mut sends = JoinSet::new();
        let mut done = self.drain(&holder, deadline - FOR_LOOKUP, &mut sends, round).await;
        // Whatever happened, what is on its way is settled first.
        while let Some(send) = sends.join_next().await {
            round.count(Some(send));
        }
        if done.is_ok() {
            done = self.look_up(deadline, round).await;
        }
        self.store.end_drain(&holder).await?;
        done
    }

    /// Sends what is due, oldest first. Stops when the provider takes nothing at the moment: it counts refused
    /// attempts too, and takes insistence for spam (FLOWROUTE.md 1.5).
    async fn drain(
        &self,
        holder: &str,
        deadline: Instant,
        sends: &mut Sends,
        round: &mut Round,
    ) -> Result<()> {
        let mut last = Vec::new();
        for _ in 0..PARTS {
            let due = self.store.due(AT_ONCE, self.now()).await?;
            // None are left, or none of these can be leased by us.
            if due.is_empty() || due == last {
                break;
            }
            last.clone_from(&due);
            for due in due {
                while sends.len() >= SENDS_AT_ONCE {
                    round.count(sends.join_next().await);
                }
                while let Some(done) = sends.try_join_next() {
                    round.count(Some(done));
                }
                if round.provider_is_shut || Instant::now() >= deadline || self.stopping.is_cancelled() {
                    return Ok(());
                }
                let leased = self.pacer.in_turn(due.has_media, |_| self.lease(holder, due.id)).await;
                let Some(leased) = readable(leased)?.flatten() else { continue };
                let service = self.clone();
                let send = async move { service.send_leased(leased, service.deadline()).await };
                sends.spawn(send.in_current_span());
            }
            while let Some(done) = sends.join_next().await {
                round.count(Some(done));
            }
        }
        Ok(())
    }

    /// Leases a message, as the one who drains the outbox.
    async fn lease(&self, holder: &str, message: MessageId) -> store::Result<Option<Leased>> {
        let now = self.now();
        let until = self.lease_until(now);
        if !self.store.begin_drain(holder, now, until).await? {
            return Ok(None);
        }
        self.store.lease(message, now, until).await
    }
}

type Sends = JoinSet<Attempt>;

impl Round {
    /// Counts a send.
    fn count(&mut self, done: Option<std::result::Result<Attempt, JoinError>>) {
        match done {
            Some(Ok(Attempt::Sent(_))) => self.sent += 1,
            Some(Ok(Attempt::Failed(SendError::Refused { .. }) | Attempt::TooOld | Attempt::Withdrawn)) => {
                self.not_sent += 1;
            }
            Some(_) => {
                self.not_sent += 1;
                self.provider_is_shut = true;
            }
            None => {}
        }
    }
}
