//! A provider that records messages instead of sending them.

use super::{ListError, Listed, Provider, SendError};
use crate::{
    domain::{MessageId, Outbound},
    limits,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Records the last 1,000 messages in memory.
#[derive(Debug, Default)]
pub struct Sandbox {
    messages: Mutex<VecDeque<SandboxMessage>>,
}

/// A recorded message.
#[derive(Debug, Clone)]
pub struct SandboxMessage {
    /// The sandbox's id of it.
    pub id: String,
    /// The message.
    pub message: Outbound,
    /// When it was recorded.
    pub sent_at: DateTime<Utc>,
}

impl Sandbox {
    /// The messages, newest first.
    #[must_use]
    pub fn messages(&self) -> Vec<SandboxMessage> {
        self.kept().iter().rev().cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<SandboxMessage>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Provider for Sandbox {
    fn name(&self) -> &'static str {
        "the sandbox"
    }

    fn setting(&self) -> &'static str {
        "sandbox"
    }

    fn remedy(&self) -> &'static str {
        "set FLOWROUTE_ACCESS_KEY and FLOWROUTE_SECRET_KEY to send messages"
    }

    async fn send(&self, message: &Outbound, _limit: Duration) -> Result<String, SendError> {
        let text = &message.text;
        tracing::info!(
            kind = text.kind.as_str(),
            to = text.to.masked(),
            characters = text.content.body.chars().count(),
            "sandbox: message recorded, not sent"
        );
        let mut kept = self.kept();
        if kept.len() == limits::SANDBOX_MESSAGES {
            kept.pop_front();
        }
        let id = format!("sandbox-{}", MessageId::random());
        kept.push_back(SandboxMessage { id: id.clone(), message: message.clone(), sent_at: Utc::now() });
        Ok(id)
    }

    async fn list(&self, since: DateTime<Utc>, _limit: Duration) -> Result<Vec<Listed>, ListError> {
        let kept = self.kept();
        let rows = kept.iter().filter(|kept| kept.sent_at >= since).map(
            |SandboxMessage { id, message, sent_at }| {
                let text = &message.text;
                let body = text.content.body.clone();
                Listed { id: id.clone(), from: text.from, to: text.to, body, sent_at: Some(*sent_at) }
            },
        );
        Ok(rows.collect())
    }
}
