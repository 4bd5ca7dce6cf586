//! The outbox: what is due, who may send it, and what got lost.

use super::fixtures::{
    MS, Shared, alice, answer, at, bob, conversation, due, end, eve, fill_pool, inbound, message,
    new_session, nobody_knows, not_taken, opened, opt, recorded, refused, relay, sending, state, talking, tn,
    to_side, waiting,
};
use sms_proxy::{
    domain::{Barred, Content, Kind, MessageId, Outbound, Role},
    store::{AddTn, Due, EndCause, Leased, RestsOn, State, Unknown},
};

pub async fn what_waits_is_due_oldest_first_up_to_the_limit(store: Shared) {
    let session = conversation(&store, None).await;
    let mut ids = Vec::new();
    // Decided on, and due: neither the order of the calls nor that of the due times counts.
    for (created, when) in [(30, 50), (10, 70), (20, 60), (40, 90), (25, 55)] {
        ids.push(waiting(&store, relay(&session, created), 40, when).await.outbound.id);
    }
    let [a, b, c, d, e] = [1, 2, 4, 0, 3].map(|n: usize| ids[n]);
    assert_eq!(due(&store, 90).await, [a, b, c, d, e]);
    assert_eq!(due(&store, 89).await, [a, b, c, d]);
    assert_eq!(due(&store, 60).await, [b, c, d]);
    assert_eq!(due(&store, 49).await, []);
    let some = store.due(2, at(90)).await.unwrap();
    assert_eq!(some, [a, b].map(|id| Due { id, has_media: false }));
    store.lease(a, at(90), at(120)).await.unwrap().unwrap();
    assert_eq!(due(&store, 90).await, [b, c, d, e], "what is leased is not due");
}

pub async fn a_message_is_leased_only_while_it_waits_and_is_due(store: Shared) {
    let session = conversation(&store, None).await;
    let waits = waiting(&store, relay(&session, 5), 5, 60).await;
    let id = waits.outbound.id;
    assert_eq!(store.lease(id, at(60) - MS, at(90)).await.unwrap(), None);
    assert!(store.lease(id, at(60), at(90)).await.unwrap().is_some());
    assert_eq!(store.lease(id, at(61), at(91)).await.unwrap(), None, "somebody has it");
    assert_eq!(store.lease(id, at(9_000), at(9_030)).await.unwrap(), None, "nobody knows what became of it");
    assert_eq!(store.lease(MessageId::random(), at(60), at(90)).await.unwrap(), None);
    assert_eq!(message(&store, &waits).await.attempts, 2);
}

pub async fn each_lease_of_a_message_has_a_higher_number_and_counts_as_an_attempt(store: Shared) {
    let session = conversation(&store, None).await;
    let mut leased = sending(&store, relay(&session, 0), 0).await;
    for n in 1..6_u32 {
        assert_eq!(leased.lease, n);
        let on_record = message(&store, &leased).await;
        let now = i64::from(n) * 10;
        assert_eq!((on_record.attempts, on_record.attempted_at), (n, Some(at(now - 10))));
        assert!(store.settle(&leased, not_taken(now), at(now)).await.unwrap());
        leased = store.lease(leased.outbound.id, at(now), at(now + 30)).await.unwrap().unwrap();
    }
}

pub async fn a_message_comes_back_as_it_was_put_on_record(store: Shared) {
    let session = conversation(&store, None).await;
    let url = |n: u32| format!("https://example.com/a%20b?x=\"{n}\"&y='é'#\u{1F408}");
    let bodies = [
        "plain",
        "",
        " \t\r\n ",
        "é\u{301} \u{1F469}\u{200D}\u{1F680} \u{202E}עברית 漢字",
        "a\0b\0",
        "\u{FFFD}\u{10FFFF}",
        "'; DROP TABLE x; --",
        "\\u0000 \\n {\"json\": [1]}",
        "null",
        "0012",
        &"ä".repeat(1_000),
        &"x".repeat(1_000),
    ];
    for (n, body) in bodies.into_iter().enumerate() {
        let n = n as i64;
        let media_urls = (0..n as u32 % 4).map(url).collect();
        let mut outbound =
            if n % 2 == 0 { to_side(&session, Kind::Relay, Role::A, n) } else { answer(tn(1), eve(), at(n)) };
        outbound.text.content = Content { body: body.into(), media_urls };
        let first = sending(&store, outbound.clone(), n).await;
        assert_eq!(first.outbound, outbound);
        assert!(store.settle(&first, not_taken(n), at(n)).await.unwrap());
        let has_media = !outbound.text.content.media_urls.is_empty();
        assert_eq!(store.due(10, at(n)).await.unwrap(), [Due { id: outbound.id, has_media }]);
        let second = store.lease(outbound.id, at(n), at(n + 30)).await.unwrap().unwrap();
        let content = &second.outbound.text.content;
        assert_eq!(
            (&content.body, &content.media_urls),
            (&outbound.text.content.body, &outbound.text.content.media_urls)
        );
        assert_eq!(second.outbound, outbound);
        assert!(store.settle(&second, nobody_knows(), at(n)).await.unwrap());
        let lost = store.unknown(10, None).await.unwrap();
        assert_eq!(
            lost,
            [Unknown { leased: second.clone(), attempted_at: at(n), absent_at: None, revoked: false }]
        );
        assert!(store.settle(&second, refused(false), at(n)).await.unwrap());
    }
}

pub async fn a_relay_of_a_session_that_is_no_longer_live_is_cancelled_instead_of_leased(store: Shared) {
    fill_pool(&store, 1).await;
    for (now, leases) in [(at(60) - MS, true), (at(60), false)] {
        let session = talking(&store, [alice(), bob()], 0, Some(60)).await;
        let waits = waiting(&store, relay(&session, 5), 5, 5).await;
        assert_eq!(store.lease(waits.outbound.id, now, at(90)).await.unwrap().is_some(), leases);
        let expected = if leases { State::Sending } else { State::Cancelled };
        assert_eq!(state(&store, &waits).await, expected);
        assert!(end(&store, session.id, EndCause::Undone, 60).await);
    }
    let session = talking(&store, [alice(), bob()], 0, None).await;
    assert!(end(&store, session.id, EndCause::Deleted, 1).await);
    let late = waiting(&store, relay(&session, 5), 5, 5).await;
    assert_eq!(store.lease(late.outbound.id, at(6), at(36)).await.unwrap(), None);
    assert_eq!(state(&store, &late).await, State::Cancelled);
}

pub async fn a_notice_is_leased_after_the_end_of_its_session(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    for kind in [Kind::Start, Kind::End, Kind::Expired] {
        let waits = waiting(&store, to_side(&session, kind, Role::A, 5), 5, 5).await;
        let leased = store.lease(waits.outbound.id, at(60), at(90)).await.unwrap().unwrap();
        assert!(store.renew(&leased, at(70), at(100)).await.unwrap());
    }
}

pub async fn a_message_whose_recipient_is_barred_by_now_has_failed(store: Shared) {
    let session = conversation(&store, None).await;
    let text = waiting(&store, relay(&session, 5), 5, 5).await;
    let going = sending(&store, relay(&session, 5), 5).await;
    opt(&store, session.tn, bob(), true, 6).await;
    assert_eq!(store.lease(text.outbound.id, at(7), at(37)).await.unwrap(), None);
    assert!(!store.renew(&going, at(7), at(37)).await.unwrap());
    for leased in [&text, &going] {
        let on_record = message(&store, leased).await;
        assert_eq!((on_record.state, on_record.settled_at), (State::Failed, Some(at(7))));
        assert_eq!(on_record.reason.as_deref(), Some(Barred::OptedOut.as_str()));
    }
    let to_alice = waiting(&store, to_side(&session, Kind::Relay, Role::A, 8), 8, 8).await;
    assert!(store.lease(to_alice.outbound.id, at(8), at(38)).await.unwrap().is_some());
    assert!(end(&store, session.id, EndCause::Deleted, 9).await);
    let goodbye = waiting(&store, to_side(&session, Kind::End, Role::A, 9), 9, 9).await;
    assert_eq!(store.add_tn(alice(), at(9)).await.unwrap(), AddTn::Added);
    assert_eq!(store.lease(goodbye.outbound.id, at(9), at(39)).await.unwrap(), None);
    assert_eq!(message(&store, &goodbye).await.reason.as_deref(), Some(Barred::IsTn.as_str()));
}

pub async fn a_lease_is_prolonged_only_while_the_message_may_be_sent(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    let leased = sending(&store, relay(&session, 5), 5).await;
    assert!(store.renew(&leased, at(20), at(50)).await.unwrap());
    assert_eq!(message(&store, &leased).await.attempts, 1, "it is still the same attempt");
    assert_eq!(store.reclaim(10, at(49)).await.unwrap(), 0, "it has longer now");
    assert!(store.renew(&leased, at(60) - MS, at(90)).await.unwrap());
    assert_eq!(message(&store, &leased).await.attempted_at, Some(at(60) - MS));
    let ended = sending(&store, to_side(&session, Kind::Relay, Role::A, 5), 5).await;
    assert!(!store.renew(&leased, at(60), at(90)).await.unwrap(), "the session has expired");
    assert_eq!(state(&store, &leased).await, State::Cancelled);
    assert!(end(&store, session.id, EndCause::Undone, 10).await);
    assert!(!store.renew(&ended, at(11), at(41)).await.unwrap(), "the session has ended");
    assert_eq!(state(&store, &ended).await, State::Cancelled);
    assert_eq!(due(&store, 9_000).await, []);
}

pub async fn a_lease_that_is_no_longer_held_is_not_prolonged(store: Shared) {
    let session = conversation(&store, None).await;
    let waits = waiting(&store, relay(&session, 5), 5, 9).await;
    let lost = sending(&store, relay(&session, 6), 6).await;
    assert_eq!(store.reclaim(10, at(100)).await.unwrap(), 1);
    for (leased, expected) in [(&waits, State::Waiting), (&lost, State::Unknown)] {
        assert!(!store.renew(leased, at(101), at(131)).await.unwrap());
        assert_eq!(state(&store, leased).await, expected, "nothing was changed");
    }
    let stray = Leased { outbound: relay(&session, 7), lease: 1 };
    assert!(!store.renew(&stray, at(101), at(131)).await.unwrap());
}

pub async fn undoing_a_session_stops_the_notices_that_wait_for_their_turn(store: Shared) {
    fill_pool(&store, 1).await;
    let new = new_session([alice(), bob()], 0, None);
    let (session, starts) = opened(&store, new).await;
    assert!(store.renew(&starts[0], at(1), at(31)).await.unwrap());
    assert!(end(&store, session.id, EndCause::Undone, 2).await);
    assert!(!store.renew(&starts[1], at(3), at(33)).await.unwrap());
    assert_eq!(state(&store, &starts[1]).await, State::Cancelled);
}

pub async fn the_messages_of_one_record_are_all_due_at_its_time(store: Shared) {
    let session = conversation(&store, None).await;
    let texts: Vec<Outbound> = (0..5).map(|_| relay(&session, 5)).collect();
    let leased = recorded(&store, inbound(None, RestsOn::Live(session.id), texts.clone(), 5)).await;
    for leased in &leased {
        assert!(store.settle(leased, not_taken(6), at(5)).await.unwrap());
    }
    let mut ids = due(&store, 6).await;
    let mut expected: Vec<_> = texts.iter().map(|text| text.id).collect();
    ids.sort();
    expected.sort();
    assert_eq!(ids, expected, "messages of the same time don't hide each other");
}
