//! Export and import: from each backend to each other, and what must stop them.

mod afterwards;
mod files;
mod many;
mod populated_store;
mod process;
mod refusals;
mod round_trip;
mod snapshot_store;

use test_support::Backend;

/// Every backend that records can be moved to.
const BACKENDS: [Backend; 2] = [Backend::Sqlite, Backend::Dynamodb];
