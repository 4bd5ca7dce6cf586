//! One round of maintenance: ends what has expired, sends what is due, looks up what is unknown, forgets what is old.
//!
//! Its work is bounded, and two rounds at once are safe: each message is leased to one sender, and one round at a time
//! drains the outbox.

use super::{Result, Service, outbox::Attempt, sessions::on_record};
use crate::{domain::MessageId, provider::SendError, store::EndCause};
use std::{fmt, time::Duration};
use tokio::{task::JoinSet, time::Instant};
use tracing::Instrument;

/// After this time a round begins nothing more (DESIGN.md 3, Times).
const ROUND_LIMIT: Duration = Duration::from_secs(45);
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
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expired, reclaimed, sent, not_sent, found, absent, given_up, forgotten } = self;
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

    /// Ends expired sessions; their notices are due then.
    async fn expire(&self, deadline: Instant, round: &mut Round) -> Result<()> {
        for _ in 0..PARTS {
            let now = self.now();
            let expired = self.store.expired_sessions(AT_ONCE, now).await?;
            if expired.is_empty() || Instant::now() >= deadline {
                break;
            }
            for session in expired {
                let notices = on_record(self.options.wording.expired_notices(&session), now);
                let ended = self.store.end_session(session.id, EndCause::Expired, notices, now, None).await?;
                round.expired += usize::from(ended.is_some());
            }
        }
        Ok(())
    }

    /// Drains the outbox and looks up what is unknown, unless somebody else does.
    async fn empty_outbox(&self, deadline: Instant, round: &mut Round) -> Result<()> {
        let holder = MessageId::random().to_string();
        let now = self.now();
        if !self.store.begin_drain(&holder, now, self.lease_until(now)).await? {
            return Ok(());
        }
        let drained = self.drain(&holder, deadline, round).await;
        let looked_up = match drained {
            Ok(()) => self.look_up(deadline, round).await,
            Err(error) => Err(error),
        };
        self.store.end_drain(&holder).await?;
        looked_up
    }

    /// Sends what is due, oldest first. Stops when the provider takes nothing at the moment: it counts refused
    /// attempts too, and takes insistence for spam (FLOWROUTE.md 1.5).
    async fn drain(&self, holder: &str, deadline: Instant, round: &mut Round) -> Result<()> {
        let mut sends = JoinSet::new();
        let mut goes_on = true;
        for _ in 0..PARTS {
            let due = self.store.due(AT_ONCE, self.now()).await?;
            if due.is_empty() || !goes_on {
                break;
            }
            for due in due {
                while sends.len() >= SENDS_AT_ONCE {
                    goes_on &= round.count(sends.join_next().await);
                }
                while let Some(done) = sends.try_join_next() {
                    goes_on &= round.count(Some(done));
                }
                if !goes_on || Instant::now() >= deadline || self.tasks.is_closed() {
                    goes_on = false;
                    break;
                }
                self.pacer.place(due.has_media).await;
                let now = self.now();
                let until = self.lease_until(now);
                if !self.store.begin_drain(holder, now, until).await? {
                    goes_on = false;
                    break;
                }
                if let Some(leased) = self.store.lease(due.id, now, until).await? {
                    let service = self.clone();
                    sends.spawn(
                        async move { service.send_leased(leased, service.deadline()).await }
                            .in_current_span(),
                    );
                }
            }
            while let Some(done) = sends.join_next().await {
                goes_on &= round.count(Some(done));
            }
        }
        Ok(())
    }
}

impl Round {
    /// Counts a send; whether the provider seems to take more.
    fn count(&mut self, done: Option<std::result::Result<Attempt, tokio::task::JoinError>>) -> bool {
        match done {
            None => true,
            Some(Ok(Attempt::Sent(_))) => {
                self.sent += 1;
                true
            }
            Some(Ok(Attempt::Failed(SendError::Refused { .. }))) => {
                self.not_sent += 1;
                true
            }
            Some(_) => {
                self.not_sent += 1;
                false
            }
        }
    }
}
