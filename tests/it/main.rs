//! The tests of the service through its front doors.
#![allow(clippy::unwrap_used, missing_docs)]

mod races;
mod support;
