//! What a store should hold, as plain data, and what each step should change.

use super::{
    openings::Requested,
    steps::{Checked, Outcome, Sent, Step, line, sent, unblocked},
};
use crate::contract::fixtures::at;
use chrono::{DateTime, Utc};
use proptest::{prelude::*, test_runner::TestCaseError};
use sms_proxy::{
    domain::{Blocked, EndCause, IgnoreReason, Kind, Number, Session, SessionId, Sharing, VirtualTn},
    store::{AddTn, Received, RemoveTn},
};
use std::collections::{BTreeMap, BTreeSet};

/// What a store should hold.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) sharing: Sharing,
    /// The largest maximum so far.
    pub(super) largest: u32,
    pub(super) now: i64,
    /// The pool, and whether each number is draining.
    pub(super) pool: BTreeMap<Number, bool>,
    /// The sessions that are not ended.
    pub(super) open: Vec<Session>,
    /// The others, in the order of their ends.
    ended: Vec<(Session, DateTime<Utc>)>,
    pub(super) opted_out: BTreeSet<(Number, Number)>,
    /// What was requested with the idempotency keys of sessions that are stored, by the sessions' ids.
    pub(super) requested: BTreeMap<SessionId, Requested>,
    /// All sessions as they began.
    pub(super) begun: Vec<Session>,
}

impl Model {
    pub(super) fn new(sharing: Sharing) -> Self {
        Self { sharing, largest: sharing.sessions_per_tn, ..Self::default() }
    }

    pub(super) fn live(&self) -> Vec<Session> {
        let mut live = self.open.clone();
        live.retain(|session| !session.is_expired(at(self.now)));
        live.sort_by_key(|session| (session.created_at, session.id.to_string()));
        live
    }

    fn expired(&self) -> Vec<Session> {
        self.open.iter().filter(|session| session.is_expired(at(self.now))).cloned().collect()
    }

    pub(super) fn shown(&self, tn: Number) -> Option<VirtualTn> {
        let draining = *self.pool.get(&tn)?;
        let live: Vec<_> = self.live().into_iter().filter(|session| session.tn == tn).collect();
        let session = if live.len() == 1 { Some(live[0].id) } else { None };
        Some(VirtualTn { number: tn, session, sessions: live.len() as u32, draining })
    }

    pub(super) fn open_session(&self, tn: Number, person: Number) -> Option<&Session> {
        self.open.iter().find(|session| session.tn == tn && session.sides(person).is_some())
    }

    /// When the person's last session on this number ended, and with whom it was.
    pub(super) fn last(&self, tn: Number, person: Number) -> Option<(DateTime<Utc>, Number)> {
        let mut latest_first = self.ended.iter().rev().filter(|(session, _)| session.tn == tn);
        latest_first.find_map(|(session, end)| session.sides(person).map(|(_, other)| (*end, other.number)))
    }

    /// A session that is not ended, or that has ended and was not rolled back.
    pub(super) fn stored(&self, id: SessionId) -> Option<&Session> {
        self.open.iter().chain(self.ended.iter().map(|(session, _)| session)).find(|session| session.id == id)
    }

    fn is_blocked(&self, tn: Number, person: Number) -> bool {
        self.opted_out.contains(&(tn, person)) || self.pool.contains_key(&person)
    }

    fn end(&mut self, id: SessionId, cause: EndCause) {
        let place = self.open.iter().position(|session| session.id == id).expect("it is not ended");
        let ended = (self.open.remove(place), at(self.now));
        if cause == EndCause::RolledBack {
            self.requested.remove(&id);
        } else {
            self.ended.push(ended);
        }
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
                    Received::Limited(_) => return Err(TestCaseError::fail("the limit is ample")),
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
}
