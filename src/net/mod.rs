//! Outbound HTTP: the client for Flowroute and AWS, and the replacement of stale connections.

mod client;
mod stale_connections;

pub(crate) use client::{builder, date_of};
pub(crate) use stale_connections::Reconnecting;
