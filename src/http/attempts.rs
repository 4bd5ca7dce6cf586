//! Limits the wrong keys and tokens of a caller. Right ones are always admitted, so nobody can lock others out.

use crate::limits;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// The wrong keys of the last [`limits::ATTEMPTS_WINDOW`], by the caller's address.
#[derive(Default)]
pub(super) struct Attempts(Mutex<HashMap<Option<IpAddr>, Window>>);

struct Window {
    began: Instant,
    attempts: u32,
}

impl Attempts {
    /// Counts a wrong key or token. Returns whether the caller has sent too many.
    pub(super) fn are_too_many(&self, caller: Option<IpAddr>) -> bool {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |window: &Window| window.began.elapsed() >= limits::ATTEMPTS_WINDOW;
        let mut caller = caller.map(network);
        if windows.len() >= limits::ATTEMPTS_CALLERS && !windows.contains_key(&caller) {
            windows.retain(|_, window| !is_over(window));
            if windows.len() >= limits::ATTEMPTS_CALLERS {
                // Further callers share a window.
                caller = None;
            }
        }
        let new = || Window { began: Instant::now(), attempts: 0 };
        let window = windows.entry(caller).or_insert_with(new);
        if is_over(window) {
            *window = new();
        }
        window.attempts = window.attempts.saturating_add(1);
        window.attempts > limits::ATTEMPTS
    }
}

/// The address, or of an IPv6 address its network of 64 bits, all of which one caller may have.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}
