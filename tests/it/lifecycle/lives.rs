//! Lives of messages: any new message, and what is tried with it one after another.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::{collection::vec, option, prelude::*};
use sms_proxy::domain::{
    Blocked, Delivery, EndCause, Kind, Message, MessageEvent, Outbound, Receipt, SessionId, Settlement,
    State, Surroundings, Text, Transition,
};
use test_support::{BOB, TN};

/// One thing that is tried with a message. A lease is told as its distance from the newest.
#[derive(Debug, Clone)]
pub enum Step {
    Lease(Surroundings),
    Renew(i64, Surroundings),
    Settle(i64, Settlement),
    Reclaim,
    Withdraw(EndCause),
    Receive(Receipt, bool),
}

/// A step, with the message before and after it.
#[derive(Debug, Clone)]
pub struct Moment {
    pub now: DateTime<Utc>,
    pub step: Step,
    pub before: Message,
    pub event: Option<MessageEvent>,
    pub after: Message,
}

impl Moment {
    /// Whether the step is one of the holder of the newest lease.
    pub fn is_by_the_holder(&self) -> bool {
        matches!(self.step, Step::Renew(0, _) | Step::Settle(0, _))
    }

    pub fn states(&self) -> (State, State) {
        (self.before.status.state, self.after.status.state)
    }
}

fn try_step(message: &Message, step: &Step, now: DateTime<Utc>) -> Option<Transition> {
    let lease = |distance: i64| u32::try_from(i64::from(message.status.lease) + distance).unwrap_or(u32::MAX);
    let until = now + TimeDelta::seconds(30);
    match step {
        Step::Lease(around) => message.lease(*around, now, until),
        Step::Renew(distance, around) => message.renew(lease(*distance), *around, now, until),
        Step::Settle(distance, settlement) => message.settle(lease(*distance), settlement, now),
        Step::Reclaim => message.reclaim(now),
        Step::Withdraw(cause) => message.withdraw(*cause, now),
        Step::Receive(receipt, by_our_id) => message.apply_receipt(receipt, *by_our_id, now),
    }
}

fn surroundings() -> impl Strategy<Value = Surroundings> {
    let blocked = option::weighted(0.2, prop_oneof![Just(Blocked::OptedOut), Just(Blocked::IsTn)]);
    (prop::bool::weighted(0.8), blocked)
        .prop_map(|(session_is_live, blocked)| Surroundings { session_is_live, blocked })
}

fn settlement() -> impl Strategy<Value = Settlement> {
    let id = "[a-c]";
    prop_oneof![
        id.prop_map(|provider_id| Settlement::Sent { provider_id }),
        any::<bool>().prop_map(|opted_out| Settlement::Failed { reason: "refused".into(), opted_out }),
        (0..120_i64).prop_map(|due| Settlement::Waiting { due: at(due), reason: "not taken".into() }),
        (0..120_i64).prop_map(|due| Settlement::Waiting { due: at(due), reason: "busy".into() }),
        Just(Settlement::Deferred),
        Just(Settlement::Unknown { reason: "no answer".into() }),
        id.prop_map(|provider_id| Settlement::Found { provider_id }),
        Just(Settlement::SeenAbsent),
        Just(Settlement::UnknownForGood),
    ]
}

fn receipt() -> impl Strategy<Value = Receipt> {
    let status = prop_oneof!["", "[a-z]", Just("message buffered".into()), Just("delivered".into())];
    let code = option::of(prop_oneof![Just("1003".into()), Just("1007".into()), "[a-z]"]);
    let time = option::of((0..3_i64).prop_map(at));
    (option::of(1..4_i64), "[a-c]?", status, code, time).prop_map(|(level, provider_id, status, code, at)| {
        let delivery = Delivery { level, status, code, at };
        Receipt { message: None, provider_id, delivery }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let lease = || prop_oneof![6 => Just(0), 1 => Just(-1), 1 => Just(1)];
    let cause = prop_oneof![Just(EndCause::Deleted), Just(EndCause::Expired), Just(EndCause::RolledBack)];
    prop_oneof![
        4 => surroundings().prop_map(Step::Lease),
        2 => (lease(), surroundings()).prop_map(|(lease, around)| Step::Renew(lease, around)),
        6 => (lease(), settlement()).prop_map(|(lease, settlement)| Step::Settle(lease, settlement)),
        2 => Just(Step::Reclaim),
        1 => cause.prop_map(Step::Withdraw),
        1 => (receipt(), any::<bool>()).prop_map(|(receipt, by_our_id)| Step::Receive(receipt, by_our_id)),
    ]
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

/// A new message: of any kind, leased or due immediately, to a recipient who may be blocked.
fn new_message() -> impl Strategy<Value = Message> {
    let kind = prop_oneof![
        3 => Just(Kind::Relay), 1 => Just(Kind::Start), 1 => Just(Kind::End), 1 => Just(Kind::NoSession),
        1 => Just(Kind::NotDelivered),
    ];
    let blocked = option::weighted(0.05, prop_oneof![Just(Blocked::OptedOut), Just(Blocked::IsTn)]);
    (kind, blocked, any::<bool>()).prop_map(|(kind, blocked, leased)| {
        let text = Text {
            kind,
            session: (kind != Kind::NoSession).then(SessionId::random),
            from: TN.parse().expect("a number"),
            to: BOB.parse().expect("a number"),
            to_role: None,
            blocked,
            content: "hello".into(),
        };
        Message::new(Outbound::new(text, at(0)), leased.then(|| at(30)))
    })
}

/// The life of a message: what was tried with it, in order of time.
pub fn life() -> impl Strategy<Value = Vec<Moment>> {
    (new_message(), vec((step(), 0..40_i64), 1..16)).prop_map(|(mut message, steps)| {
        let mut now = at(0);
        let moment = |(step, seconds): (Step, i64)| {
            now += TimeDelta::seconds(seconds);
            let before = message.clone();
            let transition = try_step(&before, &step, now);
            let event = transition.as_ref().map(|transition| transition.event);
            message = transition.map_or_else(|| before.clone(), |transition| transition.to);
            Moment { now, step, before, event, after: message.clone() }
        };
        steps.into_iter().map(moment).collect()
    })
}
