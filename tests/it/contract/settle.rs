//! What becomes of a leased message.

use super::fixtures::{
    MS, Shared, answer, at, conversation, due, end, eve, fill_pool, found, message, nobody_knows, not_taken,
    refused, relay, sending, sent, state, stranger, tn, uncertain, unknown, waiting,
};
use sms_proxy::{
    domain::Barred,
    store::{EndCause, Leased, Settlement, State},
};

pub async fn a_message_that_was_taken_is_sent(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = sending(&store, relay(&session, 5), 5).await;
    assert!(store.settle(&leased, sent("mdr2-1"), at(6)).await.unwrap());
    let on_record = message(&store, &leased).await;
    assert_eq!((on_record.state, on_record.attempts), (State::Sent, 1));
    assert_eq!((on_record.attempted_at, on_record.settled_at), (Some(at(5)), Some(at(6))));
    assert_eq!((on_record.provider_id.as_deref(), on_record.reason), (Some("mdr2-1"), None));
}

pub async fn a_refused_message_has_failed_for_good(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = sending(&store, relay(&session, 5), 5).await;
    assert!(store.settle(&leased, refused(false), at(6)).await.unwrap());
    let on_record = message(&store, &leased).await;
    assert_eq!((on_record.state, on_record.settled_at), (State::Failed, Some(at(6))));
    assert_eq!((on_record.provider_id, on_record.reason.as_deref()), (None, Some("refused")));
    assert_eq!(due(&store, 9_000).await, []);
    let session = store.session(session.id, at(7)).await.unwrap().unwrap();
    assert_eq!(session.participants.map(|participant| participant.barred), [None, None]);
}

pub async fn a_message_refused_because_the_recipient_opted_out_marks_the_two_numbers(store: Shared) {
    let session = conversation(&store, None).await;
    let later = waiting(&store, relay(&session, 4), 4, 4).await;
    let leased = sending(&store, relay(&session, 5), 5).await;
    assert!(store.settle(&leased, refused(true), at(6)).await.unwrap());
    assert_eq!(state(&store, &leased).await, State::Failed);
    let session = store.session(session.id, at(7)).await.unwrap().unwrap();
    let barred = session.participants.map(|participant| participant.barred);
    assert_eq!(barred, [None, Some(Barred::OptedOut)]);
    assert_eq!(store.lease(later.outbound.id, at(7), at(30)).await.unwrap(), None);
    assert_eq!(state(&store, &later).await, State::Failed);
}

pub async fn a_message_that_was_not_taken_waits_until_it_is_due(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = sending(&store, relay(&session, 5), 5).await;
    assert!(store.settle(&leased, not_taken(60), at(6)).await.unwrap());
    let on_record = message(&store, &leased).await;
    assert_eq!((on_record.state, on_record.attempts, on_record.settled_at), (State::Waiting, 1, None));
    assert_eq!(on_record.reason.as_deref(), Some("not taken"));
    assert_eq!(store.due(10, at(60) - MS).await.unwrap(), []);
    assert_eq!(due(&store, 60).await, [leased.outbound.id]);
    let again = store.lease(leased.outbound.id, at(61), at(91)).await.unwrap().unwrap();
    assert_eq!(again, Leased { lease: 2, ..leased });
    assert!(store.settle(&again, sent("mdr2-1"), at(62)).await.unwrap());
    let on_record = message(&store, &again).await;
    assert_eq!((on_record.state, on_record.attempts), (State::Sent, 2));
    assert_eq!((on_record.attempted_at, on_record.reason), (Some(at(61)), None), "the reason is past");
}

pub async fn a_deferred_message_is_due_at_once_and_was_not_tried(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = sending(&store, relay(&session, 5), 5).await;
    assert!(store.settle(&leased, Settlement::Deferred, at(6)).await.unwrap());
    let on_record = message(&store, &leased).await;
    assert_eq!((on_record.state, on_record.attempts), (State::Waiting, 0));
    assert_eq!(due(&store, 6).await, [leased.outbound.id]);
    let again = store.lease(leased.outbound.id, at(7), at(37)).await.unwrap().unwrap();
    assert_eq!(again, Leased { lease: 2, ..leased });
    assert_eq!(message(&store, &again).await.attempts, 1);
}

/// The caller may ask again when it did not hear the answer.
pub async fn deferring_or_waiting_told_twice_counts_once(store: Shared) {
    let session = conversation(&store, None).await;
    let deferred = sending(&store, relay(&session, 5), 5).await;
    let waits = sending(&store, relay(&session, 6), 6).await;
    for _ in 0..3 {
        store.settle(&deferred, Settlement::Deferred, at(7)).await.unwrap();
        store.settle(&waits, not_taken(8), at(7)).await.unwrap();
    }
    let (deferred, waits) = (message(&store, &deferred).await, message(&store, &waits).await);
    assert_eq!((deferred.state, deferred.attempts), (State::Waiting, 0));
    assert_eq!((waits.state, waits.attempts), (State::Waiting, 1));
}

pub async fn an_unknown_message_is_neither_settled_nor_due(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = sending(&store, relay(&session, 5), 5).await;
    assert!(store.settle(&leased, nobody_knows(), at(6)).await.unwrap());
    let on_record = message(&store, &leased).await;
    assert_eq!((on_record.state, on_record.attempts, on_record.settled_at), (State::Unknown, 1, None));
    assert_eq!(on_record.reason.as_deref(), Some("no answer"));
    assert_eq!((due(&store, 9_000).await, unknown(&store).await), (vec![], vec![leased.outbound.id]));
    assert_eq!(store.lease(leased.outbound.id, at(7), at(37)).await.unwrap(), None);
    assert_eq!(store.reclaim(10, at(9_000)).await.unwrap(), 0, "its lease is over");
}

pub async fn a_message_that_is_found_is_sent_under_the_id_that_was_found(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = uncertain(&store, relay(&session, 5), 5).await;
    assert!(store.settle(&leased, found("mdr2-1"), at(400)).await.unwrap());
    let on_record = message(&store, &leased).await;
    assert_eq!((on_record.state, on_record.settled_at), (State::Sent, Some(at(400))));
    assert_eq!((on_record.provider_id.as_deref(), on_record.reason), (Some("mdr2-1"), None));
    assert_eq!(unknown(&store).await, []);
}

pub async fn an_id_that_was_found_is_credited_to_one_message_only(store: Shared) {
    let session = conversation(&store, None).await;
    let [first, second] = [5, 6].map(|n| relay(&session, n));
    let first = uncertain(&store, first, 5).await;
    let second = uncertain(&store, second, 6).await;
    assert!(store.settle(&first, found("mdr2-1"), at(400)).await.unwrap());
    assert!(!store.settle(&second, found("mdr2-1"), at(400)).await.unwrap());
    assert_eq!(state(&store, &second).await, State::Unknown, "nothing was changed");
    let third = sending(&store, relay(&session, 7), 7).await;
    assert!(store.settle(&third, sent("mdr2-2"), at(8)).await.unwrap());
    assert!(
        !store.settle(&second, found("mdr2-2"), at(400)).await.unwrap(),
        "the provider gave it to another"
    );
    assert!(store.settle(&second, found("mdr2-3"), at(401)).await.unwrap());
}

pub async fn the_first_time_a_message_was_seen_absent_is_kept(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = uncertain(&store, relay(&session, 5), 5).await;
    let absent_at = async || store.unknown(1, None).await.unwrap()[0].absent_at;
    assert_eq!(absent_at().await, None);
    for now in [100, 200, 300] {
        assert!(store.settle(&leased, Settlement::SeenAbsent, at(now)).await.unwrap());
        assert_eq!(absent_at().await, Some(at(100)));
        assert_eq!(state(&store, &leased).await, State::Unknown);
    }
    assert!(store.settle(&leased, not_taken(301), at(301)).await.unwrap());
    let again = store.lease(leased.outbound.id, at(301), at(331)).await.unwrap().unwrap();
    assert!(store.settle(&again, nobody_knows(), at(302)).await.unwrap());
    assert_eq!(absent_at().await, None, "it was tried since");
}

pub async fn what_nobody_will_ever_know_stays_unknown_and_is_settled(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = uncertain(&store, relay(&session, 5), 5).await;
    assert!(store.settle(&leased, Settlement::UnknownForGood, at(90_000)).await.unwrap());
    let on_record = message(&store, &leased).await;
    assert_eq!((on_record.state, on_record.settled_at), (State::Unknown, Some(at(90_000))));
    assert_eq!(on_record.reason.as_deref(), Some("no answer"), "what went wrong is still on record");
    assert_eq!((unknown(&store).await, due(&store, 99_000).await), (vec![], vec![]));
    assert!(!store.settle(&leased, found("mdr2-1"), at(90_001)).await.unwrap());
}

/// Every way to settle a message.
fn all() -> [Settlement; 9] {
    [
        sent("other"),
        refused(true),
        refused(false),
        not_taken(70),
        Settlement::Deferred,
        nobody_knows(),
        found("other"),
        Settlement::SeenAbsent,
        Settlement::UnknownForGood,
    ]
}

pub async fn what_is_settled_for_good_is_final(store: Shared) {
    let session = conversation(&store, None).await;
    for (n, last) in
        [sent("mdr2-1"), refused(false), found("mdr2-2"), Settlement::UnknownForGood].into_iter().enumerate()
    {
        let leased = sending(&store, relay(&session, n as i64), n as i64).await;
        assert!(store.settle(&leased, last, at(10)).await.unwrap());
        let before = message(&store, &leased).await;
        for settlement in all() {
            assert!(!store.settle(&leased, settlement, at(20)).await.unwrap());
        }
        assert!(!store.renew(&leased, at(20), at(50)).await.unwrap());
        assert_eq!(store.lease(leased.outbound.id, at(100), at(130)).await.unwrap(), None);
        assert_eq!(store.reclaim(10, at(9_000)).await.unwrap(), 0);
        assert_eq!(message(&store, &leased).await, before);
    }
    let session = store.session(session.id, at(20)).await.unwrap().unwrap();
    assert_eq!(session.participants[1].barred, None);
}

pub async fn a_cancelled_message_is_final(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = waiting(&store, relay(&session, 5), 5, 5).await;
    assert!(end(&store, session.id, EndCause::Deleted, 6).await);
    let before = message(&store, &leased).await;
    assert_eq!((before.state, before.settled_at), (State::Cancelled, Some(at(6))));
    for settlement in all() {
        assert!(!store.settle(&leased, settlement, at(20)).await.unwrap());
    }
    assert_eq!(message(&store, &leased).await, before);
}

pub async fn an_older_lease_changes_nothing(store: Shared) {
    let session = conversation(&store, None).await;
    let old = waiting(&store, relay(&session, 5), 5, 5).await;
    let new = store.lease(old.outbound.id, at(10), at(40)).await.unwrap().unwrap();
    let not_yet = Leased { lease: 3, ..new.clone() };
    let before = message(&store, &new).await;
    for leased in [&old, &not_yet] {
        for settlement in all() {
            assert!(!store.settle(leased, settlement, at(20)).await.unwrap());
        }
        assert!(!store.renew(leased, at(20), at(9_000)).await.unwrap());
    }
    assert_eq!(message(&store, &new).await, before);
    assert_eq!(store.session(session.id, at(20)).await.unwrap(), Some(session.clone()), "nobody opted out");
    assert_eq!(store.reclaim(10, at(41)).await.unwrap(), 1, "nor was the lease prolonged");
    assert!(store.settle(&new, found("other"), at(42)).await.unwrap(), "no id was credited");
}

pub async fn a_lease_of_a_message_that_never_was_settles_nothing(store: Shared) {
    fill_pool(&store, 1).await;
    let outbound = answer(tn(1), eve(), at(0));
    for settlement in all() {
        let leased = Leased { outbound: outbound.clone(), lease: 1 };
        assert!(!store.settle(&leased, settlement, at(1)).await.unwrap());
    }
    assert_eq!(store.route(tn(1), eve(), at(1)).await.unwrap(), stranger(None, None));
}

pub async fn a_message_to_a_stranger_is_settled_like_any_other(store: Shared) {
    conversation(&store, None).await;
    let leased = sending(&store, answer(tn(1), eve(), at(5)), 5).await;
    assert!(store.settle(&leased, refused(true), at(6)).await.unwrap());
    assert!(!store.settle(&leased, sent("mdr2-1"), at(6)).await.unwrap());
    let barred = stranger(Some(Barred::OptedOut), Some(0));
    assert_eq!(store.route(tn(1), eve(), at(7)).await.unwrap(), barred);
}
