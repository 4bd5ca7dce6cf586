//! The lifecycle of an outbound message as pure rules: which transitions are allowed, and the state afterwards.
//!
//! A store loads a message, asks one of these rules, and writes the result back under the condition that the message
//! is still the one that the rule was asked about. Only these rules change a message's status;
//! [`Message::in_turn`] sets that of a new relay.

use super::{
    Blocked, Content, EndCause, LONGEST_TURN, Message, OPTED_OUT_CODE, OptChange, Outbound, Receipt, State,
    Status, was_set_back,
};
use chrono::{DateTime, TimeDelta, Utc};

/// The longest time for which a message that was not taken waits.
pub const LONGEST_BACKOFF: TimeDelta = TimeDelta::minutes(15);

const SESSION_ENDED: &str = "the session has ended";
const SENDER_DIED: &str = "the sender did not report back";

/// What a sender or the reconciliation reports about a message; not every variant is final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The provider took it, under this id.
    Sent {
        /// The provider's id of it.
        provider_id: String,
    },
    /// It is never sent.
    Failed {
        /// Why, in words that are safe to show.
        reason: String,
        /// The recipient has opted out of the TN, which is stored too.
        opted_out: bool,
    },
    /// The provider did not take it; it is sent again from `due` on.
    Waiting {
        /// Not before.
        due: DateTime<Utc>,
        /// Why it was not taken.
        reason: String,
    },
    /// It was not tried after all, and is due immediately. Idempotent: the attempt is refunded once.
    Deferred,
    /// It is not known whether the provider took it.
    Unknown {
        /// What went wrong.
        reason: String,
    },
    /// The provider's list has it under this id. An id is credited to one message only.
    Found {
        /// The provider's id of it.
        provider_id: String,
    },
    /// The provider's list does not have it; the time of the first such reading is kept.
    SeenAbsent,
    /// The outcome can no longer be known. The message stays `unknown`, and is settled.
    UnknownForGood,
}

/// What happened to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageEvent {
    /// It was leased, or its lease was renewed.
    Leased,
    /// The provider took it.
    Sent,
    /// It failed for good.
    Failed,
    /// It was cancelled, since its session has ended.
    Cancelled,
    /// It is cancelled unless it turns out to have been sent.
    Revoked,
    /// It waits in the outbox.
    Waiting,
    /// Its outcome is unknown.
    Unknown,
    /// The provider's list does not have it.
    SeenAbsent,
    /// Its outcome stays unknown for good.
    UnknownForGood,
    /// A delivery receipt was stored.
    Receipt,
}

/// An allowed change of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The message afterwards.
    pub to: Message,
    /// What happened.
    pub event: MessageEvent,
}

/// The facts besides the message itself that decide whether it may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surroundings {
    /// Whether the session that [`Message::needs_live`] names is live.
    pub session_is_live: bool,
    /// Why no text from its TN may go to its recipient, if so.
    pub blocked: Option<Blocked>,
}

/// Whether a waiting message is due. It is also due if its times are further ahead than they can be: the clock has been
/// set back since.
#[must_use]
pub fn is_due(due_at: DateTime<Utc>, created_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    let is_in_turn = due_at <= created_at + LONGEST_TURN;
    let is_too_far = !is_in_turn && was_set_back(due_at - LONGEST_BACKOFF, now);
    due_at <= now || was_set_back(created_at, now) || is_too_far
}

impl Message {
    /// A new message: leased through `lease_until`, or due immediately without it; failed if its recipient is blocked.
    #[must_use]
    pub fn new(outbound: Outbound, lease_until: Option<DateTime<Utc>>) -> Self {
        let (created_at, blocked) = (outbound.created_at, outbound.text.blocked);
        let status = Status {
            state: State::Waiting,
            lease: 0,
            lease_until: None,
            due_at: Some(created_at),
            attempts: 0,
            attempted_at: None,
            absent_at: None,
            revoked: false,
            provider_id: None,
            reason: None,
            delivery: None,
            settled_at: None,
        };
        let message = Self { outbound, status };
        match (blocked, lease_until) {
            (Some(blocked), _) => message.close(State::Failed, Some(blocked.as_str()), created_at).to,
            (None, Some(until)) => message.leased(created_at, until).to,
            (None, None) => message,
        }
    }

    /// Leases a message that is waiting and due. If it must not be sent, it is settled instead.
    #[must_use]
    pub fn lease(
        &self,
        around: Surroundings,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Option<Transition> {
        let is_due = self.status.due_at.is_some_and(|due| is_due(due, self.outbound.created_at, now));
        let waits = self.status.state == State::Waiting && !self.is_settled();
        (waits && is_due).then(|| self.obstacle(around, now).unwrap_or_else(|| self.leased(now, until)))
    }

    /// Extends this lease, immediately before a send that had to wait. If the message must not be sent, it is settled
    /// instead.
    #[must_use]
    pub fn renew(
        &self,
        lease: u32,
        around: Surroundings,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Option<Transition> {
        (self.is_held_by(lease) && self.status.state == State::Sending).then(|| {
            self.obstacle(around, now).unwrap_or_else(|| {
                self.become_with(MessageEvent::Leased, |status| {
                    status.lease_until = Some(until);
                    status.attempted_at = Some(now);
                })
            })
        })
    }

    /// Applies the outcome that the holder of this lease reports. `None`: the lease is not the newest, or the message is
    /// settled.
    #[must_use]
    pub fn settle(&self, lease: u32, settlement: &Settlement, now: DateTime<Utc>) -> Option<Transition> {
        self.is_held_by(lease).then(|| match settlement {
            Settlement::Sent { provider_id } | Settlement::Found { provider_id } => {
                self.sent(Some(provider_id), now)
            }
            Settlement::Failed { reason, .. } => self.close(State::Failed, Some(reason), now),
            Settlement::Waiting { .. } | Settlement::Deferred if self.status.revoked => {
                self.close(State::Cancelled, Some(SESSION_ENDED), now)
            }
            Settlement::Waiting { due, reason } => self.become_with(MessageEvent::Waiting, |status| {
                status.wait_until(*due);
                status.reason = Some(reason.clone());
                status.absent_at = None;
            }),
            Settlement::Deferred => self.become_with(MessageEvent::Waiting, |status| {
                if status.state != State::Waiting {
                    status.attempts = status.attempts.saturating_sub(1);
                }
                status.wait_until(now);
            }),
            Settlement::Unknown { reason } => self.unknown(reason),
            Settlement::SeenAbsent => self.become_with(MessageEvent::SeenAbsent, |status| {
                status.absent_at = status.absent_at.or(Some(now));
            }),
            Settlement::UnknownForGood => self.close(State::Unknown, None, now),
        })
    }

    /// Reclaims the message from a sender whose lease has expired, or began by a clock that has been set back since: the
    /// outcome is unknown.
    #[must_use]
    pub fn reclaim(&self, now: DateTime<Utc>) -> Option<Transition> {
        let has_expired = self.status.lease_until.is_some_and(|until| until < now)
            || was_set_back(self.attempted_at(), now);
        (self.status.state == State::Sending && has_expired).then(|| self.unknown(SENDER_DIED))
    }

    /// Withdraws the message when its session ends for this cause: cancels it if it is waiting, revokes it if it may have
    /// been sent.
    #[must_use]
    pub fn withdraw(&self, cause: EndCause, now: DateTime<Utc>) -> Option<Transition> {
        let affected = cause == EndCause::RolledBack || self.needs_live().is_some();
        if self.is_settled() || !affected {
            return None;
        }
        Some(match self.status.state {
            State::Waiting => self.close(State::Cancelled, Some(SESSION_ENDED), now),
            _ => self.become_with(MessageEvent::Revoked, |status| status.revoked = true),
        })
    }

    /// Applies a delivery receipt, which is kept if it [replaces](super::Delivery::replaces) the stored one. A receipt
    /// with our own id of the message (`by_our_id`) proves that the provider took it. `None`: it has no news.
    #[must_use]
    pub fn apply_receipt(
        &self,
        receipt: &Receipt,
        by_our_id: bool,
        now: DateTime<Utc>,
    ) -> Option<Transition> {
        let (known, news) = (self.status.delivery.as_ref(), &receipt.delivery);
        let is_kept = !news.is_empty() && known.is_none_or(|known| news.replaces(known, now));
        let is_proof = by_our_id && (!self.is_settled() || self.status.state == State::Unknown);
        let mut transition = match is_proof {
            true => {
                let provider_id = Some(receipt.provider_id.as_str()).filter(|id| !id.is_empty());
                self.sent(provider_id, now)
            }
            false if is_kept => self.become_with(MessageEvent::Receipt, |_| {}),
            false => return None,
        };
        if is_kept {
            transition.to.status.delivery = Some(news.clone());
        }
        Some(transition)
    }

    /// The opt-out of the recipient that a receipt reports. `None` for a duplicate of the receipt that is kept: the
    /// recipient may have opted in since.
    #[must_use]
    pub fn opt_out(&self, receipt: &Receipt) -> Option<OptChange> {
        let delivery = &receipt.delivery;
        let is_new = self.status.delivery.as_ref() != Some(delivery);
        let text = &self.outbound.text;
        (is_new && delivery.code.as_deref() == Some(OPTED_OUT_CODE)).then_some(OptChange {
            tn: text.from,
            person: text.to,
            out: true,
        })
    }

    fn is_held_by(&self, lease: u32) -> bool {
        self.status.lease == lease && !self.is_settled()
    }

    /// Settles a message that must not be sent.
    fn obstacle(&self, around: Surroundings, now: DateTime<Utc>) -> Option<Transition> {
        let is_over = self.needs_live().is_some() && !around.session_is_live;
        if self.status.revoked || is_over {
            return Some(self.close(State::Cancelled, Some(SESSION_ENDED), now));
        }
        around.blocked.map(|blocked| self.close(State::Failed, Some(blocked.as_str()), now))
    }

    fn leased(&self, now: DateTime<Utc>, until: DateTime<Utc>) -> Transition {
        self.become_with(MessageEvent::Leased, |status| {
            status.state = State::Sending;
            status.lease += 1;
            (status.lease_until, status.due_at) = (Some(until), None);
            status.attempts += 1;
            status.attempted_at = Some(now);
            status.absent_at = None;
        })
    }

    fn unknown(&self, reason: &str) -> Transition {
        self.become_with(MessageEvent::Unknown, |status| {
            status.state = State::Unknown;
            (status.lease_until, status.due_at) = (None, None);
            status.reason = Some(reason.to_owned());
        })
    }

    fn sent(&self, provider_id: Option<&str>, now: DateTime<Utc>) -> Transition {
        let mut transition = self.close(State::Sent, None, now);
        let status = &mut transition.to.status;
        status.reason = None;
        status.provider_id = provider_id.map(str::to_owned).or(status.provider_id.take());
        transition
    }

    /// Makes the outcome final and erases the content.
    pub(super) fn close(&self, state: State, reason: Option<&str>, now: DateTime<Utc>) -> Transition {
        let event = match state {
            State::Sent => MessageEvent::Sent,
            State::Cancelled => MessageEvent::Cancelled,
            State::Unknown => MessageEvent::UnknownForGood,
            _ => MessageEvent::Failed,
        };
        let mut transition = self.become_with(event, |status| {
            status.state = state;
            (status.lease_until, status.due_at) = (None, None);
            status.settled_at = Some(now);
            status.reason = reason.map(str::to_owned).or(status.reason.take());
        });
        transition.to.outbound.text.content = Content::default();
        transition
    }

    fn become_with(&self, event: MessageEvent, change: impl FnOnce(&mut Status)) -> Transition {
        let mut to = self.clone();
        change(&mut to.status);
        Transition { to, event }
    }
}

impl Status {
    fn wait_until(&mut self, due: DateTime<Utc>) {
        self.state = State::Waiting;
        (self.lease_until, self.due_at) = (None, Some(due));
    }
}
