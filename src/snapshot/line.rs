//! One line of a snapshot's file, and the record that it stands for.

use crate::{
    domain::{Content, Kind, MessageId, Number, Outbound, Participant, Role, Session, SessionId, Text},
    store::{Delivery, Entry, MessageEntry, Stage, State},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// What the first line says the file is.
const FORMAT: &str = "sms-proxy snapshot";
/// The version of the format. Newer ones are refused, not misread.
const VERSION: u64 = 1;
/// Times are below this: they have fifteen digits at most.
const TIMES_END: i64 = 1_000_000_000_000_000;

/// A line: a JSON object whose only key says what it is. Times are milliseconds since 1970, UTC.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Snapshot(Header),
    Tn(TnLine),
    Session(SessionLine),
    OptOut(OptOutLine),
    Inbound(InboundLine),
    Message(Box<MessageLine>),
    End(End),
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    format: String,
    version: u64,
}

/// The last line: without it the file was cut off.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    /// How many records are between the first line and this one.
    pub(super) records: usize,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TnLine {
    number: String,
    added_at: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionLine {
    id: String,
    tn: String,
    participant_a: String,
    participant_b: String,
    created_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OptOutLine {
    tn: String,
    person: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InboundLine {
    id: String,
    received_at: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageLine {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    kind: String,
    from: String,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_role: Option<Side>,
    created_at: i64,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settled_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    media_urls: Vec<String>,
    lease: u32,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempted_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    absent_at: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    revoked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<ReceiptLine>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    receipt_levels: Vec<i64>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    A,
    B,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptLine {
    level: i64,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<i64>,
}

impl Line {
    /// The first line of a file.
    pub(super) fn header() -> Self {
        Self::Snapshot(Header { format: FORMAT.into(), version: VERSION })
    }

    /// Reads a line.
    ///
    /// # Errors
    /// With what is wrong, without quoting it: it may be somebody's text.
    pub(super) fn read(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => format!(
                "a kind of record, a field or a value is unknown or missing at column {}",
                error.column()
            ),
            _ => format!("it is not JSON, or was cut off, at column {}", error.column()),
        })
    }
}

/// Checks the first line of a file.
///
/// # Errors
/// With what is wrong with it.
pub(super) fn check_header(line: &[u8]) -> Result<(), String> {
    // Loosely, since a newer version may have more in it.
    let value: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
    let header = &value["snapshot"];
    match (header["format"].as_str(), header["version"].as_u64()) {
        (Some(FORMAT), Some(newer)) if newer > VERSION => {
            Err(format!("it is of version {newer}, this program knows {VERSION}; use a newer sms-proxy"))
        }
        (Some(FORMAT), Some(VERSION)) => Line::read(line).map(|_| ()),
        _ => Err("it is not the beginning of a file that `sms-proxy export` wrote".into()),
    }
}

fn millis(time: DateTime<Utc>) -> i64 {
    time.timestamp_millis()
}

fn time(millis: i64) -> Result<DateTime<Utc>, String> {
    let time = DateTime::from_timestamp_millis(millis).filter(|_| (0..TIMES_END).contains(&millis));
    time.ok_or_else(|| "a time is out of range".into())
}

fn some_time(millis: Option<i64>) -> Result<Option<DateTime<Utc>>, String> {
    millis.map(time).transpose()
}

fn number(digits: &str) -> Result<Number, String> {
    digits.parse().map_err(|error| format!("a phone number {error}"))
}

fn id<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

impl From<&Entry> for Line {
    fn from(entry: &Entry) -> Self {
        match entry {
            Entry::Tn { number, added_at } => {
                Self::Tn(TnLine { number: number.digits(), added_at: millis(*added_at) })
            }
            Entry::Session { session, ended_at } => {
                let [a, b] = session.participants;
                Self::Session(SessionLine {
                    id: session.id.to_string(),
                    tn: session.tn.digits(),
                    participant_a: a.number.digits(),
                    participant_b: b.number.digits(),
                    created_at: millis(session.created_at),
                    expires_at: session.expires_at.map(millis),
                    ended_at: ended_at.map(millis),
                })
            }
            Entry::OptOut { tn, person } => {
                Self::OptOut(OptOutLine { tn: tn.digits(), person: person.digits() })
            }
            Entry::Inbound { id, received_at } => {
                Self::Inbound(InboundLine { id: id.to_string(), received_at: millis(*received_at) })
            }
            Entry::Message(message) => Self::Message(Box::new(MessageLine::from(&**message))),
        }
    }
}

impl From<&MessageEntry> for MessageLine {
    fn from(message: &MessageEntry) -> Self {
        let Outbound { id, created_at, text } = &message.outbound;
        let (state, due_at, settled_at) = match message.stage {
            Stage::Waiting(due) => (State::Waiting, Some(due), None),
            Stage::Unknown => (State::Unknown, None, None),
            Stage::Settled(state, at) => (state, None, Some(at)),
        };
        Self {
            id: id.to_string(),
            session: text.session.map(|session| session.to_string()),
            kind: text.kind.as_str().into(),
            from: text.from.digits(),
            to: text.to.digits(),
            to_role: text.to_role.map(|role| if role == Role::A { Side::A } else { Side::B }),
            created_at: millis(*created_at),
            state: state.as_str().into(),
            due_at: due_at.map(millis),
            settled_at: settled_at.map(millis),
            body: settled_at.is_none().then(|| text.content.body.clone()),
            media_urls: text.content.media_urls.clone(),
            lease: message.lease,
            attempts: message.attempts,
            attempted_at: message.attempted_at.map(millis),
            absent_at: message.absent_at.map(millis),
            revoked: message.revoked,
            provider_id: message.provider_id.clone(),
            reason: message.reason.clone(),
            receipt: message.delivery.as_ref().map(|(level, delivery)| ReceiptLine {
                level: *level,
                status: delivery.status.clone(),
                code: delivery.code.clone(),
                at: delivery.at.map(millis),
            }),
            receipt_levels: message.levels.clone(),
        }
    }
}

impl SessionLine {
    pub(super) fn entry(&self) -> Result<Entry, String> {
        if self.participant_a == self.participant_b {
            return Err("the two participants are the same".into());
        }
        let participant = |role, digits| -> Result<Participant, String> {
            Ok(Participant { role, number: number(digits)?, barred: None })
        };
        let session = Session {
            id: id::<SessionId>(&self.id)?,
            tn: number(&self.tn)?,
            participants: [
                participant(Role::A, &self.participant_a)?,
                participant(Role::B, &self.participant_b)?,
            ],
            created_at: time(self.created_at)?,
            expires_at: some_time(self.expires_at)?,
        };
        Ok(Entry::Session { session, ended_at: some_time(self.ended_at)? })
    }
}

impl TnLine {
    pub(super) fn entry(&self) -> Result<Entry, String> {
        Ok(Entry::Tn { number: number(&self.number)?, added_at: time(self.added_at)? })
    }
}

impl OptOutLine {
    pub(super) fn entry(&self) -> Result<Entry, String> {
        Ok(Entry::OptOut { tn: number(&self.tn)?, person: number(&self.person)? })
    }
}

impl InboundLine {
    pub(super) fn entry(&self) -> Result<Entry, String> {
        Ok(Entry::Inbound { id: id::<MessageId>(&self.id)?, received_at: time(self.received_at)? })
    }
}

impl MessageLine {
    pub(super) fn entry(self) -> Result<Entry, String> {
        let stage = self.stage()?;
        if !self.receipt_levels.is_sorted_by(|one, next| one < next) {
            return Err("the levels of its receipts are not in order".into());
        }
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == self.kind);
        let delivery = match self.receipt {
            None => None,
            Some(ReceiptLine { level, status, code, at }) => {
                Some((level, Delivery { status, code, at: some_time(at)? }))
            }
        };
        let text = Text {
            kind: kind.ok_or("the kind of the message is unknown")?,
            session: self.session.as_deref().map(id).transpose()?,
            from: number(&self.from)?,
            to: number(&self.to)?,
            to_role: self.to_role.map(|side| if matches!(side, Side::A) { Role::A } else { Role::B }),
            barred: None,
            content: Content { body: self.body.unwrap_or_default(), media_urls: self.media_urls },
        };
        Ok(Entry::Message(Box::new(MessageEntry {
            outbound: Outbound { id: id(&self.id)?, created_at: time(self.created_at)?, text },
            stage,
            lease: self.lease,
            attempts: self.attempts,
            attempted_at: some_time(self.attempted_at)?,
            absent_at: some_time(self.absent_at)?,
            revoked: self.revoked,
            provider_id: self.provider_id,
            reason: self.reason,
            delivery,
            levels: self.receipt_levels,
        })))
    }

    /// Where the message stands; only what is not settled has content.
    fn stage(&self) -> Result<Stage, String> {
        let state = State::ALL.into_iter().find(|state| state.as_str() == self.state);
        let state = state.ok_or("the state of the message is unknown")?;
        let has_content = self.body.is_some();
        match (state, some_time(self.due_at)?, some_time(self.settled_at)?) {
            (State::Sending, ..) => Err("the message is leased; such a file is not whole".into()),
            (State::Waiting, Some(due), None) if has_content => Ok(Stage::Waiting(due)),
            (State::Unknown, None, None) if has_content => Ok(Stage::Unknown),
            (State::Waiting, ..) => {
                Err("a message that waits has a body and due_at, and no settled_at".into())
            }
            (_, None, Some(at)) if !has_content && self.media_urls.is_empty() => {
                Ok(Stage::Settled(state, at))
            }
            _ => Err("a message has a body, or settled_at, and due_at only if it waits".into()),
        }
    }
}
