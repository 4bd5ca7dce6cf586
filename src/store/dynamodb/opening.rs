//! Opens sessions: which TN, and the transaction that takes a place on it.

use super::{
    Dynamo,
    change::Change,
    free_list::{Pick, PoolItem},
    keys::{self, Key, TABLE},
    session_items,
    tn_item::TnItem,
};
use crate::{
    domain::{
        Choice, History, Message, MessageId, NewSession, Number, OnTn, Role, Session, Sharing, Unavailable,
    },
    store::{OpenSession, Result, skip_unreadable},
};
use chrono::{DateTime, Utc};

impl Dynamo {
    /// Makes one attempt to open the session. `None`: what was read had changed.
    pub(super) async fn attempt_to_open(
        &self,
        new: &NewSession,
        lease_until: DateTime<Utc>,
    ) -> Result<Option<OpenSession>> {
        if new.request.is_some()
            && let Some(opened) = self.opened_with_key(new, lease_until).await?
        {
            return Ok(Some(opened));
        }
        let [a, b] = new.participants;
        let keys = [keys::tn(a), keys::tn(b), keys::pool()];
        let (found, of_a, of_b) =
            tokio::try_join!(self.calls.get_all(&keys), self.history(a), self.history(b))?;
        if let Some((role, _)) = [Role::A, Role::B].into_iter().zip(&found).find(|(_, tn)| tn.is_some()) {
            return Ok(Some(OpenSession::ParticipantIsTn(role)));
        }
        let pool = self.pool_item(found[2].as_ref())?;
        let histories = [of_a, of_b];
        let choice = Choice::new(new.participants, &histories, &new.sharing, new.created_at);
        let tn = match new.virtual_tn {
            Some(number) => match self.chosen(number, &choice, &new.sharing).await? {
                Ok(tn) => tn,
                Err(why) => return Ok(Some(OpenSession::Unavailable(why))),
            },
            None => match self.pick(pool, &choice, &new.sharing).await? {
                Pick::Tn(tn) => tn,
                Pick::Changed => return Ok(None),
                // A TN that has become free for the two meanwhile is not overlooked.
                Pick::Nothing if [self.history(a).await?, self.history(b).await?] != histories => {
                    return Ok(None);
                }
                Pick::Nothing => {
                    let opted_out = self.opted_out(&choice, &new.sharing).await?;
                    return Ok(Some(OpenSession::NoFreeTn { opted_out }));
                }
            },
        };
        let stored_on = self.try_open(new, pool, &tn, lease_until).await?;
        Ok(stored_on.map(|tn| {
            let (session, notices) = opened(new, tn, lease_until);
            OpenSession::Opened { session, notices }
        }))
    }

    /// The session of this idempotency key, if it is stored.
    async fn opened_with_key(
        &self,
        new: &NewSession,
        lease_until: DateTime<Utc>,
    ) -> Result<Option<OpenSession>> {
        let Some(item) = self.calls.get(keys::session(new.id)).await? else { return Ok(None) };
        if session_items::is_tombstone(&item) {
            // Of a rollback that was repeated.
            let unused = Change::delete(keys::session(new.id)).when_absent("tn_number");
            let _unless_it_is_opened = self.calls.write(vec![unused]).await?;
            return Ok(None);
        }
        let session = session_items::read(&item)?;
        Ok(Some(if item.get::<Option<String>>("request_hash")? != new.request {
            OpenSession::KeyReused
        } else if item.get::<Vec<MessageId>>("notices")? == new.notice_ids() {
            // By an earlier attempt of this call, whose response was lost.
            let (session, notices) = opened(new, session.tn, lease_until);
            OpenSession::Opened { session, notices }
        } else {
            OpenSession::Repeated(session)
        }))
    }

    /// What decides which TNs will do for this person.
    async fn history(&self, person: Number) -> Result<History> {
        let routes = self.calls.query(&TABLE, keys::person(person)).between("R#", "R#~").items();
        let (routes, opted_out) = tokio::try_join!(routes, self.opted_out_of(person))?;
        let mut history = History { opted_out, on_tns: Vec::new() };
        for item in routes {
            let Some(tn) = keys::tn_of_route(&item.key()?) else { continue };
            let previous = match item.get("previous_end")? {
                Some(end) => Some((end, item.get("previous_partner")?)),
                None => None,
            };
            let is_busy = session_items::has_session(&item);
            history.on_tns.push(OnTn { tn, is_busy, previous });
        }
        Ok(history)
    }

    /// The TN that a session must get, or why it will not do.
    async fn chosen(
        &self,
        number: Number,
        choice: &Choice,
        sharing: &Sharing,
    ) -> Result<std::result::Result<TnItem, Unavailable>> {
        let Some(tn) = self.tn_item(number).await? else { return Ok(Err(Unavailable::NotInPool)) };
        Ok(match tn.obstacle(choice, sharing) {
            Some(why) => Err(why),
            None => Ok(tn),
        })
    }

    /// The participants who have opted out of a TN that would do.
    async fn opted_out(&self, choice: &Choice, sharing: &Sharing) -> Result<Vec<Role>> {
        let mut roles = Vec::new();
        let (tns, of): (Vec<Key>, Vec<Role>) =
            choice.opted_out().map(|(tn, role)| (keys::tn(tn), role)).unzip();
        for (tn, role) in self.calls.get_each(&tns).await?.into_iter().zip(of) {
            let tn = skip_unreadable(tn)?.flatten().map(|tn| TnItem::read(&tn)).transpose()?;
            let obstacle = tn.and_then(|tn| tn.obstacle(choice, sharing));
            if matches!(obstacle, Some(Unavailable::OptedOut(_))) && !roles.contains(&role) {
                roles.push(role);
            }
        }
        Ok(roles)
    }

    /// Opens the session on this TN; returns the TN that it is stored with. `None`: the TN, or a route to it, has changed.
    async fn try_open(
        &self,
        new: &NewSession,
        pool: PoolItem,
        tn: &TnItem,
        lease_until: DateTime<Utc>,
    ) -> Result<Option<Number>> {
        let limit = new.sharing.sessions_per_tn;
        if tn.sessions + 1 >= limit {
            self.note_closing(pool, limit).await?;
        }
        let (session, notices) = opened(new, tn.number, lease_until);
        let ids: Vec<MessageId> = notices.iter().map(|notice| notice.outbound.id).collect();
        let mut changes = session_items::opening(&session, ids, new.request.clone(), tn, limit);
        changes.extend(notices.iter().map(|notice| self.insert(notice)));
        let written = self.calls.write(changes).await;
        if matches!(written, Ok(Ok(()))) {
            return Ok(Some(tn.number));
        }
        if new.request.is_some() {
            // Another caller with the same key may have opened it.
            return written.map(|_| None);
        }
        // If the session is stored, an earlier attempt succeeded, and its response was lost.
        match (self.calls.get(keys::session(new.id)).await?, written) {
            (Some(item), _) => item.get("tn_number").map(Some),
            (None, Ok(_)) => Ok(None),
            (None, Err(error)) => Err(error),
        }
    }
}

/// The session on this TN, with its start notices.
fn opened(new: &NewSession, tn: Number, lease_until: DateTime<Utc>) -> (Session, Vec<Message>) {
    let (session, notices) = new.on(tn);
    (session, notices.map(|notice| Message::new(notice, Some(lease_until))).into())
}
