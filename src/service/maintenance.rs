//! One round of maintenance: ends what has expired, sends what is due, looks up what is unknown, forgets what is old.
//!
//! Its work is bounded, and two rounds at once are safe: each message is leased to one sender, and one round at a time
//! drains the outbox. Each part of a round has its turn, whatever became of those before it; what is left over comes in
//! the next round.

use super::{Result, Service, outbox::Attempt, sessions::on_record};
use crate::{
    domain::{MessageId, Session, SessionId},
    metrics,
    provider::SendError,
    store::{self, EndCause, Leased, readable},
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::{collections::HashSet, fmt, time::Duration};
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, timeout, timeout_at},
};
use tracing::Instrument;

/// After this time a round begins nothing more (DESIGN.md 3, Times).
pub const ROUND_LIMIT: Duration = Duration::from_secs(45);
/// How long it ends expired sessions, and how long it reclaims messages, at most.
const FOR_EXPIRY: Duration = Duration::from_secs(10);
const FOR_RECLAIM: Duration = Duration::from_secs(5);
/// How long before the end of a round it sends nothing more: the look-up gets what the sends that are on their way then
/// leave of this.
const FOR_LOOKUP: Duration = Duration::from_secs(15);
/// How long counting how full the store is may take.
const SAMPLE_LIMIT: Duration = Duration::from_secs(3);
/// How much is read from the store at a time, and how often.
const AT_ONCE: u32 = 100;
const PARTS: usize = 50;
/// How many sends of a drain, or ends of sessions, may run side by side.
const SIDE_BY_SIDE: usize = 8;
/// After so many failures in a row it is asked whether the store answers at all.
const FAILURES: usize = 5;

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
    /// When the store fails. What was done all the same stays done.
    pub async fn maintain(&self) -> Result<Round> {
        let deadline = Instant::now() + ROUND_LIMIT;
        let service = self.clone();
        self.to_the_end(async move {
            let mut round = Round::default();
            if let Err(error) = service.undo_unwanted().await {
                tracing::warn!(%error, "a session that nobody was told of could not be undone yet");
            }
            let expired = service.expire(&mut round).await;
            let reclaimed = service.reclaim(&mut round).await;
            let emptied = service.empty_outbox(deadline, &mut round).await;
            let forgotten = service.forget(&mut round).await;
            if round != Round::default() {
                tracing::info!("maintenance: {round}");
            }
            expired.and(reclaimed).and(emptied).and(forgotten).map(|()| round)
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
    async fn expire(&self, round: &mut Round) -> Result<()> {
        let deadline = Instant::now() + FOR_EXPIRY;
        // What could not be ended must not hide the others.
        let mut in_vain = HashSet::new();
        for _ in 0..PARTS {
            let expired = self.store.expired_sessions(up_to(AT_ONCE, &in_vain), self.now());
            let Ok(expired) = timeout_at(deadline, expired).await else { break };
            let mut expired = expired?;
            expired.retain(|session| !in_vain.contains(&session.id));
            if expired.is_empty() {
                break;
            }
            self.expire_these(expired, deadline, &mut in_vain, round).await?;
            if !self.may_begin(deadline) {
                break;
            }
        }
        Ok(())
    }

    /// Ends these sessions, several side by side. One that can't be ended keeps no other from it, unless it is the store
    /// that fails.
    async fn expire_these(
        &self,
        expired: Vec<Session>,
        deadline: Instant,
        in_vain: &mut HashSet<SessionId>,
        round: &mut Round,
    ) -> Result<()> {
        let mut expired = expired.into_iter();
        let mut ending = FuturesUnordered::new();
        let (mut in_a_row, mut failed) = (0, Ok(()));
        loop {
            while ending.len() < SIDE_BY_SIDE && failed.is_ok() && self.may_begin(deadline) {
                let Some(session) = expired.next() else { break };
                ending.push(async move { (session.id, self.expire_one(&session).await) });
            }
            let Some((session, ended)) = ending.next().await else { return failed };
            match readable(ended) {
                Ok(Some(true)) => (round.expired, in_a_row) = (round.expired + 1, 0),
                Ok(_) => _ = in_vain.insert(session),
                Err(error) => {
                    tracing::error!(%session, %error, "an expired session could not be ended");
                    in_vain.insert(session);
                    in_a_row += 1;
                }
            }
            if in_a_row >= FAILURES && failed.is_ok() {
                in_a_row = 0;
                failed = self.ping().await;
            }
        }
    }

    /// Ends a session that has expired. `false`: somebody else has.
    async fn expire_one(&self, session: &Session) -> store::Result<bool> {
        let now = self.now();
        let notices = on_record(self.options.wording.expired_notices(session), now);
        let ended = self.store.end_session(session.id, EndCause::Expired, notices, now, None).await?;
        Ok(ended.is_some())
    }

    /// Makes messages `unknown` whose sender has died.
    async fn reclaim(&self, round: &mut Round) -> Result<()> {
        let deadline = Instant::now() + FOR_RECLAIM;
        while self.may_begin(deadline) {
            let reclaimed = self.store.reclaim(AT_ONCE, self.now()).await?;
            round.reclaimed += reclaimed;
            if reclaimed < AT_ONCE as usize {
                break;
            }
        }
        Ok(())
    }

    async fn forget(&self, round: &mut Round) -> Result<()> {
        let before = self.now() - self.options.retention;
        round.forgotten = self.store.forget(before, AT_ONCE * 10).await?;
        Ok(())
    }

    /// Whether there is time for more, and the process goes on.
    pub(super) fn may_begin(&self, deadline: Instant) -> bool {
        Instant::now() < deadline && !self.stopping.is_cancelled()
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

    /// Sends what is due, oldest first among what is read at a time. Stops when the provider takes nothing at the
    /// moment: it counts refused attempts too, and takes insistence for spam (FLOWROUTE.md 1.5).
    async fn drain(
        &self,
        holder: &str,
        deadline: Instant,
        sends: &mut Sends,
        round: &mut Round,
    ) -> Result<()> {
        // What could not be leased must not hide the others.
        let mut in_vain = HashSet::new();
        for _ in 0..PARTS {
            let mut due = self.store.due(up_to(AT_ONCE, &in_vain), self.now()).await?;
            due.retain(|due| !in_vain.contains(&due.id));
            if due.is_empty() {
                break;
            }
            for due in due {
                while sends.len() >= SIDE_BY_SIDE {
                    round.count(sends.join_next().await);
                }
                while let Some(done) = sends.try_join_next() {
                    round.count(Some(done));
                }
                if round.provider_is_shut || !self.may_begin(deadline) {
                    return Ok(());
                }
                let leased = self.pacer.in_turn(due.has_media, |_| self.lease(holder, due.id)).await;
                let leased = match readable(leased)?.unwrap_or(Turn::Passed) {
                    Turn::Leased(leased) => leased,
                    Turn::Passed => {
                        in_vain.insert(due.id);
                        continue;
                    }
                    Turn::Over => return Ok(()),
                };
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
    async fn lease(&self, holder: &str, message: MessageId) -> store::Result<Turn> {
        let now = self.now();
        let until = self.lease_until(now);
        if !self.store.begin_drain(holder, now, until).await? {
            return Ok(Turn::Over);
        }
        Ok(self.store.lease(message, now, until).await?.map_or(Turn::Passed, Turn::Leased))
    }
}

/// What the drain may do about a message.
enum Turn {
    /// Send it.
    Leased(Leased),
    /// Nothing: it is not to be had.
    Passed,
    /// Nothing, about any message: somebody else drains the outbox by now.
    Over,
}

/// How much to read so that there is something new beyond what was tried in vain.
fn up_to<T>(at_once: u32, in_vain: &HashSet<T>) -> u32 {
    at_once.saturating_add(u32::try_from(in_vain.len()).unwrap_or(u32::MAX))
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
