//! The pool of virtual TNs.

use super::{Error, Result, Service};
use crate::{
    domain::Number,
    store::{AddTn, Page, Part, PoolSize, RemoveTn, VirtualTn},
};

impl Service {
    /// Puts a number into the pool.
    ///
    /// # Errors
    /// When it is there already, or is a participant of a live session.
    pub async fn add_tn(&self, tn: Number) -> Result<()> {
        match self.store.add_tn(tn, self.now()).await? {
            AddTn::Added => Ok(()),
            AddTn::Duplicate => Err(Error::DuplicateTn),
            AddTn::IsParticipant => Err(Error::TnIsParticipant),
        }
    }

    /// Takes a number out of the pool. An expired session on it is ended first.
    ///
    /// # Errors
    /// When it is not in the pool, or carries a live session.
    pub async fn remove_tn(&self, tn: Number) -> Result<()> {
        let service = self.clone();
        let deadline = self.deadline();
        self.in_time(|answer| async move {
            let now = service.now();
            let mut expired = Vec::new();
            let removed = loop {
                match service.store.remove_tn(tn, now).await? {
                    RemoveTn::Removed => break Ok(()),
                    RemoveTn::NotInPool => break Err(Error::TnNotFound),
                    RemoveTn::InUse(session) => break Err(Error::TnInUse(session)),
                    RemoveTn::HeldByExpired(session) => {
                        expired.extend(service.end_expired(&session, now).await?);
                    }
                }
            };
            if removed.is_ok() {
                answer.prepare(());
            }
            service.dispatch(expired, deadline).await;
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

    /// The pool.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tns(&self, page: Page) -> Result<(Part<VirtualTn>, PoolSize)> {
        Ok(self.store.tns(page, self.now()).await?)
    }
}
