//! Who a sender is to a TN, and what is decided about their text.

use super::{Blocked, NotAllowed, OptChange, Session, Text, was_set_back};
use chrono::{DateTime, Utc};

/// Who a sender is to a TN at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// The TN is not in the pool.
    NotOurTn,
    /// The sender is a TN of the pool.
    SenderIsTn,
    /// The sender is in no session on this TN.
    Stranger {
        /// Why the sender must not be sent a reply, if so.
        blocked: Option<Blocked>,
    },
    /// The sender is a participant of a live session.
    Live {
        /// The session.
        session: Session,
        /// When the sender's previous session on this TN ended. It is kept as long as the records of messages. Absent if
        /// the clock has been set back since.
        previous_end: Option<DateTime<Utc>>,
    },
    /// The sender is a participant of this session, which has expired and is not ended yet.
    Expired(Session),
}

impl Route {
    /// The route of a participant of this live session, whose previous session on the TN ended then.
    #[must_use]
    pub fn live(session: Session, previous_end: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        Self::Live { session, previous_end: previous_end.filter(|end| !was_set_back(*end, now)) }
    }

    /// The live session that the sender is in.
    #[must_use]
    pub fn live_session(&self) -> Option<&Session> {
        match self {
            Self::Live { session, .. } => Some(session),
            _ => None,
        }
    }
}

/// What is done about a text. It is valid only while its [`Route`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing is stored and nothing is sent.
    Ignore(IgnoreReason),
    /// These texts are sent. Replies to strangers are subject to a quota.
    Send(Vec<Text>),
    /// The expired session of the route is ended, with these notices.
    Expire(Vec<Text>),
    /// The sender opts out of the TN, or in again; nothing is sent, since Flowroute answers such a text itself.
    Opt(OptChange),
}

/// Why nothing is done about a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IgnoreReason {
    /// The number that it was sent to is not in the pool.
    NotOurTn,
    /// Its sender is a TN of the pool: two proxies must never talk to each other.
    SenderIsTn,
    /// Its sender must not be answered.
    Blocked(Blocked),
    /// It is `START`, and its sender has opted out of the TN: Flowroute goes on blocking what is sent there.
    StartAfterOptOut,
    /// It has nothing but a picture that is missing, and the notice of that is switched off.
    OnlyMissingMedia,
    /// Its sender is a stranger whose number may not be texted.
    StrangerNotAllowed(NotAllowed),
    /// It was sent before its sender's previous session on the TN ended, so it was meant for that one.
    PreviousSession,
}
