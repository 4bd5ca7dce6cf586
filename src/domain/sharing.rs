//! How sessions share the TNs of the pool: which TNs will do for two people.
//!
//! A TN carries several sessions as long as nobody is in two of them, so that a text's sender tells its session.

use super::{Number, Role};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{HashMap, HashSet};

/// The operator's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sharing {
    /// The maximum number of live sessions on a TN.
    pub sessions_per_tn: u32,
    /// The time after the end of a session in which a late text of its participants may come.
    pub cool_off: TimeDelta,
    /// In that time the TN is not picked for a participant and somebody else, instead of only as the last choice.
    pub strict: bool,
}

impl Default for Sharing {
    fn default() -> Self {
        Self { sessions_per_tn: 1, cool_off: TimeDelta::minutes(60), strict: false }
    }
}

/// A person's sessions on a TN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnTn {
    /// The TN.
    pub tn: Number,
    /// Whether a session of the person on the TN is not ended.
    pub is_busy: bool,
    /// When the person's previous session on the TN ended, and with whom it was, unless that person was erased.
    pub previous: Option<(DateTime<Utc>, Option<Number>)>,
}

/// Which sessions a list shows: those of this person, and those on this TN.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// Only sessions of this person.
    pub participant: Option<Number>,
    /// Only sessions on this TN.
    pub virtual_tn: Option<Number>,
}

/// What a store knows of a person who is to get a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// The person's sessions, one element for each TN.
    pub on_tns: Vec<OnTn>,
    /// The TNs that the person has opted out of.
    pub opted_out: Vec<Number>,
}

/// Why a TN will not do for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// It is not in the pool.
    NotInPool,
    /// It takes no new sessions.
    Draining,
    /// It has as many sessions as it may.
    Full,
    /// This participant has a session on it.
    Busy(Role),
    /// This participant has opted out of it.
    OptedOut(Role),
    /// This participant had a session on it with somebody else a short time ago.
    CoolingOff(Role),
}

/// Which TNs will do for a session of two people, as far as that depends on the two.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    unavailable: HashMap<Number, Unavailable>,
    cooling: HashSet<Number>,
    opted_out: Vec<(Number, Role)>,
    /// The TN of the latest session of these two, if TNs are shared and it will do.
    pub preferred: Option<Number>,
}

impl Choice {
    /// The choice of these participants, who have these histories.
    #[must_use]
    pub fn new(
        participants: [Number; 2],
        histories: &[History; 2],
        sharing: &Sharing,
        now: DateTime<Utc>,
    ) -> Self {
        let [a, b] = participants;
        let mut choice = Self::default();
        let mut latest: Option<(DateTime<Utc>, Number)> = None;
        // What is said last is the reason: a session of a participant, else the cool-off, else an opt-out.
        for (role, history) in [Role::A, Role::B].into_iter().zip(histories) {
            for tn in &history.opted_out {
                choice.unavailable.entry(*tn).or_insert(Unavailable::OptedOut(role));
                choice.opted_out.push((*tn, role));
            }
        }
        for (role, other, history) in [(Role::A, b, &histories[0]), (Role::B, a, &histories[1])] {
            for on in &history.on_tns {
                let is_busy = matches!(choice.unavailable.get(&on.tn), Some(Unavailable::Busy(_)));
                match on.previous {
                    _ if on.is_busy => _ = choice.unavailable.insert(on.tn, Unavailable::Busy(role)),
                    Some((end, partner)) if partner == Some(other) => latest = latest.max(Some((end, on.tn))),
                    Some((end, _)) if end > now - sharing.cool_off => {
                        choice.cooling.insert(on.tn);
                        if sharing.strict && !is_busy {
                            choice.unavailable.insert(on.tn, Unavailable::CoolingOff(role));
                        }
                    }
                    _ => {}
                }
            }
        }
        // A TN of one session is picked at random, as ever.
        let is_shared = sharing.sessions_per_tn > 1;
        choice.preferred = latest.map(|(_, tn)| tn).filter(|tn| is_shared && choice.admits(*tn, false));
        choice
    }

    /// Why this TN will not do, if so. `tn` is its number of sessions, and whether it is draining; absent if it is not in
    /// the pool.
    #[must_use]
    pub fn obstacle(
        &self,
        number: Number,
        tn: Option<(u32, bool)>,
        sharing: &Sharing,
    ) -> Option<Unavailable> {
        match tn {
            None => Some(Unavailable::NotInPool),
            Some((_, true)) => Some(Unavailable::Draining),
            Some((sessions, false)) if sessions >= sharing.sessions_per_tn => Some(Unavailable::Full),
            Some(_) => self.unavailable.get(&number).copied(),
        }
    }

    /// Whether this TN will do; with `cooling` also if it is cooling off.
    #[must_use]
    pub fn admits(&self, tn: Number, cooling: bool) -> bool {
        !self.unavailable.contains_key(&tn) && (cooling || !self.cooling.contains(&tn))
    }

    /// Whether a TN that is cooling off is worth a second look.
    #[must_use]
    pub fn has_cooling(&self) -> bool {
        !self.cooling.is_empty()
    }

    /// The TNs that a participant has opted out of, and that would do otherwise.
    pub fn opted_out(&self) -> impl Iterator<Item = (Number, Role)> + '_ {
        let opted_out = self.opted_out.iter().copied();
        opted_out.filter(|(tn, _)| matches!(self.unavailable.get(tn), Some(Unavailable::OptedOut(_))))
    }
}
