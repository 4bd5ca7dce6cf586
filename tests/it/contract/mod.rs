//! What every store promises: the docs of [`Store`], as tests. Each backend passes all of them unchanged.
//!
//! A case gets an empty store of its own and uses nothing but the trait. To put another backend under the same
//! tests, add one line to the end of this file.

mod choosing;
pub mod expected;
pub mod fixtures;
mod forget;
mod gauges;
mod history;
mod idempotency;
pub mod invariants;
mod listing;
mod lost;
mod outbox;
mod pool;
mod races;
mod receive;
mod sessions;
mod settle;
pub mod sharing;
mod sharing_races;

use fixtures::Shared;

/// Makes a test of each case for one backend.
macro_rules! tests {
    ($open:path; $($topic:ident { $($case:ident)* })*) => { tests! { $open, slow: false; $($topic { $($case)* })* } };
    ($open:path, slow: $slow:literal; $($topic:ident { $($case:ident)* })*) => {$($(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        #[cfg_attr($slow, ignore = "slow")]
        async fn $case() {
            let (store, _guard) = $open().await;
            super::$topic::$case(store).await;
        }
    )*)*};
}

/// The whole suite for one backend; `$open` returns an empty store, and a guard that must live as long as the store.
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
                    a_number_with_a_live_session_is_not_removed
                    a_number_held_by_an_expired_session_is_not_removed_until_that_is_ended
                    a_removed_number_can_be_added_again_and_gets_sessions_again
                    a_number_shows_its_live_session
                    an_empty_pool_is_listed_as_empty
                    paging_shows_each_number_exactly_once
                    paging_shows_what_stays_exactly_once_while_others_come_and_go
                    the_size_of_the_pool_counts_live_sessions_only
                    the_numbers_are_picked_at_random
                    a_number_that_was_freed_is_picked_at_random_again
                }
                sessions {
                    a_session_opens_on_a_free_number_with_its_notices_leased_to_the_caller
                    no_session_opens_when_no_number_is_free_or_one_participant_is_a_number_of_the_pool
                    the_same_people_may_be_in_many_sessions_each_on_its_own_number
                    a_number_that_one_of_the_two_has_opted_out_of_is_not_picked
                    a_session_ends_once_and_only_for_a_cause_that_holds
                    an_ended_session_is_gone_and_its_number_is_free
                    end_notices_are_leased_to_the_caller_or_due_immediately
                    a_notice_to_a_blocked_participant_is_stored_as_failed
                    ending_a_session_cancels_the_relays_that_wait_and_leaves_its_notices
                    a_relay_that_is_being_sent_when_its_session_ends_is_never_sent_again
                    a_relay_that_is_cancelled_with_its_session_has_the_same_reason_however_it_comes
                    a_relay_whose_lease_expired_stays_revoked
                    rolling_back_a_session_cancels_its_unsent_notices_too
                }
                sharing {
                    a_number_carries_as_many_sessions_as_it_may
                    nobody_gets_two_sessions_on_a_number
                    the_sender_tells_the_session_of_a_text
                    a_number_shows_how_many_sessions_it_has_and_the_only_one
                    the_maximum_can_be_raised_and_lowered
                    a_draining_number_gets_no_new_session_and_keeps_those_it_has
                    sessions_are_listed_by_person_and_by_number
                    the_expiry_of_a_live_session_can_be_changed
                }
                idempotency {
                    the_same_key_and_request_open_one_session
                    a_key_is_for_one_request
                    a_key_is_kept_as_long_as_the_record_of_its_session
                    a_session_that_was_rolled_back_leaves_its_key_unused
                    of_many_requests_with_a_key_at_once_one_opens_a_session
                }
                choosing {
                    a_chosen_number_is_got_or_the_reason_is_told
                    a_number_that_is_cooling_off_is_the_last_choice
                    with_strict_cool_off_a_late_text_finds_no_other_partner
                    a_pair_gets_the_number_of_its_last_session_again_if_numbers_are_shared
                }
                listing {
                    a_session_is_live_until_the_millisecond_before_its_expiry
                    a_session_that_was_never_opened_is_not_found
                    a_session_shows_who_is_blocked
                    sessions_are_listed_oldest_first_each_exactly_once
                    paging_goes_on_when_the_session_at_the_cursor_has_ended
                    expired_sessions_are_listed_earliest_expiry_first_up_to_the_limit
                    a_route_tells_who_the_sender_is_to_the_number
                    a_route_tells_which_stranger_must_not_be_answered
                    a_participant_who_has_become_a_number_of_the_pool_is_one_to_the_route
                    a_route_keeps_the_end_of_the_senders_previous_session_on_the_same_number
                    a_route_never_leads_from_one_session_into_the_next_on_the_same_number
                }
                receive {
                    a_new_text_is_stored_with_its_messages_leased_to_the_caller
                    a_text_is_stored_once_whatever_is_decided_about_it_later
                    ids_are_told_apart_to_the_letter
                    a_text_without_an_id_is_never_a_duplicate
                    a_text_is_decided_by_the_session_that_is_live_at_that_moment
                    a_text_is_decided_by_the_expired_session_until_that_is_ended
                    what_is_decided_for_the_route_is_what_is_stored
                    a_late_text_ends_the_expired_session_in_the_same_step
                    a_relay_to_a_blocked_participant_is_stored_as_failed
                    stop_and_unstop_count_as_soon_as_they_are_stored_and_for_one_tn_only
                    one_sender_gets_no_more_replies_in_any_hour_than_the_quota
                    all_strangers_together_get_no_more_replies_in_any_minute_than_the_quota
                    a_reply_beyond_the_quota_is_dropped_and_the_text_stays_stored
                    an_ignored_or_repeated_text_does_not_use_up_the_quota
                }
                settle {
                    a_message_that_was_taken_is_sent
                    a_refused_message_has_failed_for_good
                    a_message_refused_because_of_an_opt_out_blocks_its_recipient_on_its_tn
                    a_message_that_was_not_taken_waits_until_it_is_due
                    a_deferred_message_is_due_immediately_and_its_attempt_is_refunded
                    deferring_or_waiting_again_with_the_same_lease_counts_once
                    an_unknown_message_is_neither_settled_nor_due
                    a_message_that_is_found_is_sent_under_the_id_that_was_found
                    an_id_that_was_found_is_credited_to_one_message_only
                    the_first_time_a_message_was_seen_absent_is_kept
                    a_message_that_is_unknown_for_good_stays_unknown_and_is_settled
                    what_is_settled_is_final
                    a_cancelled_message_is_final
                    an_older_lease_changes_nothing
                    a_lease_of_a_message_that_is_not_stored_settles_nothing
                    a_message_to_a_stranger_is_settled_like_any_other
                }
                outbox {
                    what_waits_is_due_oldest_first_up_to_the_limit
                    a_message_is_leased_only_while_it_waits_and_is_due
                    each_lease_of_a_message_has_a_higher_number_and_counts_as_an_attempt
                    a_message_comes_back_as_it_was_stored
                    a_relay_of_a_session_that_is_no_longer_live_is_cancelled_instead_of_leased
                    a_notice_is_leased_after_the_end_of_its_session
                    a_message_whose_recipient_has_become_blocked_fails_instead_of_being_leased
                    a_lease_is_extended_only_while_the_message_may_be_sent
                    a_lease_can_be_extended_and_settled_by_what_was_leased_first
                    a_lease_that_is_no_longer_held_is_not_extended
                    rolling_back_a_session_stops_the_notices_that_wait_for_a_permit
                    the_messages_that_one_text_causes_are_all_due_at_its_time
                }
                lost {
                    a_message_is_reclaimed_only_after_its_lease_has_expired
                    unknown_messages_are_listed_earliest_attempt_first_page_by_page
                    the_others_are_the_other_messages_from_the_same_number_to_the_same_person
                    one_holder_at_a_time_has_the_drain_lease
                }
                history {
                    a_receipt_finds_its_message_by_our_id_or_by_the_providers
                    a_final_receipt_is_kept_over_a_passing_one_and_a_later_over_an_earlier
                    a_receipt_that_says_nothing_is_not_kept_and_blocks_no_other
                    a_receipt_with_code_1110_opts_the_recipient_out
                    a_receipt_with_our_id_proves_that_the_provider_took_an_unsettled_message
                    a_receipt_without_the_providers_id_proves_the_same_and_removes_no_id
                    a_receipt_does_not_bring_back_what_was_refused_or_cancelled
                    a_receipt_of_a_message_to_a_stranger_is_stored
                    the_messages_of_a_session_show_all_that_is_stored_but_their_content
                    messages_are_listed_oldest_first_each_exactly_once
                    the_messages_of_an_ended_session_are_still_there
                    a_session_that_was_never_opened_has_no_messages
                }
                gauges {
                    an_empty_store_is_empty
                    what_waits_and_what_is_unknown_is_counted_and_nothing_else
                    a_number_is_free_until_a_session_holds_it_and_again_when_that_is_ended
                    counting_stops_at_the_limit
                    what_waits_in_one_session_is_counted_whole
                }
            }
        }
    };
}

/// What holds with many callers at once. On DynamoDB this takes minutes.
macro_rules! races {
    ($backend:ident, $open:path, slow: $slow:literal) => {
        mod $backend {
            tests! { $open, slow: $slow;
                sharing_races {
                    a_person_with_many_at_once_gets_a_session_on_each_number
                    as_many_sessions_open_at_once_as_there_is_room_for
                    nobody_is_refused_while_others_end_as_many_sessions_as_they_open
                    a_pair_whose_session_ends_while_its_next_opens_has_one_at_a_time
                    of_an_end_and_a_new_expiry_at_once_one_wins
                    a_number_that_drains_while_sessions_open_gets_none_afterwards
                    no_session_is_left_on_a_number_that_is_removed_while_sessions_open
                }
                races {
                    of_many_concurrent_adds_of_a_number_one_succeeds
                    of_many_concurrent_removals_of_a_number_one_succeeds
                    as_many_concurrent_sessions_open_as_there_are_free_numbers_each_on_its_own
                    of_many_concurrent_ends_of_a_session_one_succeeds
                    of_many_concurrent_deliveries_of_a_text_one_stores_it
                    of_many_concurrent_strangers_as_many_get_a_reply_as_the_quota_allows
                    of_many_concurrent_leases_of_a_message_one_succeeds
                    of_many_concurrent_settlements_of_a_lease_one_succeeds
                    of_many_messages_concurrently_settled_with_one_id_one_is
                    of_many_concurrent_callers_one_gets_the_drain_lease
                    of_many_concurrent_receipts_of_one_level_one_is_stored
                    a_lost_message_is_reclaimed_once
                    a_text_received_while_its_session_ends_is_ignored_or_its_relay_is_never_due_again
                    a_number_is_removed_or_gets_a_session_but_never_both
                }
            }
        }
    };
}

async fn open_sqlite() -> (Shared, tempfile::TempDir) {
    test_support::sqlite()
}

async fn open_dynamodb() -> (Shared, ()) {
    (test_support::dynamodb::dynamodb().await, ())
}

suite!(sqlite, super::open_sqlite);
suite!(dynamodb, super::open_dynamodb);
races!(sqlite_at_once, super::open_sqlite, slow: false);
races!(dynamodb_at_once, super::open_dynamodb, slow: true);

/// Many sessions on a number: the engine takes seconds for what SQLite does at once.
mod sqlite_with_many_sessions {
    tests! { super::open_sqlite, slow: true; sharing_races { six_hundred_sessions_open_at_once_on_three_numbers } }
}

mod dynamodb_with_many_sessions {
    tests! { super::open_dynamodb, slow: true; sharing_races { six_hundred_sessions_open_at_once_on_three_numbers_twice } }
}

/// Deletion, for backends whose engine does not delete by itself.
mod sqlite_forgets {
    tests! { super::open_sqlite;
        forget {
            a_tombstone_is_forgotten_after_its_retention
            a_settled_message_is_forgotten_after_its_retention_with_its_receipt
            an_ended_session_is_forgotten_after_its_retention
            what_is_not_settled_or_ended_is_never_forgotten
            a_notice_outlives_its_session_until_it_is_settled
            one_call_deletes_no_more_of_each_than_the_limit
        }
    }
}
