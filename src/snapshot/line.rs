//! One line of a snapshot's file, and the record in it.

use crate::{
    domain::{
        Content, Delivery, Message, Number, Outbound, Participant, Role, Session, SessionId, State, Status,
        Text,
    },
    store::Entry,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

const FORMAT: &str = "sms-proxy snapshot";
/// The version of the format. A file of a newer one is refused.
const VERSION: u64 = 1;
/// Times are lower than this: they have at most fifteen digits.
const TIMES_END: i64 = 1_000_000_000_000_000;

/// A line: a JSON object whose only key says what it is. Times are milliseconds since 1970, UTC.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line {
    /// The first line.
    Snapshot {
        format: String,
        version: u64,
    },
    Tn {
        number: String,
        added_at: i64,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        draining: bool,
    },
    OptOutKey {
        key: String,
    },
    OptOut {
        tn: String,
        /// A keyed hash.
        person: String,
    },
    Session(SessionLine),
    Inbound {
        id: String,
        received_at: i64,
    },
    Message(Box<MessageLine>),
    /// The last line, without which the file was cut off; it counts the lines between the first and itself.
    End {
        records: usize,
    },
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
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
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
    to_role: Option<String>,
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
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<i64>,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<i64>,
}

impl Line {
    pub(super) fn header() -> Self {
        Self::Snapshot { format: FORMAT.into(), version: VERSION }
    }

    /// Reads a line. The error does not quote it: it may hold a text.
    pub(super) fn read(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => format!(
                "a kind of record, a field or a value is unknown or missing at column {}",
                error.column()
            ),
            _ => format!("it is not JSON, or was cut off, at column {}", error.column()),
        })
    }

    /// The record in the line.
    pub(super) fn entry(self) -> Result<Entry, String> {
        Ok(match self {
            Self::Tn { number: tn, added_at, draining } => {
                Entry::Tn { number: number(&tn)?, added_at: time(added_at)?, draining }
            }
            Self::OptOutKey { key } => Entry::OptOutKey(id(&key)?),
            Self::OptOut { tn, person } => Entry::OptOut { tn: number(&tn)?, person: id(&person)? },
            Self::Session(line) => line.entry()?,
            Self::Inbound { id: key, received_at } => {
                Entry::Inbound { id: id(&key)?, received_at: time(received_at)? }
            }
            Self::Message(line) => line.entry()?,
            Self::Snapshot { .. } | Self::End { .. } => return Err("it is not a record".into()),
        })
    }
}

pub(super) fn check_header(line: &[u8]) -> Result<(), String> {
    // Not read as a `Line`: a newer version may have other fields.
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
            Entry::Tn { number, added_at, draining } => {
                Self::Tn { number: number.digits(), added_at: millis(*added_at), draining: *draining }
            }
            Entry::Session { session, ended_at, request } => {
                let [a, b] = session.participants;
                Self::Session(SessionLine {
                    id: session.id.to_string(),
                    tn: session.tn.digits(),
                    participant_a: a.number.digits(),
                    participant_b: b.number.digits(),
                    created_at: millis(session.created_at),
                    expires_at: session.expires_at.map(millis),
                    ended_at: ended_at.map(millis),
                    request: request.clone(),
                })
            }
            Entry::OptOutKey(key) => Self::OptOutKey { key: key.digits().to_owned() },
            Entry::OptOut { tn, person } => Self::OptOut { tn: tn.digits(), person: person.to_string() },
            Entry::Inbound { id, received_at } => {
                Self::Inbound { id: id.to_string(), received_at: millis(*received_at) }
            }
            Entry::Message(message) => Self::Message(Box::new(MessageLine::from(&**message))),
        }
    }
}

impl From<&Message> for MessageLine {
    fn from(Message { outbound, status }: &Message) -> Self {
        let Outbound { id, created_at, text } = outbound;
        Self {
            id: id.to_string(),
            session: text.session.map(|session| session.to_string()),
            kind: text.kind.as_str().into(),
            from: text.from.digits(),
            to: text.to.digits(),
            to_role: text.to_role.map(|role| role.as_str().into()),
            created_at: millis(*created_at),
            state: status.state.as_str().into(),
            due_at: status.due_at.map(millis),
            settled_at: status.settled_at.map(millis),
            body: status.settled_at.is_none().then(|| text.content.body.clone()),
            media_urls: text.content.media_urls.clone(),
            lease: status.lease,
            attempts: status.attempts,
            attempted_at: status.attempted_at.map(millis),
            absent_at: status.absent_at.map(millis),
            revoked: status.revoked,
            provider_id: status.provider_id.clone(),
            reason: status.reason.clone(),
            receipt: status.delivery.as_ref().map(|delivery| ReceiptLine {
                level: delivery.level,
                status: delivery.status.clone(),
                code: delivery.code.clone(),
                at: delivery.at.map(millis),
            }),
        }
    }
}

impl SessionLine {
    fn entry(&self) -> Result<Entry, String> {
        if self.participant_a == self.participant_b {
            return Err("the two participants are the same".into());
        }
        let participant = |role, digits| -> Result<Participant, String> {
            Ok(Participant { role, number: number(digits)?, blocked: None })
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
        Ok(Entry::Session { session, ended_at: some_time(self.ended_at)?, request: self.request.clone() })
    }
}

impl MessageLine {
    fn entry(self) -> Result<Entry, String> {
        let status = self.status()?;
        let unknown = |what: &'static str| move |_| format!("the {what} of the message is unknown");
        let text = Text {
            kind: self.kind.parse().map_err(unknown("kind"))?,
            session: self.session.as_deref().map(id).transpose()?,
            from: number(&self.from)?,
            to: number(&self.to)?,
            to_role: self.to_role.as_deref().map(str::parse).transpose().map_err(unknown("recipient"))?,
            blocked: None,
            content: Content { body: self.body.unwrap_or_default(), media_urls: self.media_urls },
        };
        let outbound = Outbound { id: id(&self.id)?, created_at: time(self.created_at)?, text };
        Ok(Entry::Message(Box::new(Message { outbound, status })))
    }

    /// The state of the message. Only one that is not settled has content.
    fn status(&self) -> Result<Status, String> {
        let state = self.state.parse().map_err(|_| "the state of the message is unknown".to_owned())?;
        let (due_at, settled_at) = (some_time(self.due_at)?, some_time(self.settled_at)?);
        let has_body = self.body.is_some();
        match (state, due_at, settled_at) {
            (State::Sending, ..) => {
                return Err("the message is leased; no export contains such a message".into());
            }
            (State::Waiting, Some(_), None) | (State::Unknown, None, None) if has_body => {}
            (State::Waiting, ..) => {
                return Err("a message that waits has a body and due_at, and no settled_at".into());
            }
            (_, None, Some(_)) if !has_body && self.media_urls.is_empty() => {}
            _ => return Err("a message has a body, or settled_at, and due_at only if it waits".into()),
        }
        let delivery = |receipt: &ReceiptLine| -> Result<Delivery, String> {
            let (status, code) = (receipt.status.clone(), receipt.code.clone());
            Ok(Delivery { level: receipt.level, status, code, at: some_time(receipt.at)? })
        };
        Ok(Status {
            state,
            lease: self.lease,
            lease_until: None,
            due_at,
            attempts: self.attempts,
            attempted_at: some_time(self.attempted_at)?,
            absent_at: some_time(self.absent_at)?,
            revoked: self.revoked,
            provider_id: self.provider_id.clone(),
            reason: self.reason.clone(),
            delivery: self.receipt.as_ref().map(delivery).transpose()?,
            settled_at,
        })
    }
}
