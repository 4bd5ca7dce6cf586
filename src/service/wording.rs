//! The words of the service's own messages, and those that it acts on.

use super::OptOutWords;

/// The operator's words. Each message is sent as `[ORG NAME]: words`.
#[derive(Debug, Clone)]
pub struct Wording {
    /// The organisation.
    pub org_name: String,
    /// To both participants when a session is created.
    pub session_start: String,
    /// To both when it is ended on request.
    pub session_end: String,
    /// To both when it expires; empty: nothing is sent.
    pub session_expired: String,
    /// To a sender without a session.
    pub no_session: String,
    /// To the recipient of a text, after its words, if one of its pictures cannot be passed on; empty: nothing is added.
    pub media_missing: String,
    /// To a participant whose text could not be delivered; empty: nothing is sent.
    pub not_delivered: String,
    /// The words by which people opt out.
    pub opt_out: OptOutWords,
}

impl Default for Wording {
    fn default() -> Self {
        Self {
            org_name: "Your Org Name".into(),
            session_start: "Your new session has started, send a message!".into(),
            session_end: "This session has ended, talk to you again soon!".into(),
            session_expired: "This session has expired.".into(),
            no_session: "An active session was not found. Please contact support@yourorg.com".into(),
            media_missing: "A picture could not be passed on.".into(),
            not_delivered: "Your message could not be delivered.".into(),
            opt_out: OptOutWords::default(),
        }
    }
}

impl Wording {
    /// The words as they are sent.
    #[must_use]
    pub fn signed(&self, words: &str) -> String {
        format!("[{}]: {words}", self.org_name.to_uppercase())
    }

    /// What a participant gets whose text could not be delivered; empty if the operator has switched it off.
    pub(super) fn not_delivered_notice(&self) -> String {
        if self.not_delivered.trim().is_empty() { String::new() } else { self.signed(&self.not_delivered) }
    }
}
