//! The limit on the texts of one sender in a session: a pure rule that says when a text is sent, given the earlier ones.

use super::{CLOCK_TOLERANCE, Message, MessageId, Outbound, State, was_set_back};
use chrono::{DateTime, TimeDelta, Utc};

const MINUTE: TimeDelta = TimeDelta::minutes(1);
const DAY: TimeDelta = TimeDelta::hours(24);
/// The least number of texts beyond the limit of a day that are read.
const FEWEST_BEYOND: u32 = 1_000;
/// The longest time for which a text waits for its turn.
pub const LONGEST_TURN: TimeDelta = TimeDelta::hours(1);

const IN_TURN: &str = "its sender has sent more texts in a minute than SENDER_TEXTS_PER_MINUTE";
const BEYOND_DAY: &str = "its sender has sent more texts in 24 hours than SENDER_TEXTS_PER_DAY";
const BEYOND_HOUR: &str =
    "its sender has sent so many texts that it would wait for more than an hour (SENDER_TEXTS_PER_MINUTE)";

/// The maximum number of texts of one participant of a session that are relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderLimit {
    /// In a minute; further ones wait for their turn. At least 1.
    pub per_minute: u32,
    /// In 24 hours; further ones fail.
    pub per_day: u32,
}

/// A text that the same sender has sent before in the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlierText {
    /// The relay of it.
    pub id: MessageId,
    /// When it arrived.
    pub at: DateTime<Utc>,
    /// It has failed because it was beyond the limit, so it does not count.
    pub is_beyond: bool,
}

/// When a text is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// At once.
    Now,
    /// It waits in the outbox until then.
    At(DateTime<Utc>),
    /// Never, for this reason.
    Never(&'static str),
}

impl SenderLimit {
    /// How many earlier texts the rule needs, the newest ones: those of a day, and as many that were beyond the limit. If
    /// there are so many, the sender must pause, so that counting them has a bound.
    #[must_use]
    pub fn most_read(&self) -> u32 {
        self.per_day.saturating_add(self.per_day.max(FEWEST_BEYOND))
    }

    /// With fewer earlier texts than this the turn of a text is [`Turn::Now`], whatever they are: none had to wait.
    #[must_use]
    pub fn always_sent(&self) -> u32 {
        self.per_minute.min(self.per_day)
    }

    /// The time in which the earlier texts have arrived that the rule needs, given when the session was created.
    #[must_use]
    pub fn window(created_at: DateTime<Utc>, now: DateTime<Utc>) -> [DateTime<Utc>; 2] {
        [created_at.max(now - DAY).min(now), now + CLOCK_TOLERANCE]
    }

    /// The turn of a text that arrives now, given the earlier texts, newest first. With [`Turn::Now`] there may be an earlier
    /// text that it must not overtake: [`Turn::behind`].
    #[must_use]
    pub fn turn(&self, earlier: &[EarlierText], now: DateTime<Utc>) -> (Turn, Option<MessageId>) {
        let counts =
            |text: &&EarlierText| !text.is_beyond && text.at > now - DAY && !was_set_back(text.at, now);
        let counted: Vec<&EarlierText> = earlier.iter().filter(counts).collect();
        if counted.len() >= self.per_day as usize || earlier.len() >= self.most_read() as usize {
            return (Turn::Never(BEYOND_DAY), None);
        }
        // The clock of whoever has stored them may be a little ahead.
        let arrived = counted.iter().rev().map(|text| text.at.min(now)).chain([now]);
        let (mut due, mut has_waited) = (Vec::<DateTime<Utc>>::new(), false);
        for at in arrived {
            let turn = self.due(&due, at);
            has_waited |= turn > at;
            due.push(turn);
        }
        match due.last() {
            Some(due) if *due > now + LONGEST_TURN => (Turn::Never(BEYOND_HOUR), None),
            Some(due) if *due > now => (Turn::At(*due), None),
            _ => (Turn::Now, counted.first().filter(|_| has_waited).map(|text| text.id)),
        }
    }

    /// When a text that arrives `at` is due, given when the earlier ones were, oldest first: a minute after the one that is
    /// `per_minute` places before it, and not before the last.
    fn due(&self, earlier: &[DateTime<Utc>], at: DateTime<Utc>) -> DateTime<Utc> {
        let free = earlier.iter().rev().nth((self.per_minute as usize).saturating_sub(1));
        // Texts that are due later than they arrive are due one after the other.
        let next = earlier.last().filter(|last| **last > at);
        let free = free.map_or(at, |free| *free + MINUTE);
        next.map_or(at, |next| *next + TimeDelta::milliseconds(1)).max(free).max(at)
    }
}

impl Turn {
    /// The same turn, or due immediately in the outbox if this earlier text still waits there.
    #[must_use]
    pub fn behind(self, earlier: Option<&Message>, now: DateTime<Utc>) -> Self {
        let waits = earlier.is_some_and(|earlier| earlier.status.state == State::Waiting);
        if self == Self::Now && waits { Self::At(now) } else { self }
    }
}

impl Message {
    /// A new relay of a text: leased through `lease_until` if it is its sender's turn. Otherwise it waits, or it has failed;
    /// a blocked recipient is the reason before all others.
    #[must_use]
    pub fn in_turn(outbound: Outbound, lease_until: DateTime<Utc>, turn: Turn) -> Self {
        let mut message = Self::new(outbound, Some(lease_until).filter(|_| turn == Turn::Now));
        match turn {
            Turn::At(due) if !message.is_settled() => {
                message.status.due_at = Some(due);
                message.status.reason = Some(IN_TURN.to_owned());
                message
            }
            Turn::Never(reason) if !message.is_settled() => {
                message.close(State::Failed, Some(reason), message.outbound.created_at).to
            }
            _ => message,
        }
    }
}

/// Whether a message with this reason has failed because it was beyond the limit.
#[must_use]
pub fn is_beyond_limit(reason: Option<&str>) -> bool {
    reason.is_some_and(|reason| reason == BEYOND_DAY || reason == BEYOND_HOUR)
}
