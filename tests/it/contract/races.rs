//! Many callers at once, really at once: what is promised to one of them is given to one of them.

use super::fixtures::{
    CALLERS, Shared, alice, answer, at, at_once, bob, callers, conversation, due, end, fill_pool, found,
    inbound, message, message_of, messages, new_session, not_taken, person, relay, sending, sent, state,
    talking, tn, uncertain, unknown, waiting,
};
use sms_proxy::{
    domain::{Receipt, Session},
    store::{
        AddTn, EndCause, OpenSession, Page, Receipted, Recorded, RemoveTn, RestsOn, Route, Settlement, State,
    },
};
use std::{collections::HashSet, sync::Arc};

const ROUNDS: i64 = 20;

fn count<T: PartialEq>(answers: &[T], wanted: &T) -> usize {
    answers.iter().filter(|answer| *answer == wanted).count()
}

pub async fn of_many_who_add_a_number_at_once_one_is_told_added(store: Shared) {
    for round in 0..20 {
        let answers =
            callers(&store, |store, _| async move { store.add_tn(tn(round), at(0)).await.unwrap() }).await;
        assert_eq!(count(&answers, &AddTn::Added), 1);
        assert_eq!(count(&answers, &AddTn::Duplicate), CALLERS - 1);
    }
    assert_eq!(store.tns(Page::default(), at(0)).await.unwrap().1.total, 20);
}

pub async fn of_many_who_remove_a_number_at_once_one_is_told_removed(store: Shared) {
    for _ in 0..ROUNDS {
        fill_pool(&store, 1).await;
        let answers =
            callers(&store, |store, _| async move { store.remove_tn(tn(1), at(0)).await.unwrap() }).await;
        assert_eq!(count(&answers, &RemoveTn::Removed), 1);
        assert_eq!(count(&answers, &RemoveTn::NotInPool), CALLERS - 1);
    }
}

pub async fn as_many_sessions_open_at_once_as_there_are_free_numbers_each_on_its_own(store: Shared) {
    fill_pool(&store, 5).await;
    for _ in 0..ROUNDS {
        let answers = at_once((0..16).map(|n| {
            let store = Arc::clone(&store);
            let new = new_session([person(2 * n), person(2 * n + 1)], 0, None);
            async move { store.open_session(new, at(30)).await.unwrap() }
        }))
        .await;
        let (mut opened, mut refused) = (Vec::new(), 0);
        for answer in answers {
            match answer {
                OpenSession::Opened { session, .. } => opened.push(session),
                OpenSession::NoFreeTn => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        let tns: HashSet<_> = opened.iter().map(|session| session.tn).collect();
        assert_eq!((opened.len(), tns.len(), refused), (5, 5, 11));
        for session in opened {
            assert!(end(&store, session.id, EndCause::Undone, 1).await);
        }
    }
}

pub async fn of_many_who_end_a_session_at_once_one_does(store: Shared) {
    fill_pool(&store, 1).await;
    for _ in 0..ROUNDS {
        let session = talking(&store, [alice(), bob()], 0, Some(60)).await;
        let id = session.id;
        let ended = callers(&store, |store, n| {
            let session = session.clone();
            async move {
                let notices = vec![relay(&session, 60)];
                if n % 4 == 3 {
                    let late = inbound(None, RestsOn::Expired(session), notices, 60);
                    return store.record(late).await.unwrap() != Recorded::Stale;
                }
                let cause = if n % 2 == 0 { EndCause::Expired } else { EndCause::Undone };
                store.end_session(id, cause, notices, at(60), Some(at(90))).await.unwrap().is_some()
            }
        })
        .await;
        assert_eq!(count(&ended, &true), 1);
        assert_eq!(messages(&store, id).await.len(), 3, "one set of notices");
    }
}

pub async fn of_many_who_record_an_inbound_id_at_once_one_is_told_new(store: Shared) {
    let session = conversation(&store, None).await;
    for round in 0..ROUNDS {
        let answers = callers(&store, |store, _| {
            let id = format!("in-{round}");
            let record = inbound(Some(&id), RestsOn::Live(session.id), vec![relay(&session, 5)], 5);
            async move { store.record(record).await.unwrap() }
        })
        .await;
        assert_eq!(count(&answers, &Recorded::Duplicate), CALLERS - 1);
        assert!(answers.iter().any(|answer| matches!(answer, Recorded::New(leased) if leased.len() == 1)));
    }
    assert_eq!(messages(&store, session.id).await.len(), 2 + 20);
}

pub async fn of_many_strangers_at_once_as_many_are_answered_as_may_be(store: Shared) {
    for round in 0..ROUNDS {
        let now = round * 60;
        let answers = callers(&store, |store, n| {
            let to = person(n as u64);
            let message = answer(tn(1), to, at(now));
            let mut record = inbound(None, RestsOn::Nothing, vec![message], now);
            record.answers.per_minute = 3;
            async move { store.record(record).await.unwrap() }
        })
        .await;
        assert_eq!(count(&answers, &Recorded::New(vec![])), CALLERS - 3);
    }
}

pub async fn of_many_who_lease_a_message_at_once_one_gets_it(store: Shared) {
    let session = conversation(&store, None).await;
    for round in 0..ROUNDS {
        let waits = waiting(&store, relay(&session, round), round, round).await;
        let id = waits.outbound.id;
        let answers =
            callers(
                &store,
                |store, _| async move { store.lease(id, at(round), at(round + 30)).await.unwrap() },
            )
            .await;
        let leased: Vec<_> = answers.into_iter().flatten().collect();
        assert_eq!(leased.len(), 1);
        assert_eq!((leased[0].lease, message(&store, &waits).await.attempts), (2, 2));
    }
}

pub async fn of_many_who_settle_a_lease_at_once_one_does(store: Shared) {
    let session = conversation(&store, None).await;
    for round in 0..ROUNDS {
        let leased = sending(&store, relay(&session, round), round).await;
        let settled = callers(&store, |store, n| {
            let leased = leased.clone();
            async move { store.settle(&leased, sent(&format!("{round}-{n}")), at(round)).await.unwrap() }
        })
        .await;
        assert_eq!(count(&settled, &true), 1);
        let winner = settled.iter().position(|settled| *settled).unwrap();
        assert_eq!(message(&store, &leased).await.provider_id, Some(format!("{round}-{winner}")));
    }
}

pub async fn of_many_messages_settled_with_one_id_at_once_one_is(store: Shared) {
    let session = conversation(&store, None).await;
    for round in 0..ROUNDS {
        let mut lost = Vec::new();
        for _ in 0..CALLERS {
            lost.push(uncertain(&store, relay(&session, round), round).await);
        }
        let credited = callers(&store, |store, n| {
            let leased = lost[n].clone();
            async move { store.settle(&leased, found(&format!("mdr2-{round}")), at(400)).await.unwrap() }
        })
        .await;
        assert_eq!(count(&credited, &true), 1);
        for (leased, credited) in lost.iter().zip(credited) {
            let expected = if credited { State::Sent } else { State::Unknown };
            assert_eq!(state(&store, leased).await, expected);
            store.settle(leased, Settlement::UnknownForGood, at(401)).await.unwrap();
        }
        assert_eq!(unknown(&store).await, []);
    }
}

pub async fn of_many_who_want_to_drain_the_outbox_at_once_one_does(store: Shared) {
    for round in 0..ROUNDS {
        let now = round * 100;
        let begun = callers(&store, |store, n| async move {
            store.begin_drain(&format!("holder-{n}"), at(now), at(now + 50)).await.unwrap()
        })
        .await;
        assert_eq!(count(&begun, &true), 1);
    }
}

pub async fn of_many_receipts_of_one_level_at_once_one_is_recorded(store: Shared) {
    let session = conversation(&store, None).await;
    for round in 0..ROUNDS {
        let leased = uncertain(&store, relay(&session, round), round).await;
        let receipt = Receipt {
            message: Some(leased.outbound.id),
            provider_id: format!("mdr2-{round}"),
            level: 1,
            status: "smsc submit".into(),
            code: None,
            at: None,
        };
        let answers = callers(&store, |store, _| {
            let receipt = receipt.clone();
            async move { store.receipt(&receipt, at(100)).await.unwrap() }
        })
        .await;
        assert_eq!(count(&answers, &Receipted::Recorded), 1);
        assert_eq!(count(&answers, &Receipted::Known), CALLERS - 1);
        assert_eq!(state(&store, &leased).await, State::Sent);
    }
}

pub async fn a_lost_message_is_reclaimed_once(store: Shared) {
    let session = conversation(&store, None).await;
    for round in 0..ROUNDS {
        let now = round * 100;
        let leased = sending(&store, relay(&session, now), now).await;
        let reclaimed =
            callers(&store, |store, _| async move { store.reclaim(10, at(now + 31)).await.unwrap() }).await;
        assert_eq!(reclaimed.iter().sum::<usize>(), 1);
        assert!(store.settle(&leased, sent("x"), at(now + 32)).await.unwrap());
    }
}

/// A relay comes with the end of its session: it is refused, or it is on record and never sent again.
pub async fn a_relay_recorded_while_its_session_ends_is_stale_or_never_due_again(store: Shared) {
    fill_pool(&store, 1).await;
    for round in 0..ROUNDS {
        let session: Session = talking(&store, [alice(), bob()], round, None).await;
        let id = session.id;
        let answers = callers(&store, |store, n| {
            let record = inbound(None, RestsOn::Live(id), vec![relay(&session, round)], round);
            async move {
                if n == CALLERS / 2 {
                    assert!(end(&store, id, EndCause::Deleted, round).await);
                    return None;
                }
                match store.record(record).await.unwrap() {
                    Recorded::Stale => None,
                    Recorded::New(mut leased) => {
                        let leased = leased.remove(0);
                        assert!(store.settle(&leased, not_taken(round), at(round)).await.unwrap());
                        let again = store.lease(leased.outbound.id, at(round), at(round + 30)).await.unwrap();
                        Some(again.unwrap_or(leased))
                    }
                    Recorded::Duplicate => panic!("it has no id"),
                }
            }
        })
        .await;
        assert_eq!(due(&store, 9_000).await, [], "nothing is left to be sent");
        for leased in answers.into_iter().flatten() {
            assert!(!store.renew(&leased, at(round), at(round + 30)).await.unwrap());
            assert!(!store.settle(&leased, not_taken(round), at(round)).await.unwrap());
            assert_eq!(message_of(&store, id, leased.outbound.id).await.state, State::Cancelled);
            assert_eq!(store.lease(leased.outbound.id, at(9_000), at(9_030)).await.unwrap(), None);
        }
        let stale = inbound(None, RestsOn::Live(id), vec![relay(&session, round)], round);
        assert_eq!(store.record(stale).await.unwrap(), Recorded::Stale);
    }
}

pub async fn a_number_is_removed_or_carries_a_session_but_never_both(store: Shared) {
    for _ in 0..ROUNDS {
        fill_pool(&store, 4).await;
        let opens = (0..8).map(|n| (n, true));
        let removes = (1..=4).map(|n| (n, false));
        let answers = at_once(opens.chain(removes).map(|(n, opens)| {
            let store = Arc::clone(&store);
            async move {
                if opens {
                    let new = new_session([person(2 * n), person(2 * n + 1)], 0, None);
                    match store.open_session(new, at(30)).await.unwrap() {
                        OpenSession::Opened { session, .. } => return (Some(session), false),
                        OpenSession::NoFreeTn => return (None, false),
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
            let route = store.route(session.tn, a.number, at(0)).await.unwrap();
            assert_eq!(route, Route::Live(session.clone()));
            assert!(end(&store, session.id, EndCause::Undone, 1).await);
            assert_eq!(store.remove_tn(session.tn, at(1)).await.unwrap(), RemoveTn::Removed);
        }
        assert_eq!(store.tns(Page::default(), at(1)).await.unwrap().1.total, 0);
    }
}
