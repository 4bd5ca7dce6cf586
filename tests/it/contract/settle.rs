//! The settlements of a leased message.

use super::{
    expected::{closed, first_lease, leased_again, listed, taken, unknown as now_unknown, waits, with},
    fixtures::{
        MS, Shared, answer, at, conversation, due, end, eve, fill_pool, found, no_answer, not_taken, refused,
        relay, route, sending, sent, settle, settled, stored, stranger, tn, uncertain, unknown, waiting,
    },
};
use sms_proxy::domain::{Blocked, EndCause, Message, MessageEvent, Outbound, Settlement, State};

pub async fn a_message_that_was_taken_is_sent(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = sending(&store, relay(&session), 5).await;
    assert_eq!(settle(&store, &leased, sent("mdr2-1"), 6).await, Some(MessageEvent::Sent));
    assert_eq!(stored(&store, &leased).await, taken(&leased, 6, "mdr2-1"));
}

pub async fn a_refused_message_has_failed_for_good(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = sending(&store, relay(&session), 5).await;
    assert_eq!(settle(&store, &leased, refused(false), 6).await, Some(MessageEvent::Failed));
    assert_eq!(stored(&store, &leased).await, closed(&leased, State::Failed, at(6), Some("refused")));
    assert_eq!(due(&store, 9_000).await, []);
    let session = store.session(session.id, at(7)).await.unwrap().unwrap();
    assert_eq!(session.participants.map(|participant| participant.blocked), [None, None]);
}

pub async fn a_message_refused_because_of_an_opt_out_blocks_its_recipient_on_its_tn(store: Shared) {
    let session = conversation(&store, None).await;
    let later = waiting(&store, relay(&session), 4, 4).await;
    let leased = sending(&store, relay(&session), 5).await;
    assert_eq!(settle(&store, &leased, refused(true), 6).await, Some(MessageEvent::Failed));
    assert_eq!(stored(&store, &leased).await, closed(&leased, State::Failed, at(6), Some("refused")));
    let session = store.session(session.id, at(7)).await.unwrap().unwrap();
    let blocked = session.participants.map(|participant| participant.blocked);
    assert_eq!(blocked, [None, Some(Blocked::OptedOut)]);
    assert_eq!(store.lease(later.outbound.id, at(7), at(30)).await.unwrap(), None);
    let failed = closed(&later, State::Failed, at(7), Some(Blocked::OptedOut.as_str()));
    assert_eq!(stored(&store, &later).await, failed);
}

pub async fn a_message_that_was_not_taken_waits_until_it_is_due(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = sending(&store, relay(&session), 5).await;
    assert_eq!(settle(&store, &leased, not_taken(60), 6).await, Some(MessageEvent::Waiting));
    let before = waits(&leased, 60, Some("not taken"));
    assert_eq!(stored(&store, &leased).await, before);
    assert_eq!(store.due(10, at(60) - MS).await.unwrap(), []);
    assert_eq!(due(&store, 60).await, [leased.outbound.id]);
    let again = store.lease(leased.outbound.id, at(61), at(91)).await.unwrap().unwrap();
    let expected = leased_again(&before, at(61), at(91));
    assert_eq!(stored(&store, &leased).await, expected);
    assert_eq!(again, Message { outbound: leased.outbound, ..expected });
    settled(&store, &again, sent("mdr2-1"), 62).await;
    assert_eq!(stored(&store, &again).await, taken(&again, 62, "mdr2-1"), "the reason is past");
}

pub async fn a_deferred_message_is_due_immediately_and_its_attempt_is_refunded(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = sending(&store, relay(&session), 5).await;
    assert_eq!(settle(&store, &leased, Settlement::Deferred, 6).await, Some(MessageEvent::Waiting));
    let before = with(&waits(&leased, 6, None), |status| status.attempts = 0);
    assert_eq!(stored(&store, &leased).await, before);
    assert_eq!(due(&store, 6).await, [leased.outbound.id]);
    let again = store.lease(leased.outbound.id, at(7), at(37)).await.unwrap().unwrap();
    let expected = leased_again(&before, at(7), at(37));
    assert_eq!((expected.status.lease, expected.status.attempts), (2, 1));
    assert_eq!(stored(&store, &again).await, expected);
    assert_eq!(again, Message { outbound: leased.outbound, ..expected });
}

/// A caller may repeat the call after a lost response.
pub async fn deferring_or_waiting_again_with_the_same_lease_counts_once(store: Shared) {
    let session = conversation(&store, None).await;
    let deferred = sending(&store, relay(&session), 5).await;
    let not_sent = sending(&store, relay(&session), 6).await;
    let first = waiting(&store, relay(&session), 1, 2).await;
    let second = store.lease(first.outbound.id, at(2), at(32)).await.unwrap().unwrap();
    for _ in 0..3 {
        settle(&store, &deferred, Settlement::Deferred, 7).await;
        settle(&store, &second, Settlement::Deferred, 7).await;
        settle(&store, &not_sent, not_taken(8), 7).await;
    }
    let expected = with(&waits(&deferred, 7, None), |status| status.attempts = 0);
    assert_eq!(stored(&store, &deferred).await, expected);
    let expected = with(&waits(&second, 7, Some("not taken")), |status| status.attempts = 1);
    assert_eq!(stored(&store, &second).await, expected, "the first of the two attempts counts");
    assert_eq!(stored(&store, &not_sent).await, waits(&not_sent, 8, Some("not taken")));
}

pub async fn an_unknown_message_is_neither_settled_nor_due(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = sending(&store, relay(&session), 5).await;
    assert_eq!(settle(&store, &leased, no_answer(), 6).await, Some(MessageEvent::Unknown));
    let expected = now_unknown(&leased, "no answer");
    assert_eq!(stored(&store, &leased).await, expected);
    assert_eq!((due(&store, 9_000).await, unknown(&store).await), (vec![], vec![leased.outbound.id]));
    assert_eq!(store.lease(leased.outbound.id, at(7), at(37)).await.unwrap(), None);
    assert_eq!(store.reclaim(10, at(9_000)).await.unwrap(), 0, "it is not leased");
    assert_eq!(stored(&store, &leased).await, expected);
}

pub async fn a_message_that_is_found_is_sent_under_the_id_that_was_found(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = uncertain(&store, relay(&session), 5).await;
    assert_eq!(settle(&store, &leased, found("mdr2-1"), 400).await, Some(MessageEvent::Sent));
    assert_eq!(stored(&store, &leased).await, taken(&leased, 400, "mdr2-1"));
    assert_eq!(unknown(&store).await, []);
}

pub async fn an_id_that_was_found_is_credited_to_one_message_only(store: Shared) {
    let session = conversation(&store, None).await;
    let first = uncertain(&store, relay(&session), 5).await;
    let second = uncertain(&store, relay(&session), 6).await;
    settled(&store, &first, found("mdr2-1"), 400).await;
    assert_eq!(settle(&store, &second, found("mdr2-1"), 400).await, None);
    let third = sending(&store, relay(&session), 7).await;
    settled(&store, &third, sent("mdr2-2"), 8).await;
    assert_eq!(settle(&store, &second, found("mdr2-2"), 400).await, None, "the provider gave it to another");
    assert_eq!(stored(&store, &second).await, now_unknown(&second, "no answer"), "nothing was changed");
    settled(&store, &second, found("mdr2-3"), 401).await;
    for (message, now, id) in [(&first, 400, "mdr2-1"), (&second, 401, "mdr2-3"), (&third, 8, "mdr2-2")] {
        assert_eq!(stored(&store, message).await, taken(message, now, id));
    }
}

pub async fn the_first_time_a_message_was_seen_absent_is_kept(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = uncertain(&store, relay(&session), 5).await;
    let uncertain = now_unknown(&leased, "no answer");
    assert_eq!(stored(&store, &leased).await, uncertain);
    let absent = with(&uncertain, |status| status.absent_at = Some(at(100)));
    for now in [100, 200, 300] {
        let event = settle(&store, &leased, Settlement::SeenAbsent, now).await;
        assert_eq!(event, Some(MessageEvent::SeenAbsent));
        assert_eq!(stored(&store, &leased).await, absent);
        let listed = store.unknown(1, None).await.unwrap();
        assert_eq!(listed[0].status, absent.status);
    }
    settled(&store, &leased, not_taken(301), 301).await;
    let before = waits(&absent, 301, Some("not taken"));
    assert_eq!(stored(&store, &leased).await, before);
    let again = store.lease(leased.outbound.id, at(301), at(331)).await.unwrap().unwrap();
    settled(&store, &again, no_answer(), 302).await;
    let expected = now_unknown(&leased_again(&before, at(301), at(331)), "no answer");
    assert_eq!(expected.status.absent_at, None, "it was tried since");
    assert_eq!(stored(&store, &leased).await, expected);
    // A message that is deferred after it was seen absent is tried again, too.
    settled(&store, &again, Settlement::SeenAbsent, 400).await;
    settled(&store, &again, Settlement::Deferred, 401).await;
    let third = store.lease(leased.outbound.id, at(402), at(432)).await.unwrap().unwrap();
    assert_eq!((third.status.lease, third.status.absent_at), (3, None));
    assert_eq!(stored(&store, &leased).await, listed(&third));
}

pub async fn a_message_that_is_unknown_for_good_stays_unknown_and_is_settled(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = uncertain(&store, relay(&session), 5).await;
    let event = settle(&store, &leased, Settlement::UnknownForGood, 90_000).await;
    assert_eq!(event, Some(MessageEvent::UnknownForGood));
    let expected = closed(&leased, State::Unknown, at(90_000), Some("no answer"));
    assert_eq!(stored(&store, &leased).await, expected, "what went wrong is still stored");
    assert_eq!((unknown(&store).await, due(&store, 99_000).await), (vec![], vec![]));
    assert_eq!(settle(&store, &leased, found("mdr2-1"), 90_001).await, None);
    assert_eq!(stored(&store, &leased).await, expected);
}

/// Every way to settle a message.
fn all() -> [Settlement; 9] {
    [
        sent("other"),
        refused(true),
        refused(false),
        not_taken(70),
        Settlement::Deferred,
        no_answer(),
        found("other"),
        Settlement::SeenAbsent,
        Settlement::UnknownForGood,
    ]
}

pub async fn what_is_settled_is_final(store: Shared) {
    let session = conversation(&store, None).await;
    for (n, last) in
        [sent("mdr2-1"), refused(false), found("mdr2-2"), Settlement::UnknownForGood].into_iter().enumerate()
    {
        let leased = sending(&store, relay(&session), n as i64).await;
        settled(&store, &leased, last, 10).await;
        let before = stored(&store, &leased).await;
        assert_eq!(before.status.settled_at, Some(at(10)));
        for settlement in all() {
            assert_eq!(settle(&store, &leased, settlement, 20).await, None);
        }
        assert_eq!(store.renew(&leased, at(20), at(50)).await.unwrap(), None);
        assert_eq!(store.lease(leased.outbound.id, at(100), at(130)).await.unwrap(), None);
        assert_eq!(store.reclaim(10, at(9_000)).await.unwrap(), 0);
        assert_eq!(stored(&store, &leased).await, before);
    }
    let session = store.session(session.id, at(20)).await.unwrap().unwrap();
    assert_eq!(session.participants[1].blocked, None);
}

pub async fn a_cancelled_message_is_final(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = waiting(&store, relay(&session), 5, 5).await;
    assert!(end(&store, session.id, EndCause::Deleted, 6).await);
    let before = stored(&store, &leased).await;
    assert_eq!((before.status.state, before.status.settled_at), (State::Cancelled, Some(at(6))));
    for settlement in all() {
        assert_eq!(settle(&store, &leased, settlement, 20).await, None);
    }
    assert_eq!(stored(&store, &leased).await, before);
}

pub async fn an_older_lease_changes_nothing(store: Shared) {
    let session = conversation(&store, None).await;
    let old = waiting(&store, relay(&session), 5, 5).await;
    let new = store.lease(old.outbound.id, at(10), at(40)).await.unwrap().unwrap();
    let mut not_yet = new.clone();
    not_yet.status.lease = 3;
    for leased in [&old, &not_yet] {
        for settlement in all() {
            assert_eq!(settle(&store, leased, settlement, 20).await, None);
        }
        assert_eq!(store.renew(leased, at(20), at(9_000)).await.unwrap(), None);
    }
    assert_eq!(stored(&store, &new).await, listed(&new));
    assert_eq!(
        store.session(session.id, at(20)).await.unwrap(),
        Some(session.clone()),
        "there is no opt-out"
    );
    assert_eq!(store.reclaim(10, at(41)).await.unwrap(), 1, "nor was the lease extended");
    assert_eq!(
        settle(&store, &new, found("other"), 42).await,
        Some(MessageEvent::Sent),
        "nor an id credited"
    );
}

pub async fn a_lease_of_a_message_that_is_not_stored_settles_nothing(store: Shared) {
    fill_pool(&store, 1).await;
    let never_stored = first_lease(Outbound::new(answer(tn(1), eve()), at(0)), at(30));
    for settlement in all() {
        assert_eq!(settle(&store, &never_stored, settlement, 1).await, None);
    }
    assert_eq!(route(&store, tn(1), eve(), at(1)).await, stranger(None));
}

pub async fn a_message_to_a_stranger_is_settled_like_any_other(store: Shared) {
    conversation(&store, None).await;
    let leased = sending(&store, answer(tn(1), eve()), 5).await;
    assert_eq!(settle(&store, &leased, refused(true), 6).await, Some(MessageEvent::Failed));
    assert_eq!(settle(&store, &leased, sent("mdr2-1"), 6).await, None);
    let blocked = stranger(Some(Blocked::OptedOut));
    assert_eq!(route(&store, tn(1), eve(), at(7)).await, blocked);
}
