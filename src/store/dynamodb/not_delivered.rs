//! Tells the sender of a text that is not delivered.

use super::{
    Dynamo,
    change::Change,
    keys,
    session_items::{self, is_ended, while_not_ended},
};
use crate::{
    domain::{IgnoreReason, Kind, Message, Outbound, Role, Route, Session, Undelivered},
    store::{Arrival, Received, Result, skip_unreadable},
};
use chrono::{DateTime, Utc};

/// The attribute of a session that says when this participant was last told.
fn told_at(role: Role) -> &'static str {
    match role {
        Role::A => "a_told_at",
        Role::B => "b_told_at",
    }
}

impl Dynamo {
    /// The changes that tell the sender of this text, if the text is undelivered and the sender is to be told. The first
    /// requires that the session has not ended, and that the sender was not told meanwhile.
    pub(super) async fn telling(
        &self,
        undelivered: Option<Undelivered>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Change>> {
        let undelivered = undelivered.filter(|_| !self.not_delivered_notice.is_empty());
        let Some(undelivered) = undelivered else { return Ok(Vec::new()) };
        // A session of a newer release must not keep the outcome from being stored.
        let notice = skip_unreadable(self.notice(undelivered, now).await)?.flatten();
        Ok(notice
            .map_or_else(Vec::new, |(told, notice)| vec![told, self.insert(&Message::new(notice, None))]))
    }

    /// The notice to the sender of this text, and the change that keeps others from telling the same.
    async fn notice(
        &self,
        Undelivered { session: id, sender }: Undelivered,
        now: DateTime<Utc>,
    ) -> Result<Option<(Change, Outbound)>> {
        let item = self.calls.get(keys::session(id)).await?;
        let Some(item) = item.filter(|item| !is_ended(item)) else { return Ok(None) };
        let was_told = item.get(told_at(sender))?;
        let notice =
            |session: &Session| session.not_delivered(sender, &self.not_delivered_notice, was_told, now);
        if notice(&session_items::read(&item)?).is_none() {
            // Whoever is blocked: that need not be read.
            return Ok(None);
        }
        let notice = notice(&self.with_blocked(&item).await?);
        let told = while_not_ended(Change::update(keys::session(id)))
            .when_equal(told_at(sender), was_told)
            .set(told_at(sender), now);
        Ok(notice.map(|notice| (told, notice)))
    }

    /// Ignores a text. Its sender is told if it should have been delivered. `None`: what was read had changed.
    pub(super) async fn ignore(
        &self,
        arrival: &Arrival,
        route: &Route,
        reason: IgnoreReason,
    ) -> Result<Option<Received>> {
        let changes = self.telling(route.undelivered(reason, arrival.inbound.from), arrival.now).await?;
        Ok(self.calls.write(changes).await?.is_ok().then_some(Received::Ignored(reason)))
    }

    /// Keeps when the recipient of this message was told, if it is such a notice, unless a later one is kept.
    pub(super) async fn keep_told(&self, message: &Message) -> Result<()> {
        let Outbound { created_at, text, .. } = &message.outbound;
        let (Kind::NotDelivered, Some(session), Some(role)) = (text.kind, text.session, text.to_role) else {
            return Ok(());
        };
        let name = told_at(role);
        let told = Change::update(keys::session(session))
            .when("attribute_exists(pk)")
            .when(format!("attribute_not_exists({name}) OR {name} < :{name}"))
            .set(name, *created_at);
        let _has_a_later_one_or_no_session = self.calls.write(vec![told]).await?;
        Ok(())
    }
}
