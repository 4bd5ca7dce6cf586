//! Receives a text: route, decide, store, send, settle.

use super::{Options, Result, Service, Wording, opt_words::OptWord, response::ResponseSlot};
use crate::{
    domain::{
        Blocked, Content, Decision, IgnoreReason, Inbound, Kind, Message, MessageEvent, Number, OptChange,
        Receipt, Route, Session, Text, Turn, kept_id,
    },
    store::{Arrival, Received},
    telemetry::metrics::{Event, count},
};
use std::sync::Arc;
use tokio::time::Instant;

/// Decides what an inbound text leads to, given who its sender is to the TN. Pure: no I/O, no clock, no randomness.
#[must_use]
pub fn decide(route: &Route, inbound: &Inbound, wording: &Wording) -> Decision {
    decide_word(route, inbound, wording, wording.opt_out.read(&inbound.content))
}

/// [`decide`], given the word that the text is, if it is one.
fn decide_word(route: &Route, inbound: &Inbound, wording: &Wording, word: Option<OptWord>) -> Decision {
    match route {
        Route::NotOurTn => Decision::Ignore(IgnoreReason::NotOurTn),
        Route::SenderIsTn => Decision::Ignore(IgnoreReason::SenderIsTn),
        _ if let Some(OptWord::Opt { out }) = word => {
            Decision::Opt(OptChange { tn: inbound.to, person: inbound.from, out })
        }
        _ if word == Some(OptWord::Start) && has_opted_out(route, inbound.from) => {
            Decision::Ignore(IgnoreReason::StartAfterOptOut)
        }
        Route::Stranger { blocked: Some(blocked) } => Decision::Ignore(IgnoreReason::Blocked(*blocked)),
        Route::Stranger { blocked: None } => reply_to_stranger(inbound, wording),
        // Without a previous session nothing is compared: the clocks of Flowroute and of this service may differ.
        Route::Live { previous_end: Some(end), .. } if inbound.sent_at.is_some_and(|sent| sent < *end) => {
            Decision::Ignore(IgnoreReason::PreviousSession)
        }
        Route::Live { session, .. } => match session.sides(inbound.from) {
            Some((_, other)) => match wording.relayed(inbound) {
                content if content.is_empty() => Decision::Ignore(IgnoreReason::OnlyMissingMedia),
                content => Decision::Send(vec![Text::in_session(session, Kind::Relay, other, content)]),
            },
            None => reply_to_stranger(inbound, wording),
        },
        Route::Expired(session) => Decision::Expire(wording.expired_notices(session)),
    }
}

/// [`decide`], without answers to strangers whose numbers may not be texted.
fn decide_allowed(route: &Route, inbound: &Inbound, word: Option<OptWord>, options: &Options) -> Decision {
    match decide_word(route, inbound, &options.wording, word) {
        Decision::Send(texts) if texts.iter().any(|text| text.kind == Kind::NoSession) => {
            match options.allowed_countries.check(inbound.from) {
                Ok(()) => Decision::Send(texts),
                Err(why) => Decision::Ignore(IgnoreReason::StrangerNotAllowed(why)),
            }
        }
        decision => decision,
    }
}

/// Whether this sender has opted out of the TN.
fn has_opted_out(route: &Route, sender: Number) -> bool {
    let blocked = match route {
        Route::NotOurTn | Route::SenderIsTn => None,
        Route::Stranger { blocked } => *blocked,
        Route::Live { session, .. } | Route::Expired(session) => {
            session.sides(sender).and_then(|(own, _)| own.blocked)
        }
    };
    blocked == Some(Blocked::OptedOut)
}

fn reply_to_stranger(inbound: &Inbound, wording: &Wording) -> Decision {
    let reply = Text {
        kind: Kind::NoSession,
        session: None,
        from: inbound.to,
        to: inbound.from,
        to_role: None,
        blocked: None,
        content: Content::from(wording.signed(&wording.no_session).as_str()),
    };
    Decision::Send(vec![reply])
}

impl Wording {
    /// What the other participant gets of a text: all of it, and a notice if one of its pictures is missing.
    fn relayed(&self, inbound: &Inbound) -> Content {
        let mut content = inbound.content.clone();
        if inbound.media_missing && !self.media_missing.trim().is_empty() {
            if !content.body.is_empty() {
                content.body.push('\n');
            }
            content.body.push_str(&self.signed(&self.media_missing));
        }
        content
    }

    /// The notices of an expired session; none if the operator has switched them off.
    pub(super) fn expired_notices(&self, session: &Session) -> Vec<Text> {
        if self.session_expired.is_empty() {
            return Vec::new();
        }
        session.notices(Kind::Expired, &self.signed(&self.session_expired)).into()
    }
}

impl Service {
    /// Takes a text, once for each number that it was sent to. `Ok` means that it need not be sent again: each is stored
    /// with what it causes, or it is a duplicate or ignored.
    ///
    /// # Errors
    /// When the store fails: the text should be sent again.
    pub async fn receive(&self, texts: Vec<Inbound>) -> Result<()> {
        let service = self.clone();
        let deadline = self.deadline();
        self.respond(|slot| async move { service.relay(texts, deadline, &slot).await }).await
    }

    async fn relay(&self, texts: Vec<Inbound>, deadline: Instant, slot: &ResponseSlot<()>) -> Result<()> {
        let mut leased = Vec::new();
        for inbound in texts {
            match self.store_text(inbound).await {
                Ok(messages) => leased.extend(messages),
                Err(error) => {
                    // What is stored already is a duplicate when the text is sent again.
                    self.defer(leased).await;
                    return Err(error);
                }
            }
        }
        slot.publish(());
        self.dispatch(leased, deadline).await;
        Ok(())
    }

    /// Stores a text with what it causes. Returns the messages to be sent.
    async fn store_text(&self, inbound: Inbound) -> Result<Vec<Message>> {
        let now = self.now();
        let word = self.options.wording.opt_out.read(&inbound.content);
        let text = Arc::new(inbound.clone());
        let decide = {
            let (options, text) = (Arc::clone(&self.options), Arc::clone(&text));
            Arc::new(move |route: &Route| decide_allowed(route, &text, word, &options))
        };
        let quota = self.options.reply_quota;
        let sender_limit = self.options.sender_limit;
        let arrival = Arrival { inbound, now, lease_until: self.lease_until(now), quota, sender_limit };
        let leased = match self.store.receive(arrival, decide).await? {
            Received::Stored(leased) => {
                if let Some(OptWord::Opt { out }) = word {
                    let (from, to) = (text.from.masked(), text.to.masked());
                    let change = if out { "opted out of this TN" } else { "opted in again to this TN" };
                    tracing::info!(from, to, "{change}");
                }
                leased
            }
            Received::Limited(turn) => {
                self.log_limited(turn, &text);
                Vec::new()
            }
            Received::Duplicate => {
                tracing::info!(from = text.from.masked(), to = text.to.masked(), "duplicate text");
                Vec::new()
            }
            Received::Ignored(reason) => {
                log_ignored(reason, &text);
                Vec::new()
            }
        };
        if text.media_missing && leased.iter().any(|message| message.outbound.text.kind == Kind::Relay) {
            count(Event::PicturesMissing);
        }
        Ok(leased)
    }

    fn log_limited(&self, turn: Turn, text: &Inbound) {
        let id = text.id.as_deref().map(kept_id);
        let (from, to) = (text.from.masked(), text.to.masked());
        if let Turn::Never(reason) = turn {
            self.count_outcome(MessageEvent::Failed);
            tracing::warn!(id, from, to, reason, "text not relayed");
            return;
        }
        if text.media_missing {
            count(Event::PicturesMissing);
        }
        tracing::info!(id, from, to, "text waits: its sender has sent too many in a minute");
    }

    /// Receives a delivery receipt of a message of ours.
    ///
    /// # Errors
    /// When the store fails: the receipt should be sent again.
    pub async fn receive_receipt(&self, receipt: Receipt) -> Result<()> {
        let now = self.now();
        let receipt = Receipt { delivery: receipt.delivery.without_future(now), ..receipt };
        let receipted = self.store.receipt(&receipt, now).await?;
        let outbound = receipt.message.map(|id| id.to_string());
        let (receipt_level, code) = (receipt.delivery.level, receipt.delivery.code.as_deref());
        tracing::info!(outbound, receipt_level, code, ?receipted, "delivery receipt");
        Ok(())
    }
}

fn log_ignored(reason: IgnoreReason, text: &Inbound) {
    let id = text.id.as_deref().map(kept_id);
    let (from, to) = (text.from.masked(), text.to.masked());
    match reason {
        IgnoreReason::PreviousSession => {
            tracing::warn!(
                id,
                from,
                to,
                "text not relayed: it was sent before the sender's previous session ended"
            );
        }
        IgnoreReason::StrangerNotAllowed(why) => {
            count(Event::StrangersNotAllowed);
            tracing::warn!(id, from, to, "stranger not answered: the sender's number {why}");
        }
        IgnoreReason::StartAfterOptOut => {
            tracing::warn!(
                from,
                to,
                "text not relayed: its sender has opted out of this TN, and Flowroute opts in again for UNSTOP, not for START"
            );
        }
        reason => tracing::info!(from, to, ?reason, "text ignored"),
    }
}
