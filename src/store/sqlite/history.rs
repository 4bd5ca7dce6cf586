//! Outcomes of messages, and gauges.

use super::{
    Sqlite, messages, not_delivered,
    open::test_write,
    opt_outs,
    readers::List,
    rows::{count, first, millis, run},
    session_row::LIVE,
    sessions,
};
use crate::{
    domain::{Census, Gauges, Message, Page, Part, Receipt, SessionId, State},
    store::{History, Receipted, Result},
};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, Row, params};
use std::sync::Arc;

#[async_trait]
impl History for Sqlite {
    async fn receipt(&self, receipt: &Receipt, now: DateTime<Utc>) -> Result<Receipted> {
        let (receipt, words) = (receipt.clone(), Arc::clone(&self.not_delivered_notice));
        self.writer.write(move |db| store_receipt(db, &receipt, &words, now)).await
    }

    async fn messages(
        &self,
        session: SessionId,
        page: Page,
        _: DateTime<Utc>,
    ) -> Result<Option<Part<Message>>> {
        let Some(session) = self.reading().await.read(move |db| sessions::stored(db, session)).await? else {
            return Ok(None);
        };
        self.reading()
            .await
            .page(List::Messages, page, move |db, page| messages::of_session(db, &session, page))
            .await
            .map(Some)
    }

    async fn forget(&self, before: DateTime<Utc>, limit: u32) -> Result<usize> {
        let tombstones = "DELETE FROM inbound WHERE id IN
             (SELECT id FROM inbound WHERE received_at < ?1 ORDER BY received_at LIMIT ?2)";
        let forget = move |db: &Connection| {
            let texts = run(db, tombstones, params![millis(before), limit])?;
            Ok(texts + messages::forget(db, before, limit)? + sessions::forget(db, before, limit)?)
        };
        self.writer.write_little(forget).await
    }

    async fn gauges(&self, up_to: u32) -> Result<Gauges> {
        let free = "SELECT count(*) FROM (SELECT 1 FROM tn WHERE pick_key IS NOT NULL LIMIT ?1)";
        let gauges = move |db: &Connection| {
            let (waiting, waiting_since) = messages::pending(db, State::Waiting, up_to)?;
            let (unknown, _) = messages::pending(db, State::Unknown, up_to)?;
            let free_tns = u32::try_from(count(db, free, [up_to])?).unwrap_or(u32::MAX);
            Ok(Gauges { waiting, waiting_since, unknown, free_tns })
        };
        self.reading().await.read(gauges).await
    }

    async fn census(&self, up_to: u32, now: DateTime<Utc>) -> Result<Census> {
        self.reading().await.read(move |db| census(db, up_to, now)).await
    }

    async fn ping(&self) -> Result<()> {
        self.reading().await.read(|db| count(db, "SELECT count(*) FROM sqlite_schema", [])).await.map(drop)
    }

    async fn check_writes(&self) -> Result<()> {
        match self.writer.last_write() {
            Some(outcome) => outcome,
            None => self.writer.write(|db| Ok(test_write(db)?)).await,
        }
    }
}

fn census(db: &Connection, up_to: u32, now: DateTime<Utc>) -> Result<Census> {
    let pool = "SELECT count(*), ifnull(sum(in_use), 0), ifnull(sum(draining), 0)
         FROM (SELECT sessions > 0 AS in_use, draining FROM tn LIMIT ?1)";
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (tns, in_use, draining) = first(db, pool, [up_to], read)?.unwrap_or_default();
    let live = format!("SELECT count(*) FROM (SELECT 1 FROM session s WHERE {LIVE} LIMIT ?2)");
    let sessions = count(db, &live, params![millis(now), up_to])?;
    Ok(Census {
        tns,
        in_use,
        draining,
        sessions: u32::try_from(sessions).unwrap_or(up_to),
        failed: Some(messages::failed_since(db, now - TimeDelta::hours(1), up_to)?),
    })
}

fn store_receipt(db: &Connection, receipt: &Receipt, words: &str, now: DateTime<Utc>) -> Result<Receipted> {
    let found = match receipt.message {
        Some(id) => messages::by_id(db, id)?,
        None => None,
    };
    let by_our_id = found.is_some();
    let message = match found {
        None if !receipt.provider_id.is_empty() => messages::by_provider_id(db, &receipt.provider_id)?,
        found => found,
    };
    let Some(message) = message else { return Ok(Receipted::NoMessage) };
    if let Some(change) = message.opt_out(receipt) {
        opt_outs::set(db, change)?;
    }
    let Some(transition) = message.apply_receipt(receipt, by_our_id, now) else {
        return Ok(Receipted::Known);
    };
    messages::apply(db, &transition)?;
    not_delivered::tell(db, transition.to.undelivered(Some(&message)), words, now)?;
    Ok(Receipted::Recorded)
}
