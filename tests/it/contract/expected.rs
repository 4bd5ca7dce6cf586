//! Whole messages as a store must show them, each made from the message before it. They have no content, as in a list.

use super::fixtures::at;
use chrono::{DateTime, Utc};
use sms_proxy::domain::{Content, Delivery, Message, Outbound, State, Status};

/// Why a relay is cancelled, on every backend.
pub const SESSION_ENDED: &str = "the session has ended";

/// The message with a changed status.
pub fn with(before: &Message, change: impl FnOnce(&mut Status)) -> Message {
    let mut message = before.clone();
    message.outbound.text.content = Content::default();
    message.outbound.text.blocked = None;
    change(&mut message.status);
    message
}

/// The message without its content.
pub fn listed(message: &Message) -> Message {
    with(message, |_| {})
}

/// A new message under its first lease, with its content.
pub fn first_lease(outbound: Outbound, until: DateTime<Utc>) -> Message {
    let status = Status {
        state: State::Sending,
        lease: 1,
        lease_until: Some(until),
        due_at: None,
        attempts: 1,
        attempted_at: Some(outbound.created_at),
        absent_at: None,
        revoked: false,
        provider_id: None,
        reason: None,
        delivery: None,
        settled_at: None,
    };
    Message { outbound, status }
}

/// A new message that waits for its first lease, with its content.
pub fn never_tried(outbound: Outbound) -> Message {
    let mut message = first_lease(outbound, at(0));
    let status = &mut message.status;
    (status.state, status.lease, status.lease_until) = (State::Waiting, 0, None);
    (status.due_at, status.attempts, status.attempted_at) = (Some(message.outbound.created_at), 0, None);
    message
}

/// The message under its next lease.
pub fn leased_again(before: &Message, now: DateTime<Utc>, until: DateTime<Utc>) -> Message {
    with(before, |status| {
        (status.state, status.lease, status.attempts) =
            (State::Sending, status.lease + 1, status.attempts + 1);
        (status.lease_until, status.due_at) = (Some(until), None);
        (status.attempted_at, status.absent_at) = (Some(now), None);
    })
}

/// The message under the same lease, which was extended.
pub fn renewed(before: &Message, now: DateTime<Utc>, until: DateTime<Utc>) -> Message {
    with(before, |status| (status.attempted_at, status.lease_until) = (Some(now), Some(until)))
}

/// The message back in the outbox.
pub fn waits(before: &Message, due: i64, reason: Option<&str>) -> Message {
    with(before, |status| {
        (status.state, status.lease_until, status.due_at) = (State::Waiting, None, Some(at(due)));
        (status.reason, status.absent_at) = (reason.map(str::to_owned), None);
    })
}

/// The message whose outcome is unknown.
pub fn unknown(before: &Message, reason: &str) -> Message {
    with(before, |status| {
        (status.state, status.lease_until, status.due_at) = (State::Unknown, None, None);
        status.reason = Some(reason.to_owned());
    })
}

/// The message that was being sent when its session ended.
pub fn revoked(before: &Message) -> Message {
    with(before, |status| status.revoked = true)
}

/// The settled message.
pub fn closed(before: &Message, state: State, now: DateTime<Utc>, reason: Option<&str>) -> Message {
    with(before, |status| {
        (status.state, status.lease_until, status.due_at) = (state, None, None);
        (status.settled_at, status.reason) = (Some(now), reason.map(str::to_owned));
    })
}

/// The message that the provider took, under this id.
pub fn taken(before: &Message, now: i64, provider_id: &str) -> Message {
    let sent = closed(before, State::Sent, at(now), None);
    with(&sent, |status| status.provider_id = Some(provider_id.to_owned()))
}

/// The message with a delivery receipt.
pub fn delivered(before: &Message, delivery: Delivery) -> Message {
    with(before, |status| status.delivery = Some(delivery))
}
