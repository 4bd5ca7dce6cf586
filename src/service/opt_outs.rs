//! Opt-outs, for the operator.

use super::{Error, Result, Service};
use crate::domain::{Number, OptChange};

impl Service {
    /// The TNs that this person has opted out of.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn opt_outs(&self, person: Number) -> Result<Vec<Number>> {
        Ok(self.store.opt_outs(person).await?)
    }

    /// Lets a person be texted from a TN again. Flowroute's own block, if there is one, stays.
    ///
    /// # Errors
    /// When the person has not opted out of it.
    pub async fn lift_opt_out(&self, person: Number, tn: Number) -> Result<()> {
        if !self.store.set_opt_out(OptChange { tn, person, out: false }).await? {
            return Err(Error::NotOptedOut);
        }
        tracing::warn!(number = person.masked(), tn = tn.masked(), "opt-out lifted by the operator");
        Ok(())
    }
}
