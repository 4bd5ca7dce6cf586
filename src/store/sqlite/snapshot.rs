//! All rows as plain values, and back.

use super::{
    outbox::role_name,
    pool::random_place,
    rows::{OUTBOUND, all, exists, first, integer, millis, number, outbound, run, state, time},
    texts::{is_known, set_opt},
};
use crate::{
    domain::{MessageId, Number, Outbound, Participant, Role, Session},
    store::{Delivery, Entry, Exported, Imported, MessageEntry, Opt, Result, Stage, State, StoreError},
};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};
use std::collections::HashMap;

pub(super) fn export(db: &Connection, before: DateTime<Utc>) -> Result<Exported> {
    let leased = first(db, "SELECT count(*) FROM outbound WHERE state = 'sending'", [], |row| {
        Ok(row.get::<_, u32>(0)? as usize)
    })?;
    if let Some(leased) = leased.filter(|leased| *leased > 0) {
        return Ok(Exported::Leased(leased));
    }
    let mut entries = all(db, "SELECT value, added_at FROM tn", [], |row| {
        Ok(Entry::Tn { number: number(row.get(0)?)?, added_at: time(row.get(1)?)? })
    })?;
    entries.extend(all(
        db,
        "SELECT id, tn, participant_a, participant_b, created_at, expires_at, ended_at FROM session",
        [],
        session,
    )?);
    entries.extend(all(db, "SELECT tn, person FROM opt_out", [], |row| {
        Ok(Entry::OptOut { tn: number(row.get(0)?)?, person: number(row.get(1)?)? })
    })?);
    entries.extend(all(db, "SELECT id, received_at FROM inbound", [], |row| {
        Ok(Entry::Inbound { id: row.get::<_, String>(0)?.parse()?, received_at: time(row.get(1)?)? })
    })?);
    let mut levels = levels(db)?;
    let columns =
        "o.state, o.due_at, o.lease, o.attempts, o.attempted_at, o.revoked, o.absent_at, o.provider_id,
         o.reason, o.receipt_level, o.receipt_status, o.receipt_code, o.receipt_at, o.settled_at";
    let mut messages = all(db, &format!("SELECT {OUTBOUND}, {columns} FROM outbound o"), [], message)?;
    for message in &mut messages {
        message.levels = levels.remove(&message.outbound.id).unwrap_or_default();
    }
    entries.extend(messages.into_iter().map(|message| Entry::Message(Box::new(message))));
    entries.retain(|entry| !entry.is_past(before));
    entries.sort_by_key(Entry::place);
    Ok(Exported::Entries(entries))
}

fn session(row: &Row<'_>) -> Result<Entry> {
    let participant = |role, column: usize| -> Result<Participant> {
        Ok(Participant { role, number: number(row.get(column)?)?, barred: None })
    };
    let session = Session {
        id: row.get::<_, String>(0)?.parse()?,
        tn: number(row.get(1)?)?,
        participants: [participant(Role::A, 2)?, participant(Role::B, 3)?],
        created_at: time(row.get(4)?)?,
        expires_at: some_time(row, 5)?,
    };
    Ok(Entry::Session { session, ended_at: some_time(row, 6)? })
}

fn some_time(row: &Row<'_>, column: usize) -> Result<Option<DateTime<Utc>>> {
    row.get::<_, Option<i64>>(column)?.map(time).transpose()
}

/// The levels of the receipts of each message, in order.
fn levels(db: &Connection) -> Result<HashMap<MessageId, Vec<i64>>> {
    let sql = "SELECT message_id, level FROM receipt ORDER BY message_id, level";
    let rows = all(db, sql, [], |row| Ok((row.get::<_, String>(0)?.parse::<MessageId>()?, row.get(1)?)))?;
    let mut levels: HashMap<_, Vec<i64>> = HashMap::new();
    for (message, level) in rows {
        levels.entry(message).or_default().push(level);
    }
    Ok(levels)
}

fn message(row: &Row<'_>) -> Result<MessageEntry> {
    let outbound = outbound(row)?;
    let stage = match (state(&row.get::<_, String>(9)?)?, some_time(row, 22)?) {
        (State::Waiting, _) => Stage::Waiting(some_time(row, 10)?.unwrap_or(outbound.created_at)),
        (State::Unknown, None) => Stage::Unknown,
        (state, Some(at)) => Stage::Settled(state, at),
        (_, None) => return Err(StoreError::Unreadable("a message is settled at no time".into())),
    };
    let delivery = match row.get::<_, Option<i64>>(18)? {
        None => None,
        Some(level) => {
            let delivery = Delivery { status: row.get(19)?, code: row.get(20)?, at: some_time(row, 21)? };
            Some((level, delivery))
        }
    };
    Ok(MessageEntry {
        outbound,
        stage,
        lease: row.get(11)?,
        attempts: row.get(12)?,
        attempted_at: some_time(row, 13)?,
        revoked: row.get(14)?,
        absent_at: some_time(row, 15)?,
        provider_id: row.get(16)?,
        reason: row.get(17)?,
        delivery,
        levels: Vec::new(),
    })
}

pub(super) fn import(db: &Connection, entries: Vec<Entry>) -> Result<Imported> {
    for entry in entries {
        let done = match &entry {
            Entry::Tn { number, added_at } => put_tn(db, *number, *added_at)?,
            Entry::Session { session, ended_at } => put_session(db, session, *ended_at)?,
            Entry::OptOut { tn, person } => {
                set_opt(db, Opt { tn: *tn, person: *person, out: true })?;
                true
            }
            Entry::Inbound { id, received_at } => put_inbound(db, *id, *received_at)?,
            Entry::Message(message) => put_message(db, message)?,
        };
        if !done {
            return Ok(Imported::InTheWay(entry.place()));
        }
    }
    Ok(Imported::Done)
}

// Each of these is `false`, with nothing written, when something is in the way.

fn put_tn(db: &Connection, tn: Number, added_at: DateTime<Utc>) -> Result<bool> {
    let sql = "INSERT INTO tn (value, added_at, draw) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    Ok(run(db, sql, params![integer(tn), millis(added_at), random_place()])? == 1)
}

fn put_session(db: &Connection, session: &Session, ended_at: Option<DateTime<Utc>>) -> Result<bool> {
    let id = session.id.to_string();
    let tn = integer(session.tn);
    let [a, b] = session.participants.map(|participant| integer(participant.number));
    let taken = exists(db, "SELECT 1 FROM session WHERE id = ?1", [&id])?;
    let free = exists(db, "SELECT 1 FROM tn WHERE value = ?1 AND draw IS NOT NULL", [tn])?;
    if taken || (ended_at.is_none() && !free) {
        return Ok(false);
    }
    run(
        db,
        "INSERT INTO session (id, tn, participant_a, participant_b, created_at, expires_at, ended_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            id,
            tn,
            a,
            b,
            millis(session.created_at),
            session.expires_at.map(millis),
            ended_at.map(millis)
        ],
    )?;
    if ended_at.is_none() {
        super::sessions::bind(db, session)?;
    }
    Ok(true)
}

fn put_inbound(db: &Connection, id: MessageId, received_at: DateTime<Utc>) -> Result<bool> {
    if is_known(db, id)? {
        return Ok(false);
    }
    let sql = "INSERT INTO inbound (id, received_at) VALUES (?1, ?2)";
    run(db, sql, params![id.to_string(), millis(received_at)])?;
    Ok(true)
}

fn put_message(db: &Connection, message: &MessageEntry) -> Result<bool> {
    let Outbound { id, created_at, text } = &message.outbound;
    if is_known(db, *id)? {
        return Ok(false);
    }
    let (state, due_at, settled_at) = match message.stage {
        Stage::Waiting(due) => (State::Waiting, Some(due), None),
        Stage::Unknown => (State::Unknown, None, None),
        Stage::Settled(state, at) => (state, None, Some(at)),
    };
    let media = (!text.content.media_urls.is_empty())
        .then(|| serde_json::Value::from(text.content.media_urls.clone()).to_string());
    let delivery = message.delivery.as_ref();
    run(
        db,
        "INSERT INTO outbound (id, session_id, kind, from_tn, recipient, to_role, body, media_urls, created_at, state,
             due_at, lease, attempts, attempted_at, revoked, absent_at, provider_id, reason, receipt_level,
             receipt_status, receipt_code, receipt_at, settled_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
             ?23)",
        params![
            id.to_string(),
            text.session.map(|session| session.to_string()),
            text.kind.as_str(),
            integer(text.from),
            integer(text.to),
            text.to_role.map(role_name),
            settled_at.is_none().then_some(&text.content.body),
            media,
            millis(*created_at),
            state.as_str(),
            due_at.map(millis),
            message.lease,
            message.attempts,
            message.attempted_at.map(millis),
            message.revoked,
            message.absent_at.map(millis),
            message.provider_id,
            message.reason,
            delivery.map(|(level, _)| level),
            delivery.map(|(_, delivery)| &delivery.status),
            delivery.and_then(|(_, delivery)| delivery.code.as_ref()),
            delivery.and_then(|(_, delivery)| delivery.at).map(millis),
            settled_at.map(millis),
        ],
    )?;
    for level in &message.levels {
        let sql = "INSERT INTO receipt (message_id, level) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        run(db, sql, params![id.to_string(), level])?;
    }
    Ok(true)
}
