//! The outbox: what is due, and who may send it.

use super::{
    expected::{SESSION_ENDED, closed, first_lease, leased_again, listed, renewed, revoked, unknown, waits},
    fixtures::{
        MS, Shared, accepted, alice, answer, arrival, at, bob, conversation, due, end, eve, fill_pool,
        new_session, no_answer, not_taken, opened, opt, refused, relay, sending, settled, stored, talking,
        tn, to_side, waiting,
    },
};
use sms_proxy::{
    domain::{Blocked, Content, Decision, EndCause, Kind, Message, MessageId, Outbound, Role, State},
    store::{AddTn, Due},
};

pub async fn what_waits_is_due_oldest_first_up_to_the_limit(store: Shared) {
    let session = conversation(&store, None).await;
    let mut ids = Vec::new();
    // Creation and due times: neither the order of the calls nor that of the due times counts.
    for (created, when) in [(30, 50), (10, 70), (20, 60), (40, 90), (25, 55)] {
        ids.push(waiting(&store, relay(&session), created, when).await.outbound.id);
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
    let waits_for_now = waiting(&store, relay(&session), 5, 60).await;
    let id = waits_for_now.outbound.id;
    let before = waits(&waits_for_now, 60, Some("not taken"));
    assert_eq!(store.lease(id, at(60) - MS, at(90)).await.unwrap(), None);
    assert_eq!(stored(&store, &waits_for_now).await, before);
    let leased = store.lease(id, at(60), at(90)).await.unwrap().unwrap();
    let expected = leased_again(&before, at(60), at(90));
    assert_eq!(leased, Message { outbound: waits_for_now.outbound, ..expected.clone() });
    assert_eq!(store.lease(id, at(61), at(91)).await.unwrap(), None, "another holds it");
    assert_eq!(store.lease(id, at(9_000), at(9_030)).await.unwrap(), None, "its outcome is unknown");
    assert_eq!(store.lease(MessageId::random(), at(60), at(90)).await.unwrap(), None);
    assert_eq!(stored(&store, &leased).await, expected);
}

pub async fn each_lease_of_a_message_has_a_higher_number_and_counts_as_an_attempt(store: Shared) {
    let session = conversation(&store, None).await;
    let mut leased = sending(&store, relay(&session), 0).await;
    assert_eq!((leased.status.lease, leased.status.attempts), (1, 1));
    for n in 1..6_i64 {
        assert_eq!(stored(&store, &leased).await, listed(&leased));
        let now = n * 10;
        settled(&store, &leased, not_taken(now), now).await;
        let before = waits(&leased, now, Some("not taken"));
        assert_eq!(stored(&store, &leased).await, before);
        let again = store.lease(leased.outbound.id, at(now), at(now + 30)).await.unwrap().unwrap();
        let expected = leased_again(&before, at(now), at(now + 30));
        assert_eq!((expected.status.lease, expected.status.attempts), (n as u32 + 1, n as u32 + 1));
        assert_eq!(again, Message { outbound: leased.outbound, ..expected });
        leased = again;
    }
}

pub async fn a_message_comes_back_as_it_was_stored(store: Shared) {
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
        let mut text =
            if n % 2 == 0 { to_side(&session, Kind::Relay, Role::A) } else { answer(tn(1), eve()) };
        text.content = Content { body: body.into(), media_urls };
        let first = sending(&store, text.clone(), n).await;
        let outbound = Outbound { id: first.outbound.id, created_at: at(n), text };
        assert_eq!(first, first_lease(outbound.clone(), at(n + 30)));
        settled(&store, &first, not_taken(n), n).await;
        let has_media = !outbound.text.content.media_urls.is_empty();
        assert_eq!(store.due(10, at(n)).await.unwrap(), [Due { id: outbound.id, has_media }]);
        let second = store.lease(outbound.id, at(n), at(n + 30)).await.unwrap().unwrap();
        // Contents are compared separately: their debug output does not show them.
        let content = &second.outbound.text.content;
        assert_eq!(
            (&content.body, &content.media_urls),
            (&outbound.text.content.body, &outbound.text.content.media_urls)
        );
        let before = waits(&first, n, Some("not taken"));
        let expected = leased_again(&before, at(n), at(n + 30));
        assert_eq!(second, Message { outbound: outbound.clone(), ..expected });
        let renewed = store.renew(&second, at(n), at(n + 60)).await.unwrap().unwrap();
        assert_eq!(renewed.outbound, outbound);
        settled(&store, &renewed, no_answer(), n).await;
        let expected = unknown(&second, "no answer");
        assert_eq!(store.unknown(10, None).await.unwrap(), [Message { outbound, ..expected }]);
        settled(&store, &renewed, refused(false), n).await;
    }
}

pub async fn a_relay_of_a_session_that_is_no_longer_live_is_cancelled_instead_of_leased(store: Shared) {
    fill_pool(&store, 1).await;
    for (now, leases) in [(at(60) - MS, true), (at(60), false)] {
        let session = talking(&store, [alice(), bob()], 0, Some(60)).await;
        let first = waiting(&store, relay(&session), 5, 5).await;
        let before = waits(&first, 5, Some("not taken"));
        assert_eq!(store.lease(first.outbound.id, now, at(90)).await.unwrap().is_some(), leases);
        let expected = match leases {
            true => leased_again(&before, now, at(90)),
            false => closed(&before, State::Cancelled, now, Some(SESSION_ENDED)),
        };
        assert_eq!(stored(&store, &first).await, expected);
        assert!(end(&store, session.id, EndCause::RolledBack, 60).await);
    }
    let session = talking(&store, [alice(), bob()], 0, None).await;
    assert!(end(&store, session.id, EndCause::Deleted, 1).await);
    let late = waiting(&store, relay(&session), 5, 5).await;
    assert_eq!(store.lease(late.outbound.id, at(6), at(36)).await.unwrap(), None);
    assert_eq!(stored(&store, &late).await, closed(&late, State::Cancelled, at(6), Some(SESSION_ENDED)));
}

pub async fn a_notice_is_leased_after_the_end_of_its_session(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    for kind in [Kind::Start, Kind::End, Kind::Expired] {
        let first = waiting(&store, to_side(&session, kind, Role::A), 5, 5).await;
        let leased = store.lease(first.outbound.id, at(60), at(90)).await.unwrap().unwrap();
        let before = waits(&first, 5, Some("not taken"));
        assert_eq!(listed(&leased), leased_again(&before, at(60), at(90)));
        let longer = store.renew(&leased, at(70), at(100)).await.unwrap().unwrap();
        assert_eq!(listed(&longer), renewed(&leased, at(70), at(100)));
        assert_eq!(stored(&store, &leased).await, listed(&longer));
    }
}

pub async fn a_message_whose_recipient_has_become_blocked_fails_instead_of_being_leased(store: Shared) {
    let session = conversation(&store, None).await;
    let text = waiting(&store, relay(&session), 5, 5).await;
    let going = sending(&store, relay(&session), 5).await;
    opt(&store, session.tn, bob(), true, 6).await;
    assert_eq!(store.lease(text.outbound.id, at(7), at(37)).await.unwrap(), None);
    assert_eq!(store.renew(&going, at(7), at(37)).await.unwrap(), None);
    for leased in [&text, &going] {
        let expected = closed(leased, State::Failed, at(7), Some(Blocked::OptedOut.as_str()));
        assert_eq!(stored(&store, leased).await, expected);
    }
    let to_alice = waiting(&store, to_side(&session, Kind::Relay, Role::A), 8, 8).await;
    assert!(store.lease(to_alice.outbound.id, at(8), at(38)).await.unwrap().is_some());
    assert!(end(&store, session.id, EndCause::Deleted, 9).await);
    let goodbye = waiting(&store, to_side(&session, Kind::End, Role::A), 9, 9).await;
    assert_eq!(store.add_tn(alice(), at(9)).await.unwrap(), AddTn::Added);
    assert_eq!(store.lease(goodbye.outbound.id, at(9), at(39)).await.unwrap(), None);
    let expected = closed(&goodbye, State::Failed, at(9), Some(Blocked::IsTn.as_str()));
    assert_eq!(stored(&store, &goodbye).await, expected);
}

pub async fn a_lease_is_extended_only_while_the_message_may_be_sent(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    let leased = sending(&store, relay(&session), 5).await;
    let longer = store.renew(&leased, at(20), at(50)).await.unwrap().unwrap();
    let expected = renewed(&leased, at(20), at(50));
    assert_eq!(expected.status.attempts, 1, "it is still the same attempt");
    assert_eq!(stored(&store, &leased).await, expected);
    assert_eq!(longer, Message { outbound: leased.outbound.clone(), ..expected });
    assert_eq!(store.reclaim(10, at(49)).await.unwrap(), 0, "it has longer now");
    let last = store.renew(&longer, at(60) - MS, at(90)).await.unwrap().unwrap();
    assert_eq!(stored(&store, &last).await, renewed(&leased, at(60) - MS, at(90)));
    let other = sending(&store, to_side(&session, Kind::Relay, Role::A), 5).await;
    assert_eq!(store.renew(&last, at(60), at(90)).await.unwrap(), None, "the session has expired");
    assert_eq!(stored(&store, &last).await, closed(&last, State::Cancelled, at(60), Some(SESSION_ENDED)));
    assert!(end(&store, session.id, EndCause::RolledBack, 10).await);
    assert_eq!(store.renew(&other, at(11), at(41)).await.unwrap(), None, "the session has ended");
    let expected = closed(&revoked(&other), State::Cancelled, at(11), Some(SESSION_ENDED));
    assert_eq!(stored(&store, &other).await, expected);
    assert_eq!(due(&store, 9_000).await, []);
}

/// The caller may extend and settle with the message as it was first leased.
pub async fn a_lease_can_be_extended_and_settled_by_what_was_leased_first(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = sending(&store, relay(&session), 5).await;
    for now in [10, 20, 30] {
        assert!(store.renew(&leased, at(now), at(now + 30)).await.unwrap().is_some());
        assert_eq!(stored(&store, &leased).await, renewed(&leased, at(now), at(now + 30)));
    }
    settled(&store, &leased, not_taken(40), 31).await;
    let expected = waits(&renewed(&leased, at(30), at(60)), 40, Some("not taken"));
    assert_eq!(stored(&store, &leased).await, expected);
}

pub async fn a_lease_that_is_no_longer_held_is_not_extended(store: Shared) {
    let session = conversation(&store, None).await;
    let not_sent = waiting(&store, relay(&session), 5, 9).await;
    let lost = sending(&store, relay(&session), 6).await;
    assert_eq!(store.reclaim(10, at(100)).await.unwrap(), 1);
    for (leased, expected) in [(&not_sent, State::Waiting), (&lost, State::Unknown)] {
        let before = stored(&store, leased).await;
        assert_eq!(store.renew(leased, at(101), at(131)).await.unwrap(), None);
        assert_eq!(before.status.state, expected);
        assert_eq!(stored(&store, leased).await, before, "nothing was changed");
    }
    let never_stored = first_lease(Outbound::new(relay(&session), at(7)), at(131));
    assert_eq!(store.renew(&never_stored, at(101), at(131)).await.unwrap(), None);
}

pub async fn rolling_back_a_session_stops_the_notices_that_wait_for_a_permit(store: Shared) {
    fill_pool(&store, 1).await;
    let new = new_session([alice(), bob()], 0, None);
    let (session, starts) = opened(&store, new).await;
    assert!(store.renew(&starts[0], at(1), at(31)).await.unwrap().is_some());
    assert!(end(&store, session.id, EndCause::RolledBack, 2).await);
    assert_eq!(store.renew(&starts[1], at(3), at(33)).await.unwrap(), None);
    let expected = closed(&revoked(&starts[1]), State::Cancelled, at(3), Some(SESSION_ENDED));
    assert_eq!(stored(&store, &starts[1]).await, expected);
    assert_eq!(stored(&store, &starts[0]).await, revoked(&renewed(&starts[0], at(1), at(31))));
}

pub async fn the_messages_that_one_text_causes_are_all_due_at_its_time(store: Shared) {
    let session = conversation(&store, None).await;
    let texts = (0..5).map(|_| relay(&session)).collect();
    let leased = accepted(&store, arrival(None, alice(), session.tn, 5), Decision::Send(texts)).await;
    for leased in &leased {
        settled(&store, leased, not_taken(6), 5).await;
    }
    let mut ids = due(&store, 6).await;
    let mut expected: Vec<_> = leased.iter().map(|leased| leased.outbound.id).collect();
    ids.sort();
    expected.sort();
    assert_eq!((ids.len(), ids), (5, expected), "messages of the same time don't hide each other");
}
