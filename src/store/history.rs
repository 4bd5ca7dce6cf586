//! Outcomes of messages, and gauges.

use super::Result;
use crate::domain::{Census, Gauges, Message, Page, Part, Receipt, SessionId};
use async_trait::async_trait;
use chrono::{DateTime, Utc};

/// Store methods for receipts, lists of messages, deletion and gauges.
#[async_trait]
pub trait History: Send + Sync + 'static {
    /// Stores a delivery receipt with its message, which is found by our id or else by the provider's. A backend may
    /// find it by the provider's id only if receipts are requested.
    async fn receipt(&self, receipt: &Receipt, now: DateTime<Utc>) -> Result<Receipted>;

    /// The messages of a stored session, live or ended, oldest first, without their content; `None`: there is no such
    /// session. Records past their time to live are not in it.
    async fn messages(
        &self,
        session: SessionId,
        page: Page,
        now: DateTime<Utc>,
    ) -> Result<Option<Part<Message>>>;

    /// Deletes messages settled, texts received and sessions ended before then, at most `limit` of each; returns their
    /// number. A backend whose database deletes by time to live returns 0.
    async fn forget(&self, before: DateTime<Utc>, limit: u32) -> Result<usize>;

    /// The gauges. Each is counted up to `up_to` only, which bounds the cost. They may lag a little.
    async fn gauges(&self, up_to: u32) -> Result<Gauges>;

    /// The census, counted up to `up_to` as the gauges are. A record that this version cannot read is not counted on DynamoDB.
    async fn census(&self, up_to: u32, now: DateTime<Utc>) -> Result<Census>;

    /// Opens a connection to the store ahead of the first call, if it has connections: one try, because a store that cannot
    /// be reached is asked again by whoever needs it.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn connect(&self) -> Result<()> {
        self.ping().await
    }

    /// Whether the store answers.
    async fn ping(&self) -> Result<()>;

    /// Whether the store can be written: by the outcome of this process's last write, or by a small write if the last one
    /// was more than [`limits::WRITE_CHECK`](crate::limits::WRITE_CHECK) ago.
    async fn check_writes(&self) -> Result<()>;
}

/// The outcome of [`History::receipt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipted {
    /// It is stored with its message.
    Recorded,
    /// It has no news about its message.
    Known,
    /// No stored message belongs to it.
    NoMessage,
}
