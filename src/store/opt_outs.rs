//! Opt-outs: who must not be texted from which TN.

use super::Result;
use crate::domain::{Number, OptChange};
use async_trait::async_trait;

/// Store methods for opt-outs, besides those that texts and receipts lead to.
#[async_trait]
pub trait OptOuts: Send + Sync + 'static {
    /// The TNs that this person has opted out of, sorted. They need not be in the pool.
    async fn opt_outs(&self, person: Number) -> Result<Vec<Number>>;

    /// Opts a person out of a TN, or in again; whether that changed anything.
    async fn set_opt_out(&self, change: OptChange) -> Result<bool>;
}
