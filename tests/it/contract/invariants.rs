//! What every store shows at any time, however it is used.

use super::fixtures::{Shared, at};
use sms_proxy::domain::{Number, Page, Session, SessionFilter, VirtualTn};
use std::collections::{BTreeMap, HashSet};

/// Asserts that the lists agree, that nobody is in two sessions on a number, that no number has more sessions than this
/// maximum, and that each session is on a number of the pool. Returns the sessions that are not ended, the live ones first.
pub async fn not_ended(store: &Shared, maximum: u32, now: i64, context: &str) -> Vec<Session> {
    let (live, total) = store.sessions(SessionFilter::default(), Page::default(), at(now)).await.unwrap();
    let (part, size) = store.tns(Page::default(), maximum, at(now)).await.unwrap();
    assert_eq!(total as usize, live.items.len(), "{context}");
    assert_eq!((size.sessions, size.total), (total, part.items.len() as u64), "{context}");
    assert_eq!(size.in_use as usize, part.items.iter().filter(|tn| tn.sessions > 0).count(), "{context}");
    let room = |tn: &VirtualTn| u64::from(maximum.saturating_sub(tn.sessions));
    let has_room = part.items.iter().filter(|tn| !tn.draining);
    assert_eq!(size.room, has_room.map(room).sum::<u64>(), "{context}");
    for tn in &part.items {
        let here: Vec<_> = live.items.iter().filter(|session| session.tn == tn.number).collect();
        let only = if here.len() == 1 { Some(here[0].id) } else { None };
        assert_eq!((tn.sessions as usize, tn.session), (here.len(), only), "{context}");
    }
    let mut all = live.items;
    all.extend(store.expired_sessions(1_000, at(now)).await.unwrap());
    let mut on: BTreeMap<Number, HashSet<Number>> = BTreeMap::new();
    for session in &all {
        assert!(part.items.iter().any(|tn| tn.number == session.tn), "{context}: it is in the pool");
        for person in session.participants {
            assert!(on.entry(session.tn).or_default().insert(person.number), "{context}: in two sessions");
        }
    }
    for people in on.values() {
        assert!(people.len() <= 2 * maximum as usize, "{context}: above the maximum");
    }
    all
}
