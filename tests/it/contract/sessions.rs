//! Opening and ending sessions.

use super::{
    expected::{
        SESSION_ENDED, closed, first_lease, leased_again, listed, never_tried, revoked, taken, unknown, waits,
    },
    fixtures::{
        MS, Shared, alice, at, bob, conversation, end, eve, fill_pool, messages, new_session, no_answer,
        not_taken, notice, opened, opt, person, refused, relay, route, sending, sent, settled, stored,
        stranger, talking, tn, to_side, uncertain, waiting,
    },
};
use sms_proxy::{
    domain::{
        Blocked, EndCause, Kind, Message, Outbound, Page, Role, Session, SessionFilter, SessionId,
        Settlement, State,
    },
    store::OpenSession,
};

pub async fn a_session_opens_on_a_free_number_with_its_notices_leased_to_the_caller(store: Shared) {
    fill_pool(&store, 1).await;
    let new = new_session([alice(), bob()], 0, Some(60));
    let (session, notices) = opened(&store, new.clone()).await;
    let (expected, outbound) = new.on(tn(1));
    assert_eq!(session, expected);
    assert_eq!(notices, outbound.map(|outbound| first_lease(outbound, at(30))));
    assert_eq!(store.session(session.id, at(0)).await.unwrap(), Some(session.clone()));
    let expected: Vec<_> = notices.iter().map(listed).collect();
    assert_eq!(messages(&store, session.id).await, expected);
    assert_eq!(store.due(10, at(20)).await.unwrap(), [], "they are the caller's to send");
    settled(&store, &notices[0], sent("x"), 1).await;
    assert_eq!(stored(&store, &notices[0]).await, taken(&notices[0], 1, "x"));
}

pub async fn no_session_opens_when_no_number_is_free_or_one_participant_is_a_number_of_the_pool(
    store: Shared,
) {
    let ask = async |people| store.open_session(new_session(people, 60, None), at(90)).await.unwrap();
    assert_eq!(ask([alice(), bob()]).await, OpenSession::NoFreeTn { opted_out: vec![] });
    fill_pool(&store, 2).await;
    assert_eq!(ask([tn(1), bob()]).await, OpenSession::ParticipantIsTn(Role::A));
    assert_eq!(ask([alice(), tn(2)]).await, OpenSession::ParticipantIsTn(Role::B));
    let (part, total) = store.sessions(SessionFilter::default(), Page::default(), at(60)).await.unwrap();
    assert_eq!((part.items, total), (vec![], 0));
    talking(&store, [alice(), bob()], 0, Some(60)).await;
    talking(&store, [alice(), bob()], 0, Some(61)).await;
    assert_eq!(
        ask([alice(), eve()]).await,
        OpenSession::NoFreeTn { opted_out: vec![] },
        "an expired session holds its number"
    );
    assert_eq!(
        ask([tn(2), eve()]).await,
        OpenSession::ParticipantIsTn(Role::A),
        "a number in use is one too"
    );
}

pub async fn the_same_people_may_be_in_many_sessions_each_on_its_own_number(store: Shared) {
    fill_pool(&store, 3).await;
    let mut tns = Vec::new();
    for _ in 0..3 {
        tns.push(talking(&store, [alice(), bob()], 0, None).await.tn);
    }
    tns.sort();
    assert_eq!(tns, [tn(1), tn(2), tn(3)]);
}

pub async fn a_number_that_one_of_the_two_has_opted_out_of_is_not_picked(store: Shared) {
    fill_pool(&store, 3).await;
    opt(&store, tn(1), alice(), true, 0).await;
    opt(&store, tn(3), bob(), true, 0).await;
    for _ in 0..12 {
        let session = talking(&store, [alice(), bob()], 1, None).await;
        assert_eq!(session.tn, tn(2));
        assert!(end(&store, session.id, EndCause::Deleted, 2).await);
    }
    let ask = async |a, b, now| store.open_session(new_session([a, b], now, None), at(30)).await.unwrap();
    opt(&store, tn(2), bob(), true, 3).await;
    let who = |roles: &[Role]| OpenSession::NoFreeTn { opted_out: roles.to_vec() };
    assert_eq!(ask(alice(), bob(), 4).await, who(&[Role::A, Role::B]));
    opt(&store, tn(1), bob(), true, 4).await;
    assert_eq!(ask(eve(), bob(), 4).await, who(&[Role::B]));
    assert_eq!(ask(bob(), eve(), 4).await, who(&[Role::A]));
    let others = [person(8), person(9)];
    let taken = [talking(&store, others, 4, None).await, talking(&store, others, 4, None).await];
    let free = talking(&store, [eve(), person(7)], 4, None).await;
    assert_eq!(ask(eve(), bob(), 5).await, who(&[]), "no TN is free");
    assert!(end(&store, free.id, EndCause::Deleted, 5).await);
    for session in taken {
        assert!(end(&store, session.id, EndCause::Deleted, 5).await);
    }
    opt(&store, tn(3), bob(), false, 5).await;
    assert_eq!(talking(&store, [bob(), alice()], 6, None).await.tn, tn(3), "opted in again");
}

pub async fn a_session_ends_once_and_only_for_a_cause_that_holds(store: Shared) {
    fill_pool(&store, 1).await;
    use EndCause::{Deleted, Expired, RolledBack};
    // The cause, the session's window, the time of the call, and whether it ends the session.
    for (cause, window, now, ends) in [
        (Deleted, None, at(60), true),
        (Deleted, Some(60), at(60) - MS, true),
        (Deleted, Some(60), at(60), false),
        (Expired, None, at(60), false),
        (Expired, Some(60), at(60) - MS, false),
        (Expired, Some(60), at(60), true),
        (RolledBack, None, at(60), true),
        (RolledBack, Some(60), at(60) - MS, true),
        (RolledBack, Some(60), at(60), true),
    ] {
        let session = talking(&store, [alice(), bob()], 0, window).await;
        let notices = || vec![notice(&session, Kind::End, Role::A, 60)];
        let ended = store.end_session(session.id, cause, notices(), now, Some(at(90))).await.unwrap();
        assert_eq!(ended.is_some(), ends, "{cause:?} {window:?}");
        if !ends {
            assert_eq!(messages(&store, session.id).await.len(), 2, "nothing is stored");
            assert!(store.tn(session.tn, at(0)).await.unwrap().unwrap().session.is_some());
            assert!(end(&store, session.id, RolledBack, 60).await);
        }
        for cause in [Deleted, Expired, RolledBack] {
            let again = store.end_session(session.id, cause, notices(), now, None).await.unwrap();
            assert_eq!(again, None, "it has ended");
        }
        assert_eq!(messages(&store, session.id).await.len(), if ends { 3 } else { 2 });
    }
    assert!(!end(&store, SessionId::random(), Deleted, 0).await);
}

pub async fn an_ended_session_is_gone_and_its_number_is_free(store: Shared) {
    let session = conversation(&store, None).await;
    assert!(end(&store, session.id, EndCause::Deleted, 1).await);
    assert_eq!(store.session(session.id, at(1)).await.unwrap(), None);
    let (part, total) = store.sessions(SessionFilter::default(), Page::default(), at(1)).await.unwrap();
    assert_eq!((part.items, total), (vec![], 0));
    assert_eq!(route(&store, session.tn, alice(), at(1)).await, stranger(None));
    let next = talking(&store, [alice(), eve()], 2, None).await;
    assert_eq!(next.tn, session.tn);
    assert_ne!(next.id, session.id);
}

pub async fn end_notices_are_leased_to_the_caller_or_due_immediately(store: Shared) {
    fill_pool(&store, 2).await;
    let notices = |session: &Session| [Role::A, Role::B].map(|role| notice(session, Kind::End, role, 5));
    let ended = async |session: &Session, notices: Vec<Outbound>, lease| {
        store.end_session(session.id, EndCause::Deleted, notices, at(5), lease).await.unwrap().unwrap()
    };
    let session = talking(&store, [alice(), bob()], 0, None).await;
    let mine = notices(&session);
    let leased = ended(&session, mine.to_vec(), Some(at(35))).await;
    assert_eq!(leased, mine.map(|outbound| first_lease(outbound, at(35))));
    assert_eq!(store.due(10, at(20)).await.unwrap(), []);
    for notice in &leased {
        settled(&store, notice, sent("x"), 6).await;
    }

    let session = talking(&store, [alice(), bob()], 0, None).await;
    let [to_a, to_b] = notices(&session);
    assert_eq!(ended(&session, vec![to_a.clone(), to_b], None).await, []);
    assert_eq!(store.due(10, at(5)).await.unwrap().len(), 2);
    let before = never_tried(to_a.clone());
    assert_eq!(stored(&store, &before).await, listed(&before));
    let leased = store.lease(to_a.id, at(5), at(35)).await.unwrap();
    let expected = leased_again(&before, at(5), at(35));
    assert_eq!(stored(&store, &before).await, expected);
    assert_eq!(leased, Some(Message { outbound: to_a, ..expected }), "the first lease of it");
}

pub async fn a_notice_to_a_blocked_participant_is_stored_as_failed(store: Shared) {
    let session = conversation(&store, None).await;
    opt(&store, session.tn, bob(), true, 1).await;
    let session = store.session(session.id, at(2)).await.unwrap().unwrap();
    let [a, b] = [Role::A, Role::B].map(|role| notice(&session, Kind::End, role, 2));
    let notices = vec![a.clone(), b.clone()];
    let ended = store.end_session(session.id, EndCause::Deleted, notices, at(2), Some(at(30))).await;
    let to_alice = first_lease(a, at(30));
    assert_eq!(ended.unwrap().as_ref(), Some(&vec![to_alice.clone()]));
    assert_eq!(stored(&store, &to_alice).await, listed(&to_alice));
    let reason = Some(Blocked::OptedOut.as_str());
    let to_bob = closed(&never_tried(b), State::Failed, at(2), reason);
    assert_eq!(stored(&store, &to_bob).await, to_bob);
}

pub async fn ending_a_session_cancels_the_relays_that_wait_and_leaves_its_notices(store: Shared) {
    fill_pool(&store, 2).await;
    for (cause, now) in [(EndCause::Deleted, 59), (EndCause::Expired, 60)] {
        let (session, starts) = opened(&store, new_session([alice(), bob()], 0, Some(60))).await;
        settled(&store, &starts[0], not_taken(1), 0).await;
        let other = talking(&store, [alice(), bob()], 0, None).await;
        let elsewhere = waiting(&store, relay(&other), 1, 5).await;
        let soon = waiting(&store, relay(&session), 1, 5).await;
        let later = waiting(&store, relay(&session), 2, 1_000).await;
        let gone = sending(&store, relay(&session), 3).await;
        settled(&store, &gone, sent("gone"), 3).await;
        assert!(end(&store, session.id, cause, now).await);
        for (message, expected) in [
            (&soon, closed(&soon, State::Cancelled, at(now), Some(SESSION_ENDED))),
            (&later, closed(&later, State::Cancelled, at(now), Some(SESSION_ENDED))),
            (&gone, taken(&gone, 3, "gone")),
            (&starts[0], waits(&starts[0], 1, Some("not taken"))),
            (&starts[1], listed(&starts[1])),
            (&elsewhere, waits(&elsewhere, 5, Some("not taken"))),
        ] {
            assert_eq!(stored(&store, message).await, expected);
        }
        assert_eq!(store.lease(soon.outbound.id, at(60), at(90)).await.unwrap(), None);
        assert!(store.lease(starts[0].outbound.id, at(60), at(90)).await.unwrap().is_some());
        assert!(end(&store, other.id, EndCause::Deleted, 61).await);
    }
}

pub async fn a_relay_that_is_being_sent_when_its_session_ends_is_never_sent_again(store: Shared) {
    let session = conversation(&store, None).await;
    let mut leased = Vec::new();
    for n in 0..6 {
        leased.push(sending(&store, relay(&session), n).await);
    }
    settled(&store, &leased[4], no_answer(), 6).await;
    assert!(end(&store, session.id, EndCause::Deleted, 7).await);
    let in_doubt = unknown(&revoked(&leased[4]), "no answer");
    assert_eq!(stored(&store, &leased[4]).await, in_doubt);
    let cancelled = |n: usize| closed(&revoked(&leased[n]), State::Cancelled, at(8), Some(SESSION_ENDED));
    for (n, settlement, expected) in [
        (0, sent("taken"), taken(&revoked(&leased[0]), 8, "taken")),
        (1, not_taken(8), cancelled(1)),
        (2, Settlement::Deferred, cancelled(2)),
        (3, refused(false), closed(&revoked(&leased[3]), State::Failed, at(8), Some("refused"))),
        (4, not_taken(8), cancelled(4)),
        (5, no_answer(), unknown(&revoked(&leased[5]), "no answer")),
    ] {
        if n != 4 {
            assert_eq!(stored(&store, &leased[n]).await, revoked(&leased[n]));
        }
        settled(&store, &leased[n], settlement, 8).await;
        assert_eq!(stored(&store, &leased[n]).await, expected);
    }
    assert_eq!(store.due(10, at(1_000)).await.unwrap(), []);
    // Reconciliation did not find it.
    settled(&store, &leased[5], not_taken(9), 9).await;
    let expected = closed(&revoked(&leased[5]), State::Cancelled, at(9), Some(SESSION_ENDED));
    assert_eq!(stored(&store, &leased[5]).await, expected);
}

/// A relay may be withdrawn while it waits, while it is leased, or while it is unknown.
pub async fn a_relay_that_is_cancelled_with_its_session_has_the_same_reason_however_it_comes(store: Shared) {
    let session = conversation(&store, None).await;
    let first_tried = waiting(&store, relay(&session), 1, 5).await;
    let deferred = sending(&store, relay(&session), 2).await;
    settled(&store, &deferred, Settlement::Deferred, 3).await;
    let not_sent = sending(&store, relay(&session), 3).await;
    let put_off = sending(&store, relay(&session), 4).await;
    let not_renewed = sending(&store, relay(&session), 5).await;
    let lost = uncertain(&store, relay(&session), 6).await;
    assert!(end(&store, session.id, EndCause::Deleted, 7).await);
    settled(&store, &not_sent, not_taken(9), 8).await;
    settled(&store, &put_off, Settlement::Deferred, 8).await;
    assert_eq!(store.renew(&not_renewed, at(8), at(38)).await.unwrap(), None);
    settled(&store, &lost, not_taken(9), 8).await;
    let late = waiting(&store, relay(&session), 7, 8).await;
    assert_eq!(store.lease(late.outbound.id, at(8), at(38)).await.unwrap(), None);
    for message in [&first_tried, &deferred, &not_sent, &put_off, &not_renewed, &lost, &late] {
        let status = stored(&store, message).await.status;
        assert_eq!((status.state, status.reason.as_deref()), (State::Cancelled, Some(SESSION_ENDED)));
    }
}

pub async fn a_relay_whose_lease_expired_stays_revoked(store: Shared) {
    let session = conversation(&store, None).await;
    let reclaimed = sending(&store, relay(&session), 1).await;
    assert!(end(&store, session.id, EndCause::Deleted, 2).await);
    assert_eq!(store.reclaim(10, at(100)).await.unwrap(), 1);
    let lost = stored(&store, &reclaimed).await;
    assert_eq!((lost.status.state, lost.status.revoked), (State::Unknown, true));
    settled(&store, &reclaimed, not_taken(101), 101).await;
    let expected = closed(&revoked(&reclaimed), State::Cancelled, at(101), Some(SESSION_ENDED));
    assert_eq!(stored(&store, &reclaimed).await, expected);
}

pub async fn rolling_back_a_session_cancels_its_unsent_notices_too(store: Shared) {
    fill_pool(&store, 1).await;
    let (session, starts) = opened(&store, new_session([alice(), bob()], 0, None)).await;
    settled(&store, &starts[0], not_taken(5), 0).await;
    let lost = uncertain(&store, to_side(&session, Kind::Start, Role::A), 1).await;
    let text = waiting(&store, relay(&session), 1, 5).await;
    assert!(end(&store, session.id, EndCause::RolledBack, 2).await);
    for message in [&starts[0], &text] {
        let expected = closed(message, State::Cancelled, at(2), Some(SESSION_ENDED));
        assert_eq!(stored(&store, message).await, expected);
    }
    assert_eq!(stored(&store, &starts[1]).await, revoked(&starts[1]), "it is being sent right now");
    assert_eq!(stored(&store, &lost).await, unknown(&revoked(&lost), "no answer"));
    for message in [&starts[1], &lost] {
        settled(&store, message, not_taken(5), 3).await;
        let expected = closed(&revoked(message), State::Cancelled, at(3), Some(SESSION_ENDED));
        assert_eq!(stored(&store, message).await, expected);
    }
    assert_eq!(talking(&store, [person(7), person(8)], 4, None).await.tn, tn(1), "its number is free");
}
