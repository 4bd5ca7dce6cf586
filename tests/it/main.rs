//! The tests of the service through its front doors.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod access;
mod budgets;
mod contract;
mod database_file;
mod durability;
mod flowroute;
mod in_time;
mod init_phase;
mod lambda;
mod lists;
mod local_server;
mod logs;
mod metrics;
mod newer_release;
mod numbers;
mod outbox;
mod process;
mod properties;
mod races;
mod secret;
mod sessions;
mod settings;
mod snapshot;
mod spread;
mod store_faults;
mod support;
mod template;
mod tls;
mod webhook;
