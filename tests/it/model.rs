//! Random operations on a store by few people on few numbers, so that they meet often.
//!
//! One caller's answers, and what the store shows after each, are compared with a [`Model`] of plain data. Of many callers
//! at once, the invariants are checked.

mod expected;
mod steps;

use crate::contract::fixtures::{CALLERS, Shared, at, callers, route};
use expected::Model;
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree,
    test_runner::{TestCaseError, TestError, TestRunner},
};
use sms_proxy::{
    domain::{EndCause, Kind, Number, Page, Route, Session, SessionFilter, SessionId, Sharing},
    store::{OpenSession, Received, RemoveTn},
};
use std::{
    cell::Cell,
    collections::{BTreeMap, HashSet},
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
    let done = TestRunner::new(config).run(&(any_sharing(), vec(any_step(), 0..50)), |(sharing, steps)| {
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
        fn $half() {
            super::sequences($cases / 2, $lists_every, $open);
        }
    )*};
}

mod sqlite_answers_and_shows_what_the_model_does {
    halves! { first second; 2_000, 3, async || test_support::sqlite() }
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
    /// In the order in which they were opened.
    begun: Vec<Session>,
    ended: Vec<SessionId>,
    relayed: Vec<(Number, Number, Number, SessionId)>,
}

impl Known {
    fn note(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Opened(_, OpenSession::Opened { session, .. }) => self.begun.push(session),
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
fn steps_of_a_caller(runner: &mut TestRunner) -> Vec<Step> {
    vec(any_step(), STEPS).new_tree(runner).unwrap().current()
}

async fn many_callers_at_once(store: Shared) {
    let mut runner = TestRunner::new(ProptestConfig::default());
    for round in 0..ROUNDS {
        let sharing = any_sharing().new_tree(&mut runner).unwrap().current();
        let fill = (0..TNS - 1).map(Step::Add);
        let steps: Vec<Vec<Step>> = (0..CALLERS).map(|_| steps_of_a_caller(&mut runner)).collect();
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
        clear(&store, left, begin + 9_500, &context).await;
    }
}

/// Checks what is left after a round; the sessions that are not ended.
async fn check_left(
    store: &Shared,
    known: &Known,
    sharing: Sharing,
    now: i64,
    context: &str,
) -> Vec<Session> {
    let live = store.sessions(SessionFilter::default(), Page::default(), at(now)).await.unwrap().0.items;
    let (part, size) = store.tns(Page::default(), sharing.sessions_per_tn, at(now)).await.unwrap();
    assert_eq!((size.sessions, size.total), (live.len() as u64, part.items.len() as u64), "{context}");
    for tn in &part.items {
        let here: Vec<_> = live.iter().filter(|session| session.tn == tn.number).collect();
        let only = if here.len() == 1 { Some(here[0].id) } else { None };
        assert_eq!((tn.sessions as usize, tn.session), (here.len(), only), "{context}");
    }
    let mut left = live;
    left.extend(store.expired_sessions(1_000, at(now)).await.unwrap());
    let mut on: BTreeMap<Number, HashSet<Number>> = BTreeMap::new();
    for session in &left {
        assert!(part.items.iter().any(|tn| tn.number == session.tn), "{context}: it is in the pool");
        for person in session.participants {
            assert!(on.entry(session.tn).or_default().insert(person.number), "{context}: in two sessions");
        }
    }
    for people in on.values() {
        assert!(people.len() <= 2 * sharing.sessions_per_tn as usize, "{context}: above the maximum");
    }
    let ended: HashSet<SessionId> = known.ended.iter().copied().collect();
    assert_eq!(ended.len(), known.ended.len(), "{context}: a session was ended twice");
    let mut expected: HashSet<SessionId> = known.begun.iter().map(|session| session.id).collect();
    expected.retain(|id| !ended.contains(id));
    assert_eq!(left.iter().map(|session| session.id).collect::<HashSet<_>>(), expected, "{context}");
    for (from, tn, to, session) in &known.relayed {
        let session = known.begun.iter().find(|begun| begun.id == *session).expect("it was opened");
        let other = session.sides(*from).map(|(_, other)| other.number);
        assert_eq!((session.tn, other), (*tn, Some(*to)), "{context}: a text went to somebody else");
    }
    left
}

/// Ends and removes everything.
async fn clear(store: &Shared, left: Vec<Session>, now: i64, context: &str) {
    for session in left {
        let cause = if session.is_expired(at(now)) { EndCause::Expired } else { EndCause::Deleted };
        let ended = store.end_session(session.id, cause, vec![], at(now), None).await.unwrap();
        assert!(ended.is_some(), "{context}");
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
async fn the_invariants_hold_with_many_callers_on_dynamodb() {
    many_callers_at_once(test_support::dynamodb::dynamodb().await).await;
}
