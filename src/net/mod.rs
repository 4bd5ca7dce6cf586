//! Outbound HTTP: the client for Flowroute and AWS, and the replacement of stale connections.

mod client;
mod stale_connections;

pub(crate) use client::builder;
pub(crate) use stale_connections::Reconnecting;
