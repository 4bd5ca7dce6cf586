//! The pool of virtual TNs.

use super::{Error, Result, Service};
use crate::{
    domain::{Number, Page, Part, PoolSize, Sharing, VirtualTn},
    store::{AddTn, RemoveTn},
};

impl Service {
    /// How sessions share TNs.
    #[must_use]
    pub fn sharing(&self) -> Sharing {
        self.options.sharing
    }

    /// Refuses a number that may not be texted.
    pub(super) fn check_allowed(&self, field: &'static str, number: Number) -> Result<()> {
        let checked = self.options.allowed_countries.check(number);
        checked.map_err(|why| Error::NumberNotAllowed { field, why })
    }

    /// Adds a number to the pool.
    ///
    /// # Errors
    /// When it is not of an allowed country, is in the pool already, or is a participant of a live session.
    pub async fn add_tn(&self, tn: Number) -> Result<()> {
        self.check_allowed("value", tn)?;
        match self.store.add_tn(tn, self.now()).await? {
            AddTn::Added => Ok(()),
            AddTn::Duplicate => Err(Error::DuplicateTn),
            AddTn::IsParticipant => Err(Error::TnIsParticipant),
        }
    }

    /// Removes a number from the pool. An expired session on it is ended first.
    ///
    /// # Errors
    /// When it is not in the pool, or has a live session.
    pub async fn remove_tn(&self, tn: Number) -> Result<()> {
        let service = self.clone();
        let deadline = self.deadline();
        self.respond(|slot| async move {
            let now = service.now();
            let mut notices = Vec::new();
            let removed = loop {
                match service.store.remove_tn(tn, now).await? {
                    RemoveTn::Removed => break Ok(()),
                    RemoveTn::NotInPool => break Err(Error::TnNotFound),
                    RemoveTn::InUse(tn) => break Err(Error::TnInUse(tn)),
                    RemoveTn::HeldByExpired(session) => {
                        notices.extend(service.expire_for_request(&session, now).await?);
                    }
                }
            };
            if removed.is_ok() {
                slot.publish(());
            }
            service.dispatch(notices, deadline).await;
            removed
        })
        .await
    }

    /// A number of the pool.
    ///
    /// # Errors
    /// When it is not in the pool.
    pub async fn tn(&self, tn: Number) -> Result<VirtualTn> {
        self.store.tn(tn, self.now()).await?.ok_or(Error::TnNotFound)
    }

    /// Lets a number of the pool take no new sessions, or take them again.
    ///
    /// # Errors
    /// When it is not in the pool.
    pub async fn drain_tn(&self, tn: Number, draining: bool) -> Result<VirtualTn> {
        let changed = self.store.drain_tn(tn, draining, self.now()).await?.ok_or(Error::TnNotFound)?;
        tracing::info!(tn = tn.masked(), draining, "TN changed");
        Ok(changed)
    }

    /// The pool.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tns(&self, page: Page) -> Result<(Part<VirtualTn>, PoolSize)> {
        Ok(self.store.tns(page, self.sharing().sessions_per_tn, self.now()).await?)
    }
}
