//! Two people who text each other, and the management calls around them.

use super::{binary::Server, flat, fresh_id, fresh_number, poster::is_on_dynamodb, until};
use chrono::Utc;
use serde_json::{Value, json};
use sms_proxy::{
    domain::Kind,
    store::{Page, State, Store},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Two people, and the TN between them.
#[derive(Debug, Clone)]
pub struct Conversation {
    pub tn: String,
    pub people: [String; 2],
    pub session: String,
    /// A TN beside them, on which there is no session.
    pub spare_tn: String,
}

impl Conversation {
    /// Begins on some TN. The start messages are sent when this returns.
    pub async fn begin(server: &Server) -> Self {
        let people = [fresh_number(), fresh_number()];
        add_tn(server).await;
        let (session, tn) = open_session(server, &people).await;
        let conversation = Self { tn, people, session, spare_tn: add_tn(server).await };
        until("the start messages are sent", server, async || {
            let messages = conversation.messages(server).await;
            messages.iter().all(|message| message["state"] == "sent").then_some(())
        })
        .await;
        conversation
    }

    /// A new text from the first of the two, or from the second.
    pub fn text(&self, from: usize, body: impl Into<String>) -> Value {
        flat(&fresh_id(), &self.people[from], &self.tn, &body.into())
    }

    /// So many new texts from the first.
    pub fn texts(&self, count: usize) -> Vec<Value> {
        (0..count).map(|n| self.text(0, format!("text {n}"))).collect()
    }

    async fn messages(&self, server: &Server) -> Vec<Value> {
        let path = format!("/message?session_id={}", self.session);
        ask(server, &path).await["messages"].as_array().unwrap().clone()
    }

    /// What is on record about the relays, oldest first.
    pub async fn relays(&self, server: &Server) -> Vec<Value> {
        let messages = self.messages(server).await.into_iter();
        messages.filter(|message| message["kind"] == "relay").collect()
    }

    /// The states of the relays, oldest first.
    pub async fn states(&self, server: &Server) -> Vec<String> {
        let relays = self.relays(server).await;
        relays.iter().map(|message| message["state"].as_str().unwrap().to_owned()).collect()
    }

    /// The same while no service runs: what the store itself has.
    pub async fn states_in(&self, store: &Arc<dyn Store>) -> Vec<State> {
        let messages =
            store.messages(self.session.parse().unwrap(), Page::default(), Utc::now()).await.unwrap();
        let messages = messages.expect("the session is on record").items.into_iter();
        messages.filter(|message| message.kind == Kind::Relay).map(|message| message.state).collect()
    }

    /// Waits until every relay is sent.
    pub async fn all_sent(&self, server: &Server) {
        until("all relays are sent", server, async || {
            self.states(server).await.iter().all(|state| state == "sent").then_some(())
        })
        .await;
    }
}

/// Asserts that each call that would change something is answered 503, in bounded time: a store call has two seconds,
/// and may have to wait for the one before it.
pub async fn assert_nothing_can_be_changed(server: &Server, conversation: &Conversation) {
    let pair = json!({"participant_a": fresh_number(), "participant_b": fresh_number()});
    for (method, path, body) in [
        ("POST", "/tn".to_owned(), Some(json!({"value": fresh_number()}))),
        ("DELETE", format!("/tn/{}", conversation.spare_tn), None),
        ("POST", "/session".to_owned(), Some(pair)),
        ("DELETE", format!("/session/{}", conversation.session), None),
    ] {
        let begun = Instant::now();
        server.call(method, &path, body).await.assert_error(503, "store_unavailable");
        assert!(begun.elapsed() < Duration::from_secs(6), "{method} {path} took {:?}", begun.elapsed());
    }
}

/// Asserts that the same calls work.
pub async fn assert_all_can_be_changed(server: &Server, conversation: Conversation) {
    open_session(server, &[fresh_number(), fresh_number()]).await;
    add_tn(server).await;
    delete(server, &format!("/session/{}", conversation.session)).await;
    delete(server, &format!("/tn/{}", conversation.tn)).await;
}

/// Whether the engine was too slow, as it is now and then on a busy machine: then it is asked again.
fn was_too_slow(server: &Server, status: u16) -> bool {
    status == 503 && is_on_dynamodb(server)
}

/// Asks for something that there is.
async fn ask(server: &Server, path: &str) -> Value {
    until("an answer", server, async || {
        let answer = server.call("GET", path, None).await;
        if was_too_slow(server, answer.status) {
            return None;
        }
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        Some(answer.json())
    })
    .await
}

/// Puts a new number into the pool.
async fn add_tn(server: &Server) -> String {
    until("a number is in the pool", server, async || {
        let tn = fresh_number();
        let answer = server.call("POST", "/tn", Some(json!({"value": tn}))).await;
        if was_too_slow(server, answer.status) {
            return None;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        Some(tn)
    })
    .await
}

/// Opens a session of these two: its id and its TN.
async fn open_session(server: &Server, people: &[String; 2]) -> (String, String) {
    let word = |session: &Value, name: &str| session[name].as_str().unwrap().to_owned();
    until("a session is open", server, async || {
        let pair = json!({"participant_a": people[0], "participant_b": people[1]});
        let answer = server.call("POST", "/session", Some(pair)).await;
        if was_too_slow(server, answer.status) {
            // It may have happened all the same.
            let sessions = ask(server, "/session").await;
            let mut sessions = sessions["sessions"].as_array().unwrap().iter();
            let session = sessions.find(|session| session["participant_a"] == people[0].as_str())?;
            return Some((word(session, "id"), word(session, "virtual_tn")));
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        Some((word(&answer.json(), "session_id"), word(&answer.json(), "virtual_tn")))
    })
    .await
}

/// Ends or removes something that there is.
async fn delete(server: &Server, path: &str) {
    let mut tries = 0;
    until("it is gone", server, async || {
        tries += 1;
        let status = server.call("DELETE", path, None).await.status;
        if was_too_slow(server, status) {
            return None;
        }
        // After a try that was too slow it may be gone.
        assert!(status == 200 || (tries > 1 && status == 404), "{path}: {status}");
        Some(())
    })
    .await;
}
