//! Flowroute: the client that sends messages, and the reader of its posts (docs/flowroute.md).

mod api;
mod check;
mod client;
mod codes;
mod json;
mod link;
mod list;
mod media;
mod phone;
mod refusal;
mod repair;
mod size;
mod stamp;
mod surrogates;
mod version;
mod webhook;

pub use api::{BuildError, ClientOptions};
pub use check::{Answered, NoAnswer};
pub use client::Client;
pub use codes::CODES;
pub(crate) use link::is_public;
pub use version::{ApiVersion, UnknownApiVersion};
pub use webhook::{Event, Ignored, Unreadable, read};
