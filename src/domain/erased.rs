//! What the erasure of a person has removed.

/// The numbers of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Sessions that were ended for it.
    pub sessions_ended: usize,
    /// Records of sessions, those just ended too.
    pub sessions: usize,
    /// Messages to the person; of each its id stays, without a number.
    pub messages: usize,
    /// Routes, and counters of replies.
    pub others: usize,
}

impl std::ops::AddAssign for Erased {
    fn add_assign(&mut self, other: Self) {
        self.sessions_ended += other.sessions_ended;
        self.sessions += other.sessions;
        self.messages += other.messages;
        self.others += other.others;
    }
}
