//! What is stored about messages: delivery receipts and the list of a session.

use super::{
    expected::{SESSION_ENDED, closed, delivered, listed, never_tried, taken, waits},
    fixtures::{
        Shared, alice, answer, at, bob, conversation, due, end, eve, fill_pool, messages, new_session,
        not_taken, notice, opened, opt, refused, relay, sending, sent, settle, settled, stored, talking, tn,
        to_side, uncertain, unknown, waiting,
    },
};
use sms_proxy::{
    domain::{
        Blocked, Delivery, EndCause, Kind, Message, MessageId, Page, Receipt, Role, SessionId, Settlement,
        State,
    },
    store::Receipted,
};

fn delivery(level: i64) -> Delivery {
    let code = (level > 1).then(|| "1003".into());
    Delivery { level: Some(level), status: format!("level {level}"), code, at: Some(at(100 + level)) }
}

fn receipt(message: Option<MessageId>, provider_id: &str, level: i64) -> Receipt {
    Receipt { message, provider_id: provider_id.into(), delivery: delivery(level) }
}

/// A receipt with our own id of the message.
fn naming(message: &Message, level: i64) -> Receipt {
    receipt(Some(message.outbound.id), "mdr2-receipt", level)
}

pub async fn a_receipt_finds_its_message_by_our_id_or_by_the_providers(store: Shared) {
    let session = conversation(&store, None).await;
    let mut sents = Vec::new();
    for (n, id) in [(1, "mdr2-1"), (2, "mdr2-2"), (3, "mdr2-3")] {
        let leased = sending(&store, relay(&session), n).await;
        settled(&store, &leased, sent(id), n).await;
        sents.push(stored(&store, &leased).await);
    }
    let take = async |receipt: Receipt| store.receipt(&receipt, at(100)).await.unwrap();
    let [first, second, third] = [0, 1, 2].map(|n: usize| Some(sents[n].outbound.id));
    assert_eq!(take(receipt(first, "", 1)).await, Receipted::Recorded);
    assert_eq!(take(receipt(None, "mdr2-2", 1)).await, Receipted::Recorded);
    assert_eq!(take(receipt(Some(MessageId::random()), "mdr2-3", 1)).await, Receipted::Recorded);
    for message in &sents {
        assert_eq!(stored(&store, message).await, delivered(message, delivery(1)));
    }
    assert_eq!(take(receipt(second, "mdr2-3", 2)).await, Receipted::Recorded, "our own id goes before");
    for (message, level) in sents.iter().zip([1, 2, 1]) {
        assert_eq!(stored(&store, message).await, delivered(message, delivery(level)));
    }
    assert_eq!(take(receipt(None, "mdr2-3", 2)).await, Receipted::Recorded);
    assert_eq!(take(receipt(third, "", 2)).await, Receipted::Known);
    for unmatched in
        [receipt(None, "", 2), receipt(None, "mdr2-9", 2), receipt(Some(MessageId::random()), "", 2)]
    {
        assert_eq!(take(unmatched).await, Receipted::NoMessage);
    }
    for (message, level) in sents.iter().zip([1, 2, 2]) {
        assert_eq!(stored(&store, message).await, delivered(message, delivery(level)));
    }
}

pub async fn a_final_receipt_is_kept_over_a_passing_one_and_a_later_over_an_earlier(store: Shared) {
    let says = |level: Option<i64>, status: &str, code: &str, time: i64| Delivery {
        level,
        status: status.into(),
        code: Some(code.into()).filter(|code: &String| !code.is_empty()),
        at: (time > 0).then(|| at(time)),
    };
    let garbled = says(None, "?", "", 99);
    let submitted = says(Some(1), "smsc submit", "", 10);
    let buffered = says(Some(2), "message buffered", "1003", 10);
    let delivered_late = says(Some(2), "delivered", "1004", 30);
    let failed = says(Some(2), "failed", "1007", 20);
    let without_level = says(None, "delivered", "", 20);
    let without_time = says(Some(3), "failed", "1007", 0);
    let from_the_future = says(Some(2), "failed", "1007", 900_000);
    // Every pair: of two receipts the second of these is kept, whichever is first to arrive.
    let order = [&garbled, &submitted, &buffered, &without_time, &without_level, &failed, &delivered_late];
    let pairs = (0..order.len()).flat_map(|lesser| (lesser + 1..order.len()).map(move |n| (lesser, n)));
    let pairs = pairs.map(|(lesser, greater)| (order[lesser], order[greater]));
    let session = conversation(&store, None).await;
    for (n, (lesser, greater)) in (1..).zip(pairs.chain([(&from_the_future, &delivered_late)])) {
        for (first, second) in [(lesser, greater), (greater, lesser)] {
            let leased = sending(&store, relay(&session), n).await;
            settled(&store, &leased, sent(&format!("mdr2-{}", leased.outbound.id)), n).await;
            let message = stored(&store, &leased).await;
            assert_eq!(message.status.delivery, None);
            for (delivery, receipted) in [
                (first, Receipted::Recorded),
                (first, Receipted::Known),
                (second, if second == greater { Receipted::Recorded } else { Receipted::Known }),
            ] {
                let receipt = Receipt { delivery: delivery.clone(), ..naming(&leased, 1) };
                assert_eq!(store.receipt(&receipt, at(100)).await.unwrap(), receipted, "{delivery:?}");
            }
            assert_eq!(stored(&store, &leased).await, delivered(&message, greater.clone()));
        }
    }
}

pub async fn a_receipt_that_says_nothing_is_not_kept_and_blocks_no_other(store: Shared) {
    let session = conversation(&store, None).await;
    let lost = uncertain(&store, relay(&session), 1).await;
    let nothing = Delivery { level: Some(9), status: String::new(), code: None, at: Some(at(99)) };
    let empty = Receipt { delivery: nothing, ..naming(&lost, 1) };
    assert_eq!(store.receipt(&empty, at(10)).await.unwrap(), Receipted::Recorded, "it proves the send");
    assert_eq!(store.receipt(&empty, at(11)).await.unwrap(), Receipted::Known);
    let sent = taken(&lost, 10, "mdr2-receipt");
    assert_eq!(stored(&store, &lost).await, sent);
    assert_eq!(store.receipt(&naming(&lost, 1), at(12)).await.unwrap(), Receipted::Recorded);
    assert_eq!(stored(&store, &lost).await, delivered(&sent, delivery(1)));
}

pub async fn a_receipt_with_code_1110_opts_the_recipient_out(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = sending(&store, relay(&session), 1).await;
    settled(&store, &leased, sent("mdr2-1"), 1).await;
    let code = Some("1110".into());
    let opted_out = Delivery { level: Some(2), status: "failed".into(), code, at: Some(at(2)) };
    let receipt = Receipt { delivery: opted_out.clone(), ..naming(&leased, 2) };
    let blocked =
        async || store.session(session.id, at(9)).await.unwrap().unwrap().participants.map(|it| it.blocked);
    assert_eq!(blocked().await, [None, None]);
    assert_eq!(store.receipt(&receipt, at(3)).await.unwrap(), Receipted::Recorded);
    assert_eq!(blocked().await, [None, Some(Blocked::OptedOut)]);
    assert_eq!(stored(&store, &leased).await.status.delivery, Some(opted_out));
    opt(&store, session.tn, bob(), false, 4).await;
    assert_eq!(store.receipt(&receipt, at(4)).await.unwrap(), Receipted::Known);
    assert_eq!(blocked().await, [None, None], "a duplicate does not undo an opt-in");
}

pub async fn a_receipt_with_our_id_proves_that_the_provider_took_an_unsettled_message(store: Shared) {
    let session = conversation(&store, None).await;
    let going = sending(&store, relay(&session), 1).await;
    let not_sent = waiting(&store, relay(&session), 2, 2).await;
    let lost = uncertain(&store, relay(&session), 3).await;
    let forever = uncertain(&store, relay(&session), 4).await;
    settled(&store, &forever, Settlement::UnknownForGood, 5).await;
    let absent = uncertain(&store, relay(&session), 5).await;
    settled(&store, &absent, Settlement::SeenAbsent, 6).await;
    for leased in [&going, &not_sent, &lost, &forever, &absent] {
        let before = stored(&store, leased).await;
        let id = format!("mdr2-{}", leased.outbound.id);
        let named = receipt(Some(leased.outbound.id), &id, 1);
        assert_eq!(store.receipt(&named, at(10)).await.unwrap(), Receipted::Recorded);
        let expected = delivered(&taken(&before, 10, &id), delivery(1));
        assert_eq!(stored(&store, leased).await, expected);
        assert_eq!(settle(&store, leased, not_taken(11), 11).await, None, "it is final");
        assert_eq!(stored(&store, leased).await, expected);
    }
    assert_eq!((due(&store, 99).await, unknown(&store).await), (vec![], vec![]));
    assert_eq!(store.reclaim(10, at(9_000)).await.unwrap(), 0);
}

pub async fn a_receipt_without_the_providers_id_proves_the_same_and_removes_no_id(store: Shared) {
    let session = conversation(&store, None).await;
    let lost = uncertain(&store, relay(&session), 1).await;
    let named = receipt(Some(lost.outbound.id), "", 1);
    assert_eq!(store.receipt(&named, at(10)).await.unwrap(), Receipted::Recorded);
    let expected = delivered(&closed(&lost, State::Sent, at(10), None), delivery(1));
    assert_eq!(stored(&store, &lost).await, expected);
    let known = sending(&store, relay(&session), 2).await;
    settled(&store, &known, sent("mdr2-1"), 2).await;
    let named = receipt(Some(known.outbound.id), "", 1);
    assert_eq!(store.receipt(&named, at(10)).await.unwrap(), Receipted::Recorded);
    assert_eq!(stored(&store, &known).await, delivered(&taken(&known, 2, "mdr2-1"), delivery(1)));
}

pub async fn a_receipt_does_not_bring_back_what_was_refused_or_cancelled(store: Shared) {
    let session = conversation(&store, None).await;
    let failed = sending(&store, relay(&session), 1).await;
    settled(&store, &failed, refused(false), 1).await;
    let cancelled = waiting(&store, relay(&session), 2, 2).await;
    assert!(end(&store, session.id, EndCause::Deleted, 3).await);
    for (leased, expected) in [(&failed, State::Failed), (&cancelled, State::Cancelled)] {
        let before = stored(&store, leased).await;
        assert_eq!(store.receipt(&naming(leased, 1), at(10)).await.unwrap(), Receipted::Recorded);
        assert_eq!(before.status.state, expected);
        assert_eq!(stored(&store, leased).await, delivered(&before, delivery(1)));
    }
}

pub async fn a_receipt_of_a_message_to_a_stranger_is_stored(store: Shared) {
    let lost = uncertain(&store, answer(tn(1), eve()), 0).await;
    assert_eq!(store.receipt(&naming(&lost, 1), at(10)).await.unwrap(), Receipted::Recorded);
    assert_eq!(store.receipt(&naming(&lost, 1), at(10)).await.unwrap(), Receipted::Known);
    assert_eq!(unknown(&store).await, []);
}

pub async fn the_messages_of_a_session_show_all_that_is_stored_but_their_content(store: Shared) {
    fill_pool(&store, 2).await;
    let (session, starts) = opened(&store, new_session([alice(), bob()], 0, None)).await;
    let other = talking(&store, [alice(), bob()], 0, None).await;
    sending(&store, relay(&other), 1).await;
    sending(&store, answer(session.tn, eve()), 1).await;
    settled(&store, &starts[0], sent("mdr2-1"), 1).await;
    let not_sent = waiting(&store, to_side(&session, Kind::Relay, Role::A), 5, 60).await;
    let expected =
        [taken(&starts[0], 1, "mdr2-1"), listed(&starts[1]), waits(&not_sent, 60, Some("not taken"))];
    assert_eq!(messages(&store, session.id).await, expected);
}

pub async fn messages_are_listed_oldest_first_each_exactly_once(store: Shared) {
    let session = conversation(&store, None).await;
    // Some were created at the same time, and the calls are not in the order of creation.
    for created in [4, 2, 2, 8, 2, 6, 2, 3] {
        sending(&store, relay(&session), created).await;
    }
    let whole = messages(&store, session.id).await;
    let times: Vec<_> = whole.iter().map(|message| message.outbound.created_at).collect();
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
    let not_sent = waiting(&store, relay(&session), 5, 5).await;
    let notices = vec![notice(&session, Kind::Expired, Role::A, 60)];
    let to_alice = never_tried(notices[0].clone());
    let before = messages(&store, session.id).await;
    store.end_session(session.id, EndCause::Expired, notices, at(60), None).await.unwrap().unwrap();
    let cancelled = closed(&not_sent, State::Cancelled, at(60), Some(SESSION_ENDED));
    let expected = [before[0].clone(), before[1].clone(), cancelled, listed(&to_alice)];
    assert_eq!(messages(&store, session.id).await, expected);
    talking(&store, [alice(), bob()], 61, None).await;
    assert_eq!(messages(&store, session.id).await.len(), 4, "the next session has a list of its own");
}

pub async fn a_session_that_was_never_opened_has_no_messages(store: Shared) {
    conversation(&store, None).await;
    assert!(store.messages(SessionId::random(), Page::default(), at(1)).await.unwrap().is_none());
}
