//! Log and metrics.

pub mod logging;
pub(crate) mod metrics;
pub mod prometheus;
