//! Sessions: opening, ending, expiring.

use super::{
    Error, Result, Service,
    answer::Answer,
    outbox::{self, Attempt},
};
use crate::{
    domain::{Kind, NewSession, Number, Outbound, Session, SessionId},
    metrics::{Event, count},
    store::{self, EndCause, Leased, Message, OpenSession, Page, Part, StoreError},
};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::{MutexGuard, PoisonError};
use tokio::time::Instant;

/// How many expired sessions a request ends at a time when it finds no free TN.
const EXPIRED_AT_ONCE: u32 = 4;
/// How often a session is tried to be opened while others take the TNs that become free.
const OPEN_TRIES: usize = 200;

impl Service {
    /// Opens a session for two people on a free TN, and tells both.
    ///
    /// If the provider refuses one of the two start messages, or our credentials, the session is undone. If it
    /// can't be reached, is busy, or its answer is not known, the session stands and the message waits.
    ///
    /// # Errors
    /// When the participants are unfit, no TN is free, or a start message was refused.
    pub async fn open_session(
        &self,
        participants: [Number; 2],
        window: Option<TimeDelta>,
    ) -> Result<Session> {
        if participants[0] == participants[1] {
            return Err(Error::SameParticipant);
        }
        let service = self.clone();
        let deadline = self.deadline();
        let now = self.now();
        let words = self.options.wording.signed(&self.options.wording.session_start);
        let new = NewSession::new(participants, now, window.map(|window| now + window), words);
        self.in_time(|answer| async move { service.open(new, now, deadline, &answer).await }).await
    }

    async fn open(
        &self,
        new: NewSession,
        now: DateTime<Utc>,
        deadline: Instant,
        answer: &Answer<Session>,
    ) -> Result<Session> {
        self.undo_unwanted().await?;
        let mut expired = Vec::new();
        let opened = self.find_place(new, now, deadline, &mut expired).await;
        let (session, notices) =
            opened.map_or_else(|e| (Err(e), Vec::new()), |(s, notices)| (Ok(s), notices));
        let in_time = session.as_ref().map_or(true, |session| answer.prepare(session.clone()));
        if let (Ok(session), false) = (&session, in_time) {
            // Nobody will know of it. Its texts go back first, so that they are cancelled with it.
            self.dispatch_later(notices).await;
            let (undone, _) = tokio::join!(self.undo(session.id), self.dispatch(expired, deadline));
            return undone.and(Err(Error::Late));
        }
        // Those whose session had expired are told at the same time.
        let (attempts, _) = tokio::join!(self.dispatch(notices, deadline), self.dispatch(expired, deadline));
        self.keep_or_undo(session?, &attempts, answer).await
    }

    /// Opens the session, ending expired ones if no TN is free; the notices of those are added to `expired`.
    async fn find_place(
        &self,
        new: NewSession,
        now: DateTime<Utc>,
        deadline: Instant,
        expired: &mut Vec<Leased>,
    ) -> Result<(Session, Vec<Leased>)> {
        let mut found_no_expired = false;
        for _ in 0..OPEN_TRIES {
            if Instant::now() >= deadline {
                break;
            }
            let opened = match self.store.open_session(new.clone(), self.lease_until(now)).await {
                // It may have happened all the same, or happen later.
                Err(error @ StoreError::Unavailable(_)) => {
                    // What fails here is remembered.
                    let _ = self.undo(new.id).await;
                    return Err(error.into());
                }
                opened => opened?,
            };
            match opened {
                OpenSession::Opened { session, notices } => return Ok((session, notices)),
                OpenSession::ParticipantIsTn(role) => return Err(Error::ParticipantIsTn(role)),
                // Asked twice: whoever ended the last expired session may have freed more than it took.
                OpenSession::NoFreeTn if found_no_expired => {
                    count(Event::NoTnAvailable);
                    return Err(Error::NoTnAvailable);
                }
                OpenSession::NoFreeTn => {
                    let over = self.store.expired_sessions(EXPIRED_AT_ONCE, now).await?;
                    found_no_expired = over.is_empty();
                    for session in over {
                        expired.extend(self.end_expired(&session, now).await?);
                    }
                }
            }
        }
        Err(Error::Contention)
    }

    async fn keep_or_undo(
        &self,
        session: Session,
        attempts: &[Attempt],
        answer: &Answer<Session>,
    ) -> Result<Session> {
        // A refusal that comes after the answer changes nothing but the text's record.
        let refusal = attempts.iter().find_map(outbox::refusal).filter(|_| answer.take().is_some());
        let Some(refusal) = refusal else {
            tracing::info!(session = %session.id, tn = session.tn.masked(), "session created");
            count(Event::SessionsOpened);
            return Ok(session);
        };
        self.undo(session.id).await?;
        Err(Error::ProviderRejected(refusal))
    }

    /// Undoes a session that whoever asked for it is told not to have. While the store is not available it is
    /// remembered.
    async fn undo(&self, session: SessionId) -> Result<()> {
        let undone = outbox::insist(|| self.undone(session)).await;
        if let Err(StoreError::Unavailable(_)) = undone {
            self.unwanted().push(session);
        }
        Ok(undone?)
    }

    async fn undone(&self, session: SessionId) -> store::Result<()> {
        let undone = self.store.end_session(session, EndCause::Undone, Vec::new(), self.now(), None).await;
        match &undone {
            Ok(Some(_)) => tracing::warn!(%session, "session undone: whoever asked for it does not have it"),
            Err(error @ StoreError::Unreadable(_)) => {
                let mend = "end it with DELETE /session/{id}, through the release that wrote it";
                tracing::error!(%session, %error, mend, "a session stands that nobody knows of");
            }
            Ok(None) | Err(StoreError::Unavailable(_)) => {}
        }
        undone.map(|_| ())
    }

    /// Undoes the sessions that could not be undone when whoever asked for them was answered. They are known to this
    /// process only; what another process has left behind shows in the list of sessions.
    pub(super) async fn undo_unwanted(&self) -> Result<()> {
        loop {
            let Some(session) = self.unwanted().pop() else { return Ok(()) };
            if let Err(error @ StoreError::Unavailable(_)) = self.undone(session).await {
                self.unwanted().push(session);
                return Err(error.into());
            }
        }
    }

    fn unwanted(&self) -> MutexGuard<'_, Vec<SessionId>> {
        self.unwanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a live session and tells both participants.
    ///
    /// # Errors
    /// When there is no such live session.
    pub async fn end_session(&self, id: SessionId) -> Result<()> {
        let service = self.clone();
        let deadline = self.deadline();
        self.in_time(|answer| async move {
            let now = service.now();
            let session = service.store.session(id, now).await?.ok_or(Error::SessionNotFound)?;
            let wording = &service.options.wording;
            let notices = on_record(session.notices(Kind::End, &wording.signed(&wording.session_end)), now);
            let lease_until = Some(service.lease_until(now));
            // A repetition by the caller would find no session. The rest of the time is for the texts.
            let give_up = Instant::now() + service.options.send_budget.min(service.time_for_work()) / 2;
            let end = || service.store.end_session(id, EndCause::Deleted, notices.clone(), now, lease_until);
            let leased = outbox::insist_until(give_up, end).await?.ok_or(Error::SessionNotFound)?;
            answer.prepare(());
            tracing::info!(session = %id, "session ended");
            service.dispatch(leased, deadline).await;
            Ok(())
        })
        .await
    }

    /// A live session.
    ///
    /// # Errors
    /// When there is no such live session.
    pub async fn session(&self, id: SessionId) -> Result<Session> {
        self.store.session(id, self.now()).await?.ok_or(Error::SessionNotFound)
    }

    /// The live sessions, and how many there are.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sessions(&self, page: Page) -> Result<(Part<Session>, u64)> {
        Ok(self.store.sessions(page, self.now()).await?)
    }

    /// What was sent in a session that is on record, live or ended.
    ///
    /// # Errors
    /// When there is no such session.
    pub async fn messages(&self, id: SessionId, page: Page) -> Result<Part<Message>> {
        self.store.messages(id, page, self.now()).await?.ok_or(Error::SessionNotOnRecord)
    }

    /// Ends a session whose time has run out, unless somebody else has; the notices are leased to the caller.
    pub(super) async fn end_expired(&self, session: &Session, now: DateTime<Utc>) -> Result<Vec<Leased>> {
        let notices = on_record(self.options.wording.expired_notices(session), now);
        let lease_until = Some(self.lease_until(now));
        let ended = self.store.end_session(session.id, EndCause::Expired, notices, now, lease_until).await?;
        if ended.is_some() {
            tracing::info!(session = %session.id, "session expired");
        }
        Ok(ended.unwrap_or_default())
    }
}

/// Gives texts their ids.
pub(super) fn on_record(
    texts: impl IntoIterator<Item = crate::domain::Text>,
    now: DateTime<Utc>,
) -> Vec<Outbound> {
    texts.into_iter().map(|text| Outbound::new(text, now)).collect()
}
