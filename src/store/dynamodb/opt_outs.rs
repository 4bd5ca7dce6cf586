//! Opt-outs, and who must not be texted from a TN: people who have opted out of it, and TNs of the pool.

use super::{
    Dynamo,
    change::Change,
    item::Item,
    keys::{self, Key},
    session_items::{self, route_flag},
};
use crate::{
    domain::{Blocked, Number, OptChange, OptOutKey, PersonHash, Role, Session},
    store::{OptOuts, Result},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;

#[async_trait]
impl OptOuts for Dynamo {
    async fn opt_outs(&self, person: Number) -> Result<Vec<Number>> {
        let mut tns = self.timed(self.opted_out_of(person)).await?;
        tns.sort();
        Ok(tns)
    }

    async fn set_opt_out(&self, change: OptChange) -> Result<bool> {
        self.optimistic(|| async {
            if self.opt_outs(change.person).await?.contains(&change.tn) == change.out {
                return Ok(Some(false));
            }
            let written = self.calls.write(self.opting(change).await?).await?;
            Ok(written.is_ok().then_some(true))
        })
        .await
    }
}

/// The session of this route, with who has opted out.
pub(super) fn read_route(route: &Item) -> Result<Session> {
    let mut session = session_items::read(route)?;
    for participant in &mut session.participants {
        let is_out = route.get::<bool>(route_flag(participant.role))?;
        participant.blocked = is_out.then_some(Blocked::OptedOut);
    }
    Ok(session)
}

/// The keys of the items that [`fill_blocked`] reads.
pub(super) fn blocked_keys(session: &Session, key: &OptOutKey) -> [Key; 4] {
    let [a, b] = session.participants.map(|participant| participant.number);
    [keys::tn(a), keys::opt_outs(key.hash(a)), keys::tn(b), keys::opt_outs(key.hash(b))]
}

/// The session with who is blocked, according to these items.
pub(super) fn fill_blocked(mut session: Session, found: &[Option<Item>]) -> Result<Session> {
    for (participant, found) in session.participants.iter_mut().zip(found.chunks_exact(2)) {
        participant.blocked = blocked(session.tn, found[0].as_ref(), found[1].as_ref())?;
    }
    Ok(session)
}

/// Why no text from this TN may go to a number, given the TN item and the opt-outs of that number.
pub(super) fn blocked(from: Number, tn: Option<&Item>, opt_outs: Option<&Item>) -> Result<Option<Blocked>> {
    if tn.is_some() {
        return Ok(Some(Blocked::IsTn));
    }
    let opted_out = opted_out_tns(opt_outs)?.contains(&from);
    Ok(opted_out.then_some(Blocked::OptedOut))
}

/// The TNs that a person has opted out of.
pub(super) fn opted_out_tns(opt_outs: Option<&Item>) -> Result<Vec<Number>> {
    opt_outs.map_or(Ok(Vec::new()), |item| item.get("opted_out"))
}

/// The opt-out of a TN, or opt-in, with the person.
pub(super) fn opting_alone(tn: Number, person: PersonHash, out: bool) -> Change {
    let opt_outs = Change::upsert(keys::opt_outs(person));
    let tns = AttributeValue::Ss(vec![tn.digits()]);
    if out { opt_outs.add("opted_out", tns) } else { opt_outs.subtract("opted_out", tns) }
}

impl Dynamo {
    /// The session of an item, with who is blocked.
    pub(super) async fn with_blocked(&self, item: &Item) -> Result<Session> {
        let session = session_items::read(item)?;
        let found = self.calls.get_all(&blocked_keys(&session, &self.opt_out_key().await?)).await?;
        fill_blocked(session, &found)
    }

    /// The TNs that a person has opted out of.
    pub(super) async fn opted_out_of(&self, person: Number) -> Result<Vec<Number>> {
        opted_out_tns(self.calls.get(self.opt_outs_of(person).await?).await?.as_ref())
    }

    /// Stores an opt-out or opt-in with the person, and in both routes of their session on that TN, so that the other's texts
    /// need no further read.
    pub(super) async fn opting(&self, change: OptChange) -> Result<Vec<Change>> {
        let OptChange { tn, person, out } = change;
        let mut changes = vec![opting_alone(tn, self.opt_out_key().await?.hash(person), out)];
        let route = self.calls.get(keys::route(tn, person)).await?.filter(session_items::has_session);
        let Some(route) = route else { return Ok(changes) };
        let session = session_items::read(&route)?;
        let role = session.sides(person).map_or(Role::B, |(own, _)| own.role);
        for participant in session.participants {
            let route = Change::update(keys::route(tn, participant.number))
                .when_equal("session_id", Some(session.id))
                .set(route_flag(role), out);
            changes.push(route);
        }
        Ok(changes)
    }
}
