//! Warns of refused posts.

use super::{error::ApiError, reason::Reason};
use crate::limits;
use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// When the operator was last warned of posts of strangers, and of others, that were refused.
#[derive(Default)]
pub(super) struct Refusals(Mutex<[Option<Instant>; 2]>);

impl Refusals {
    /// Warns of a refused post, at most once per [`limits::WARNING`]: Flowroute gives a text up after some tries.
    pub(super) fn warn(&self, refused: &ApiError) {
        // Strangers without a token do not hide what is refused of Flowroute's posts.
        let of_strangers = matches!(
            refused.reason(),
            Reason::Unauthorized
                | Reason::ForeignOrigin
                | Reason::AddressNotAllowed
                | Reason::TooManyAttempts
        );
        let last = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner)[usize::from(of_strangers)];
        if last.is_none_or(|last| last.elapsed() >= limits::WARNING) {
            *last = Some(Instant::now());
            tracing::warn!(
                reason = refused.reason().as_str(),
                "posts to the webhook are refused; if they are Flowroute's, texts are lost: {}",
                refused.message()
            );
        }
    }
}
