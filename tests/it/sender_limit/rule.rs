//! The rule, for any times.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::{collection::vec, prelude::*};
use sms_proxy::domain::{EarlierText, MessageId, SenderLimit, Turn};

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_700_000_000_000 + millis).unwrap()
}

/// What becomes of texts that arrive at these times, by a store that counts each.
fn turns(limit: SenderLimit, times: &[i64]) -> Vec<(DateTime<Utc>, Turn)> {
    let mut earlier: Vec<EarlierText> = Vec::new();
    let mut turns = Vec::new();
    for now in times.iter().map(|millis| at(*millis)) {
        let (turn, _) = limit.turn(&earlier, now);
        let is_beyond = matches!(turn, Turn::Never(_));
        earlier.insert(0, EarlierText { id: MessageId::random(), at: now, is_beyond });
        turns.push((now, turn));
    }
    turns
}

/// When those are due that do not fail.
fn due(turns: &[(DateTime<Utc>, Turn)]) -> Vec<DateTime<Utc>> {
    let due = |(now, turn): &(DateTime<Utc>, Turn)| match turn {
        Turn::Now => Some(*now),
        Turn::At(due) => Some(*due),
        Turn::Never(_) => None,
    };
    turns.iter().filter_map(due).collect()
}

fn any_times() -> impl Strategy<Value = Vec<i64>> {
    let pause = prop_oneof![4 => 0..50_i64, 2 => 0..70_000_i64, 1 => 0..10_000_000_i64];
    vec(pause, 1..120).prop_map(|pauses| {
        let sums = pauses.iter().scan(0, |time, pause| {
            *time += pause;
            Some(*time)
        });
        sums.collect()
    })
}

proptest! {
    #[test]
    fn no_more_texts_are_due_in_any_minute_than_the_limit_and_all_in_order(
        times in any_times(), per_minute in 1..8_u32
    ) {
        let limit = SenderLimit { per_minute, per_day: 1_000 };
        let due = due(&turns(limit, &times));
        prop_assert!(due.is_sorted());
        for window in due.windows(per_minute as usize + 1) {
            prop_assert!(window[per_minute as usize] - window[0] >= TimeDelta::minutes(1), "{window:?}");
        }
    }

    #[test]
    fn no_more_texts_are_relayed_in_any_day_than_the_limit(times in any_times(), per_day in 1..20_u32) {
        let limit = SenderLimit { per_minute: 1_000, per_day };
        let relayed = due(&turns(limit, &times));
        for window in relayed.windows(per_day as usize + 1) {
            prop_assert!(window[per_day as usize] - window[0] >= TimeDelta::hours(24), "{window:?}");
        }
    }

    #[test]
    fn a_text_is_sent_at_once_if_fewer_than_the_limit_came_in_the_minute_before_and_none_waited(
        times in any_times(), per_minute in 1..8_u32
    ) {
        let limit = SenderLimit { per_minute, per_day: 1_000 };
        let turns = turns(limit, &times);
        for (n, (now, turn)) in turns.iter().enumerate() {
            let recent = due(&turns[..n]).into_iter().filter(|due| *due > *now - TimeDelta::minutes(1));
            prop_assert_eq!(*turn == Turn::Now, recent.count() < per_minute as usize);
        }
    }
}

#[test]
fn a_sender_who_goes_on_without_a_pause_stays_beyond_the_limit() {
    for (per_day, most) in [(3, 1_003), (1_000, 2_000), (5_000, 10_000)] {
        let limit = SenderLimit { per_minute: 30, per_day };
        let beyond = EarlierText { id: MessageId::random(), at: at(0), is_beyond: true };
        let earlier = vec![beyond; most];
        assert_eq!(limit.most_read() as usize, most);
        assert_eq!(limit.turn(&earlier[1..], at(1)).0, Turn::Now);
        assert!(matches!(limit.turn(&earlier, at(1)).0, Turn::Never(_)));
    }
}

#[test]
fn the_clock_of_another_process_that_is_a_little_ahead_delays_nothing() {
    let limit = SenderLimit { per_minute: 3, per_day: 1_000 };
    let ahead = EarlierText { id: MessageId::random(), at: at(59_000), is_beyond: false };
    assert_eq!(limit.turn(&[ahead], at(0)).0, Turn::Now);
}
