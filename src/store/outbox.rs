//! Inbound texts, and the messages that are sent.

use super::Result;
use crate::domain::{
    Decision, IgnoreReason, Inbound, Message, MessageEvent, MessageId, Outbound, Route, SenderLimit,
    Settlement, Turn,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::{collections::HashSet, sync::Arc};

/// Store methods for texts and outbound messages. [`Message`]'s rules decide what may happen to a message.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Receives a text: finds its route, calls `decide`, and stores the decision in one step. If the route changes meanwhile,
    /// `decide` is called again; only a relay may be stored although its session has just ended, so it is sent after
    /// [`confirm`](Self::confirm) only.
    ///
    /// A participant's text is sent, waits or fails as [`SenderLimit::turn`] says. A backend may leave out texts that arrive at
    /// the same moment.
    ///
    /// Idempotent: of several callers with the same text id, one gets `Stored` or `Limited`.
    async fn receive(&self, arrival: Arrival, decide: Decide) -> Result<Received>;

    /// Stores the outcome of a message that the caller has leased. `None`: nothing was changed, because the lease is not
    /// the newest, the message is settled, or (for `Found`) the id is credited to another message
    /// between the same two numbers.
    async fn settle(
        &self,
        leased: &Message,
        settlement: Settlement,
        now: DateTime<Utc>,
    ) -> Result<Option<MessageEvent>>;

    /// Stores that the provider took a message, like [`settle`](Self::settle), but may return before that is stored, if every
    /// other call of this process sees it as stored. If the process dies first, the message is reclaimed, as if its sender
    /// had died before it knew the outcome.
    async fn settle_sent(
        &self,
        leased: &Message,
        provider_id: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<MessageEvent>> {
        self.settle(leased, Settlement::Sent { provider_id: provider_id.to_owned() }, now).await
    }

    /// Whether a session has expired, or a message is not settled or was not until a few minutes ago, so that maintenance has
    /// to look closer. A backend for which this costs as much as looking may always say so.
    async fn has_work(&self, _now: DateTime<Utc>) -> Result<bool> {
        Ok(true)
    }

    /// Makes at most `limit` messages whose lease has expired `unknown`; returns their number. Atomic for each message: a
    /// slow backend stops at its time limit and returns the number until then.
    async fn reclaim(&self, limit: u32, now: DateTime<Utc>) -> Result<usize>;

    /// At most `limit` messages that are waiting and due, oldest first. If more are due, a backend may choose those that
    /// have been due for the longest time.
    async fn due(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Due>>;

    /// Leases a message that is waiting and due. Of several callers, one gets it. A message that must not be sent is settled
    /// instead.
    async fn lease(&self, id: MessageId, now: DateTime<Utc>, until: DateTime<Utc>)
    -> Result<Option<Message>>;

    /// Extends a lease that is still the newest, immediately before a send that had to wait. `None`: the message must
    /// not be sent by this caller; if by none, it is settled.
    async fn renew(
        &self,
        leased: &Message,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<Message>>;

    /// Confirms that a message that [`receive`](Self::receive) has leased may be sent, immediately before the send. `None`:
    /// its session has ended, and it is settled.
    async fn confirm(
        &self,
        leased: &Message,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<Message>>;

    /// At most `limit` messages that are `unknown` and not settled, the earliest attempt first, after this message.
    async fn unknown(&self, limit: u32, after: Option<MessageId>) -> Result<Vec<Message>>;

    /// Other messages from the same TN to the same recipient; a backend may leave out those created more than 25 hours
    /// before it.
    async fn others(&self, message: &Outbound) -> Result<Others>;

    /// Gives `holder` the exclusive right to drain the outbox, through `until`. `false`: another holds it. The holder may
    /// extend its lease.
    async fn acquire_drain_lease(
        &self,
        holder: &str,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<bool>;

    /// Releases that right.
    async fn release_drain_lease(&self, holder: &str) -> Result<()>;
}

/// A text that has arrived, and the parameters for storing it.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The text.
    pub inbound: Inbound,
    /// When it arrived.
    pub now: DateTime<Utc>,
    /// When the lease on its messages ends; the caller sends them at once.
    pub lease_until: DateTime<Utc>,
    /// The quota of replies to strangers.
    pub quota: ReplyQuota,
    /// The limit on the texts of a participant.
    pub sender_limit: SenderLimit,
}

/// Decides what to do about a text, given the route. Pure: it may be called several times.
pub type Decide = Arc<dyn Fn(&Route) -> Decision + Send + Sync>;

/// The limit on replies to strangers. What exceeds it is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyQuota {
    /// To one number from one TN, in any hour.
    pub per_hour: u32,
    /// In all, in any minute.
    pub per_minute: u32,
    /// In all, in any 24 hours. A backend may count a reply for up to an hour longer.
    pub per_day: u32,
}

/// The outcome of [`Outbox::receive`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// The text and what it causes are stored, for the first time; these messages are leased to the caller.
    Stored(Vec<Message>),
    /// The text is stored, for the first time. It is not sent now, because its sender has sent too many.
    Limited(Turn),
    /// The text was stored before; nothing was changed.
    Duplicate,
    /// Nothing was stored.
    Ignored(IgnoreReason),
}

/// A message that is waiting and due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its id.
    pub id: MessageId,
    /// Whether it has media, which have a rate limit of their own.
    pub has_media: bool,
}

/// The other messages from one number to another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// A message is being sent right now.
    pub sending: bool,
    /// The provider's ids of them.
    pub provider_ids: HashSet<String>,
}
