//! Random operations on a store by few people on few numbers, so that they meet often.
//!
//! One caller's answers, and what the store shows after each, are compared with a [`Model`] of plain data. Of many callers
//! at once, the invariants are checked.

mod expected;
mod openings;
mod shown;
mod steps;

use crate::contract::{
    fixtures::{CALLERS, Shared, at, callers, route},
    invariants::not_ended,
};
use expected::Model;
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree,
    test_runner::{TestCaseError, TestError, TestRunner},
};
use sms_proxy::{
    domain::{EndCause, Kind, NewSession, Number, Page, Route, Session, SessionId, Sharing},
    store::{OpenSession, Received, RemoveTn},
};
use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use steps::{Checked, Outcome, PEOPLE, Step, TNS, any_sharing, any_step, lines, perform, someone};

/// A sequence that has failed is tried so often while it is shortened: the store picks numbers at random.
const TRIES: usize = 5;

/// Performs these steps on an empty store. All numbers but the one of a person are in the pool at first.
async fn run(store: &Shared, sharing: Sharing, steps: &[Step], lists_every: usize) -> Checked {
    let mut model = Model::new(sharing);
    let mut done = Vec::new();
    let fill: Vec<Step> = (0..TNS - 1).map(Step::Add).collect();
    for (n, step) in fill.iter().chain(steps).enumerate() {
        let outcome = perform(store, step, model.sharing, &model.begun, model.now).await;
        done.push(match &outcome {
            Outcome::Opened(_, OpenSession::Opened { session, .. }) => {
                format!("{step:?}: on {:?}", session.tn)
            }
            Outcome::Opened(_, refused) => format!("{step:?}: {refused:?}"),
            outcome => format!("{step:?}: {outcome:?}"),
        });
        let is_last = n + 1 == fill.len() + steps.len();
        let checked = async {
            model.check(step, &outcome)?;
            model.check_invariants()?;
            model.check_each(store, n).await?;
            match is_last || n % lists_every == 0 {
                true => model.check_lists(store, rand::random_range(0..12)).await,
                false => Ok(()),
            }
        };
        let checked = checked.await;
        checked.map_err(|error| TestCaseError::fail(format!("{error}\nsteps:\n{}", done.join("\n"))))?;
    }
    Ok(())
}

/// Runs random sequences, each on an empty store, and shows the shortest that fails.
fn sequences<G>(cases: u32, lists_every: usize, open: impl AsyncFn() -> (Shared, G)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = ProptestConfig {
        failure_persistence: None,
        max_shrink_time: 30_000,
        ..ProptestConfig::with_cases(cases)
    };
    let tries = Cell::new(1);
    let done = TestRunner::new(config).run(&(any_sharing(), vec(any_step(0), 0..50)), |(sharing, steps)| {
        for _ in 0..tries.get() {
            let done = runtime.block_on(async {
                let (store, _guard) = open().await;
                run(&store, sharing, &steps, lists_every).await
            });
            if done.is_err() {
                tries.set(TRIES);
                return done;
            }
        }
        Ok(())
    });
    match done {
        Err(TestError::Fail(why, (sharing, _))) => panic!("{sharing:?}: {why}"),
        done => done.unwrap(),
    }
}

/// The sequences are split in two, each half with a thread of its own.
macro_rules! halves {
    ($($half:ident)*; $cases:expr, $lists_every:expr, $open:expr) => {$(
        #[test]
        #[ignore = "slow"]
        fn $half() {
            super::sequences($cases / 2, $lists_every, $open);
        }
    )*};
}

mod sqlite_answers_and_shows_what_the_model_does {
    halves! { first second; 2_000, 3, async || test_support::sqlite_in_memory() }
}

mod dynamodb_answers_and_shows_what_the_model_does {
    // A list costs it a call for each of its shards.
    halves! { first second; 200, 12, async || (test_support::dynamodb::dynamodb().await, ()) }
}

const ROUNDS: usize = 20;
/// What each caller does in a round.
const STEPS: usize = 15;

/// What all callers together know of a round.
#[derive(Default)]
struct Known {
    /// In the order in which they were opened. One that was rolled back may be opened again with its idempotency key.
    begun: Vec<Session>,
    ended: Vec<SessionId>,
    /// What was answered with the session of an idempotency key.
    repeated: Vec<(NewSession, Session)>,
    /// What was refused because its idempotency key was that of another request.
    reused: Vec<NewSession>,
    relayed: Vec<(Number, Number, Number, SessionId)>,
}

impl Known {
    fn note(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Opened(_, OpenSession::Opened { session, .. }) => self.begun.push(session),
            Outcome::Opened(new, OpenSession::Repeated(session)) => self.repeated.push((new, session)),
            Outcome::Opened(new, OpenSession::KeyReused) => self.reused.push(new),
            Outcome::Ended(Some(id), true) => self.ended.push(id),
            Outcome::EndedExpired(_, ended) => {
                self.ended.extend(ended.into_iter().filter(|(_, done)| *done).map(|(id, _)| id));
            }
            Outcome::Received([from, to], Received::Stored(messages), ended) => {
                self.ended.extend(ended);
                let relays = messages.into_iter().map(|message| message.outbound.text);
                for text in relays.filter(|text| text.kind == Kind::Relay) {
                    assert_eq!(text.from, to);
                    let session = text.session.expect("a relay has a session");
                    self.relayed.push((from, text.from, text.to, session));
                }
            }
            _ => {}
        }
    }
}

/// Random steps of one caller. The time passes at its own pace.
fn steps_of_a_caller(runner: &mut TestRunner, round: usize) -> Vec<Step> {
    vec(any_step(round), STEPS).new_tree(runner).unwrap().current()
}

async fn many_callers_at_once(store: Shared) {
    let mut runner = TestRunner::new(ProptestConfig::default());
    for round in 0..ROUNDS {
        let sharing = any_sharing().new_tree(&mut runner).unwrap().current();
        let fill = (0..TNS - 1).map(Step::Add);
        let steps: Vec<Vec<Step>> = (0..CALLERS).map(|_| steps_of_a_caller(&mut runner, round)).collect();
        let begin = 10_000 * round as i64;
        for step in fill {
            perform(&store, &step, sharing, &[], begin).await;
        }
        let known = Arc::new(Mutex::new(Known::default()));
        let (shared, all) = (Arc::clone(&known), Arc::new(steps.clone()));
        callers(&store, move |store, n| {
            let (known, all) = (Arc::clone(&shared), Arc::clone(&all));
            async move {
                let mut now = begin;
                for step in &all[n] {
                    if let Step::Pass(seconds) = step {
                        now += seconds;
                    }
                    let begun = known.lock().unwrap().begun.clone();
                    let outcome = perform(&store, step, sharing, &begun, now).await;
                    known.lock().unwrap().note(outcome);
                }
            }
        })
        .await;
        let known = std::mem::take(&mut *known.lock().unwrap());
        let context = format!("round {round}, {sharing:?}, {steps:?}");
        // No clock was later than that.
        let left = check_left(&store, &known, sharing, begin + 9_500, &context).await;
        clear(&store, left, sharing, begin + 9_500, &context).await;
    }
}

fn people(session: &Session) -> [Number; 2] {
    session.participants.map(|participant| participant.number)
}

/// Checks what is left after a round; the sessions that are not ended.
async fn check_left(
    store: &Shared,
    known: &Known,
    sharing: Sharing,
    now: i64,
    context: &str,
) -> Vec<Session> {
    let left = not_ended(store, sharing.sessions_per_tn, now, context).await;
    let mut expected: BTreeMap<String, i32> = BTreeMap::new();
    let begun = known.begun.iter().map(|session| (session.id, 1));
    for (id, change) in begun.chain(known.ended.iter().map(|id| (*id, -1))) {
        *expected.entry(id.to_string()).or_default() += change;
    }
    expected.retain(|_, open| *open != 0);
    let found = left.iter().map(|session| (session.id.to_string(), 1)).collect();
    assert_eq!(expected, found, "{context}: one that was opened was not ended, or ended twice");
    let is_any = |id: SessionId, is_it: &dyn Fn(&Session) -> bool| {
        known.begun.iter().any(|session| session.id == id && is_it(session))
    };
    for (from, tn, to, id) in &known.relayed {
        let other = |session: &Session| session.sides(*from).map(|(_, other)| other.number);
        let is_it = |session: &Session| (session.tn, other(session)) == (*tn, Some(*to));
        assert!(is_any(*id, &is_it), "{context}: a text went to somebody else");
    }
    for (new, session) in &known.repeated {
        let is_it = |begun: &Session| (begun.tn, begun.created_at) == (session.tn, session.created_at);
        assert!(is_any(new.id, &is_it) && people(session) == new.participants, "{context}: another session");
    }
    for new in &known.reused {
        assert!(is_any(new.id, &|begun| people(begun) != new.participants), "{context}: it was the same");
    }
    left
}

async fn end(store: &Shared, session: &Session, now: i64, context: &str) {
    let cause = if session.is_expired(at(now)) { EndCause::Expired } else { EndCause::Deleted };
    let ended = store.end_session(session.id, cause, vec![], at(now), None).await.unwrap();
    assert!(ended.is_some(), "{context}");
}

/// Opens sessions of others until no number has room.
async fn fill_up(store: &Shared, sharing: Sharing, now: i64, context: &str) -> Vec<Session> {
    let (_, size) = store.tns(Page::default(), sharing.sessions_per_tn, at(now)).await.unwrap();
    let mut opened = Vec::new();
    for n in 0.. {
        let others = [2 * n, 2 * n + 1].map(|n| someone(PEOPLE + n));
        let mut new = NewSession::new(others, at(now), None, "hello".into());
        new.sharing = sharing;
        match store.open_session(new, at(now + 30)).await.unwrap() {
            OpenSession::Opened { session, .. } => opened.push(session),
            refused => {
                assert_eq!(refused, OpenSession::NoFreeTn { opted_out: vec![] }, "{context}");
                break;
            }
        }
    }
    assert_eq!(opened.len() as u64, size.room, "{context}: what has room is found");
    opened
}

/// Ends and removes everything.
async fn clear(store: &Shared, left: Vec<Session>, sharing: Sharing, now: i64, context: &str) {
    let (expired, live): (Vec<_>, Vec<_>) = left.into_iter().partition(|session| session.is_expired(at(now)));
    for session in expired {
        end(store, &session, now, context).await;
    }
    let others = fill_up(store, sharing, now, context).await;
    for session in live.iter().chain(&others) {
        end(store, session, now, context).await;
    }
    for tn in lines() {
        let removed = store.remove_tn(tn, at(now)).await.unwrap();
        assert!(matches!(removed, RemoveTn::Removed | RemoveTn::NotInPool), "{context}: {removed:?}");
        for n in 0..PEOPLE {
            assert_eq!(route(store, tn, someone(n), at(now)).await, Route::NotOurTn, "{context}");
        }
    }
    let (part, size) = store.tns(Page::default(), 1, at(now)).await.unwrap();
    assert_eq!(
        (part.items.len(), size.total, size.in_use, size.sessions, size.room),
        (0, 0, 0, 0, 0),
        "{context}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_invariants_hold_with_many_callers_on_sqlite() {
    let (store, _guard) = test_support::sqlite();
    many_callers_at_once(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "slow"]
async fn the_invariants_hold_with_many_callers_on_dynamodb() {
    many_callers_at_once(test_support::dynamodb::dynamodb().await).await;
}
