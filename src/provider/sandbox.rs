//! A provider that sends nothing and shows what it would have sent.

use super::{ListError, Listed, Provider, SendError};
use crate::domain::{MessageId, Outbound};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How many texts are kept.
const KEPT: usize = 1000;

/// Keeps the last 1,000 texts in memory instead of sending them.
#[derive(Debug, Default)]
pub struct Sandbox {
    messages: Mutex<VecDeque<SandboxMessage>>,
}

/// A text that would have been sent.
#[derive(Debug, Clone)]
pub struct SandboxMessage {
    /// The sandbox's id of it.
    pub id: String,
    /// The text, under its id.
    pub message: Outbound,
    /// When it would have been sent.
    pub sent_at: DateTime<Utc>,
}

impl Sandbox {
    /// The texts, newest first.
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
    async fn send(&self, message: &Outbound, _limit: Duration) -> Result<String, SendError> {
        let text = &message.text;
        tracing::info!(
            kind = text.kind.as_str(),
            to = text.to.masked(),
            characters = text.content.body.chars().count(),
            "the sandbox keeps a text instead of sending it"
        );
        let mut kept = self.kept();
        if kept.len() == KEPT {
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
