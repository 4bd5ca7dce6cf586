//! The two ways to run the router: in the Lambda runtime, and as a local server.

pub mod lambda;
pub mod server;
