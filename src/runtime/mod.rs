//! The two ways to run the router: in the Lambda runtime, and as a local server; and what the process needs for that.

mod event;
pub mod lambda;
mod permits;
pub mod process;
pub mod server;
mod watched_body;
mod watched_stream;
