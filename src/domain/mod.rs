//! The words of the service as plain values: no async, no I/O, no wire format, no clock.

mod id;
mod message;
mod number;
mod session;

pub use id::{InvalidId, MessageId, SessionId};
pub use message::{Content, Inbound, Kind, Outbound, Receipt, Text};
pub use number::{InvalidNumber, Number};
pub use session::{Barred, NewSession, Participant, Role, Session};
