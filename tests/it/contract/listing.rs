//! Reading sessions: one, all, the expired ones; and the route of a sender.

use super::fixtures::{
    MS, Shared, alice, at, bob, conversation, end, eve, fill_pool, live, live_after, opt, person, route,
    side, stranger, talking, tn,
};
use sms_proxy::{
    domain::{Blocked, EndCause, Page, Participant, Role, Route, Session, SessionFilter, SessionId},
    store::{AddTn, RemoveTn},
};

pub async fn a_session_is_live_until_the_millisecond_before_its_expiry(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    let (before, after) = (at(60) - MS, at(60));
    assert_eq!(store.session(session.id, before).await.unwrap(), Some(session.clone()));
    assert_eq!(store.session(session.id, after).await.unwrap(), None);
    for (now, live) in [(before, 1), (after, 0)] {
        let (part, total) = store.sessions(SessionFilter::default(), Page::default(), now).await.unwrap();
        assert_eq!((part.items.len(), total), (live, live as u64));
    }
    assert_eq!(store.expired_sessions(10, before).await.unwrap(), []);
    assert_eq!(store.expired_sessions(10, after).await.unwrap(), vec![session.clone()]);
    for (now, expected) in [(before, live(&session)), (after, Route::Expired(session.clone()))] {
        assert_eq!(route(&store, session.tn, bob(), now).await, expected);
    }
}

pub async fn a_session_that_was_never_opened_is_not_found(store: Shared) {
    conversation(&store, None).await;
    assert_eq!(store.session(SessionId::random(), at(0)).await.unwrap(), None);
}

pub async fn a_session_shows_who_is_blocked(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    let sides = |session: &Session| [side(session, Role::A).blocked, side(session, Role::B).blocked];
    let read = async |now| store.session(session.id, now).await.unwrap().unwrap();
    opt(&store, session.tn, bob(), true, 1).await;
    opt(&store, tn(77), alice(), true, 1).await;
    let opted_out = [None, Some(Blocked::OptedOut)];
    assert_eq!(sides(&read(at(2)).await), opted_out, "another number does not count");
    let Route::Live { session: routed, .. } = route(&store, session.tn, bob(), at(2)).await else {
        panic!("live")
    };
    assert_eq!(sides(&routed), opted_out);
    opt(&store, session.tn, bob(), false, 3).await;
    assert_eq!(sides(&read(at(4)).await), [None, None]);

    assert_eq!(store.add_tn(alice(), at(60)).await.unwrap(), AddTn::Added);
    let is_tn = [Some(Blocked::IsTn), None];
    assert_eq!(sides(&store.expired_sessions(1, at(60)).await.unwrap()[0]), is_tn);
    let Route::Expired(routed) = route(&store, session.tn, bob(), at(60)).await else { panic!("expired") };
    assert_eq!(sides(&routed), is_tn);
    let RemoveTn::HeldByExpired(held) = store.remove_tn(session.tn, at(60)).await.unwrap() else {
        panic!("held")
    };
    assert_eq!(sides(&held), is_tn);
    opt(&store, session.tn, alice(), true, 61).await;
    assert_eq!(sides(&store.expired_sessions(1, at(61)).await.unwrap()[0]), is_tn, "even if opted out too");
}

/// The live sessions, read in pages of this size.
async fn listed(store: &Shared, limit: u32, now: i64) -> Vec<Session> {
    let mut page = Page { limit: Some(limit), after: None };
    let mut sessions = Vec::new();
    loop {
        let (part, _) = store.sessions(SessionFilter::default(), page.clone(), at(now)).await.unwrap();
        assert!(part.items.len() <= limit as usize);
        sessions.extend(part.items);
        let Some(next) = part.next else { return sessions };
        page.after = Some(next);
    }
}

pub async fn sessions_are_listed_oldest_first_each_exactly_once(store: Shared) {
    fill_pool(&store, 12).await;
    let mut opened = Vec::new();
    // Some begin at the same time, and the order of creation is not that of the calls.
    for (n, created) in [5, 3, 3, 9, 1, 3, 7, 2, 3, 8].into_iter().enumerate() {
        let people = [person(100 + n as u64), person(200 + n as u64)];
        opened.push(talking(&store, people, created, None).await);
    }
    talking(&store, [person(300), person(301)], 0, Some(60)).await;
    let ended = talking(&store, [person(302), person(303)], 4, None).await;
    assert!(end(&store, ended.id, EndCause::Deleted, 10).await);

    let whole = listed(&store, 100, 60).await;
    let times: Vec<_> = whole.iter().map(|session| session.created_at).collect();
    assert_eq!(times, [1, 2, 3, 3, 3, 3, 5, 7, 8, 9].map(at));
    assert!(opened.iter().all(|session| whole.contains(session)));
    for limit in [1, 2, 3, 9, 10, 11] {
        assert_eq!(listed(&store, limit, 60).await, whole, "{limit} a page");
    }
    let (part, total) =
        store.sessions(SessionFilter::default(), Page { limit: Some(4), after: None }, at(60)).await.unwrap();
    assert_eq!((part.items.len(), total), (4, 10), "the total is of all pages");
    let (_, total) = store
        .sessions(SessionFilter::default(), Page { limit: Some(4), after: part.next }, at(60))
        .await
        .unwrap();
    assert_eq!(total, 10);
    let (all, _) = store.sessions(SessionFilter::default(), Page::default(), at(59)).await.unwrap();
    assert_eq!((all.items.len(), all.next), (11, None), "without a limit, all");
}

pub async fn paging_goes_on_when_the_session_at_the_cursor_has_ended(store: Shared) {
    fill_pool(&store, 6).await;
    let mut sessions = Vec::new();
    for n in 0..6 {
        sessions.push(talking(&store, [alice(), bob()], n, None).await);
    }
    let (first, _) =
        store.sessions(SessionFilter::default(), Page { limit: Some(3), after: None }, at(10)).await.unwrap();
    assert_eq!(first.items, sessions[..3]);
    assert!(end(&store, sessions[2].id, EndCause::Deleted, 10).await);
    let (rest, _) = store
        .sessions(SessionFilter::default(), Page { limit: Some(3), after: first.next }, at(10))
        .await
        .unwrap();
    assert_eq!(rest.items, sessions[3..]);
}

pub async fn expired_sessions_are_listed_earliest_expiry_first_up_to_the_limit(store: Shared) {
    fill_pool(&store, 6).await;
    let mut sessions = Vec::new();
    for window in [Some(50), Some(20), None, Some(40), Some(30), Some(90)] {
        sessions.push(talking(&store, [alice(), bob()], 0, window).await);
    }
    let ids = async |limit, now| -> Vec<SessionId> {
        let expired = store.expired_sessions(limit, at(now)).await.unwrap();
        expired.into_iter().map(|session| session.id).collect()
    };
    let [a, b, c, d] = [1, 4, 3, 0].map(|n: usize| sessions[n].id);
    assert_eq!(ids(10, 60).await, [a, b, c, d]);
    assert_eq!(ids(2, 60).await, [a, b]);
    assert_eq!(ids(10, 30).await, [a, b]);
    assert!(end(&store, a, EndCause::Expired, 60).await);
    assert_eq!(ids(2, 60).await, [b, c], "an ended session is not listed");
}

pub async fn a_route_tells_who_the_sender_is_to_the_number(store: Shared) {
    fill_pool(&store, 2).await;
    let session = talking(&store, [alice(), bob()], 0, None).await;
    let tn_of = session.tn;
    let other = if tn_of == tn(1) { tn(2) } else { tn(1) };
    for (to, sender, expected) in [
        (tn_of, alice(), live(&session)),
        (tn_of, bob(), live(&session)),
        (tn_of, eve(), stranger(None)),
        (other, alice(), stranger(None)),
        (tn(9), alice(), Route::NotOurTn),
        (tn(9), other, Route::NotOurTn),
        (bob(), alice(), Route::NotOurTn),
        (tn_of, other, Route::SenderIsTn),
        (tn_of, tn_of, Route::SenderIsTn),
    ] {
        assert_eq!(route(&store, to, sender, at(1)).await, expected, "{sender:?} to {to:?}");
    }
}

pub async fn a_route_tells_which_stranger_must_not_be_answered(store: Shared) {
    fill_pool(&store, 2).await;
    opt(&store, tn(1), eve(), true, 0).await;
    let eves = async |to| route(&store, to, eve(), at(1)).await;
    assert_eq!(eves(tn(1)).await, stranger(Some(Blocked::OptedOut)));
    assert_eq!(eves(tn(2)).await, stranger(None));
    opt(&store, tn(1), eve(), false, 2).await;
    assert_eq!(eves(tn(1)).await, stranger(None));
}

pub async fn a_participant_who_has_become_a_number_of_the_pool_is_one_to_the_route(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    assert_eq!(store.add_tn(bob(), at(60)).await.unwrap(), AddTn::Added);
    assert_eq!(route(&store, session.tn, bob(), at(60)).await, Route::SenderIsTn);
    let mut expected = session.clone();
    expected.participants[1] = Participant { blocked: Some(Blocked::IsTn), ..side(&session, Role::B) };
    assert_eq!(route(&store, session.tn, alice(), at(60)).await, Route::Expired(expected));
}

pub async fn a_route_never_leads_from_one_session_into_the_next_on_the_same_number(store: Shared) {
    let first = conversation(&store, Some(60)).await;
    assert!(end(&store, first.id, EndCause::Expired, 60).await);
    assert_eq!(route(&store, first.tn, alice(), at(60)).await, stranger(None));
    assert_eq!(route(&store, first.tn, alice(), at(0)).await, stranger(None), "ended is ended at any time");
    let second = talking(&store, [bob(), eve()], 61, None).await;
    assert_eq!(second.tn, first.tn);
    assert_eq!(route(&store, first.tn, alice(), at(62)).await, stranger(None));
    assert_eq!(route(&store, first.tn, bob(), at(62)).await, live_after(&second, 60));
    assert_eq!(route(&store, first.tn, eve(), at(62)).await, live(&second));
}

pub async fn a_route_keeps_the_end_of_the_senders_previous_session_on_the_same_number(store: Shared) {
    fill_pool(&store, 1).await;
    let mut expected = None;
    for (opened, cause, ended) in
        [(0, EndCause::Deleted, 10), (11, EndCause::RolledBack, 12), (13, EndCause::Expired, 90)]
    {
        let session = talking(&store, [alice(), bob()], opened, Some(60)).await;
        let route_of = async |person| route(&store, tn(1), person, at(opened + 1)).await;
        for person in [alice(), bob()] {
            let with_end = Route::Live { session: session.clone(), previous_end: expected };
            assert_eq!(route_of(person).await, with_end);
        }
        assert!(end(&store, session.id, cause, ended).await);
        // One that was rolled back was none to its participants.
        if cause != EndCause::RolledBack {
            expected = Some(at(ended));
        }
    }
    assert_eq!(store.remove_tn(tn(1), at(91)).await.unwrap(), RemoveTn::Removed);
    fill_pool(&store, 2).await;
    let sessions = [
        talking(&store, [alice(), eve()], 92, None).await,
        talking(&store, [alice(), eve()], 92, None).await,
    ];
    for session in &sessions {
        let expected = if session.tn == tn(1) { live_after(session, 90) } else { live(session) };
        assert_eq!(
            route(&store, session.tn, alice(), at(93)).await,
            expected,
            "also of a TN that was removed"
        );
        assert_eq!(route(&store, session.tn, eve(), at(93)).await, live(session), "it was in none before");
    }
}
