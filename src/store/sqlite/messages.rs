//! Every statement on an outbound message. The rules of [`Message`] decide which transitions are allowed.

use super::{
    message_row::{read, readable, select, status_values},
    rows::{Columns, all, count, exists, first, integer, millis, one_more, run},
};
use crate::{
    domain::{
        Blocked, CLOCK_TOLERANCE, Content, EarlierText, Failed, LONGEST_BACKOFF, LONGEST_TURN, Message,
        MessageEvent, MessageId, Number, Outbound, Page, Part, Role, Session, State, Status, Text,
        Transition, is_beyond_limit,
    },
    store::{Due, Others, Result},
};
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, params, params_from_iter, types::Value};

/// How many settled messages are looked at to count those that failed.
const FAILED_AMONG: u32 = 10_000;

/// Updates the status of a message.
macro_rules! update {
    () => {
        "UPDATE outbound SET state = ?1, lease = ?2, lease_until = ?3, due_at = ?4, attempts = ?5,
             attempted_at = ?6, absent_at = ?7, revoked = ?8, provider_id = ?9, reason = ?10, delivery_level = ?11,
             delivery_status = ?12, delivery_code = ?13, delivery_at = ?14, settled_at = ?15,
             body = iif(?15 IS NULL, body, NULL), media_urls = iif(?15 IS NULL, media_urls, NULL) "
    };
}

pub(super) fn insert(db: &Connection, message: &Message) -> Result<()> {
    let Outbound { id, created_at, text } = &message.outbound;
    let Content { body, media_urls } = &text.content;
    let media = (!media_urls.is_empty()).then(|| serde_json::Value::from(media_urls.clone()).to_string());
    let identity: [Value; 9] = [
        id.bytes().to_vec().into(),
        text.session.map(|session| session.bytes().to_vec()).into(),
        text.kind.as_str().to_owned().into(),
        integer(text.from).into(),
        integer(text.to).into(),
        text.to_role.map(|role| role.as_str().to_owned()).into(),
        (!message.is_settled()).then(|| body.clone()).into(),
        media.into(),
        millis(*created_at).into(),
    ];
    let sql = "INSERT INTO outbound (id, session_id, kind, from_tn, recipient, to_role, body, media_urls, created_at,
             state, lease, lease_until, due_at, attempts, attempted_at, absent_at, revoked, provider_id, reason,
             delivery_level, delivery_status, delivery_code, delivery_at, settled_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    run(db, sql, params_from_iter(identity.into_iter().chain(status_values(&message.status)))).map(drop)
}

/// Stores new messages; returns those that are leased to the caller.
pub(super) fn insert_new(
    db: &Connection,
    messages: Vec<Outbound>,
    lease_until: Option<DateTime<Utc>>,
) -> Result<Vec<Message>> {
    let mut leased = Vec::new();
    for outbound in messages {
        let message = Message::new(outbound, lease_until);
        insert(db, &message)?;
        leased.extend((message.status.state == State::Sending).then_some(message));
    }
    Ok(leased)
}

/// Stores a transition. The content of a settled message is erased.
pub(super) fn apply(db: &Connection, transition: &Transition) -> Result<MessageEvent> {
    let Message { outbound, status } = &transition.to;
    let id = Value::from(outbound.id.bytes().to_vec());
    run(
        db,
        concat!(update!(), "WHERE id = ?16"),
        params_from_iter(status_values(status).into_iter().chain([id])),
    )?;
    Ok(transition.event)
}

/// The same if the stored status is this one; whether it was.
pub(super) fn apply_to(db: &Connection, before: &Status, transition: &Transition) -> Result<bool> {
    let sql = concat!(
        update!(),
        "WHERE id = ?16 AND (state, lease, lease_until, due_at, attempts, attempted_at, absent_at, revoked, provider_id,
             reason, delivery_level, delivery_status, delivery_code, delivery_at, settled_at)
             IS (?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31)"
    );
    let Message { outbound, status } = &transition.to;
    let id = Value::from(outbound.id.bytes().to_vec());
    let values = status_values(status).into_iter().chain([id]).chain(status_values(before));
    Ok(run(db, sql, params_from_iter(values))? == 1)
}

pub(super) fn by_id(db: &Connection, id: MessageId) -> Result<Option<Message>> {
    first(db, select!("WHERE id = ?1"), [id.bytes()], read)
}

pub(super) fn by_provider_id(db: &Connection, id: &str) -> Result<Option<Message>> {
    first(db, select!("WHERE provider_id = ?1"), [id], read)
}

/// Whether a text with this dedupe key is stored, as a message or as a tombstone.
pub(super) fn is_known(db: &Connection, key: MessageId) -> Result<bool> {
    let known = "SELECT 1 FROM outbound WHERE id = ?1 UNION ALL SELECT 1 FROM inbound WHERE id = ?1";
    exists(db, known, [key.bytes()])
}

pub(super) fn insert_tombstone(db: &Connection, key: MessageId, received_at: DateTime<Utc>) -> Result<()> {
    let sql = "INSERT INTO inbound (id, received_at) VALUES (?1, ?2)";
    run(db, sql, params![key.bytes(), millis(received_at)]).map(drop)
}

/// Messages for which [`is_due`](crate::domain::is_due) holds, oldest first.
pub(super) fn due(db: &Connection, limit: u32, now: DateTime<Utc>) -> Result<Vec<Due>> {
    let ahead = now + CLOCK_TOLERANCE;
    all(
        db,
        "SELECT id, media_urls IS NOT NULL FROM outbound
         WHERE settled_at IS NULL AND state = 'waiting' AND (due_at <= ?1 OR created_at > ?3 OR due_at > max(?4, created_at + ?5))
         ORDER BY created_at, rowid LIMIT ?2",
        params![
            millis(now),
            limit,
            millis(ahead),
            millis(ahead + LONGEST_BACKOFF),
            LONGEST_TURN.num_milliseconds()
        ],
        |row| Ok(Due { id: row.id(0)?, has_media: row.get(1)? }),
    )
}

/// Messages that [`Message::reclaim`] takes from their senders, oldest first.
pub(super) fn lease_expired(db: &Connection, limit: u32, now: DateTime<Utc>) -> Result<Vec<Message>> {
    all(
        db,
        select!(
            "WHERE settled_at IS NULL AND state = 'sending' AND (lease_until < ?1 OR attempted_at > ?3)
             ORDER BY created_at LIMIT ?2"
        ),
        params![millis(now), limit, millis(now + CLOCK_TOLERANCE)],
        readable,
    )
    .map(|found| found.into_iter().flatten().collect())
}

pub(super) fn unknown(db: &Connection, limit: u32, after: Option<MessageId>) -> Result<Vec<Message>> {
    all(
        db,
        select!(
            "WHERE settled_at IS NULL AND state = 'unknown'
             AND (?2 IS NULL OR (attempted_at, id) > (SELECT attempted_at, id FROM outbound WHERE id = ?2))
         ORDER BY attempted_at, id LIMIT ?1"
        ),
        params![limit, after.map(|id| id.bytes())],
        read,
    )
}

/// The session's messages that are not settled.
pub(super) fn unsettled(db: &Connection, session: &Session) -> Result<Vec<Message>> {
    let [tn, a, b, since] = pairs(session);
    all(
        db,
        select!(
            "WHERE from_tn = ?1 AND recipient IN (?2, ?3) AND created_at >= ?4 AND session_id = ?5
             AND settled_at IS NULL"
        ),
        params![tn, a, b, since, session.id.bytes()],
        readable,
    )
    .map(|found| found.into_iter().flatten().collect())
}

/// A session's messages, oldest first, without their content.
pub(super) fn of_session(db: &Connection, session: &Session, page: &Page) -> Result<Part<Message>> {
    let [tn, a, b, since] = pairs(session);
    // A cursor that was not the `next` of a page is taken for the end.
    let cursor = page.after.as_deref().map(|cursor| read_cursor(cursor).unwrap_or((i64::MAX, i64::MAX)));
    let (after_time, after_row) = cursor.unwrap_or((since, 0));
    let rows = all(
        db,
        concat!(
            select!(
                "WHERE from_tn = ?1 AND recipient = ?2 AND session_id = ?4 AND (created_at, rowid) > (?5, ?6)"
            ),
            " UNION ALL ",
            select!(
                "WHERE from_tn = ?1 AND recipient = ?3 AND session_id = ?4 AND (created_at, rowid) > (?5, ?6)"
            ),
            " ORDER BY created_at, rowid LIMIT ?7"
        ),
        params![tn, a, b, session.id.bytes(), after_time, after_row, one_more(page.limit)],
        |row| {
            let mut message = read(row)?;
            message.outbound.text.content = Content::default();
            Ok((row.get::<_, i64>(24)?, message))
        },
    )?;
    let cursor = |(row, message): &(i64, Message)| format!("{}-{row}", millis(message.outbound.created_at));
    Ok(Part::cut(rows, page.limit, cursor).map(|(_, message)| message))
}

/// What finds a session's messages in the index by sender and recipient: its TN, its participants, and since when.
fn pairs(session: &Session) -> [i64; 4] {
    let [a, b] = session.participants.map(|participant| integer(participant.number));
    [integer(session.tn), a, b, millis(session.created_at - CLOCK_TOLERANCE)]
}

fn read_cursor(cursor: &str) -> Option<(i64, i64)> {
    let (time, row) = cursor.split_once('-')?;
    Some((time.parse().ok()?, row.parse().ok()?))
}

pub(super) fn others(db: &Connection, message: &Outbound) -> Result<Others> {
    let rows = all(
        db,
        "SELECT state, provider_id FROM outbound WHERE from_tn = ?1 AND recipient = ?2 AND id <> ?3
             AND (provider_id IS NOT NULL OR state = 'sending')",
        params![integer(message.text.from), integer(message.text.to), message.id.bytes()],
        |row| Ok((row.parsed::<State>(0)?, row.get::<_, Option<String>>(1)?)),
    )?;
    let sending = rows.iter().any(|(state, _)| *state == State::Sending);
    Ok(Others { sending, provider_ids: rows.into_iter().filter_map(|(_, id)| id).collect() })
}

/// Whether at least so many messages of this TN to this recipient were created within these bounds. Reads an index only.
pub(super) fn are_between(
    db: &Connection,
    text: &Text,
    [from, until]: [DateTime<Utc>; 2],
    at_least: u32,
) -> Result<bool> {
    let sql = "SELECT 1 FROM outbound WHERE from_tn = ?1 AND recipient = ?2 AND created_at >= ?3 AND created_at <= ?4
         LIMIT 1 OFFSET ?5";
    let pair = [text.from, text.to].map(integer);
    let offset = i64::from(at_least) - 1;
    exists(db, sql, params![pair[0], pair[1], millis(from), millis(until), offset])
}

/// The relays of this session with this sender and recipient that were created within these bounds, newest first.
pub(super) fn earlier_texts(
    db: &Connection,
    text: &Text,
    [from, until]: [DateTime<Utc>; 2],
    limit: u32,
) -> Result<Vec<EarlierText>> {
    all(
        db,
        "SELECT id, created_at, reason FROM outbound
         WHERE from_tn = ?1 AND recipient = ?2 AND created_at >= ?3 AND created_at <= ?4
             AND kind = 'relay' AND session_id = ?5
         ORDER BY created_at DESC, rowid DESC LIMIT ?6",
        params![
            integer(text.from),
            integer(text.to),
            millis(from),
            millis(until),
            text.session.map(|session| session.bytes()),
            limit
        ],
        |row| {
            let reason: Option<String> = row.get(2)?;
            let is_beyond = is_beyond_limit(reason.as_deref());
            Ok(EarlierText { id: row.id(0)?, at: row.time(1)?, is_beyond })
        },
    )
}

/// The number of replies to this stranger from this TN in the time until now.
pub(super) fn replies_to(
    db: &Connection,
    tn: Number,
    to: Number,
    window: TimeDelta,
    now: DateTime<Utc>,
) -> Result<u64> {
    let sql = "SELECT count(*) FROM outbound
         WHERE from_tn = ?1 AND recipient = ?2 AND created_at > ?3 AND created_at <= ?4 AND kind = 'no_session'";
    count(db, sql, [integer(tn), integer(to), millis(now - window), millis(now + CLOCK_TOLERANCE)])
}

/// The number of replies to strangers in the time until now.
pub(super) fn replies(db: &Connection, window: TimeDelta, now: DateTime<Utc>) -> Result<u64> {
    let sql =
        "SELECT count(*) FROM outbound WHERE kind = 'no_session' AND created_at > ?1 AND created_at <= ?2";
    count(db, sql, [millis(now - window), millis(now + CLOCK_TOLERANCE)])
}

/// When this participant of the session was last told that a text was not delivered.
pub(super) fn told_at(
    db: &Connection,
    session: &Session,
    role: Role,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    let [tn, a, b, since] = pairs(session);
    let sql = "SELECT created_at FROM outbound
         WHERE from_tn = ?1 AND recipient = ?2 AND created_at BETWEEN ?3 AND ?4 AND session_id = ?5
             AND kind = 'not_delivered'
         ORDER BY created_at DESC LIMIT 1";
    let recipient = match role {
        Role::A => a,
        Role::B => b,
    };
    let until = millis(now + CLOCK_TOLERANCE);
    first(db, sql, params![tn, recipient, since, until, session.id.bytes()], |row| row.time(0))
}

/// The number of messages in this state that are not settled, up to a maximum, and when the oldest was created.
pub(super) fn pending(db: &Connection, state: State, up_to: u32) -> Result<(u32, Option<DateTime<Utc>>)> {
    let counted = first(
        db,
        "SELECT count(*), min(created_at) FROM (
             SELECT created_at FROM outbound WHERE state = ?1 AND settled_at IS NULL ORDER BY created_at LIMIT ?2)",
        params![state.as_str(), up_to],
        |row| Ok((row.get(0)?, row.some_time(1)?)),
    )?;
    Ok(counted.unwrap_or_default())
}

/// The messages that failed since then, without those that were blocked. Of the messages settled since then only the
/// newest [`FAILED_AMONG`] are looked at.
pub(super) fn failed_since(db: &Connection, since: DateTime<Utc>, up_to: u32) -> Result<Failed> {
    let [opted_out, is_tn] = [Blocked::OptedOut, Blocked::IsTn].map(Blocked::as_str);
    let counted = first(
        db,
        "SELECT count(*), ifnull(sum(failed), 0) FROM (
             SELECT state = 'failed' AND reason IS NOT ?3 AND reason IS NOT ?4 AS failed
             FROM outbound WHERE settled_at >= ?1 ORDER BY settled_at DESC LIMIT ?2)",
        params![millis(since), FAILED_AMONG, opted_out, is_tn],
        |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?)),
    )?;
    let (settled, failed) = counted.unwrap_or_default();
    Ok(Failed { count: failed.min(up_to), at_least: settled == FAILED_AMONG || failed >= up_to })
}

pub(super) fn leased(db: &Connection) -> Result<u64> {
    count(db, "SELECT count(*) FROM outbound WHERE state = 'sending'", [])
}

pub(super) fn every(db: &Connection) -> Result<Vec<Message>> {
    all(db, select!(""), [], read)
}

/// Deletes messages that were settled before then; returns their number.
pub(super) fn forget(db: &Connection, before: DateTime<Utc>, limit: u32) -> Result<usize> {
    let sql = "DELETE FROM outbound WHERE id IN
         (SELECT id FROM outbound WHERE settled_at < ?1 ORDER BY settled_at LIMIT ?2)";
    run(db, sql, params![millis(before), limit])
}
