//! Concurrent callers who open sessions on shared numbers, end them, and drain the numbers.

use super::{
    fixtures::{
        CALLERS, Shared, alice, at, bob, callers, concurrently, end, fill_pool, new_session, person, tn,
    },
    sharing::{couple, new, none_free, open, sharing, shown, try_open},
};
use sms_proxy::{
    domain::{EndCause, Page},
    store::OpenSession,
};
use std::{collections::BTreeSet, sync::Arc};

const ROUNDS: u64 = 20;

pub async fn a_person_with_many_at_once_gets_a_session_on_each_number(store: Shared) {
    fill_pool(&store, 10).await;
    for round in 0..ROUNDS {
        let answers = concurrently((0..30).map(|n| {
            let store = Arc::clone(&store);
            let new = new([alice(), person(100 + n)], round as i64, sharing(100));
            async move { try_open(&store, new).await }
        }))
        .await;
        let mut tns = BTreeSet::new();
        for answer in answers {
            match answer {
                OpenSession::Opened { session, .. } => {
                    assert!(tns.insert(session.tn), "two on a number");
                    assert!(end(&store, session.id, EndCause::Deleted, round as i64).await);
                }
                refused => assert_eq!(refused, none_free()),
            }
        }
        // Sessions were ended only after all callers had their answers.
        assert_eq!(tns.len(), 10, "round {round}");
    }
}

pub async fn as_many_sessions_open_at_once_as_there_is_room_for(store: Shared) {
    fill_pool(&store, 3).await;
    let (callers, each) = (16, 13);
    let opened = concurrently((0..callers).map(|caller| {
        let store = Arc::clone(&store);
        async move {
            let mut opened = 0;
            for n in 0..each {
                match try_open(&store, new(couple(caller * each + n), 0, sharing(60))).await {
                    OpenSession::Opened { .. } => opened += 1,
                    refused => assert_eq!(refused, none_free()),
                }
            }
            opened
        }
    }))
    .await;
    assert_eq!(opened.into_iter().sum::<u32>(), 180, "of 208");
    let (part, size) = store.tns(Page::default(), 60, at(0)).await.unwrap();
    assert_eq!((size.sessions, size.room), (180, 0));
    assert!(part.items.iter().all(|tn| tn.sessions == 60));
}

pub async fn of_an_end_and_a_new_expiry_at_once_one_wins(store: Shared) {
    fill_pool(&store, 1).await;
    for _ in 0..ROUNDS {
        let mut short = new_session([alice(), bob()], 0, Some(60));
        short.sharing = sharing(2);
        let id = open(&store, short).await.id;
        // The clocks of the callers differ: to some of them it has expired.
        let answers = callers(&store, |store, n| async move {
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
        assert_eq!(shown(&store, tn(1), 61).await.sessions, 0);
    }
}

pub async fn a_number_that_drains_while_sessions_open_gets_none_afterwards(store: Shared) {
    fill_pool(&store, 1).await;
    for round in 0..ROUNDS {
        let opened = callers(&store, |store, n| async move {
            if n == CALLERS / 2 {
                store.drain_tn(tn(1), true, at(0)).await.unwrap();
                return None;
            }
            match try_open(&store, new(couple(n as u64), round as i64, sharing(100))).await {
                OpenSession::Opened { session, .. } => Some(session.id),
                refused => {
                    assert_eq!(refused, none_free());
                    None
                }
            }
        })
        .await;
        let opened: Vec<_> = opened.into_iter().flatten().collect();
        assert_eq!(shown(&store, tn(1), 0).await.sessions as usize, opened.len());
        assert_eq!(try_open(&store, new(couple(99), round as i64, sharing(100))).await, none_free());
        for id in opened {
            assert!(end(&store, id, EndCause::Deleted, round as i64).await);
        }
        store.drain_tn(tn(1), false, at(0)).await.unwrap();
    }
}
