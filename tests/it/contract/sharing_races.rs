//! Concurrent callers who open sessions on shared numbers, end them, and drain or remove the numbers.

use super::{
    fixtures::{
        Shared, alice, at, bob, concurrently, end, fill_pool, live_after, new_session, person, route, tn,
    },
    invariants::not_ended,
    sharing::{couple, new, none_free, open, sharing, shown, try_open},
};
use sms_proxy::{
    domain::{EndCause, Route, Session, Unavailable},
    store::{AddTn, OpenSession, RemoveTn},
};
use std::{collections::BTreeSet, future::Future, sync::Arc};

const ROUNDS: u64 = 20;
const CROWD: usize = 16;

/// The same call by many callers at once.
async fn crowd<T, F>(store: &Shared, call: impl Fn(Shared, usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    concurrently((0..CROWD).map(|n| call(Arc::clone(store), n))).await
}

async fn end_all(store: &Shared, sessions: impl IntoIterator<Item = Session>, now: i64) {
    let ends = sessions.into_iter().map(|session| {
        let store = Arc::clone(store);
        async move { assert!(end(&store, session.id, EndCause::Deleted, now).await) }
    });
    concurrently(ends).await;
}

pub async fn a_person_with_many_at_once_gets_a_session_on_each_number(store: Shared) {
    fill_pool(&store, 10).await;
    for round in 0..ROUNDS {
        let answers = concurrently((0..30).map(|n| {
            let store = Arc::clone(&store);
            let new = new([alice(), person(100 + n)], round as i64, sharing(100));
            async move { try_open(&store, new).await }
        }))
        .await;
        let mut opened = Vec::new();
        for answer in answers {
            match answer {
                OpenSession::Opened { session, .. } => opened.push(session),
                refused => assert_eq!(refused, none_free()),
            }
        }
        let tns: BTreeSet<_> = opened.iter().map(|session| session.tn).collect();
        assert_eq!((opened.len(), tns.len()), (10, 10), "round {round}");
        assert_eq!(not_ended(&store, 100, round as i64, "").await.len(), 10);
        end_all(&store, opened, round as i64).await;
    }
}

/// Opens more sessions of different people than there is room for, all callers at once.
async fn open_until_all_are_full(store: &Shared, tns: u32, each: u32, round: u64) {
    let room = tns * each;
    let tries = u64::from(room.div_ceil(30) * 31);
    let now = round as i64;
    let answers = crowd(store, |store, caller| async move {
        let mut opened = 0;
        for n in (caller as u64..tries).step_by(CROWD) {
            // Every second round has the same people.
            let people = couple(n + tries * (round / 2));
            match try_open(&store, new(people, now, sharing(each))).await {
                OpenSession::Opened { .. } => opened += 1,
                refused => assert_eq!(refused, none_free()),
            }
        }
        opened
    })
    .await;
    assert_eq!(answers.into_iter().sum::<u32>(), room, "of {tries}, round {round}");
    let opened = not_ended(store, each, now, "").await;
    assert_eq!(opened.len() as u32, room);
    for n in 1..=tns {
        assert_eq!(shown(store, tn(n.into()), now).await.sessions, each);
    }
    for some in opened.chunks(CROWD) {
        end_all(store, some.to_vec(), now).await;
    }
}

/// Rounds on three numbers, each with this maximum.
async fn rounds_with_room_for(store: &Shared, each: u32, rounds: u64) {
    fill_pool(store, 3).await;
    for round in 0..rounds {
        open_until_all_are_full(store, 3, each, round).await;
    }
}

pub async fn as_many_sessions_open_at_once_as_there_is_room_for(store: Shared) {
    rounds_with_room_for(&store, 5, ROUNDS).await;
}

pub async fn six_hundred_sessions_open_at_once_on_three_numbers(store: Shared) {
    rounds_with_room_for(&store, 200, ROUNDS).await;
}

/// A round takes the DynamoDB engine seconds.
pub async fn six_hundred_sessions_open_at_once_on_three_numbers_twice(store: Shared) {
    rounds_with_room_for(&store, 200, 2).await;
}

/// There is room for a session of each caller, who has one at a time: no refusal is for lack of room.
pub async fn nobody_is_refused_while_others_end_as_many_sessions_as_they_open(store: Shared) {
    for (tns, each, rounds) in [(4, 4, ROUNDS), (16, 1, ROUNDS / 4)] {
        fill_pool(&store, tns).await;
        for round in 0..rounds {
            crowd(&store, |store, caller| async move {
                // Half of the callers have other people in each round: these prefer no number.
                let n = caller as u64 + if caller % 2 == 0 { 0 } else { 100 * (1 + round) };
                let session = open(&store, new(couple(n), round as i64, sharing(each))).await;
                assert!(end(&store, session.id, EndCause::Deleted, round as i64).await);
            })
            .await;
            assert_eq!(not_ended(&store, each, round as i64, "").await, []);
        }
        for n in 1..=tns {
            assert_eq!(store.remove_tn(tn(n), at(100)).await.unwrap(), RemoveTn::Removed);
        }
    }
}

pub async fn a_pair_whose_session_ends_while_its_next_opens_has_one_at_a_time(store: Shared) {
    fill_pool(&store, 1).await;
    let mut session = open(&store, new([alice(), bob()], 0, sharing(5))).await;
    for round in 0..ROUNDS {
        let now = round as i64;
        let id = session.id;
        let answers = crowd(&store, |store, n| async move {
            if n % 2 == 0 {
                return (end(&store, id, EndCause::Deleted, now).await, None);
            }
            match try_open(&store, new([bob(), alice()], now, sharing(5))).await {
                OpenSession::Opened { session, .. } => (false, Some(session)),
                refused => {
                    assert_eq!(refused, none_free());
                    (false, None)
                }
            }
        })
        .await;
        assert_eq!(answers.iter().filter(|(ended, _)| *ended).count(), 1);
        let mut opened: Vec<_> = answers.into_iter().filter_map(|(_, opened)| opened).collect();
        assert!(opened.len() <= 1);
        assert_eq!(not_ended(&store, 5, now, "").await, opened);
        session = match opened.pop() {
            Some(session) => session,
            None => open(&store, new([bob(), alice()], now, sharing(5))).await,
        };
        assert_eq!(route(&store, tn(1), alice(), at(now)).await, live_after(&session, now));
    }
}

pub async fn of_an_end_and_a_new_expiry_at_once_one_wins(store: Shared) {
    fill_pool(&store, 1).await;
    for _ in 0..ROUNDS {
        let mut short = new_session([alice(), bob()], 0, Some(60));
        short.sharing = sharing(2);
        let id = open(&store, short).await.id;
        // The clocks of the callers differ: to some of them it has expired.
        let answers = crowd(&store, |store, n| async move {
            match n % 2 {
                0 => store.set_expiry(id, Some(at(1_000)), at(59)).await.unwrap().is_some(),
                _ => end(&store, id, EndCause::Expired, 60).await,
            }
        })
        .await;
        let extended = answers.iter().step_by(2).any(|done| *done);
        let ended = answers.iter().skip(1).step_by(2).filter(|done| **done).count();
        let live = store.session(id, at(60)).await.unwrap().is_some();
        assert_eq!((ended, live), if live { (0, true) } else { (1, false) });
        assert!(extended || ended == 1);
        if live {
            assert!(end(&store, id, EndCause::Deleted, 61).await);
        }
        assert_eq!(not_ended(&store, 2, 61, "").await, []);
    }
}

pub async fn a_number_that_drains_while_sessions_open_gets_none_afterwards(store: Shared) {
    fill_pool(&store, 1).await;
    for round in 0..ROUNDS {
        let now = round as i64;
        let opened = crowd(&store, |store, n| async move {
            if n == CROWD / 2 {
                store.drain_tn(tn(1), true, at(0)).await.unwrap();
                return None;
            }
            match try_open(&store, new(couple(n as u64), now, sharing(100))).await {
                OpenSession::Opened { session, .. } => Some(session),
                refused => {
                    assert_eq!(refused, none_free());
                    None
                }
            }
        })
        .await;
        let opened: Vec<_> = opened.into_iter().flatten().collect();
        assert_eq!(not_ended(&store, 100, now, "").await.len(), opened.len());
        assert_eq!(try_open(&store, new(couple(99), now, sharing(100))).await, none_free());
        end_all(&store, opened, now).await;
        assert_eq!(try_open(&store, new(couple(99), now, sharing(100))).await, none_free());
        store.drain_tn(tn(1), false, at(0)).await.unwrap();
    }
}

pub async fn no_session_is_left_on_a_number_that_is_removed_while_sessions_open(store: Shared) {
    fill_pool(&store, 2).await;
    for round in 0..ROUNDS {
        let now = round as i64;
        let answers = crowd(&store, |store, n| async move {
            if n % 5 == 0 {
                return Err(store.remove_tn(tn(1), at(now)).await.unwrap());
            }
            let mut new = new(couple(n as u64), now, sharing(CROWD as u32));
            // The other one has room for all of them.
            new.virtual_tn = match n % 4 {
                1 => Some(tn(1)),
                _ if round % 2 == 0 => Some(tn(2)),
                _ => None,
            };
            match (try_open(&store, new).await, n % 4) {
                (OpenSession::Opened { session, .. }, _) => Ok(Some(session)),
                (OpenSession::Unavailable(Unavailable::NotInPool), 1) => Ok(None),
                (refused, _) => panic!("{n}: {refused:?}"),
            }
        })
        .await;
        let opened: Vec<_> =
            answers.iter().filter_map(|answer| answer.as_ref().ok().cloned().flatten()).collect();
        let removed = answers.iter().filter(|answer| **answer == Err(RemoveTn::Removed)).count();
        let is_in_use = opened.iter().any(|session| session.tn == tn(1));
        assert_eq!(removed, if is_in_use { 0 } else { 1 }, "round {round}");
        assert_eq!(not_ended(&store, CROWD as u32, now, "").await.len(), opened.len());
        end_all(&store, opened, now).await;
        if removed == 1 {
            assert_eq!(route(&store, tn(1), couple(1)[0], at(now)).await, Route::NotOurTn);
            assert_eq!(store.add_tn(tn(1), at(now)).await.unwrap(), AddTn::Added);
        }
    }
}
