//! The outbox: nothing lost, nothing doubled, nobody misrouted.

mod answers;
mod interleavings;
mod lookup;
mod opt_out;
mod pacing;
mod receipts;
mod retries;
mod rounds;
