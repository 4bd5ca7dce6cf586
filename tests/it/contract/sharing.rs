//! Several sessions on one number.

use super::fixtures::{
    MS, Shared, alice, at, bob, end, eve, fill_pool, new_session, person, route, taken, tn,
};
use chrono::TimeDelta;
use sms_proxy::{
    domain::{EndCause, NewSession, Number, Page, Route, Session, SessionFilter, Sharing, VirtualTn},
    store::{OpenSession, RemoveTn},
};
use std::collections::{BTreeMap, BTreeSet};

pub fn sharing(sessions_per_tn: u32) -> Sharing {
    Sharing { sessions_per_tn, ..Sharing::default() }
}

/// A session of these two under these rules.
pub fn new(people: [Number; 2], created: i64, sharing: Sharing) -> NewSession {
    let mut new = new_session(people, created, None);
    new.sharing = sharing;
    new
}

pub async fn try_open(store: &Shared, new: NewSession) -> OpenSession {
    let lease_until = new.created_at + TimeDelta::seconds(30);
    taken(|| store.open_session(new.clone(), lease_until)).await
}

pub async fn open(store: &Shared, new: NewSession) -> Session {
    match try_open(store, new).await {
        OpenSession::Opened { session, .. } => session,
        refused => panic!("{refused:?}"),
    }
}

pub fn none_free() -> OpenSession {
    OpenSession::NoFreeTn { opted_out: vec![] }
}

/// The n-th couple.
pub fn couple(n: u64) -> [Number; 2] {
    [person(1_000 + 2 * n), person(1_001 + 2 * n)]
}

/// What the store shows of a number: its sessions, the only one, and whether it is draining.
pub async fn shown(store: &Shared, number: Number, now: i64) -> VirtualTn {
    store.tn(number, at(now)).await.unwrap().expect("it is in the pool")
}

pub async fn a_number_carries_as_many_sessions_as_it_may(store: Shared) {
    fill_pool(&store, 2).await;
    let mut on: BTreeMap<Number, u32> = BTreeMap::new();
    for n in 0..6 {
        let session = open(&store, new(couple(n), 0, sharing(3))).await;
        *on.entry(session.tn).or_default() += 1;
    }
    assert_eq!(on.into_values().collect::<Vec<_>>(), [3, 3]);
    assert_eq!(try_open(&store, new(couple(6), 0, sharing(3))).await, none_free());
    let (part, size) = store.tns(Page::default(), 3, at(0)).await.unwrap();
    assert_eq!((size.total, size.in_use, size.sessions, size.room), (2, 2, 6, 0));
    assert!(part.items.iter().all(|tn| (tn.sessions, tn.session) == (3, None)));
}

pub async fn nobody_gets_two_sessions_on_a_number(store: Shared) {
    fill_pool(&store, 3).await;
    let mut tns = BTreeSet::new();
    for n in 0..3 {
        tns.insert(open(&store, new([alice(), person(100 + n)], 0, sharing(100))).await.tn);
    }
    assert_eq!(tns.len(), 3);
    assert_eq!(try_open(&store, new([alice(), bob()], 0, sharing(100))).await, none_free());
    assert_eq!(try_open(&store, new([bob(), alice()], 0, sharing(100))).await, none_free());
    open(&store, new([bob(), eve()], 0, sharing(100))).await;
}

pub async fn the_sender_tells_the_session_of_a_text(store: Shared) {
    fill_pool(&store, 1).await;
    let mut sessions = Vec::new();
    for n in 0..5 {
        sessions.push(open(&store, new(couple(n), 0, sharing(5))).await);
    }
    for session in &sessions {
        for participant in session.participants {
            let route = route(&store, session.tn, participant.number, at(0)).await;
            assert!(matches!(route, Route::Live { session: live, .. } if live == *session));
        }
    }
    assert!(end(&store, sessions[2].id, EndCause::Deleted, 1).await);
    let [a, b] = couple(2);
    for gone in [a, b] {
        assert!(matches!(route(&store, tn(1), gone, at(1)).await, Route::Stranger { .. }));
    }
    let [other, _] = couple(3);
    assert!(matches!(route(&store, tn(1), other, at(1)).await, Route::Live { .. }));
}

pub async fn a_number_shows_how_many_sessions_it_has_and_the_only_one(store: Shared) {
    fill_pool(&store, 1).await;
    let one = open(&store, new(couple(0), 0, sharing(9))).await;
    let only = VirtualTn { number: tn(1), session: Some(one.id), sessions: 1, draining: false };
    assert_eq!(shown(&store, tn(1), 0).await, only);
    let two = open(&store, new(couple(1), 0, sharing(9))).await;
    let mut short = new_session(couple(2), 0, Some(60));
    short.sharing = sharing(9);
    let short = open(&store, short).await;
    assert_eq!(shown(&store, tn(1), 0).await, VirtualTn { session: None, sessions: 3, ..only });
    // One that has expired does not count, though it is not ended yet.
    assert_eq!(shown(&store, tn(1), 60).await.sessions, 2);
    assert!(end(&store, one.id, EndCause::Deleted, 61).await);
    let left = VirtualTn { session: Some(two.id), ..only };
    assert_eq!(shown(&store, tn(1), 61).await, left);
    let (part, size) = store.tns(Page::default(), 9, at(61)).await.unwrap();
    assert_eq!((part.items, size.in_use, size.sessions, size.room), (vec![left], 1, 1, 8));
    assert_eq!(
        store.remove_tn(tn(1), at(59)).await.unwrap(),
        RemoveTn::InUse(VirtualTn { session: None, sessions: 2, ..only })
    );
    assert!(
        matches!(store.remove_tn(tn(1), at(61)).await.unwrap(), RemoveTn::HeldByExpired(session) if session.id == short.id)
    );
    assert!(end(&store, short.id, EndCause::Expired, 61).await);
    assert_eq!(store.remove_tn(tn(1), at(61)).await.unwrap(), RemoveTn::InUse(left));
    assert!(end(&store, two.id, EndCause::Deleted, 62).await);
    assert_eq!(store.remove_tn(tn(1), at(62)).await.unwrap(), RemoveTn::Removed);
}

pub async fn the_maximum_can_be_raised_and_lowered(store: Shared) {
    fill_pool(&store, 3).await;
    let mut sessions = Vec::new();
    for (upto, limit) in [(3, 1), (12, 4), (15, 5)] {
        for n in sessions.len() as u64..upto {
            sessions.push(open(&store, new(couple(n), 0, sharing(limit))).await);
        }
        assert_eq!(try_open(&store, new(couple(90), 0, sharing(limit))).await, none_free(), "{limit}");
    }
    // Lowering ends nothing, and only stops new sessions on fuller numbers.
    assert_eq!(try_open(&store, new(couple(90), 0, sharing(2))).await, none_free());
    assert_eq!(store.tns(Page::default(), 2, at(0)).await.unwrap().1.sessions, 15);
    let first = sessions[0].tn;
    let mut on_first = sessions.iter().filter(|session| session.tn == first);
    for left in [4, 3, 2] {
        assert!(end(&store, on_first.next().unwrap().id, EndCause::Deleted, 0).await);
        assert_eq!(try_open(&store, new(couple(90), 0, sharing(2))).await, none_free(), "{left} are left");
    }
    assert!(end(&store, on_first.next().unwrap().id, EndCause::Deleted, 0).await);
    assert_eq!(open(&store, new(couple(90), 0, sharing(2))).await.tn, first);
    assert_eq!(try_open(&store, new(couple(91), 0, sharing(2))).await, none_free());
    assert_eq!(open(&store, new(couple(91), 0, sharing(3))).await.tn, first);
}

pub async fn a_draining_number_gets_no_new_session_and_keeps_those_it_has(store: Shared) {
    fill_pool(&store, 2).await;
    assert_eq!(store.drain_tn(tn(9), true, at(0)).await.unwrap(), None);
    let session = open(&store, new(couple(0), 0, sharing(2))).await;
    let other = if session.tn == tn(1) { tn(2) } else { tn(1) };
    for _ in 0..2 {
        let draining =
            VirtualTn { number: session.tn, session: Some(session.id), sessions: 1, draining: true };
        assert_eq!(store.drain_tn(session.tn, true, at(0)).await.unwrap(), Some(draining));
        assert_eq!(shown(&store, session.tn, 0).await, draining);
    }
    for n in 1..3 {
        assert_eq!(open(&store, new(couple(n), 0, sharing(2))).await.tn, other);
    }
    assert_eq!(try_open(&store, new(couple(3), 0, sharing(2))).await, none_free());
    assert_eq!(store.tns(Page::default(), 2, at(0)).await.unwrap().1.room, 0);
    assert!(end(&store, session.id, EndCause::Deleted, 1).await);
    assert_eq!(try_open(&store, new(couple(3), 1, sharing(2))).await, none_free());
    for _ in 0..2 {
        assert!(!store.drain_tn(session.tn, false, at(1)).await.unwrap().unwrap().draining);
    }
    for n in 3..5 {
        assert_eq!(open(&store, new(couple(n), 1, sharing(2))).await.tn, session.tn);
    }
    assert_eq!(try_open(&store, new(couple(5), 1, sharing(2))).await, none_free());
    store.drain_tn(other, true, at(1)).await.unwrap();
    assert!(matches!(store.remove_tn(other, at(1)).await.unwrap(), RemoveTn::InUse(_)));
}

pub async fn sessions_are_listed_by_person_and_by_number(store: Shared) {
    fill_pool(&store, 3).await;
    let mut mine = Vec::new();
    for n in 0..3 {
        mine.push(open(&store, new([person(100 + n), alice()], n as i64, sharing(9))).await);
        open(&store, new(couple(n), n as i64, sharing(9))).await;
    }
    let list = async |filter: SessionFilter| {
        let (mut found, mut page) = (Vec::new(), Page { limit: Some(1), after: None });
        loop {
            let (part, total) = store.sessions(filter, page.clone(), at(9)).await.unwrap();
            found.extend(part.items.into_iter().map(|session| session.id));
            match part.next {
                Some(next) => page.after = Some(next),
                None => {
                    assert_eq!(total as usize, found.len());
                    return found;
                }
            }
        }
    };
    let ids: Vec<_> = mine.iter().map(|session| session.id).collect();
    let of = |participant| SessionFilter { participant: Some(participant), ..SessionFilter::default() };
    assert_eq!(list(of(alice())).await, ids);
    assert_eq!(list(of(person(101))).await, [ids[1]]);
    assert_eq!(list(of(eve())).await, []);
    let on = |number| SessionFilter { virtual_tn: Some(number), ..SessionFilter::default() };
    let mut all = 0;
    for n in 1..=3 {
        all += list(on(tn(n))).await.len();
    }
    assert_eq!(all, 6);
    let both = SessionFilter { participant: Some(alice()), virtual_tn: Some(mine[1].tn) };
    assert_eq!(list(both).await, [ids[1]]);
}

pub async fn the_expiry_of_a_live_session_can_be_changed(store: Shared) {
    fill_pool(&store, 1).await;
    let session = open(&store, new([alice(), bob()], 0, sharing(1))).await;
    let until = |seconds: i64| Session { expires_at: Some(at(seconds)), ..session.clone() };
    for expiry in [600, 60, 90] {
        let changed = store.set_expiry(session.id, Some(at(expiry)), at(1)).await.unwrap();
        assert_eq!(changed, Some(until(expiry)));
        assert_eq!(store.session(session.id, at(1)).await.unwrap(), Some(until(expiry)));
        assert!(
            matches!(route(&store, tn(1), alice(), at(1)).await, Route::Live { session, .. } if session == until(expiry))
        );
        assert_eq!(shown(&store, tn(1), expiry).await.sessions, 0);
    }
    assert_eq!(store.expired_sessions(9, at(90) - MS).await.unwrap(), []);
    assert_eq!(store.expired_sessions(9, at(90)).await.unwrap(), [until(90)]);
    assert_eq!(store.set_expiry(session.id, None, at(90)).await.unwrap(), None, "it has expired");
    assert_eq!(store.set_expiry(session.id, None, at(89)).await.unwrap(), Some(session.clone()));
    assert_eq!(store.expired_sessions(9, at(9_000)).await.unwrap(), []);
    assert!(!end(&store, session.id, EndCause::Expired, 9_000).await);
    assert!(end(&store, session.id, EndCause::Deleted, 9_000).await);
    assert_eq!(store.set_expiry(session.id, None, at(1)).await.unwrap(), None, "it has ended");
}
