//! Plain values and pure rules: no async, no I/O, no wire format, no clock.

mod characters;
mod clock;
mod country;
mod gauges;
mod id;
mod lifecycle;
mod message;
mod name;
mod new_session;
mod not_delivered;
mod number;
mod page;
mod pool;
mod receipt;
mod route;
mod session;
mod sharing;
mod status;

pub use characters::is_invisible;
pub use clock::{CLOCK_TOLERANCE, was_set_back};
pub use country::{AllowedCountries, NotAllowed, UnknownCountry};
pub use gauges::Gauges;
pub use id::{InvalidId, MessageId, SessionId};
pub use lifecycle::{LONGEST_BACKOFF, MessageEvent, Settlement, Surroundings, Transition, is_due};
pub use message::{Caused, Content, Inbound, Kind, Outbound, Text};
pub use name::UnknownName;
pub use new_session::NewSession;
pub use not_delivered::Undelivered;
pub use number::{InvalidNumber, Number};
pub use page::{Page, Part};
pub use pool::{OptChange, PoolSize, VirtualTn};
pub use receipt::{Delivery, OPTED_OUT_CODE, Receipt, kept_id};
pub use route::{Decision, IgnoreReason, Route};
pub use session::{Blocked, EndCause, Participant, Role, Session};
pub use sharing::{Choice, History, OnTn, SessionFilter, Sharing, Unavailable};
pub use status::{Message, State, Status};
