//! Times that were written by a clock which may differ from ours, or has been set back since.

use chrono::{DateTime, TimeDelta, Utc};

/// By how much the clocks of two processes may differ.
pub const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(1);

/// Whether a time that was the present when it was written is still to come: the clock has been set back since.
#[must_use]
pub fn was_set_back(written: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    written > now + CLOCK_TOLERANCE
}
