//! What a store should answer and hold, as plain data.

use super::steps::{Checked, Outcome, PEOPLE, Sent, Step, TNS, line, lines, sent, someone, unblocked};
use crate::contract::fixtures::{Shared, at};
use chrono::{DateTime, Utc};
use proptest::{prelude::*, test_runner::TestCaseError};
use sms_proxy::{
    domain::{
        Blocked, EndCause, IgnoreReason, Kind, NewSession, Number, Page, PoolSize, Role, Session,
        SessionFilter, SessionId, Sharing, Unavailable, VirtualTn,
    },
    store::{AddTn, OpenSession, Received, RemoveTn},
};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What a store should hold.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) sharing: Sharing,
    /// The largest maximum so far.
    largest: u32,
    pub(super) now: i64,
    /// The pool, and whether each number is draining.
    pool: BTreeMap<Number, bool>,
    /// The sessions that are not ended.
    open: Vec<Session>,
    /// The others, in the order of their ends.
    ended: Vec<(Session, DateTime<Utc>)>,
    opted_out: BTreeSet<(Number, Number)>,
    /// All sessions as they began.
    pub(super) begun: Vec<Session>,
}

impl Model {
    pub(super) fn new(sharing: Sharing) -> Self {
        Self { sharing, largest: sharing.sessions_per_tn, ..Self::default() }
    }

    fn live(&self) -> Vec<Session> {
        let mut live = self.open.clone();
        live.retain(|session| !session.is_expired(at(self.now)));
        live.sort_by_key(|session| (session.created_at, session.id.to_string()));
        live
    }

    fn expired(&self) -> Vec<Session> {
        self.open.iter().filter(|session| session.is_expired(at(self.now))).cloned().collect()
    }

    fn shown(&self, tn: Number) -> Option<VirtualTn> {
        let draining = *self.pool.get(&tn)?;
        let live: Vec<_> = self.live().into_iter().filter(|session| session.tn == tn).collect();
        let session = if live.len() == 1 { Some(live[0].id) } else { None };
        Some(VirtualTn { number: tn, session, sessions: live.len() as u32, draining })
    }

    fn open_session(&self, tn: Number, person: Number) -> Option<&Session> {
        self.open.iter().find(|session| session.tn == tn && session.sides(person).is_some())
    }

    /// When the person's last session on this number ended, and with whom it was.
    fn last(&self, tn: Number, person: Number) -> Option<(DateTime<Utc>, Number)> {
        let mut latest_first = self.ended.iter().rev().filter(|(session, _)| session.tn == tn);
        latest_first.find_map(|(session, end)| session.sides(person).map(|(_, other)| (*end, other.number)))
    }

    fn is_blocked(&self, tn: Number, person: Number) -> bool {
        self.opted_out.contains(&(tn, person)) || self.pool.contains_key(&person)
    }

    fn end(&mut self, id: SessionId, cause: EndCause) {
        let place = self.open.iter().position(|session| session.id == id).expect("it is not ended");
        let ended = (self.open.remove(place), at(self.now));
        self.ended.extend((cause != EndCause::RolledBack).then_some(ended));
    }

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

    fn check_opened(&mut self, new: &NewSession, outcome: &OpenSession) -> Checked {
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
        self.begun.push(session.clone());
        self.open.push(session.clone());
        Ok(())
    }

    /// Takes over the outcome of a step, if it is right.
    pub(super) fn check(&mut self, step: &Step, outcome: &Outcome) -> Checked {
        match (step, outcome) {
            (Step::Add(n), Outcome::Added(added)) => {
                let is_participant = self.live().iter().any(|session| session.sides(line(*n)).is_some());
                let expected = match self.pool.contains_key(&line(*n)) {
                    _ if is_participant => AddTn::IsParticipant,
                    true => AddTn::Duplicate,
                    false => AddTn::Added,
                };
                prop_assert_eq!(*added, expected);
                if expected == AddTn::Added {
                    self.pool.insert(line(*n), false);
                }
            }
            (Step::Remove(n), Outcome::Removed(removed)) => self.check_removed(line(*n), removed)?,
            (Step::Drain(n, draining), Outcome::Drained(shown)) => {
                self.pool.entry(line(*n)).and_modify(|now| *now = *draining);
                prop_assert_eq!(shown, &self.shown(line(*n)));
            }
            (Step::Open { .. }, Outcome::Opened(new, opened)) => self.check_opened(new, opened)?,
            (Step::End(_, cause), Outcome::Ended(id, ended)) => {
                let session = self.open.iter().find(|session| Some(session.id) == *id);
                let may_end = session.is_some_and(|session| match cause {
                    EndCause::Deleted => !session.is_expired(at(self.now)),
                    EndCause::Expired => session.is_expired(at(self.now)),
                    EndCause::RolledBack => true,
                });
                prop_assert_eq!(*ended, may_end);
                if may_end {
                    self.end(id.expect("it is open"), *cause);
                }
            }
            (Step::EndExpired(_), Outcome::EndedExpired(found, ended)) => {
                prop_assert!(found.is_sorted_by_key(|session| session.expires_at), "{found:?}");
                let found: Vec<_> = found.iter().map(unblocked).collect();
                let expected = self.expired();
                prop_assert!(
                    found.len() == expected.len() && expected.iter().all(|session| found.contains(session))
                );
                for (id, is_ended) in ended {
                    prop_assert!(is_ended, "{id} had expired");
                    self.end(*id, EndCause::Expired);
                }
            }
            (Step::SetExpiry(..), Outcome::ExpirySet(id, expiry, set)) => {
                let expected = self.live().into_iter().find(|session| Some(session.id) == *id);
                let expected = expected.map(|session| Session { expires_at: *expiry, ..session });
                prop_assert_eq!(set.as_ref().map(unblocked), expected);
                let is_it = |session: &&mut Session| set.is_some() && Some(session.id) == *id;
                self.open.iter_mut().filter(is_it).for_each(|session| session.expires_at = *expiry);
            }
            (Step::Text { words, age, .. }, Outcome::Received([from, to], received, _)) => {
                let expected = self.receive(*from, *to, words, *age);
                let received = match received {
                    Received::Stored(messages) => Ok(sent(messages)),
                    Received::Ignored(why) => Err(*why),
                    Received::Duplicate => return Err(TestCaseError::fail("it is no duplicate")),
                };
                prop_assert_eq!(received, expected);
            }
            (Step::Maximum(maximum), _) => {
                self.sharing.sessions_per_tn = *maximum;
                self.largest = self.largest.max(*maximum);
            }
            (Step::Pass(seconds), _) => self.now += seconds,
            _ => unreachable!("an outcome of another step"),
        }
        Ok(())
    }

    fn check_removed(&mut self, tn: Number, removed: &RemoveTn) -> Checked {
        let expired: Vec<_> = self.expired().into_iter().filter(|session| session.tn == tn).collect();
        match (removed, self.shown(tn)) {
            (RemoveTn::HeldByExpired(session), _) => prop_assert!(expired.contains(&unblocked(session))),
            (RemoveTn::InUse(shown), Some(expected)) => {
                prop_assert_eq!(shown, &expected);
                prop_assert!(expired.is_empty() && shown.sessions > 0);
            }
            (RemoveTn::Removed, Some(shown)) => {
                prop_assert!(expired.is_empty() && shown.sessions == 0);
                self.pool.remove(&tn);
            }
            (RemoveTn::NotInPool, None) => {}
            _ => return Err(TestCaseError::fail("another outcome")),
        }
        Ok(())
    }

    /// What is sent because of a text, or why it is ignored.
    fn receive(
        &mut self,
        from: Number,
        tn: Number,
        words: &str,
        age: Option<i64>,
    ) -> Result<Vec<Sent>, IgnoreReason> {
        let session = self.open_session(tn, from).cloned();
        match &session {
            _ if !self.pool.contains_key(&tn) => Err(IgnoreReason::NotOurTn),
            _ if self.pool.contains_key(&from) => Err(IgnoreReason::SenderIsTn),
            _ if words == "STOP" || words == "UNSTOP" => {
                self.opted_out.remove(&(tn, from));
                self.opted_out.extend((words == "STOP").then_some((tn, from)));
                Ok(vec![])
            }
            None if self.is_blocked(tn, from) => Err(IgnoreReason::Blocked(Blocked::OptedOut)),
            None => Ok(vec![(Kind::NoSession, tn, from, None)]),
            Some(session) if session.is_expired(at(self.now)) => {
                self.end(session.id, EndCause::Expired);
                let mut told = session.participants.map(|person| person.number).to_vec();
                told.retain(|person| !self.is_blocked(tn, *person));
                Ok(told.into_iter().map(|person| (Kind::Expired, tn, person, Some(session.id))).collect())
            }
            Some(session) => {
                let sent_at = age.map(|age| at(self.now - age));
                if self.last(tn, from).is_some_and(|(end, _)| sent_at.is_some_and(|sent| sent < end)) {
                    return Err(IgnoreReason::PreviousSession);
                }
                let (_, other) = session.sides(from).expect("the sender's session");
                let relay = (Kind::Relay, tn, other.number, Some(session.id));
                Ok(Vec::from_iter((!self.is_blocked(tn, other.number)).then_some(relay)))
            }
        }
    }

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
