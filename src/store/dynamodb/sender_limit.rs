//! The limit on the texts of a participant: counts the entries of the index by sender and recipient, and writes nothing.

use super::{
    Dynamo,
    keys::{self, BY_PAIR},
    messages::earlier_text,
};
use crate::{
    domain::{SenderLimit, Session, Text, Turn},
    store::Result,
};
use chrono::{DateTime, Utc};

impl Dynamo {
    /// When the relay among these texts is sent, if there is one that may be sent. The index lags, so texts that arrive at
    /// the same moment may not be counted.
    pub(super) async fn turn(
        &self,
        session: Option<&Session>,
        texts: &[Text],
        limit: SenderLimit,
        now: DateTime<Utc>,
    ) -> Result<Turn> {
        let Some((session, relay)) = session.zip(texts.iter().find(|text| text.is_limited())) else {
            return Ok(Turn::Now);
        };
        let [from, until] = SenderLimit::window(session.created_at, now).map(keys::sortable);
        let pair = self.calls.query(&BY_PAIR, keys::pair(relay.from, relay.to));
        let pair = pair.between(from, format!("{until}~")).backwards(true).only("pair_sk");
        let read = |entry: super::item::Values| {
            Ok(entry.get("pair_sk").and_then(|sk| sk.as_s().ok()).and_then(|sk| earlier_text(sk)))
        };
        let earlier = pair.limit(limit.most_read() as usize).keep(read).await?;
        let (turn, last) = limit.turn(&earlier, now);
        Ok(turn.behind(self.some_message(last).await?.as_ref(), now))
    }
}
