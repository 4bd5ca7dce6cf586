//! The notice to the sender of a text that is not delivered: when there is one, and for whom.

use super::{
    IgnoreReason, Kind, Message, Number, Outbound, Role, Route, Session, SessionId, State, Text, was_set_back,
};
use chrono::{DateTime, TimeDelta, Utc};

/// A sender is told once in this time, in each session.
const TOLD_ONCE_IN: TimeDelta = TimeDelta::hours(1);

/// A participant's text that has failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undelivered {
    /// The session that its sender is in.
    pub session: SessionId,
    /// Which participant sent it.
    pub sender: Role,
}

impl Message {
    /// The text of this message, if it is a relay that has failed for good, and had not as it was `before`. A new message
    /// was nothing before.
    #[must_use]
    pub fn undelivered(&self, before: Option<&Self>) -> Option<Undelivered> {
        let text = &self.outbound.text;
        let is_news = self.has_failed() && !before.is_some_and(Self::has_failed);
        let (session, recipient) = (text.session?, text.to_role?);
        (text.kind == Kind::Relay && is_news).then_some(Undelivered { session, sender: recipient.other() })
    }

    /// Whether it is never sent, or a receipt says that it was not delivered. An unknown outcome is no failure.
    fn has_failed(&self) -> bool {
        let status = &self.status;
        status.state == State::Failed || status.delivery.as_ref().is_some_and(|receipt| receipt.is_failure())
    }
}

impl Route {
    /// The text of this sender, if it is ignored although its sender is in a session.
    #[must_use]
    pub fn undelivered(&self, reason: IgnoreReason, sender: Number) -> Option<Undelivered> {
        match (self, reason) {
            (Self::Live { session, .. }, IgnoreReason::PreviousSession) => {
                let (own, _) = session.sides(sender)?;
                Some(Undelivered { session: session.id, sender: own.role })
            }
            _ => None,
        }
    }
}

impl Session {
    /// The notice in these words to the participant whose text was not delivered, given the session as it is now and when
    /// the participant was last told. `None`: the session has expired, the participant must not be sent a text or was told
    /// within the last hour, or there are no words.
    #[must_use]
    pub fn not_delivered(
        &self,
        sender: Role,
        words: &str,
        told_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Option<Outbound> {
        let to = *self.participants.iter().find(|participant| participant.role == sender)?;
        let is_told = told_at.is_some_and(|at| at > now - TOLD_ONCE_IN && !was_set_back(at, now));
        let may_tell = !words.is_empty() && to.blocked.is_none() && !self.is_expired(now) && !is_told;
        may_tell.then(|| Outbound::new(Text::in_session(self, Kind::NotDelivered, to, words.into()), now))
    }
}
