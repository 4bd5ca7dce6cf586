//! Random orders of events: each text reaches the right person once, or has a stored reason.

use chrono::TimeDelta;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};
use std::collections::HashMap;
use test_support::{App, Backend, Outcome, flat, fresh_id, number};

#[derive(Debug, Clone)]
enum Step {
    Open { a: u32, b: u32, minutes: Option<u32> },
    Text { from: u32, tn: u32 },
    Repeat { back: usize },
    End { back: usize },
    Wait { seconds: i64 },
    Provider(Outcome),
    List { down: bool },
    Maintain,
}

fn step() -> impl Strategy<Value = Step> {
    let outcomes = vec![
        Outcome::Sent,
        Outcome::Sent,
        Outcome::Sent,
        Outcome::Refused,
        Outcome::BadCredentials,
        Outcome::Busy,
        Outcome::SentNoResponse,
        Outcome::LostNoResponse,
        Outcome::SentThenCrash,
        Outcome::Crash,
    ];
    prop_oneof![
        3 => (0..5_u32, 0..5_u32, prop::option::of(1..4_u32)).prop_map(|(a, b, minutes)| Step::Open { a, b, minutes }),
        8 => (0..5_u32, 0..2_u32).prop_map(|(from, tn)| Step::Text { from, tn }),
        2 => (0..5_usize).prop_map(|back| Step::Repeat { back }),
        2 => (0..3_usize).prop_map(|back| Step::End { back }),
        3 => select(vec![1_i64, 10, 31, 61, 301]).prop_map(|seconds| Step::Wait { seconds }),
        4 => select(outcomes).prop_map(Step::Provider),
        1 => any::<bool>().prop_map(|down| Step::List { down }),
        3 => Just(Step::Maintain),
    ]
}

/// What a client knows of a session.
struct Known {
    answer: Value,
    /// The number of texts that the provider had taken when the session ended; no relay may be taken after that.
    over_at: Option<usize>,
}

/// The service, and the expected state.
struct World {
    app: App,
    sessions: Vec<Known>,
    posts: Vec<Value>,
    /// Which session accepted a text, and for whom.
    expected: HashMap<String, (usize, String)>,
}

impl World {
    async fn take(&mut self, step: Step) {
        match step {
            Step::Open { a, b, minutes } => self.open(a, b, minutes).await,
            Step::Text { from, tn } => self.text(&number(from), &number(100 + tn)).await,
            Step::Repeat { back } => {
                if let Some(post) = self.posts.iter().rev().nth(back) {
                    self.app.post(post).await;
                }
            }
            Step::End { back } => self.end(back).await,
            Step::Wait { seconds } => {
                self.app.clock.advance(TimeDelta::seconds(seconds));
                self.note_expired().await;
            }
            Step::Provider(outcome) => self.app.provider.always(outcome),
            Step::List { down } => self.app.provider.list_is_down(down),
            Step::Maintain => drop(self.app.service.maintain().await),
        }
    }

    async fn open(&mut self, a: u32, b: u32, minutes: Option<u32>) {
        let body = json!({"participant_a": number(a), "participant_b": number(b), "expiry_window": minutes});
        let before = self.app.provider.taken().len();
        let answer = self.app.call("POST", "/session", Some(body)).await;
        if answer.status == 200 {
            self.sessions.push(Known { answer: answer.json(), over_at: None });
        } else if answer.status == 500 {
            // The process died: the session may be open. The caller finds it in the list.
            let listed = self.app.call("GET", "/session", None).await.json();
            for session in listed["sessions"].as_array().unwrap() {
                if !self.sessions.iter().any(|known| known.answer["session_id"] == session["id"]) {
                    let mut answer = session.clone();
                    answer["session_id"] = session["id"].clone();
                    self.sessions.push(Known { answer, over_at: None });
                }
            }
        }
        let _ = before;
    }

    async fn text(&mut self, from: &str, tn: &str) {
        let body = format!("text {}", self.posts.len());
        let to = self.sessions.iter().position(|known| {
            known.over_at.is_none()
                && known.answer["virtual_tn"] == tn
                && (known.answer["participant_a"] == from || known.answer["participant_b"] == from)
        });
        let post = flat(&fresh_id(), from, tn, &body);
        let status = self.app.post(&post).await.status;
        self.posts.push(post);
        if let (Some(session), true) = (to, status == 200 || status == 500) {
            let answer = &self.sessions[session].answer;
            let other = if answer["participant_a"] == from { "participant_b" } else { "participant_a" };
            self.expected.insert(body, (session, answer[other].as_str().unwrap().to_owned()));
        }
    }

    async fn end(&mut self, back: usize) {
        let open: Vec<usize> =
            (0..self.sessions.len()).filter(|n| self.sessions[*n].over_at.is_none()).collect();
        let Some(n) = open.iter().rev().nth(back) else { return };
        let id = self.sessions[*n].answer["session_id"].as_str().unwrap();
        self.app.call("DELETE", &format!("/session/{id}"), None).await;
        self.note_expired().await;
    }

    /// Notes which sessions are no longer live.
    async fn note_expired(&mut self) {
        let taken = self.app.provider.taken().len();
        let live = self.app.call("GET", "/session", None).await.json();
        for known in &mut self.sessions {
            let is_live =
                live["sessions"].as_array().unwrap().iter().any(|s| s["id"] == known.answer["session_id"]);
            if !is_live && known.over_at.is_none() {
                known.over_at = Some(taken);
            }
        }
    }

    async fn check(&self) {
        let taken = self.app.provider.taken();
        for (body, (session, to)) in &self.expected {
            let known = &self.sessions[*session];
            let sent: Vec<usize> = (0..taken.len()).filter(|n| taken[*n].body == *body).collect();
            assert!(sent.len() <= 1, "{body} was doubled");
            if let Some(n) = sent.first() {
                assert_eq!(
                    (&taken[*n].to, &json!(taken[*n].from)),
                    (to, &known.answer["virtual_tn"]),
                    "{body}"
                );
                assert!(known.over_at.is_none_or(|over| *n < over), "{body} was sent after its session");
            }
        }
        for text in &taken {
            let relay = text.body.starts_with("text ");
            assert!(
                !relay || self.expected.contains_key(&text.body),
                "{} was relayed without a session",
                text.body
            );
        }
        for (n, known) in self.sessions.iter().enumerate() {
            let relays = self.app.relays(&known.answer).await;
            let accepted = self.expected.values().filter(|(session, _)| *session == n).count();
            assert_eq!(relays.len(), accepted, "every accepted text is stored, and no other");
            let sent = relays.iter().filter(|state| **state == "sent").count();
            let bodies = |body: &String| taken.iter().filter(|text| text.body == *body).count();
            let arrived: usize = self
                .expected
                .iter()
                .filter(|(_, (session, _))| *session == n)
                .map(|(body, _)| bodies(body))
                .sum();
            assert_eq!(sent, arrived, "the records say what the provider knows");
            let settled = |state: &Value| ["sent", "cancelled", "failed"].iter().any(|known| state == known);
            assert!(relays.iter().all(settled), "nothing is left over: {relays:?}");
            let cancelled = relays.iter().any(|state| *state == "cancelled");
            assert!(!cancelled || known.over_at.is_some(), "only the end of a session cancels");
        }
        let pool = self.app.call("GET", "/tn", None).await.json();
        let sessions = self.app.call("GET", "/session", None).await.json();
        assert_eq!(pool["in_use"], sessions["total_sessions"]);
        assert_eq!(pool["available"].as_u64().unwrap() + pool["in_use"].as_u64().unwrap(), 2);
    }
}

mod every_accepted_text_reaches_its_one_recipient_once_or_its_record_says_why_not {
    use super::{Backend, explore};

    #[test]
    fn sqlite() {
        explore(Backend::Sqlite);
    }

    #[test]
    #[ignore = "slow"]
    fn dynamodb() {
        explore(Backend::Dynamodb);
    }
}

fn explore(backend: Backend) {
    let cases = backend.many(60, 6);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in vec(step(), 5..60))| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World { app: backend.app().await, sessions: vec![], posts: vec![], expected: HashMap::new() };
            for tn in 0..2 {
                world.app.add_tn(&number(100 + tn)).await;
            }
            for step in steps {
                world.take(step).await;
            }
            world.app.provider.always(Outcome::Sent);
            world.app.provider.list_is_down(false);
            for _ in 0..8 {
                world.app.clock.advance(TimeDelta::minutes(16));
                world.note_expired().await;
                world.app.maintain().await;
            }
            world.check().await;
        });
    });
}
