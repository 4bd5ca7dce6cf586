//! Whether a store shows what it should hold.

use super::{
    expected::Model,
    steps::{Checked, PEOPLE, TNS, line, lines, someone, unblocked},
};
use crate::contract::fixtures::{Shared, at};
use proptest::prelude::*;
use sms_proxy::domain::{Blocked, Page, PoolSize, SessionFilter, VirtualTn};
use std::collections::HashSet;

impl Model {
    /// Nobody is in two sessions on a number, and no number has more sessions than the maximum.
    pub(super) fn check_invariants(&self) -> Checked {
        for tn in lines() {
            let here: Vec<_> = self.open.iter().filter(|session| session.tn == tn).collect();
            let people: HashSet<_> = here.iter().flat_map(|s| s.participants).map(|p| p.number).collect();
            prop_assert_eq!(people.len(), 2 * here.len(), "somebody is in two sessions on a number");
            prop_assert!(here.len() <= self.largest as usize, "more than the maximum");
        }
        Ok(())
    }

    /// Whether the store shows half of the numbers, and a session, as it should; `n` chooses them.
    pub(super) async fn check_each(&self, store: &Shared, n: usize) -> Checked {
        let now = at(self.now);
        for tn in lines().skip(n % 2).step_by(2) {
            prop_assert_eq!(store.tn(tn, now).await.unwrap(), self.shown(tn));
        }
        let Some(begun) = self.begun.get(n % self.begun.len().max(1)) else { return Ok(()) };
        let expected = self.live().into_iter().find(|session| session.id == begun.id);
        let found = store.session(begun.id, now).await.unwrap();
        prop_assert_eq!(found.as_ref().map(unblocked), expected);
        let Some(session) = found else { return Ok(()) };
        for person in session.participants {
            let is_out = self.opted_out.contains(&(session.tn, person.number));
            prop_assert_eq!(person.blocked, is_out.then_some(Blocked::OptedOut));
        }
        Ok(())
    }

    /// Whether the store lists what it should; `n` chooses the filter.
    pub(super) async fn check_lists(&self, store: &Shared, n: usize) -> Checked {
        let (now, maximum) = (at(self.now), self.sharing.sessions_per_tn);
        let shown: Vec<_> = self.pool.keys().filter_map(|tn| self.shown(*tn)).collect();
        let (part, size) = store.tns(Page::default(), maximum, now).await.unwrap();
        prop_assert_eq!(&part.items, &shown);
        let room = |tn: &VirtualTn| u64::from(maximum.saturating_sub(tn.sessions));
        let expected = PoolSize {
            total: shown.len() as u64,
            in_use: shown.iter().filter(|tn| tn.sessions > 0).count() as u64,
            sessions: self.live().len() as u64,
            room: shown.iter().filter(|tn| !tn.draining).map(room).sum(),
        };
        prop_assert_eq!(size, expected);
        let participant = n.is_multiple_of(2).then(|| someone(n % PEOPLE));
        let virtual_tn = n.is_multiple_of(3).then(|| line(n % TNS));
        let mut expected = self.live();
        expected.retain(|session| participant.is_none_or(|person| session.sides(person).is_some()));
        expected.retain(|session| virtual_tn.is_none_or(|tn| session.tn == tn));
        let filter = SessionFilter { participant, virtual_tn };
        let (part, total) = store.sessions(filter, Page::default(), now).await.unwrap();
        prop_assert_eq!(total as usize, expected.len());
        prop_assert_eq!(part.items.iter().map(unblocked).collect::<Vec<_>>(), expected);
        Ok(())
    }
}
