//! Export and import: from each backend to each other, and what must stop them.

mod after_import;
mod files;
mod large_table;
mod populated_store;
mod process;
mod refusals;
mod round_trip;
mod sharing;
pub mod snapshot_store;

use test_support::Backend;

/// Every backend that records can be moved to.
pub const BACKENDS: [Backend; 2] = [Backend::Sqlite, Backend::Dynamodb];
