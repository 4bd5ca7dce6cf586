//! What every store promises: the docs of [`Store`], as tests. Each backend passes all of them unchanged.
//!
//! A case gets an empty store of its own and uses nothing but the trait. To put another backend under the same
//! tests, add one line to the end of this file.

mod pool;
mod scene;

use crate::support;
use scene::Shared;

/// Makes a test of a case for one backend.
macro_rules! tests {
    ($open:path; $($topic:ident { $($case:ident)* })*) => {$($(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $case() {
            let (store, _guard) = $open().await;
            super::$topic::$case(store).await;
        }
    )*)*};
}

/// The whole suite for one backend; `$open` gives an empty store, and what must live as long as it is used.
macro_rules! suite {
    ($backend:ident, $open:path) => {
        mod $backend {
            tests! { $open;
                pool {
                    the_store_answers
                    a_number_is_added_once
                    a_number_of_a_live_session_cannot_be_added
                    a_number_of_an_expired_or_ended_session_can_be_added
                    a_free_number_is_removed_and_one_that_is_not_there_is_not
                    a_number_that_carries_a_live_session_is_not_removed
                    a_number_held_by_an_expired_session_is_not_removed_until_that_is_ended
                    a_removed_number_can_be_added_again_and_carries_sessions_again
                    a_number_shows_the_live_session_that_it_carries
                    an_empty_pool_is_listed_as_empty
                    paging_shows_each_number_exactly_once
                    paging_shows_what_stays_exactly_once_while_others_come_and_go
                    the_size_of_the_pool_counts_live_sessions_only
                    the_numbers_are_picked_at_random
                    a_number_that_was_freed_is_picked_at_random_again
                }
            }
        }
    };
}

async fn open_sqlite() -> (Shared, tempfile::TempDir) {
    support::sqlite()
}

suite!(sqlite, super::open_sqlite);
