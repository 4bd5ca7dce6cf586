//! Which outcomes the opening of a session may have.

use super::{
    expected::Model,
    steps::{Checked, lines, sent, unblocked},
};
use crate::contract::fixtures::at;
use chrono::TimeDelta;
use proptest::{prelude::*, test_runner::TestCaseError};
use sms_proxy::{
    domain::{Kind, NewSession, Number, Role, Unavailable},
    store::OpenSession,
};

/// What a request says: the participants, the time to the expiry, the chosen number.
pub(super) type Requested = ([Number; 2], Option<TimeDelta>, Option<Number>);

fn requested(new: &NewSession) -> Requested {
    (new.participants, new.window(), new.virtual_tn)
}

impl Model {
    fn cooling(&self, [a, b]: [Number; 2], tn: Number) -> Vec<Role> {
        let since = at(self.now) - self.sharing.cool_off;
        let sides = [(Role::A, a, b), (Role::B, b, a)].into_iter();
        let cools =
            |person, other| self.last(tn, person).is_some_and(|(end, with)| with != other && end > since);
        sides.filter(|(_, person, other)| cools(*person, *other)).map(|(role, ..)| role).collect()
    }

    /// All reasons why this number will not do for these two.
    fn obstacles(&self, pair: [Number; 2], tn: Number) -> Vec<Unavailable> {
        let Some(draining) = self.pool.get(&tn) else { return vec![Unavailable::NotInPool] };
        let sessions = self.open.iter().filter(|session| session.tn == tn).count();
        let mut found = Vec::from_iter(draining.then_some(Unavailable::Draining));
        found.extend((sessions >= self.sharing.sessions_per_tn as usize).then_some(Unavailable::Full));
        for (role, person) in [Role::A, Role::B].into_iter().zip(pair) {
            found.extend(self.open_session(tn, person).map(|_| Unavailable::Busy(role)));
            found.extend(self.opted_out.contains(&(tn, person)).then_some(Unavailable::OptedOut(role)));
        }
        if self.sharing.strict {
            found.extend(self.cooling(pair, tn).into_iter().map(Unavailable::CoolingOff));
        }
        found
    }

    /// The numbers of the last session of these two; several if they ended at the same time.
    fn latest(&self, [a, b]: [Number; 2]) -> Vec<Number> {
        let ends = |tn| {
            let of = [(a, b), (b, a)].map(|(person, other)| (self.last(tn, person), other));
            of.into_iter()
                .filter_map(move |(last, other)| last.filter(|(_, with)| *with == other))
                .map(move |(end, _)| (end, tn))
        };
        let all: Vec<_> = lines().flat_map(ends).collect();
        let latest = all.iter().map(|(end, _)| *end).max();
        all.into_iter().filter(|(end, _)| Some(*end) == latest).map(|(_, tn)| tn).collect()
    }

    /// Takes over a session, or checks why there is none.
    pub(super) fn check_opened(&mut self, new: &NewSession, outcome: &OpenSession) -> Checked {
        if new.request.is_some()
            && let Some(before) = self.requested.get(&new.id)
        {
            let is_same = *before == requested(new);
            match outcome {
                OpenSession::Repeated(session) if is_same => {
                    prop_assert_eq!(Some(&unblocked(session)), self.stored(new.id));
                }
                OpenSession::KeyReused if !is_same => {}
                _ => return Err(TestCaseError::fail("the key is in use")),
            }
            return Ok(());
        }
        let pair = new.participants;
        if let Some(n) = pair.iter().position(|person| self.pool.contains_key(person)) {
            prop_assert_eq!(outcome, &OpenSession::ParticipantIsTn([Role::A, Role::B][n]));
            return Ok(());
        }
        let wanted: Vec<Number> = new.virtual_tn.map_or_else(|| lines().collect(), |tn| vec![tn]);
        let will_do: Vec<Number> =
            wanted.iter().copied().filter(|tn| self.obstacles(pair, *tn).is_empty()).collect();
        let session = match outcome {
            OpenSession::Opened { session, notices } => {
                prop_assert!(
                    will_do.contains(&session.tn),
                    "on one of {will_do:?}: {:?}",
                    self.obstacles(pair, session.tn)
                );
                prop_assert_eq!(session, &new.on(session.tn).0);
                prop_assert_eq!(
                    sent(notices),
                    pair.map(|to| (Kind::Start, session.tn, to, Some(session.id)))
                );
                session
            }
            OpenSession::Unavailable(why) if let Some(tn) = new.virtual_tn => {
                prop_assert!(self.obstacles(pair, tn).contains(why), "one of {:?}", self.obstacles(pair, tn));
                return Ok(());
            }
            OpenSession::NoFreeTn { opted_out } if new.virtual_tn.is_none() => {
                prop_assert_eq!(&will_do, &[], "these will do");
                let is_out = |role: &Role| {
                    lines().any(|tn| {
                        let obstacles = self.obstacles(pair, tn);
                        obstacles.contains(&Unavailable::OptedOut(*role))
                            && obstacles.iter().all(|why| matches!(why, Unavailable::OptedOut(_)))
                    })
                };
                let roles = |is_in: &dyn Fn(&Role) -> bool| [Role::A, Role::B].map(|role| is_in(&role));
                prop_assert_eq!(roles(&|role| opted_out.contains(role)), roles(&is_out), "who is out");
                return Ok(());
            }
            _ => return Err(TestCaseError::fail("another outcome")),
        };
        if new.virtual_tn.is_none() {
            let is_cooling = |tn: &Number| !self.cooling(pair, *tn).is_empty();
            prop_assert!(!is_cooling(&session.tn) || will_do.iter().all(is_cooling), "cooling off");
            let latest = self.latest(pair);
            let is_preferred = self.sharing.sessions_per_tn > 1
                && !latest.is_empty()
                && latest.iter().all(|tn| will_do.contains(tn) && !is_cooling(tn));
            prop_assert!(!is_preferred || latest.contains(&session.tn), "not on {latest:?}");
        }
        if new.request.is_some() {
            self.requested.insert(new.id, requested(new));
        }
        self.begun.push(session.clone());
        self.open.push(session.clone());
        Ok(())
    }
}
