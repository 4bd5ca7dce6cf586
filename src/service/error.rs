//! Why a call of the service failed.

use crate::{
    domain::{NotAllowed, Role, Unavailable, VirtualTn},
    store::StoreError,
};

/// The result of a call of the service.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call of the service failed. The texts are for the caller, except those of failures that are logged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The number is in the pool already.
    #[error("this TN is already in the pool")]
    DuplicateTn,
    /// The number is not in the pool.
    #[error("this TN is not in the pool; add it with POST /tn")]
    TnNotFound,
    /// The number has live sessions.
    #[error("{}", in_use(.0))]
    TnInUse(VirtualTn),
    /// The TN that a session was to get will not do.
    #[error("this virtual TN cannot be used for the session: {}", why(*.0))]
    TnUnavailable(Unavailable),
    /// The number is a participant of a live session.
    #[error("this number is a participant of a live session and cannot be a TN")]
    TnIsParticipant,
    /// A number may not be texted.
    #[error("{field} {why}")]
    NumberNotAllowed {
        /// The field that has it.
        field: &'static str,
        /// Why.
        why: NotAllowed,
    },
    /// Both participants are the same number.
    #[error("participant_a and participant_b must be two different numbers")]
    SameParticipant,
    /// A participant is a number of the pool.
    #[error("participant_{} is a virtual TN of the pool and cannot be a participant", .0.as_str())]
    ParticipantIsTn(Role),
    /// Each free number of the pool is one that these participants have opted out of.
    #[error("{} opted out of the free virtual TNs with STOP; add another TN with POST /tn", names(.0))]
    ParticipantOptedOut(Vec<Role>),
    /// The idempotency key was used with another body.
    #[error("this Idempotency-Key was used with another body; use a new key for a new session")]
    KeyReused,
    /// All numbers of the pool are in use.
    #[error("Could not create session -- No virtual TNs available")]
    NoTnAvailable,
    /// No live session has this id.
    #[error("no live session has this id")]
    SessionNotFound,
    /// No session with this id, live or ended, is stored.
    #[error("no stored session has this id")]
    SessionNotStored,
    /// The person has not opted out of the TN.
    #[error("this number has not opted out of this virtual TN")]
    NotOptedOut,
    /// The provider refused a start message, so the session was rolled back.
    #[error("the session was not created: {provider} rejected its start message: {detail}")]
    ProviderRejected {
        /// The provider's name.
        provider: &'static str,
        /// Why, in words that are safe to show.
        detail: String,
    },
    /// The store is unavailable or holds an unreadable record.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Every attempt lost against other callers. Nothing was stored.
    #[error("gave up after too much contention")]
    Contention,
    /// The work may still complete.
    #[error("the request timed out")]
    TimedOut,
    /// A task panicked. Maintenance processes what was stored by then.
    #[error("the service failed; look up the x-request-id in the log")]
    Crashed,
}

/// Which sessions keep a TN in the pool, and what to do.
fn in_use(tn: &VirtualTn) -> String {
    match tn.session {
        Some(session) => format!("this TN is in use by session {session}; end that session first"),
        None => format!(
            "this TN is in use by {} sessions; GET /session?virtual_tn={{value}} lists them, and PATCH /tn/{{value}} with \
             {{\"draining\": true}} lets it take no new ones",
            tn.sessions
        ),
    }
}

/// Why a TN will not do for a session.
fn why(unavailable: Unavailable) -> String {
    let participant = |role: Role| format!("participant_{}", role.as_str());
    match unavailable {
        Unavailable::NotInPool => "it is not in the pool".into(),
        Unavailable::Draining => "it is draining".into(),
        Unavailable::Full => "it has as many sessions as it may".into(),
        Unavailable::Busy(role) => format!("{} has a session on it", participant(role)),
        Unavailable::OptedOut(role) => format!("{} has opted out of it with STOP", participant(role)),
        Unavailable::CoolingOff(role) => {
            format!("{} had a session on it with somebody else a short time ago", participant(role))
        }
    }
}

/// These participants as the subject of a sentence.
fn names(roles: &[Role]) -> &'static str {
    match roles {
        [Role::A] => "participant_a has",
        [Role::B] => "participant_b has",
        _ => "participant_a and participant_b have",
    }
}
