//! Between items and the domain's values.

use super::table::{self, Key};
use crate::{
    domain::{Barred, Content, Kind, Number, Outbound, Participant, Role, Session, Text},
    store::{Result, State, StoreError},
};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use std::{collections::HashMap, str::FromStr};

/// The layout of items that this program writes. Items of a newer one are refused, not misread.
pub(super) const VERSION: i64 = 1;

/// An item, written or read.
#[derive(Debug, Clone, Default)]
pub(super) struct Item(pub(super) HashMap<String, AttributeValue>);

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn int(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn at(time: DateTime<Utc>) -> AttributeValue {
    int(time.timestamp_millis())
}

pub(super) fn phone(number: Number) -> AttributeValue {
    text(number.digits())
}

fn unreadable(name: &str) -> StoreError {
    StoreError::Unreadable(format!("an item's {name} is missing or is something else"))
}

impl Item {
    /// A new item under this key.
    pub(super) fn new(key: Key) -> Self {
        let mut item = Self(HashMap::new());
        item.set("pk", text(key.pk));
        item.set("sk", text(key.sk));
        item.set("item_version", int(VERSION));
        item
    }

    pub(super) fn set(&mut self, name: &str, value: AttributeValue) {
        self.0.insert(name.to_owned(), value);
    }

    pub(super) fn set_some(&mut self, name: &str, value: Option<AttributeValue>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// An item as read.
    ///
    /// # Errors
    /// When a newer version has written it.
    pub(super) fn read(attributes: HashMap<String, AttributeValue>) -> Result<Self> {
        let item = Self(attributes);
        match item.some_int("item_version")? {
            Some(newer) if newer > VERSION => Err(StoreError::Unreadable(format!(
                "an item of version {newer}, and this program knows versions up to {VERSION}; a newer release has \
                 written it: deploy that release everywhere"
            ))),
            _ => Ok(item),
        }
    }

    pub(super) fn some_text(&self, name: &str) -> Result<Option<&str>> {
        match self.0.get(name) {
            None => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(_) => Err(unreadable(name)),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<&str> {
        self.some_text(name)?.ok_or_else(|| unreadable(name))
    }

    pub(super) fn some_int(&self, name: &str) -> Result<Option<i64>> {
        match self.0.get(name) {
            None => Ok(None),
            Some(AttributeValue::N(digits)) => digits.parse().map(Some).map_err(|_| unreadable(name)),
            Some(_) => Err(unreadable(name)),
        }
    }

    pub(super) fn int(&self, name: &str) -> Result<i64> {
        self.some_int(name)?.ok_or_else(|| unreadable(name))
    }

    pub(super) fn some_time(&self, name: &str) -> Result<Option<DateTime<Utc>>> {
        let time = |millis| DateTime::from_timestamp_millis(millis).ok_or_else(|| unreadable(name));
        self.some_int(name)?.map(time).transpose()
    }

    pub(super) fn time(&self, name: &str) -> Result<DateTime<Utc>> {
        self.some_time(name)?.ok_or_else(|| unreadable(name))
    }

    pub(super) fn parsed<T: FromStr>(&self, name: &str) -> Result<T> {
        self.text(name)?.parse().map_err(|_| unreadable(name))
    }

    pub(super) fn some_parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        self.some_text(name)?.map(|text| text.parse().map_err(|_| unreadable(name))).transpose()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(AttributeValue::Bool(true)))
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        match self.0.get(name) {
            Some(AttributeValue::L(list)) => {
                list.iter().filter_map(|value| value.as_s().ok().cloned()).collect()
            }
            Some(AttributeValue::Ss(set)) => set.clone(),
            _ => Vec::new(),
        }
    }

    pub(super) fn key(&self) -> Result<Key> {
        Ok(Key { pk: self.text("pk")?.to_owned(), sk: self.text("sk")?.to_owned() })
    }

    /// The attributes of a session, which its own item, its list entry and its routes share.
    pub(super) fn set_session(&mut self, session: &Session) {
        let [a, b] = session.participants;
        self.set("session_id", text(session.id.to_string()));
        self.set("tn_number", phone(session.tn));
        self.set("person_a", phone(a.number));
        self.set("person_b", phone(b.number));
        self.set("created_at", at(session.created_at));
        self.set_some("expires_at", session.expires_at.map(at));
    }

    pub(super) fn session(&self, barred: [Option<Barred>; 2]) -> Result<Session> {
        let participant = |role, name, barred| -> Result<Participant> {
            Ok(Participant { role, number: self.parsed(name)?, barred })
        };
        Ok(Session {
            id: self.parsed("session_id")?,
            tn: self.parsed("tn_number")?,
            participants: [
                participant(Role::A, "person_a", barred[0])?,
                participant(Role::B, "person_b", barred[1])?,
            ],
            created_at: self.time("created_at")?,
            expires_at: self.some_time("expires_at")?,
        })
    }

    /// A message's item, in this state: open messages are found by when they need attention.
    pub(super) fn message(outbound: &Outbound, state: State, attention: DateTime<Utc>) -> Self {
        let Outbound { id, created_at, text: content } = outbound;
        let mut item = Self::new(table::message(*id));
        item.set("message_id", text(id.to_string()));
        item.set("message_kind", text(content.kind.as_str()));
        item.set_some("session_id", content.session.map(|id| text(id.to_string())));
        item.set("from_tn", phone(content.from));
        item.set("recipient", phone(content.to));
        item.set_some("to_role", content.to_role.map(|role| text(if role == Role::A { "a" } else { "b" })));
        item.set("created_at", at(*created_at));
        item.set("message_state", text(state.as_str()));
        item.set("pair_pk", text(pair(content.from, content.to)));
        // What is caused together is listed in the order of this word: starts before ends, A before B.
        let rank = match content.kind {
            Kind::Start => 0,
            Kind::Relay | Kind::NoSession => 1,
            Kind::End | Kind::Expired => 2,
        };
        let side = i32::from(content.to_role == Some(Role::B));
        item.set("pair_sk", text(format!("{}-{rank}{side}-{id}", table::sortable(*created_at))));
        if let Some(barred) = content.barred {
            item.set("reason_text", text(barred.as_str()));
            item.set("settled_at", at(*created_at));
        } else {
            item.set("body_text", text(&content.content.body));
            let media = &content.content.media_urls;
            if !media.is_empty() {
                item.set("has_media", AttributeValue::Bool(true));
                item.set("media_urls", AttributeValue::L(media.iter().map(text).collect()));
            }
            item.set("open_pk", text(table::open_of_message(content.session, *id)));
            item.set("open_sk", text(open_sk(state, attention, outbound)));
            let tried = if state == State::Unknown { attention } else { *created_at };
            item.set("unknown_sk", text(open_sk(State::Unknown, tried, outbound)));
            item.set("due_at", at(attention));
        }
        item
    }

    /// About how many bytes of a transaction a message takes. All but its content is under 1 KB.
    pub(super) fn size(&self) -> Result<usize> {
        let media: usize = self.texts("media_urls").iter().map(String::len).sum();
        Ok(1_000 + self.some_text("body_text")?.map_or(0, str::len) + media)
    }

    pub(super) fn kind(&self) -> Result<Kind> {
        let name = self.text("message_kind")?;
        Kind::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| unreadable("message_kind"))
    }

    pub(super) fn state(&self) -> Result<State> {
        let name = self.text("message_state")?;
        State::ALL.into_iter().find(|state| state.as_str() == name).ok_or_else(|| unreadable("message_state"))
    }

    pub(super) fn role(&self) -> Result<Option<Role>> {
        Ok(self.some_text("to_role")?.map(|role| if role == "a" { Role::A } else { Role::B }))
    }

    pub(super) fn outbound(&self) -> Result<Outbound> {
        Ok(Outbound {
            id: self.parsed("message_id")?,
            created_at: self.time("created_at")?,
            text: Text {
                kind: self.kind()?,
                session: self.some_parsed("session_id")?,
                from: self.parsed("from_tn")?,
                to: self.parsed("recipient")?,
                to_role: self.role()?,
                barred: None,
                content: Content {
                    body: self.some_text("body_text")?.unwrap_or_default().to_owned(),
                    media_urls: self.texts("media_urls"),
                },
            },
        })
    }
}

pub(super) fn pair(from: Number, to: Number) -> String {
    format!("PAIR#{}#{}", from.digits(), to.digits())
}

/// Where a message in this state stands in the index of what is open. `unknown_sk` keeps it for when the message may
/// become unknown, since that goes by when it was last tried.
pub(super) fn open_sk(state: State, attention: DateTime<Utc>, outbound: &Outbound) -> String {
    table::open_place(&open_kind(state), attention, outbound.created_at, &outbound.id)
}

/// What messages in this state are called in the index of what is open.
pub(super) fn open_kind(state: State) -> String {
    state.as_str().to_uppercase()
}
