//! Tests of the service through its public interfaces.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod access;
mod base_path;
mod budgets;
mod contract;
mod database_file;
mod documents;
mod domain;
mod durability;
mod flowroute;
mod init_phase;
mod lambda;
mod layers;
mod lifecycle;
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
mod replaced_files;
mod request_limit;
mod routes;
mod secret;
mod sessions;
mod settings;
mod snapshot;
mod spread;
mod store_faults;
mod template;
mod tls;
mod webhook;
