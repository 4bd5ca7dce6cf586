//! The pool of virtual TNs.

use super::fixtures::{
    MS, Shared, alice, at, bob, conversation, end, fill_pool, new_session, opened, person, talking, tn,
};
use sms_proxy::{
    domain::{EndCause, Number, Page, PoolSize, VirtualTn},
    store::{AddTn, RemoveTn},
};
use std::collections::HashSet;

/// The size of a pool in which each TN has one session at most.
fn pool_size(total: u64, in_use: u64) -> PoolSize {
    PoolSize { total, in_use, sessions: in_use, room: total - in_use }
}

pub async fn the_store_answers(store: Shared) {
    store.ping().await.unwrap();
}

pub async fn a_number_is_added_once(store: Shared) {
    assert_eq!(store.add_tn(tn(1), at(0)).await.unwrap(), AddTn::Added);
    assert_eq!(store.add_tn(tn(1), at(1)).await.unwrap(), AddTn::Duplicate);
    let session = talking(&store, [alice(), bob()], 1, None).await;
    assert_eq!(store.add_tn(tn(1), at(2)).await.unwrap(), AddTn::Duplicate);
    assert_eq!(
        store.tn(tn(1), at(2)).await.unwrap(),
        Some(VirtualTn { number: tn(1), session: Some(session.id), sessions: 1, draining: false })
    );
}

pub async fn a_number_of_a_live_session_cannot_be_added(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    for participant in session.participants {
        for now in [at(0), at(60) - MS] {
            assert_eq!(store.add_tn(participant.number, now).await.unwrap(), AddTn::IsParticipant);
        }
        assert_eq!(store.tn(participant.number, at(0)).await.unwrap(), None);
    }
}

pub async fn a_number_of_an_expired_or_ended_session_can_be_added(store: Shared) {
    fill_pool(&store, 2).await;
    talking(&store, [alice(), bob()], 0, Some(60)).await;
    assert_eq!(store.add_tn(alice(), at(60)).await.unwrap(), AddTn::Added);
    let other = talking(&store, [person(8), person(9)], 0, None).await;
    assert!(end(&store, other.id, EndCause::Deleted, 1).await);
    assert_eq!(store.add_tn(person(8), at(1)).await.unwrap(), AddTn::Added);
}

pub async fn a_free_number_is_removed_and_one_that_is_not_there_is_not(store: Shared) {
    fill_pool(&store, 2).await;
    assert_eq!(store.remove_tn(tn(1), at(1)).await.unwrap(), RemoveTn::Removed);
    assert_eq!(store.remove_tn(tn(1), at(2)).await.unwrap(), RemoveTn::NotInPool);
    assert_eq!(store.remove_tn(tn(3), at(2)).await.unwrap(), RemoveTn::NotInPool);
    assert_eq!(store.tn(tn(1), at(2)).await.unwrap(), None);
    assert_eq!(listed(&store, 10).await, [tn(2)]);
    let session = talking(&store, [alice(), bob()], 3, None).await;
    assert_eq!(session.tn, tn(2), "a number that was removed is not picked");
}

pub async fn a_number_with_a_live_session_is_not_removed(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    for now in [at(0), at(60) - MS] {
        assert_eq!(
            store.remove_tn(session.tn, now).await.unwrap(),
            RemoveTn::InUse(VirtualTn {
                number: session.tn,
                session: Some(session.id),
                sessions: 1,
                draining: false
            })
        );
    }
    assert_eq!(store.session(session.id, at(1)).await.unwrap(), Some(session.clone()));
    assert!(end(&store, session.id, EndCause::Deleted, 2).await);
    assert_eq!(store.remove_tn(session.tn, at(2)).await.unwrap(), RemoveTn::Removed);
}

pub async fn a_number_held_by_an_expired_session_is_not_removed_until_that_is_ended(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    let held = RemoveTn::HeldByExpired(session.clone());
    assert_eq!(store.remove_tn(session.tn, at(60)).await.unwrap(), held);
    assert!(store.tn(session.tn, at(60)).await.unwrap().is_some());
    assert!(end(&store, session.id, EndCause::Expired, 60).await);
    assert_eq!(store.remove_tn(session.tn, at(61)).await.unwrap(), RemoveTn::Removed);
}

pub async fn a_removed_number_can_be_added_again_and_gets_sessions_again(store: Shared) {
    let first = conversation(&store, None).await;
    assert!(end(&store, first.id, EndCause::Deleted, 1).await);
    assert_eq!(store.remove_tn(tn(1), at(1)).await.unwrap(), RemoveTn::Removed);
    assert_eq!(store.add_tn(tn(1), at(2)).await.unwrap(), AddTn::Added);
    let second = talking(&store, [alice(), bob()], 3, None).await;
    assert_eq!(second.tn, tn(1));
}

pub async fn a_number_shows_its_live_session(store: Shared) {
    fill_pool(&store, 1).await;
    let free = Some(VirtualTn { number: tn(1), session: None, sessions: 0, draining: false });
    assert_eq!(store.tn(tn(1), at(0)).await.unwrap(), free);
    assert_eq!(store.tn(tn(2), at(0)).await.unwrap(), None);
    let session = talking(&store, [alice(), bob()], 0, Some(60)).await;
    let in_use = Some(VirtualTn { number: tn(1), session: Some(session.id), sessions: 1, draining: false });
    assert_eq!(store.tn(tn(1), at(60) - MS).await.unwrap(), in_use);
    assert_eq!(store.tn(tn(1), at(60)).await.unwrap(), free, "an expired session counts as ended");
    assert!(end(&store, session.id, EndCause::Deleted, 1).await);
    assert_eq!(store.tn(tn(1), at(1)).await.unwrap(), free);
}

pub async fn an_empty_pool_is_listed_as_empty(store: Shared) {
    let (part, size) = store.tns(Page { limit: Some(5), after: None }, 1, at(0)).await.unwrap();
    assert_eq!((part.items, part.next), (vec![], None));
    assert_eq!(size, pool_size(0, 0));
}

/// The numbers of the pool, read in pages of this size.
async fn listed(store: &Shared, limit: u32) -> Vec<Number> {
    let mut page = Page { limit: Some(limit), after: None };
    let mut numbers = Vec::new();
    loop {
        let (part, _) = store.tns(page.clone(), 1, at(1)).await.unwrap();
        assert!(part.items.len() <= limit as usize);
        numbers.extend(part.items.iter().map(|tn| tn.number));
        let Some(next) = part.next else { return numbers };
        assert!(!part.items.is_empty(), "a page in the middle shows something");
        page.after = Some(next);
    }
}

pub async fn paging_shows_each_number_exactly_once(store: Shared) {
    fill_pool(&store, 23).await;
    talking(&store, [alice(), bob()], 0, None).await;
    let whole = listed(&store, 100).await;
    let expected: HashSet<_> = (1..=23).map(tn).collect();
    assert_eq!((whole.len(), whole.iter().copied().collect::<HashSet<_>>()), (23, expected));
    for limit in [1, 2, 5, 22, 23, 24] {
        assert_eq!(listed(&store, limit).await, whole, "in the same order, {limit} a page");
    }
    let (all, size) = store.tns(Page::default(), 1, at(1)).await.unwrap();
    assert_eq!((all.items.len(), all.next), (23, None), "without a limit, all");
    let (part, same) = store.tns(Page { limit: Some(4), after: None }, 1, at(1)).await.unwrap();
    assert_eq!((part.items.len(), same), (4, size), "each page says how many there are in all");
    assert_eq!(size, pool_size(23, 1));
}

pub async fn paging_shows_what_stays_exactly_once_while_others_come_and_go(store: Shared) {
    for n in (100..=1000).step_by(100) {
        store.add_tn(tn(n), at(0)).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut page = Page { limit: Some(3), after: None };
    for step in 0.. {
        let (part, _) = store.tns(page.clone(), 1, at(1)).await.unwrap();
        seen.extend(part.items.into_iter().map(|tn| tn.number));
        let Some(next) = part.next else { break };
        page.after = Some(next);
        // The last number of the page is removed, and numbers before and after it are added.
        let last = *seen.last().unwrap();
        assert_eq!(store.remove_tn(last, at(1)).await.unwrap(), RemoveTn::Removed);
        store.add_tn(tn(1 + step), at(1)).await.unwrap();
        store.add_tn(tn(950 + step), at(1)).await.unwrap();
    }
    for n in (100..=1000).step_by(100) {
        assert_eq!(seen.iter().filter(|number| **number == tn(n)).count(), 1, "{n}");
    }
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), seen.len(), "nothing is shown twice");
}

pub async fn the_size_of_the_pool_counts_live_sessions_only(store: Shared) {
    fill_pool(&store, 4).await;
    let size = async |now| store.tns(Page { limit: Some(1), after: None }, 1, now).await.unwrap().1;
    assert_eq!(size(at(0)).await, pool_size(4, 0));
    let first = talking(&store, [person(1), person(2)], 0, None).await;
    talking(&store, [person(3), person(4)], 0, Some(60)).await;
    assert_eq!(size(at(60) - MS).await, pool_size(4, 2));
    assert_eq!(size(at(60)).await, pool_size(4, 1));
    assert!(end(&store, first.id, EndCause::Deleted, 61).await);
    assert_eq!(size(at(61)).await, pool_size(4, 0));
    store.remove_tn(first.tn, at(62)).await.unwrap();
    assert_eq!(size(at(62)).await, pool_size(3, 0));
}

/// Opens a session on each of this many numbers and ends all of them; returns the numbers in the order of the picks.
async fn picked(store: &Shared, count: u64, round: u64) -> Vec<Number> {
    let mut sessions = Vec::new();
    for n in 0..count {
        let people = [person(1000 * round + 2 * n), person(1000 * round + 2 * n + 1)];
        sessions.push(opened(store, new_session(people, 1, None)).await.0);
    }
    for session in &sessions {
        assert!(end(store, session.id, EndCause::RolledBack, 2).await);
    }
    sessions.into_iter().map(|session| session.tn).collect()
}

pub async fn the_numbers_are_picked_at_random(store: Shared) {
    fill_pool(&store, 16).await;
    let orders = [picked(&store, 16, 1).await, picked(&store, 16, 2).await];
    let in_order: Vec<_> = (1..=16).map(tn).collect();
    for order in &orders {
        let mut sorted = order.clone();
        sorted.sort();
        assert_eq!(sorted, in_order, "each is picked once");
        assert_ne!(*order, in_order);
    }
    assert_ne!(orders[0], orders[1]);
}

pub async fn a_number_that_was_freed_is_picked_at_random_again(store: Shared) {
    fill_pool(&store, 10).await;
    let mut seen = HashSet::new();
    for round in 1..=60 {
        seen.extend(picked(&store, 1, round).await);
    }
    assert!(seen.len() >= 5, "60 picks among 10 numbers reached only {}", seen.len());
}
