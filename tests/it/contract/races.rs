//! Concurrent callers: of those who compete, as many succeed as the contract says.

use super::{
    expected::{SESSION_ENDED, closed, delivered, listed, taken, unknown as now_unknown},
    fixtures::{
        CALLERS, Shared, alice, answer, arrival, at, bob, callers, concurrently, conversation, due, end,
        fill_pool, found, messages, new_session, not_taken, notice, person, receive, relay, route, sending,
        sent, settle, settled, stored, talking, tn, to_side, uncertain, unknown, waiting,
    },
};
use sms_proxy::{
    domain::{
        Decision, Delivery, EndCause, IgnoreReason, Kind, Page, Receipt, Role, Route, Session, Settlement,
        State,
    },
    store::{AddTn, OpenSession, Receipted, Received, RemoveTn},
};
use std::{collections::HashSet, sync::Arc};

const ROUNDS: i64 = 20;

fn count<T: PartialEq>(answers: &[T], wanted: &T) -> usize {
    answers.iter().filter(|answer| *answer == wanted).count()
}

pub async fn of_many_concurrent_adds_of_a_number_one_succeeds(store: Shared) {
    for round in 0..20 {
        let answers =
            callers(&store, |store, _| async move { store.add_tn(tn(round), at(0)).await.unwrap() }).await;
        assert_eq!(count(&answers, &AddTn::Added), 1);
        assert_eq!(count(&answers, &AddTn::Duplicate), CALLERS - 1);
    }
    assert_eq!(store.tns(Page::default(), 1, at(0)).await.unwrap().1.total, 20);
}

pub async fn of_many_concurrent_removals_of_a_number_one_succeeds(store: Shared) {
    for _ in 0..ROUNDS {
        fill_pool(&store, 1).await;
        let answers =
            callers(&store, |store, _| async move { store.remove_tn(tn(1), at(0)).await.unwrap() }).await;
        assert_eq!(count(&answers, &RemoveTn::Removed), 1);
        assert_eq!(count(&answers, &RemoveTn::NotInPool), CALLERS - 1);
    }
}

pub async fn as_many_concurrent_sessions_open_as_there_are_free_numbers_each_on_its_own(store: Shared) {
    fill_pool(&store, 5).await;
    for _ in 0..ROUNDS {
        let answers = concurrently((0..16).map(|n| {
            let store = Arc::clone(&store);
            let new = new_session([person(2 * n), person(2 * n + 1)], 0, None);
            async move { store.open_session(new, at(30)).await.unwrap() }
        }))
        .await;
        let (mut opened, mut refused) = (Vec::new(), 0);
        for answer in answers {
            match answer {
                OpenSession::Opened { session, .. } => opened.push(session),
                OpenSession::NoFreeTn { .. } => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        let tns: HashSet<_> = opened.iter().map(|session| session.tn).collect();
        assert_eq!((opened.len(), tns.len(), refused), (5, 5, 11));
        for session in opened {
            assert!(end(&store, session.id, EndCause::RolledBack, 1).await);
        }
    }
}

pub async fn of_many_concurrent_ends_of_a_session_one_succeeds(store: Shared) {
    fill_pool(&store, 1).await;
    for _ in 0..ROUNDS {
        let session = talking(&store, [alice(), bob()], 0, Some(60)).await;
        let id = session.id;
        let ended = callers(&store, |store, n| {
            let session = session.clone();
            async move {
                if n % 4 == 3 {
                    let late = arrival(None, alice(), session.tn, 60);
                    let decide = |route: &Route| match route {
                        Route::Expired(session) => {
                            Decision::Expire(vec![to_side(session, Kind::Expired, Role::B)])
                        }
                        _ => Decision::Ignore(IgnoreReason::NotOurTn),
                    };
                    let received = store.receive(late, Arc::new(decide)).await.unwrap();
                    return received != Received::Ignored(IgnoreReason::NotOurTn);
                }
                let cause = if n % 2 == 0 { EndCause::Expired } else { EndCause::RolledBack };
                let notices = vec![notice(&session, Kind::Expired, Role::B, 60)];
                store.end_session(id, cause, notices, at(60), Some(at(90))).await.unwrap().is_some()
            }
        })
        .await;
        assert_eq!(count(&ended, &true), 1);
        assert_eq!(messages(&store, id).await.len(), 3, "one set of notices");
    }
}

pub async fn of_many_concurrent_deliveries_of_a_text_one_stores_it(store: Shared) {
    let session = conversation(&store, None).await;
    for round in 0..ROUNDS {
        let answers = callers(&store, |store, _| {
            let id = format!("in-{round}");
            let text = arrival(Some(&id), alice(), session.tn, 5);
            let send = Decision::Send(vec![relay(&session)]);
            async move { receive(&store, text, send).await }
        })
        .await;
        assert_eq!(count(&answers, &Received::Duplicate), CALLERS - 1);
        assert!(answers.iter().any(|answer| matches!(answer, Received::Stored(leased) if leased.len() == 1)));
    }
    assert_eq!(messages(&store, session.id).await.len(), 2 + 20);
}

pub async fn of_many_concurrent_strangers_as_many_get_a_reply_as_the_quota_allows(store: Shared) {
    for round in 0..ROUNDS {
        let now = round * 60;
        let answers = callers(&store, |store, n| {
            let sender = person(n as u64);
            let mut text = arrival(None, sender, tn(1), now);
            text.quota.per_minute = 3;
            async move { receive(&store, text, Decision::Send(vec![answer(tn(1), sender)])).await }
        })
        .await;
        assert_eq!(count(&answers, &Received::Stored(vec![])), CALLERS - 3);
    }
}

pub async fn of_many_concurrent_leases_of_a_message_one_succeeds(store: Shared) {
    let session = conversation(&store, None).await;
    for round in 0..ROUNDS {
        let id = waiting(&store, relay(&session), round, round).await.outbound.id;
        let answers =
            callers(
                &store,
                |store, _| async move { store.lease(id, at(round), at(round + 30)).await.unwrap() },
            )
            .await;
        let leased: Vec<_> = answers.into_iter().flatten().collect();
        assert_eq!(leased.len(), 1);
        assert_eq!((leased[0].status.lease, leased[0].status.attempts), (2, 2));
        assert_eq!(stored(&store, &leased[0]).await, listed(&leased[0]));
    }
}

pub async fn of_many_concurrent_settlements_of_a_lease_one_succeeds(store: Shared) {
    let session = conversation(&store, None).await;
    for round in 0..ROUNDS {
        let leased = sending(&store, relay(&session), round).await;
        let settled = callers(&store, |store, n| {
            let leased = leased.clone();
            async move { settle(&store, &leased, sent(&format!("{round}-{n}")), round).await.is_some() }
        })
        .await;
        assert_eq!(count(&settled, &true), 1);
        let winner = settled.iter().position(|settled| *settled).unwrap();
        let expected = taken(&leased, round, &format!("{round}-{winner}"));
        assert_eq!(stored(&store, &leased).await, expected);
    }
}

pub async fn of_many_messages_concurrently_settled_with_one_id_one_is(store: Shared) {
    let session = conversation(&store, None).await;
    for round in 0..ROUNDS {
        let mut lost = Vec::new();
        for _ in 0..CALLERS {
            lost.push(uncertain(&store, relay(&session), round).await);
        }
        let credited = callers(&store, |store, n| {
            let leased = lost[n].clone();
            async move { settle(&store, &leased, found(&format!("mdr2-{round}")), 400).await.is_some() }
        })
        .await;
        assert_eq!(count(&credited, &true), 1);
        for (leased, credited) in lost.iter().zip(credited) {
            let expected = match credited {
                true => taken(leased, 400, &format!("mdr2-{round}")),
                false => now_unknown(leased, "no answer"),
            };
            assert_eq!(stored(&store, leased).await, expected);
            settle(&store, leased, Settlement::UnknownForGood, 401).await;
        }
        assert_eq!(unknown(&store).await, []);
    }
}

pub async fn of_many_concurrent_callers_one_gets_the_drain_lease(store: Shared) {
    for round in 0..ROUNDS {
        let now = round * 100;
        let acquired = callers(&store, |store, n| async move {
            store.acquire_drain_lease(&format!("holder-{n}"), at(now), at(now + 50)).await.unwrap()
        })
        .await;
        assert_eq!(count(&acquired, &true), 1);
    }
}

pub async fn of_many_concurrent_receipts_of_one_level_one_is_stored(store: Shared) {
    let session = conversation(&store, None).await;
    for round in 0..ROUNDS {
        let leased = uncertain(&store, relay(&session), round).await;
        let receipt = Receipt {
            message: Some(leased.outbound.id),
            provider_id: format!("mdr2-{round}"),
            delivery: Delivery { level: Some(1), status: "smsc submit".into(), code: None, at: None },
        };
        let answers = callers(&store, |store, _| {
            let receipt = receipt.clone();
            async move { store.receipt(&receipt, at(100)).await.unwrap() }
        })
        .await;
        assert_eq!(count(&answers, &Receipted::Recorded), 1);
        assert_eq!(count(&answers, &Receipted::Known), CALLERS - 1);
        let sent = taken(&leased, 100, &format!("mdr2-{round}"));
        assert_eq!(stored(&store, &leased).await, delivered(&sent, receipt.delivery));
    }
}

pub async fn a_lost_message_is_reclaimed_once(store: Shared) {
    let session = conversation(&store, None).await;
    for round in 0..ROUNDS {
        let now = round * 100;
        let leased = sending(&store, relay(&session), now).await;
        let reclaimed =
            callers(&store, |store, _| async move { store.reclaim(10, at(now + 31)).await.unwrap() }).await;
        assert_eq!(reclaimed.iter().sum::<usize>(), 1);
        settled(&store, &leased, sent("x"), now + 32).await;
    }
}

/// A text arrives while its session ends: its sender is a stranger, or its relay is stored and never sent again.
pub async fn a_text_received_while_its_session_ends_is_ignored_or_its_relay_is_never_due_again(
    store: Shared,
) {
    fill_pool(&store, 1).await;
    const NO_SESSION: IgnoreReason = IgnoreReason::PreviousSession;
    let decide = |route: &Route| match route {
        Route::Live { session, .. } => Decision::Send(vec![relay(session)]),
        Route::Stranger { .. } => Decision::Ignore(NO_SESSION),
        other => panic!("{other:?}"),
    };
    for round in 0..ROUNDS {
        let session: Session = talking(&store, [alice(), bob()], round, None).await;
        let (id, tn) = (session.id, session.tn);
        let answers = callers(&store, |store, n| async move {
            if n == CALLERS / 2 {
                assert!(end(&store, id, EndCause::Deleted, round).await);
                return None;
            }
            match store.receive(arrival(None, alice(), tn, round), Arc::new(decide)).await.unwrap() {
                Received::Ignored(NO_SESSION) => None,
                Received::Stored(mut leased) => {
                    let leased = leased.remove(0);
                    settled(&store, &leased, not_taken(round), round).await;
                    let again = store.lease(leased.outbound.id, at(round), at(round + 30)).await.unwrap();
                    Some(again.unwrap_or(leased))
                }
                other => panic!("{other:?}"),
            }
        })
        .await;
        assert_eq!(due(&store, 9_000).await, [], "nothing is left to be sent");
        let relays: Vec<_> = answers.into_iter().flatten().collect();
        assert_eq!(
            messages(&store, id).await.len(),
            2 + relays.len(),
            "nothing of an ignored text is stored"
        );
        for leased in relays {
            assert_eq!(store.renew(&leased, at(round), at(round + 30)).await.unwrap(), None);
            assert_eq!(settle(&store, &leased, not_taken(round), round).await, None);
            let relay = stored(&store, &leased).await;
            let reason = Some(SESSION_ENDED);
            assert_eq!(relay, closed(&relay, State::Cancelled, at(round), reason));
            assert_eq!(store.lease(leased.outbound.id, at(9_000), at(9_030)).await.unwrap(), None);
        }
        let late = arrival(None, alice(), tn, round);
        assert_eq!(store.receive(late, Arc::new(decide)).await.unwrap(), Received::Ignored(NO_SESSION));
    }
}

pub async fn a_number_is_removed_or_gets_a_session_but_never_both(store: Shared) {
    for _ in 0..ROUNDS {
        fill_pool(&store, 4).await;
        let opens = (0..8).map(|n| (n, true));
        let removes = (1..=4).map(|n| (n, false));
        let answers = concurrently(opens.chain(removes).map(|(n, opens)| {
            let store = Arc::clone(&store);
            async move {
                if opens {
                    let new = new_session([person(2 * n), person(2 * n + 1)], 0, None);
                    match store.open_session(new, at(30)).await.unwrap() {
                        OpenSession::Opened { session, .. } => return (Some(session), false),
                        OpenSession::NoFreeTn { .. } => return (None, false),
                        other => panic!("{other:?}"),
                    }
                }
                match store.remove_tn(tn(n), at(0)).await.unwrap() {
                    RemoveTn::Removed => (None, true),
                    RemoveTn::InUse(_) => (None, false),
                    other => panic!("{other:?}"),
                }
            }
        }))
        .await;
        let removed = answers.iter().filter(|(_, removed)| *removed).count();
        let sessions: Vec<_> = answers.into_iter().filter_map(|(session, _)| session).collect();
        assert_eq!(sessions.len() + removed, 4, "each number went one way");
        for session in sessions {
            let [a, _] = session.participants;
            let route = route(&store, session.tn, a.number, at(0)).await;
            assert!(matches!(route, Route::Live { session: live, .. } if live == session));
            assert!(end(&store, session.id, EndCause::RolledBack, 1).await);
            assert_eq!(store.remove_tn(session.tn, at(1)).await.unwrap(), RemoveTn::Removed);
        }
        assert_eq!(store.tns(Page::default(), 1, at(1)).await.unwrap().1.total, 0);
    }
}
