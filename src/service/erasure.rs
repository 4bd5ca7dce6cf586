//! The erasure of a person.

use super::{Error, Result, Service};
use crate::{
    domain::{EndCause, Erased, Kind, Message, Number, Outbound, Session},
    store,
};

/// How often the person's sessions are ended: others may open new ones meanwhile.
const ROUNDS: usize = 3;

impl Service {
    /// Erases a person: ends their sessions, of which only the others are told, and removes the number from the store.
    /// Opt-outs stay. Idempotent: a repeated call finishes what an interrupted one has left.
    ///
    /// # Errors
    /// When the store fails or is too slow, or others go on opening sessions for the person. What was erased stays so.
    pub async fn erase(&self, person: Number) -> Result<Erased> {
        let service = self.clone();
        let deadline = self.deadline();
        self.respond(|slot| async move {
            let mut erased = Erased::default();
            for _ in 0..ROUNDS {
                let mut notices = Vec::new();
                let ended = service.end_sessions_of(person, &mut notices).await;
                erased.sessions_ended += notices.len();
                let notices: Vec<Message> = notices.into_iter().flatten().collect();
                let erase = async {
                    ended?;
                    let removed = service.store.erase(person, service.now()).await?;
                    Ok::<_, Error>((removed, service.store.sessions_of(person).await?))
                };
                let (result, _) = tokio::join!(erase, service.dispatch(notices, deadline));
                let (removed, sessions) = result?;
                erased += removed;
                if sessions.is_empty() {
                    slot.publish(erased);
                    let Erased { sessions_ended, sessions, messages, others } = erased;
                    let number = person.masked();
                    tracing::warn!(number, sessions_ended, sessions, messages, others, "person erased");
                    return Ok(erased);
                }
            }
            Err(Error::Contention)
        })
        .await
    }

    /// Ends all sessions of a person. The notices to the others are leased, and added to `notices` for each session.
    async fn end_sessions_of(&self, person: Number, notices: &mut Vec<Vec<Message>>) -> store::Result<()> {
        for session in self.store.sessions_of(person).await? {
            notices.extend(self.end_for_other(&session, person).await?);
        }
        Ok(())
    }

    /// Ends a session, of which only the other participant is told.
    async fn end_for_other(&self, session: &Session, person: Number) -> store::Result<Option<Vec<Message>>> {
        let (now, wording) = (self.now(), &self.options.wording);
        let (cause, mut texts) = match session.is_expired(now) {
            true => (EndCause::Expired, wording.expired_notices(session)),
            false => {
                let end = session.notices(Kind::End, &wording.signed(&wording.session_end));
                (EndCause::Deleted, end.into())
            }
        };
        texts.retain(|text| text.to != person);
        let notices = Outbound::all(texts, now);
        let ended =
            self.store.end_session(session.id, cause, notices, now, Some(self.lease_until(now))).await?;
        if ended.is_some() {
            tracing::info!(session = %session.id, "session ended: a participant is erased");
        }
        Ok(ended)
    }
}
