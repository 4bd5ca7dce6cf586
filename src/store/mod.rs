//! The contract of a store.
//!
//! Six traits, by topic: [`Pool`], [`Sessions`], [`Outbox`], [`OptOuts`], [`History`], [`Erasure`]. They speak of what the
//! service needs, never of rows or keys. **Every method is atomic**, also between processes, unless its comment says otherwise. It returns
//! only when its effect would survive a power cut. Expected outcomes are values; [`StoreError`] is for the rest.
//!
//! `now` comes from the caller: no backend reads the wall clock. A session whose expiry is before `now` counts as
//! ended, even if it is not stored as ended yet.
//!
//! A record that this version cannot read is [`StoreError::Unreadable`] for whoever asks for it. On DynamoDB, what
//! maintenance asks for (expired sessions, messages to reclaim, to send or to reconcile, gauges) skips it, and on
//! SQLite messages to reclaim or to withdraw, so that the others are processed; it also skips an expired session if a
//! record about one of its participants is unreadable.

use std::sync::Arc;

mod dynamodb;
mod erasure;
mod error;
mod history;
mod last_write;
mod opt_outs;
mod outbox;
mod pool;
mod sessions;
mod snapshot;
mod sqlite;

pub use dynamodb::{Dynamo, config_of, create_table};
pub use erasure::Erasure;
pub(crate) use error::skip_unreadable;
pub use error::{Result, StoreError};
pub use history::{History, Receipted};
pub use opt_outs::OptOuts;
pub use outbox::{Arrival, Decide, Due, Others, Outbox, Received, ReplyQuota};
pub use pool::{AddTn, Pool, RemoveTn};
pub use sessions::{OpenSession, Sessions};
pub use snapshot::{Entry, EntryKey, Exported, Imported, Snapshot};
pub use sqlite::{OpenError, Sqlite};

/// A store. The [module](self) says what holds for every method.
pub trait Store: Pool + Sessions + Outbox + OptOuts + History + Erasure {
    /// The same store, which tells senders in these words that a text of theirs is [not
    /// delivered](crate::domain::Undelivered); without words, and before this call, it tells nobody.
    ///
    /// The notice is stored in the atomic step in which the text fails, and is due immediately. A sender gets one at most
    /// in an hour and session, whatever happens concurrently, and only while
    /// [the rule](crate::domain::Session::not_delivered) allows it.
    fn telling_senders(self: Arc<Self>, words: &str) -> Arc<dyn Store>;

    /// The backend, as `STORAGE` names it.
    fn name(&self) -> &'static str;
}
