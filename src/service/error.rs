//! Why a call was not done.

use crate::{
    domain::{Role, SessionId},
    store::StoreError,
};

/// What a call of the service gives.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call of the service was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The number is in the pool already.
    #[error("the number is in the pool already")]
    DuplicateTn,
    /// The number is not in the pool.
    #[error("the number is not in the pool")]
    TnNotFound,
    /// The number carries a live session.
    #[error("the number is in use by session {0}")]
    TnInUse(SessionId),
    /// The number is a participant of a live session.
    #[error("the number is a participant of a live session")]
    TnIsParticipant,
    /// Both participants are the same number.
    #[error("the participants are the same number")]
    SameParticipant,
    /// A participant is a number of the pool.
    #[error("a participant is a number of the pool")]
    ParticipantIsTn(Role),
    /// All numbers of the pool are in use.
    #[error("no virtual TN is free")]
    NoTnAvailable,
    /// No live session has this id.
    #[error("no such session")]
    SessionNotFound,
    /// No session with this id, live or ended, is on record.
    #[error("no such session on record")]
    SessionNotOnRecord,
    /// The provider refused a start message, so the session was undone.
    #[error("the provider refused the start message: {0}")]
    ProviderRejected(String),
    /// The store did not answer or is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others got there first, again and again. Nothing has happened.
    #[error("too much contention")]
    Contention,
    /// It took too long. It may still happen.
    #[error("it took too long")]
    Late,
    /// A defect of the service: it is in the log. What was on record by then will be seen to.
    #[error("the task crashed")]
    Crashed,
}
