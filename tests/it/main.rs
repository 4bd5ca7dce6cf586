//! The tests of the service through its front doors.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod access;
mod flowroute;
mod numbers;
mod outbox;
mod properties;
mod races;
mod sessions;
mod settings;
mod support;
mod webhook;
