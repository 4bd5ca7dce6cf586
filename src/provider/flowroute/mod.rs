//! Flowroute: the client that sends (FLOWROUTE.md 1), and the reader of what it posts to us (FLOWROUTE.md 2, 3).

mod client;
mod list;
mod scrub;
mod surrogates;
mod webhook;

pub use client::{ApiVersion, BuildError, Client, ClientOptions, UnknownApiVersion};
pub use webhook::{Event, Ignored, Unreadable, read};
