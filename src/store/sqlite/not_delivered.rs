//! Tells the sender of a text that is not delivered.

use super::{messages, sessions};
use crate::{domain::Undelivered, store::Result};
use chrono::{DateTime, Utc};
use rusqlite::Connection;

/// Stores the notice in these words to the sender of this text, if the text is undelivered and the sender is to be told.
pub(super) fn tell(
    db: &Connection,
    undelivered: Option<Undelivered>,
    words: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    let Some(Undelivered { session, sender }) = undelivered else { return Ok(()) };
    let Some(session) = sessions::live(db, session, now)? else { return Ok(()) };
    let told_at = messages::told_at(db, &session, sender, now)?;
    let notice = session.not_delivered(sender, words, told_at, now);
    messages::insert_new(db, notice.into_iter().collect(), None).map(drop)
}
