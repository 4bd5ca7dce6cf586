//! Two people text each other through a Flowroute number that belongs to neither.
//!
//! ```text
//! http ──► service ──┬──► store     (trait) ◄── store::sqlite, store::dynamodb
//!                    └──► provider  (trait) ◄── provider::flowroute, provider::sandbox
//! main     picks          domain    used by all, uses none
//! ```
//!
//! A text comes in through [`http`], is read by [`provider::flowroute`], goes its way in [`service::relay`] and out
//! through [`service::outbox`]. A whole store is written to a file, and filled from one, by [`snapshot`].

pub mod aws;
pub mod domain;
mod fresh;
pub mod http;
mod http_client;
pub mod lambda;
pub mod logging;
mod metrics;
pub mod provider;
pub mod secrets_manager;
pub mod server;
pub mod service;
pub mod settings;
pub mod snapshot;
pub mod store;
