//! What the test binaries share: the service in this process or as the real binary, stand-ins for everything around
//! it, and a proxy that injects faults in front of DynamoDB.
#![allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]

mod answer;
mod app;
mod backend;
pub mod binary;
pub mod cloudformation;
pub mod dynamodb;
pub mod events;
pub mod fault_proxy;
pub mod flowroute_standin;
mod log;
mod loopback;
pub mod openapi;
mod provider;
mod restartable_server;
pub mod runtime_api;
mod texts;

pub use answer::Answer;
pub use app::{App, TestClock, parts, sqlite, sqlite_in_memory, unpaced, without_timeouts};
pub use backend::{Backend, Records};
pub use log::logged;
pub use loopback::{Loopback, Reply, Seen};
pub use provider::{Outcome, Recorder, SentText};
pub use texts::{ALICE, BOB, EVE, NOT_DELIVERED, TN, flat, fresh_id, fresh_number, number, pair};
