//! The outbox: nothing is lost, sent twice or sent to the wrong person.

mod answers;
mod clock;
mod interleavings;
mod late_texts;
mod lookup;
mod opt_out;
mod opt_words;
mod pacing;
mod receipts;
mod retries;
mod rounds;
mod sweep;
