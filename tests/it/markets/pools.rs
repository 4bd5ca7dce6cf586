//! The pools of a market: on a store, and simulated.

use super::market::{Pool, Random};
use crate::contract::{
    fixtures::{Shared, end, fill_pool, person},
    sharing::{new, none_free, sharing, try_open},
};
use sms_proxy::{
    domain::{EndCause, SessionId},
    store::OpenSession,
};
use std::collections::HashMap;

/// TNs of a store, without a limit for the sessions on each.
pub(super) struct Stored(Shared);

impl Stored {
    pub(super) async fn with(store: Shared, tns: u64) -> Self {
        fill_pool(&store, tns).await;
        Self(store)
    }
}

impl Pool for Stored {
    type Session = SessionId;

    async fn open(&mut self, pair: [usize; 2]) -> Option<SessionId> {
        match try_open(&self.0, new(pair.map(|n| person(n as u64)), 0, sharing(10_000))).await {
            OpenSession::Opened { session, .. } => Some(session.id),
            refused => {
                assert_eq!(refused, none_free());
                None
            }
        }
    }

    async fn end(&mut self, session: SessionId) {
        assert!(end(&self.0, session, EndCause::Deleted, 0).await);
    }
}

/// A set of TNs.
type Set = [u64; 4];

/// The rule by which a store picks a TN, without anything else: the one that the two had last, or a random one.
pub(super) struct Simulated {
    all: Set,
    busy: Vec<Set>,
    last: HashMap<[usize; 2], usize>,
    random: Random,
}

impl Simulated {
    pub(super) fn with(people: usize, tns: usize) -> Self {
        let mut all = Set::default();
        (0..tns).for_each(|tn| all[tn / 64] |= 1 << (tn % 64));
        Self { all, busy: vec![Set::default(); people], last: HashMap::new(), random: Random(2) }
    }

    fn has(set: &Set, tn: usize) -> bool {
        set[tn / 64] & (1 << (tn % 64)) != 0
    }
}

impl Pool for Simulated {
    type Session = (usize, [usize; 2]);

    async fn open(&mut self, mut pair: [usize; 2]) -> Option<Self::Session> {
        pair.sort_unstable();
        let [a, b] = pair.map(|person| self.busy[person]);
        let mut free = self.all;
        free.iter_mut().zip(a.iter().zip(b)).for_each(|(free, (a, b))| *free &= !(a | b));
        let count: u32 = free.iter().map(|part| part.count_ones()).sum();
        let nth = match count {
            0 => return None,
            _ => self.random.below(count as usize),
        };
        let random = || (0..4 * 64).filter(|tn| Self::has(&free, *tn)).nth(nth).expect("as many are free");
        let last = self.last.get(&pair).copied().filter(|tn| Self::has(&free, *tn));
        let tn = last.unwrap_or_else(random);
        pair.iter().for_each(|person| self.busy[*person][tn / 64] |= 1 << (tn % 64));
        Some((tn, pair))
    }

    async fn end(&mut self, (tn, pair): Self::Session) {
        pair.iter().for_each(|person| self.busy[*person][tn / 64] &= !(1 << (tn % 64)));
        self.last.insert(pair, tn);
    }
}
