//! Sessions: opening, ending, expiring.

use super::{
    Error, Result, Service,
    outbox::{self, Attempt},
    response::ResponseSlot,
};
use crate::{
    domain::{
        EndCause, Kind, Message, NewSession, Number, Outbound, Page, Part, Session, SessionFilter, SessionId,
        Unavailable,
    },
    store::{self, OpenSession, StoreError},
    telemetry::metrics::{Event, count},
};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::{MutexGuard, PoisonError};
use tokio::time::Instant;

/// The number of expired sessions that a request ends at a time when it finds no free TN.
const EXPIRED_AT_A_TIME: u32 = 4;
/// How many pending rollbacks a request retries.
const ROLLBACKS_PER_REQUEST: usize = 4;
/// How often a request tries to open a session while others take the TNs that become free.
const OPEN_ATTEMPTS: usize = 200;

impl Service {
    /// Opens a session for two people on a free TN, and sends both a notice.
    ///
    /// If the provider refuses one of the two start messages, or our credentials, the session is rolled back. If the
    /// provider can't be reached, is busy, or the outcome is unknown, the session stays open and the message is retried.
    ///
    /// # Errors
    /// When a participant is not allowed, no TN is free, or a start message was refused.
    pub async fn open_session(
        &self,
        participants: [Number; 2],
        window: Option<TimeDelta>,
        virtual_tn: Option<Number>,
        idempotency_key: Option<&str>,
    ) -> Result<Session> {
        if participants[0] == participants[1] {
            return Err(Error::SameParticipant);
        }
        self.check_allowed("participant_a", participants[0])?;
        self.check_allowed("participant_b", participants[1])?;
        let service = self.clone();
        let deadline = self.deadline();
        let now = self.now();
        let words = self.options.wording.signed(&self.options.wording.session_start);
        let expires_at = window.map(|window| now + window);
        let mut new = NewSession::new(participants, now, expires_at, words);
        (new.virtual_tn, new.sharing) = (virtual_tn, self.options.sharing);
        if let Some(key) = idempotency_key {
            new = new.with_key(key);
        }
        self.respond(|slot| async move { service.open(new, now, deadline, &slot).await }).await
    }

    async fn open(
        &self,
        new: NewSession,
        now: DateTime<Utc>,
        deadline: Instant,
        slot: &ResponseSlot<Session>,
    ) -> Result<Session> {
        // They hold TNs. One that fails is no reason to refuse this session, unless the store is down.
        if self.roll_back_pending(ROLLBACKS_PER_REQUEST).await.is_err() {
            self.ping().await?;
        }
        let mut expired = Vec::new();
        let (has_key, window) = (new.request.is_some(), new.window());
        let opened = self.open_on_tn(new, now, deadline, &mut expired).await;
        let (session, notices) = match opened {
            Ok(Opened::New(session, notices)) => (session, notices),
            Ok(Opened::Repeated(session)) => {
                // The first answer again, although the expiry may have been changed since.
                let expires_at = window.map(|window| session.created_at + window);
                let session = Session { expires_at, ..session };
                slot.publish(session.clone());
                self.dispatch(expired, deadline).await;
                tracing::info!(session = %session.id, "request repeated: its session was opened before");
                return Ok(session);
            }
            Err(error) => {
                self.dispatch(expired, deadline).await;
                return Err(error);
            }
        };
        // With a key, the request is repeated, and finds the session.
        if !slot.publish(session.clone()) && !has_key {
            // The request timed out. Its messages return to the outbox first, so that the rollback withdraws them.
            self.defer(notices).await;
            let (rolled_back, _) = tokio::join!(self.roll_back(session.id), self.dispatch(expired, deadline));
            return rolled_back.and(Err(Error::TimedOut));
        }
        let (attempts, _) = tokio::join!(self.dispatch(notices, deadline), self.dispatch(expired, deadline));
        self.keep_or_roll_back(session, &attempts, slot).await
    }

    /// Opens the session, ending expired ones if no TN is free; the notices of those are added to `expired`.
    async fn open_on_tn(
        &self,
        new: NewSession,
        now: DateTime<Utc>,
        deadline: Instant,
        expired: &mut Vec<Message>,
    ) -> Result<Opened> {
        let mut found_no_expired = false;
        for _ in 0..OPEN_ATTEMPTS {
            if Instant::now() >= deadline {
                break;
            }
            let opened = match self.store.open_session(new.clone(), self.lease_until(now)).await {
                // The session may have been opened, or may still be. A rollback that fails is retried later. With a key, the
                // request is repeated, and finds the session.
                Err(error @ StoreError::Unavailable(_)) if new.request.is_none() => {
                    let _ = self.roll_back(new.id).await;
                    return Err(error.into());
                }
                opened => opened?,
            };
            match opened {
                OpenSession::Opened { session, notices } => return Ok(Opened::New(session, notices)),
                OpenSession::Repeated(session) => return Ok(Opened::Repeated(session)),
                OpenSession::KeyReused => return Err(Error::KeyReused),
                OpenSession::ParticipantIsTn(role) => return Err(Error::ParticipantIsTn(role)),
                // After one more attempt: a caller that ended the last expired session may have freed more TNs than it took.
                OpenSession::NoFreeTn { opted_out } if found_no_expired && opted_out.is_empty() => {
                    count(Event::NoTnAvailable);
                    return Err(Error::NoTnAvailable);
                }
                OpenSession::NoFreeTn { opted_out } if found_no_expired => {
                    return Err(Error::ParticipantOptedOut(opted_out));
                }
                OpenSession::Unavailable(why) if found_no_expired || !may_be_expired(why) => {
                    return Err(Error::TnUnavailable(why));
                }
                OpenSession::NoFreeTn { .. } | OpenSession::Unavailable(_) => {
                    let expired_sessions = self.store.expired_sessions(EXPIRED_AT_A_TIME, now).await?;
                    found_no_expired = expired_sessions.is_empty();
                    for session in expired_sessions {
                        expired.extend(self.expire_for_request(&session, now).await?);
                    }
                }
            }
        }
        Err(Error::Contention)
    }

    async fn keep_or_roll_back(
        &self,
        session: Session,
        attempts: &[Attempt],
        slot: &ResponseSlot<Session>,
    ) -> Result<Session> {
        // A refusal after the response changes only the message.
        let refusal =
            attempts.iter().find_map(|attempt| self.refusal(attempt)).filter(|_| slot.take().is_some());
        let Some(refusal) = refusal else {
            tracing::info!(session = %session.id, tn = session.tn.masked(), "session created");
            count(Event::SessionsOpened);
            return Ok(session);
        };
        self.roll_back(session.id).await?;
        Err(Error::ProviderRejected { provider: self.provider.name(), detail: refusal })
    }

    /// Rolls back a session whose creation is reported as failed. If the store is unavailable, the rollback stays
    /// pending.
    async fn roll_back(&self, session: SessionId) -> Result<()> {
        let rolled_back = outbox::retry_unavailable(|| self.try_roll_back(session)).await;
        if let Err(StoreError::Unavailable(_)) = rolled_back {
            self.pending_rollbacks().push(session);
        }
        Ok(rolled_back?)
    }

    async fn try_roll_back(&self, session: SessionId) -> store::Result<()> {
        let ended = self.store.end_session(session, EndCause::RolledBack, Vec::new(), self.now(), None).await;
        match &ended {
            Ok(Some(_)) => {
                tracing::warn!(%session, "session rolled back: its creation was reported as failed")
            }
            Err(error @ StoreError::Unreadable(_)) => {
                let action = "end it with DELETE /session/{id}, through the release that wrote it";
                tracing::error!(%session, %error, action, "session not rolled back: its creation was reported as failed, and it is still open");
            }
            Ok(None) | Err(StoreError::Unavailable(_)) => {}
        }
        ended.map(drop)
    }

    /// Retries pending rollbacks of this process, `limit` at most. Those that a dead process has left show in the list of
    /// sessions.
    ///
    /// # Errors
    /// With the first failure; that rollback stays pending.
    pub(super) async fn roll_back_pending(&self, limit: usize) -> store::Result<()> {
        for _ in 0..limit {
            let Some(session) = self.pending_rollbacks().pop() else { break };
            if let Err(error @ StoreError::Unavailable(_)) = self.try_roll_back(session).await {
                tracing::warn!(%session, %error, "rollback still pending");
                self.pending_rollbacks().push(session);
                return Err(error);
            }
        }
        Ok(())
    }

    fn pending_rollbacks(&self) -> MutexGuard<'_, Vec<SessionId>> {
        self.pending_rollbacks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a live session, and sends both participants a notice.
    ///
    /// # Errors
    /// When there is no such live session.
    pub async fn end_session(&self, id: SessionId) -> Result<()> {
        let service = self.clone();
        let deadline = self.deadline();
        self.respond(|slot| async move {
            let now = service.now();
            let session = service.store.session(id, now).await?.ok_or(Error::SessionNotFound)?;
            let wording = &service.options.wording;
            let notices =
                Outbound::all(session.notices(Kind::End, &wording.signed(&wording.session_end)), now);
            let lease_until = Some(service.lease_until(now));
            // Retried here, because a caller that retries would find no session. Half of the time is left for the sends.
            let give_up = Instant::now() + service.options.send_budget.min(service.time_for_work()) / 2;
            let end = || service.store.end_session(id, EndCause::Deleted, notices.clone(), now, lease_until);
            let leased =
                outbox::retry_unavailable_until(give_up, end).await?.ok_or(Error::SessionNotFound)?;
            slot.publish(());
            tracing::info!(session = %id, "session ended");
            service.dispatch(leased, deadline).await;
            Ok(())
        })
        .await
    }

    /// Lets a live session expire after this time from now, or never.
    ///
    /// # Errors
    /// When there is no such live session.
    pub async fn set_expiry(&self, id: SessionId, window: Option<TimeDelta>) -> Result<Session> {
        let now = self.now();
        let expires_at = window.map(|window| now + window);
        let changed = self.store.set_expiry(id, expires_at, now).await?.ok_or(Error::SessionNotFound)?;
        tracing::info!(session = %id, "expiry changed");
        Ok(changed)
    }

    /// A live session.
    ///
    /// # Errors
    /// When there is no such live session.
    pub async fn session(&self, id: SessionId) -> Result<Session> {
        self.store.session(id, self.now()).await?.ok_or(Error::SessionNotFound)
    }

    /// The live sessions that pass the filter, and how many there are.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sessions(&self, filter: SessionFilter, page: Page) -> Result<(Part<Session>, u64)> {
        Ok(self.store.sessions(filter, page, self.now()).await?)
    }

    /// The messages of a stored session, live or ended.
    ///
    /// # Errors
    /// When there is no such session.
    pub async fn messages(&self, id: SessionId, page: Page) -> Result<Part<Message>> {
        self.store.messages(id, page, self.now()).await?.ok_or(Error::SessionNotStored)
    }

    /// Ends an expired session within a request, which sends the notices.
    pub(super) async fn expire_for_request(
        &self,
        session: &Session,
        now: DateTime<Utc>,
    ) -> Result<Vec<Message>> {
        let ended = self.expire(session, now, Some(self.lease_until(now))).await?;
        if ended.is_some() {
            tracing::info!(session = %session.id, "session expired");
        }
        Ok(ended.unwrap_or_default())
    }

    /// Ends an expired session, unless another caller has; its notices are leased, or due immediately.
    pub(super) async fn expire(
        &self,
        session: &Session,
        now: DateTime<Utc>,
        lease_until: Option<DateTime<Utc>>,
    ) -> store::Result<Option<Vec<Message>>> {
        let notices = Outbound::all(self.options.wording.expired_notices(session), now);
        self.store.end_session(session.id, EndCause::Expired, notices, now, lease_until).await
    }
}

/// A session that is open, or was.
enum Opened {
    /// It is new, and these are its start notices.
    New(Session, Vec<Message>),
    /// A request with the same idempotency key opened it before.
    Repeated(Session),
}

/// Whether sessions that have expired and are not ended yet may be the reason.
fn may_be_expired(why: Unavailable) -> bool {
    matches!(why, Unavailable::Full | Unavailable::Busy(_))
}
