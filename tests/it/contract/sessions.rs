//! Opening, ending, reading and listing sessions.

use super::fixtures::{
    MS, Shared, alice, at, bob, conversation, end, eve, fill_pool, messages, new_session, nobody_knows,
    not_taken, opened, opt, person, refused, relay, sending, sent, state, stranger, talking, tn, to_side,
    uncertain, waiting,
};
use sms_proxy::{
    domain::{Barred, Kind, Outbound, Role, Session, SessionId},
    store::{EndCause, Leased, OpenSession, Page, State},
};

pub async fn a_session_opens_on_a_free_number_with_its_notices_leased_to_the_caller(store: Shared) {
    fill_pool(&store, 1).await;
    let new = new_session([alice(), bob()], 0, Some(60));
    let (session, notices) = opened(&store, new.clone()).await;
    let (expected, outbound) = new.on(tn(1));
    assert_eq!(session, expected);
    assert_eq!(notices, outbound.map(|outbound| Leased { outbound, lease: 1 }));
    assert_eq!(store.session(session.id, at(0)).await.unwrap(), Some(session.clone()));
    let listed = messages(&store, session.id).await;
    let what: Vec<_> = listed.iter().map(|message| (message.kind, message.to, message.state)).collect();
    let start = |role| (Kind::Start, Some(role), State::Sending);
    assert_eq!(what, [start(Role::A), start(Role::B)]);
    assert_eq!(store.due(10, at(20)).await.unwrap(), [], "they are the caller's to send");
    assert!(store.settle(&notices[0], sent("x"), at(1)).await.unwrap());
    assert_eq!(state(&store, &notices[0]).await, State::Sent);
}

pub async fn no_session_opens_when_no_number_is_free_or_one_participant_is_a_number_of_the_pool(
    store: Shared,
) {
    let ask = async |people| store.open_session(new_session(people, 60, None), at(90)).await.unwrap();
    assert_eq!(ask([alice(), bob()]).await, OpenSession::NoFreeTn);
    fill_pool(&store, 2).await;
    assert_eq!(ask([tn(1), bob()]).await, OpenSession::ParticipantIsTn(Role::A));
    assert_eq!(ask([alice(), tn(2)]).await, OpenSession::ParticipantIsTn(Role::B));
    let (part, total) = store.sessions(Page::default(), at(60)).await.unwrap();
    assert_eq!((part.items, total), (vec![], 0));
    talking(&store, [alice(), bob()], 0, Some(60)).await;
    talking(&store, [alice(), bob()], 0, Some(61)).await;
    assert_eq!(ask([alice(), eve()]).await, OpenSession::NoFreeTn, "an expired session holds its number");
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
    opt(&store, tn(2), bob(), true, 3).await;
    let none = store.open_session(new_session([alice(), bob()], 4, None), at(30)).await.unwrap();
    assert_eq!(none, OpenSession::NoFreeTn);
    opt(&store, tn(3), bob(), false, 5).await;
    assert_eq!(talking(&store, [bob(), alice()], 6, None).await.tn, tn(3), "opted in again");
}

pub async fn a_session_ends_once_and_only_for_a_cause_that_holds(store: Shared) {
    fill_pool(&store, 1).await;
    use EndCause::{Deleted, Expired, Undone};
    // The cause, the session's window, when it is asked for, and whether that ends it.
    for (cause, window, now, ends) in [
        (Deleted, None, at(60), true),
        (Deleted, Some(60), at(60) - MS, true),
        (Deleted, Some(60), at(60), false),
        (Expired, None, at(60), false),
        (Expired, Some(60), at(60) - MS, false),
        (Expired, Some(60), at(60), true),
        (Undone, None, at(60), true),
        (Undone, Some(60), at(60) - MS, true),
        (Undone, Some(60), at(60), true),
    ] {
        let session = talking(&store, [alice(), bob()], 0, window).await;
        let notice = || vec![to_side(&session, Kind::End, Role::A, 60)];
        let ended = store.end_session(session.id, cause, notice(), now, Some(at(90))).await.unwrap();
        assert_eq!(ended.is_some(), ends, "{cause:?} {window:?}");
        if !ends {
            assert_eq!(messages(&store, session.id).await.len(), 2, "nothing is put on record");
            assert!(store.tn(session.tn, at(0)).await.unwrap().unwrap().session.is_some());
            assert!(end(&store, session.id, Undone, 60).await);
        }
        for cause in [Deleted, Expired, Undone] {
            let again = store.end_session(session.id, cause, notice(), now, None).await.unwrap();
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
    let (part, total) = store.sessions(Page::default(), at(1)).await.unwrap();
    assert_eq!((part.items, total), (vec![], 0));
    assert_eq!(store.route(session.tn, alice(), at(1)).await.unwrap(), stranger(None, None));
    let next = talking(&store, [alice(), eve()], 2, None).await;
    assert_eq!(next.tn, session.tn);
    assert_ne!(next.id, session.id);
}

pub async fn end_notices_are_leased_to_the_caller_or_due_at_once(store: Shared) {
    fill_pool(&store, 2).await;
    let notices = |session: &Session| [Role::A, Role::B].map(|role| to_side(session, Kind::End, role, 5));
    let ended = async |session: &Session, notices: Vec<Outbound>, lease| {
        store.end_session(session.id, EndCause::Deleted, notices, at(5), lease).await.unwrap().unwrap()
    };
    let session = talking(&store, [alice(), bob()], 0, None).await;
    let mine = notices(&session);
    let leased = ended(&session, mine.to_vec(), Some(at(35))).await;
    assert_eq!(leased, mine.map(|outbound| Leased { outbound, lease: 1 }));
    assert_eq!(store.due(10, at(20)).await.unwrap(), []);
    for notice in &leased {
        assert!(store.settle(notice, sent("x"), at(6)).await.unwrap());
    }

    let session = talking(&store, [alice(), bob()], 0, None).await;
    let [to_a, to_b] = notices(&session);
    assert_eq!(ended(&session, vec![to_a.clone(), to_b], None).await, []);
    assert_eq!(store.due(10, at(5)).await.unwrap().len(), 2);
    let leased = store.lease(to_a.id, at(5), at(35)).await.unwrap();
    assert_eq!(leased, Some(Leased { outbound: to_a, lease: 1 }), "the first lease of it");
}

pub async fn a_notice_to_somebody_who_is_barred_is_on_record_as_failed(store: Shared) {
    let session = conversation(&store, None).await;
    opt(&store, session.tn, bob(), true, 1).await;
    let session = store.session(session.id, at(2)).await.unwrap().unwrap();
    let [a, b] = [Role::A, Role::B].map(|role| to_side(&session, Kind::End, role, 2));
    let ended =
        store.end_session(session.id, EndCause::Deleted, vec![a.clone(), b], at(2), Some(at(30))).await;
    assert_eq!(ended.unwrap(), Some(vec![Leased { outbound: a, lease: 1 }]));
    let to_bob = &messages(&store, session.id).await[3];
    assert_eq!((to_bob.state, to_bob.attempts), (State::Failed, 0));
    assert_eq!(to_bob.reason.as_deref(), Some(Barred::OptedOut.as_str()));
}

pub async fn ending_a_session_cancels_the_relays_that_wait_and_leaves_its_notices(store: Shared) {
    fill_pool(&store, 2).await;
    for (cause, now) in [(EndCause::Deleted, 59), (EndCause::Expired, 60)] {
        let (session, starts) = opened(&store, new_session([alice(), bob()], 0, Some(60))).await;
        assert!(store.settle(&starts[0], not_taken(1), at(0)).await.unwrap());
        let other = talking(&store, [alice(), bob()], 0, None).await;
        let elsewhere = waiting(&store, relay(&other, 1), 1, 5).await;
        let soon = waiting(&store, relay(&session, 1), 1, 5).await;
        let later = waiting(&store, relay(&session, 2), 2, 1_000).await;
        let gone = sending(&store, relay(&session, 3), 3).await;
        assert!(store.settle(&gone, sent("gone"), at(3)).await.unwrap());
        assert!(end(&store, session.id, cause, now).await);
        assert_eq!(state(&store, &soon).await, State::Cancelled);
        assert_eq!(state(&store, &later).await, State::Cancelled);
        assert_eq!(state(&store, &gone).await, State::Sent);
        assert_eq!(state(&store, &starts[0]).await, State::Waiting);
        assert_eq!(state(&store, &starts[1]).await, State::Sending);
        assert_eq!(state(&store, &elsewhere).await, State::Waiting);
        assert_eq!(store.lease(soon.outbound.id, at(60), at(90)).await.unwrap(), None);
        assert!(store.lease(starts[0].outbound.id, at(60), at(90)).await.unwrap().is_some());
        assert!(end(&store, other.id, EndCause::Deleted, 61).await);
    }
}

pub async fn a_relay_on_its_way_when_the_session_ends_is_never_sent_again(store: Shared) {
    let session = conversation(&store, None).await;
    let mut leased = Vec::new();
    for n in 0..6 {
        leased.push(sending(&store, relay(&session, n), n).await);
    }
    assert!(store.settle(&leased[4], nobody_knows(), at(6)).await.unwrap());
    assert!(end(&store, session.id, EndCause::Deleted, 7).await);
    for (leased, settlement, expected) in [
        (&leased[0], sent("taken"), State::Sent),
        (&leased[1], not_taken(8), State::Cancelled),
        (&leased[2], sms_proxy::store::Settlement::Deferred, State::Cancelled),
        (&leased[3], refused(false), State::Failed),
        (&leased[4], not_taken(8), State::Cancelled),
        (&leased[5], nobody_knows(), State::Unknown),
    ] {
        assert!(store.settle(leased, settlement, at(8)).await.unwrap());
        assert_eq!(state(&store, leased).await, expected);
    }
    assert_eq!(store.due(10, at(1_000)).await.unwrap(), []);
    assert!(store.settle(&leased[5], not_taken(9), at(9)).await.unwrap(), "the look-up did not find it");
    assert_eq!(state(&store, &leased[5]).await, State::Cancelled);
}

pub async fn a_relay_whose_lease_ran_out_stays_revoked(store: Shared) {
    let session = conversation(&store, None).await;
    let reclaimed = sending(&store, relay(&session, 1), 1).await;
    assert!(end(&store, session.id, EndCause::Deleted, 2).await);
    assert_eq!(store.reclaim(10, at(100)).await.unwrap(), 1);
    assert_eq!(state(&store, &reclaimed).await, State::Unknown);
    assert!(store.settle(&reclaimed, not_taken(101), at(101)).await.unwrap());
    assert_eq!(state(&store, &reclaimed).await, State::Cancelled);
}

pub async fn undoing_a_session_cancels_its_unsent_notices_too(store: Shared) {
    fill_pool(&store, 1).await;
    let (session, starts) = opened(&store, new_session([alice(), bob()], 0, None)).await;
    assert!(store.settle(&starts[0], not_taken(5), at(0)).await.unwrap());
    let lost = uncertain(&store, to_side(&session, Kind::Start, Role::A, 1), 1).await;
    let text = waiting(&store, relay(&session, 1), 1, 5).await;
    assert!(end(&store, session.id, EndCause::Undone, 2).await);
    assert_eq!(state(&store, &starts[0]).await, State::Cancelled);
    assert_eq!(state(&store, &text).await, State::Cancelled);
    assert_eq!(state(&store, &starts[1]).await, State::Sending, "somebody sends it right now");
    for revoked in [&starts[1], &lost] {
        assert!(store.settle(revoked, not_taken(5), at(3)).await.unwrap());
        assert_eq!(state(&store, revoked).await, State::Cancelled);
    }
    assert_eq!(talking(&store, [person(7), person(8)], 4, None).await.tn, tn(1), "its number is free");
}
