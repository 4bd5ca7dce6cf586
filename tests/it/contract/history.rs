//! What is on record about messages: delivery receipts and the list of a session.

use super::fixtures::{
    Shared, alice, answer, at, bob, conversation, end, eve, fill_pool, message, messages, new_session,
    not_taken, opened, refused, relay, sending, sent, state, talking, tn, to_side, uncertain, unknown,
    waiting,
};
use sms_proxy::{
    domain::{Kind, MessageId, Receipt, Role, SessionId},
    store::{Delivery, EndCause, Leased, Message, Page, Receipted, Settlement, State},
};

fn receipt(message: Option<MessageId>, provider_id: &str, level: i64) -> Receipt {
    Receipt {
        message,
        provider_id: provider_id.into(),
        level,
        status: format!("level {level}"),
        code: (level > 1).then(|| "1003".into()),
        at: Some(at(100 + level)),
    }
}

/// A receipt that names our own id of the message.
fn naming(leased: &Leased, level: i64) -> Receipt {
    receipt(Some(leased.outbound.id), "mdr2-receipt", level)
}

fn delivery(level: i64) -> Option<Delivery> {
    let Receipt { status, code, at, .. } = receipt(None, "", level);
    Some(Delivery { status, code, at })
}

pub async fn a_receipt_finds_its_message_by_our_id_or_by_the_providers(store: Shared) {
    let session = conversation(&store, None).await;
    let mut sents = Vec::new();
    for (n, id) in [(1, "mdr2-1"), (2, "mdr2-2"), (3, "mdr2-3")] {
        let leased = sending(&store, relay(&session, n), n).await;
        assert!(store.settle(&leased, sent(id), at(n)).await.unwrap());
        sents.push(leased);
    }
    let take = async |receipt: Receipt| store.receipt(&receipt, at(100)).await.unwrap();
    let [first, second, third] = [0, 1, 2].map(|n: usize| Some(sents[n].outbound.id));
    assert_eq!(take(receipt(first, "", 2)).await, Receipted::Recorded);
    assert_eq!(take(receipt(None, "mdr2-2", 2)).await, Receipted::Recorded);
    assert_eq!(take(receipt(Some(MessageId::random()), "mdr2-3", 2)).await, Receipted::Recorded);
    for leased in &sents {
        let on_record = message(&store, leased).await;
        assert_eq!((on_record.delivery, on_record.settled_at.is_some()), (delivery(2), true));
    }
    assert_eq!(take(receipt(second, "mdr2-3", 1)).await, Receipted::Recorded, "our own id goes before");
    assert_eq!(take(receipt(None, "mdr2-3", 1)).await, Receipted::Recorded);
    assert_eq!(take(receipt(third, "", 1)).await, Receipted::Known);
    for nobody in
        [receipt(None, "", 2), receipt(None, "mdr2-9", 2), receipt(Some(MessageId::random()), "", 2)]
    {
        assert_eq!(take(nobody).await, Receipted::NoMessage);
    }
}

pub async fn each_level_counts_once_and_the_highest_stays(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = sending(&store, relay(&session, 1), 1).await;
    assert!(store.settle(&leased, sent("mdr2-1"), at(1)).await.unwrap());
    assert_eq!(message(&store, &leased).await.delivery, None);
    for (level, receipted, shown) in [
        (1, Receipted::Recorded, 1),
        (1, Receipted::Known, 1),
        (3, Receipted::Recorded, 3),
        (2, Receipted::Recorded, 3),
        (1, Receipted::Known, 3),
        (3, Receipted::Known, 3),
    ] {
        assert_eq!(store.receipt(&naming(&leased, level), at(100)).await.unwrap(), receipted);
        assert_eq!(message(&store, &leased).await.delivery, delivery(shown));
    }
    let other = Receipt { status: "another word".into(), ..naming(&leased, 3) };
    assert_eq!(store.receipt(&other, at(100)).await.unwrap(), Receipted::Known);
    assert_eq!(message(&store, &leased).await.delivery, delivery(3), "the first of a level stays");
    let bare = Receipt { level: 4, status: "sent".into(), code: None, at: None, ..naming(&leased, 4) };
    assert_eq!(store.receipt(&bare, at(100)).await.unwrap(), Receipted::Recorded);
    let shown = Delivery { status: "sent".into(), code: None, at: None };
    assert_eq!(message(&store, &leased).await.delivery, Some(shown));
    assert_eq!(message(&store, &leased).await.settled_at, Some(at(1)), "it was settled before");
}

pub async fn a_receipt_that_names_our_id_settles_a_message_that_was_not_known_to_be_taken(store: Shared) {
    let session = conversation(&store, None).await;
    let going = sending(&store, relay(&session, 1), 1).await;
    let waits = waiting(&store, relay(&session, 2), 2, 2).await;
    let lost = uncertain(&store, relay(&session, 3), 3).await;
    let forever = uncertain(&store, relay(&session, 4), 4).await;
    assert!(store.settle(&forever, Settlement::UnknownForGood, at(5)).await.unwrap());
    for leased in [&going, &waits, &lost, &forever] {
        let named = receipt(Some(leased.outbound.id), &format!("mdr2-{}", leased.outbound.id), 1);
        assert_eq!(store.receipt(&named, at(10)).await.unwrap(), Receipted::Recorded);
        let on_record = message(&store, leased).await;
        assert_eq!((on_record.state, on_record.settled_at), (State::Sent, Some(at(10))));
        assert_eq!(on_record.provider_id, Some(named.provider_id));
        assert_eq!((on_record.reason, on_record.delivery), (None, delivery(1)));
        assert!(!store.settle(leased, not_taken(11), at(11)).await.unwrap(), "it is final");
    }
    assert_eq!((store.due(10, at(99)).await.unwrap(), unknown(&store).await), (vec![], vec![]));
    assert_eq!(store.reclaim(10, at(9_000)).await.unwrap(), 0);
}

pub async fn a_receipt_without_the_providers_id_proves_as_much_and_takes_none_away(store: Shared) {
    let session = conversation(&store, None).await;
    let lost = uncertain(&store, relay(&session, 1), 1).await;
    let named = receipt(Some(lost.outbound.id), "", 1);
    assert_eq!(store.receipt(&named, at(10)).await.unwrap(), Receipted::Recorded);
    let on_record = message(&store, &lost).await;
    assert_eq!((on_record.state, on_record.provider_id), (State::Sent, None));
}

pub async fn a_receipt_does_not_bring_back_what_was_refused_or_cancelled(store: Shared) {
    let session = conversation(&store, None).await;
    let failed = sending(&store, relay(&session, 1), 1).await;
    assert!(store.settle(&failed, refused(false), at(1)).await.unwrap());
    let cancelled = waiting(&store, relay(&session, 2), 2, 2).await;
    assert!(end(&store, session.id, EndCause::Deleted, 3).await);
    for (leased, expected) in [(&failed, State::Failed), (&cancelled, State::Cancelled)] {
        let before = message(&store, leased).await;
        assert_eq!(store.receipt(&naming(leased, 1), at(10)).await.unwrap(), Receipted::Recorded);
        assert_eq!(before.state, expected);
        assert_eq!(message(&store, leased).await, Message { delivery: delivery(1), ..before });
    }
}

pub async fn a_receipt_of_a_message_to_a_stranger_is_recorded(store: Shared) {
    let lost = uncertain(&store, answer(tn(1), eve(), at(0)), 0).await;
    assert_eq!(store.receipt(&naming(&lost, 1), at(10)).await.unwrap(), Receipted::Recorded);
    assert_eq!(store.receipt(&naming(&lost, 1), at(10)).await.unwrap(), Receipted::Known);
    assert_eq!(unknown(&store).await, []);
}

pub async fn the_messages_of_a_session_show_all_that_is_on_record_about_them(store: Shared) {
    fill_pool(&store, 2).await;
    let (session, starts) = opened(&store, new_session([alice(), bob()], 0, None)).await;
    let other = talking(&store, [alice(), bob()], 0, None).await;
    sending(&store, relay(&other, 1), 1).await;
    let stray = sending(&store, answer(session.tn, eve(), at(1)), 1).await;
    assert!(store.settle(&starts[0], sent("mdr2-1"), at(1)).await.unwrap());
    let waits = waiting(&store, to_side(&session, Kind::Relay, Role::A, 5), 5, 60).await;
    let listed = messages(&store, session.id).await;
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|message| message.id != stray.outbound.id));
    let going = Message {
        id: starts[1].outbound.id,
        kind: Kind::Start,
        to: Some(Role::B),
        state: State::Sending,
        attempts: 1,
        created_at: at(0),
        attempted_at: Some(at(0)),
        settled_at: None,
        provider_id: None,
        reason: None,
        delivery: None,
    };
    let gone = Message {
        id: starts[0].outbound.id,
        to: Some(Role::A),
        state: State::Sent,
        settled_at: Some(at(1)),
        provider_id: Some("mdr2-1".into()),
        ..going.clone()
    };
    let not_taken = Message {
        id: waits.outbound.id,
        kind: Kind::Relay,
        to: Some(Role::A),
        state: State::Waiting,
        created_at: at(5),
        attempted_at: Some(at(5)),
        reason: Some("not taken".into()),
        ..going.clone()
    };
    assert_eq!(listed, [gone, going, not_taken]);
}

pub async fn messages_are_listed_oldest_first_each_exactly_once(store: Shared) {
    let session = conversation(&store, None).await;
    // Several were decided on at the same time, and they don't come in the order of their times.
    for created in [4, 2, 2, 8, 2, 6, 2, 3] {
        sending(&store, relay(&session, created), 9).await;
    }
    let whole = messages(&store, session.id).await;
    let times: Vec<_> = whole.iter().map(|message| message.created_at).collect();
    assert_eq!(times, [0, 0, 2, 2, 2, 2, 3, 4, 6, 8].map(at));
    for limit in [1, 2, 3, 9, 10, 11] {
        let (mut read, mut page) = (Vec::new(), Page { limit: Some(limit), after: None });
        loop {
            let part = store.messages(session.id, page.clone(), at(1)).await.unwrap().unwrap();
            assert!(part.items.len() <= limit as usize);
            read.extend(part.items);
            let Some(next) = part.next else { break };
            page.after = Some(next);
        }
        assert_eq!(read, whole, "{limit} a page");
    }
}

pub async fn the_messages_of_an_ended_session_are_still_there(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    let waits = waiting(&store, relay(&session, 5), 5, 5).await;
    let notices = vec![to_side(&session, Kind::Expired, Role::A, 60)];
    store.end_session(session.id, EndCause::Expired, notices, at(60), None).await.unwrap().unwrap();
    assert_eq!(state(&store, &waits).await, State::Cancelled);
    let kinds: Vec<_> = messages(&store, session.id).await.iter().map(|message| message.kind).collect();
    assert_eq!(kinds, [Kind::Start, Kind::Start, Kind::Relay, Kind::Expired]);
    talking(&store, [alice(), bob()], 61, None).await;
    assert_eq!(messages(&store, session.id).await.len(), 4, "the next session has a list of its own");
}

pub async fn a_session_that_never_was_has_no_messages(store: Shared) {
    conversation(&store, None).await;
    assert!(store.messages(SessionId::random(), Page::default(), at(1)).await.unwrap().is_none());
}
