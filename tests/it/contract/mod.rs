//! What every store promises: the docs of [`Store`], as tests. Each backend passes all of them unchanged.
//!
//! A case gets an empty store of its own and uses nothing but the trait. To put another backend under the same
//! tests, add one line to the end of this file.

pub mod fixtures;
mod forget;
mod gauges;
mod history;
mod listing;
mod lost;
mod outbox;
mod pool;
mod races;
mod record;
mod sessions;
mod settle;

use fixtures::Shared;

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
                sessions {
                    a_session_opens_on_a_free_number_with_its_notices_leased_to_the_caller
                    no_session_opens_when_no_number_is_free_or_one_participant_is_a_number_of_the_pool
                    the_same_people_may_be_in_many_sessions_each_on_its_own_number
                    a_number_that_one_of_the_two_has_opted_out_of_is_not_picked
                    a_session_ends_once_and_only_for_a_cause_that_holds
                    an_ended_session_is_gone_and_its_number_is_free
                    end_notices_are_leased_to_the_caller_or_due_at_once
                    a_notice_to_somebody_who_is_barred_is_on_record_as_failed
                    ending_a_session_cancels_the_relays_that_wait_and_leaves_its_notices
                    a_relay_on_its_way_when_the_session_ends_is_never_sent_again
                    a_relay_whose_lease_ran_out_stays_revoked
                    undoing_a_session_cancels_its_unsent_notices_too
                }
                listing {
                    a_session_is_live_until_the_millisecond_before_its_expiry
                    a_session_that_never_was_is_not_there
                    a_session_shows_who_is_barred
                    sessions_are_listed_oldest_first_each_exactly_once
                    paging_goes_on_when_the_session_at_the_mark_has_ended
                    expired_sessions_are_listed_the_longest_expired_first_up_to_the_limit
                    a_route_tells_who_the_sender_is_to_the_number
                    a_route_tells_which_stranger_must_not_be_answered
                    a_participant_who_has_become_a_number_of_the_pool_is_one_to_the_route
                    a_route_never_leads_from_one_session_into_the_next_on_the_same_number
                }
                record {
                    a_new_text_goes_on_record_with_its_messages_leased_to_the_caller
                    an_inbound_id_goes_on_record_once_whatever_it_comes_with
                    ids_are_told_apart_to_the_letter
                    a_text_without_an_id_is_never_a_repetition
                    a_decision_for_a_live_session_is_stale_when_that_has_ended_or_expired
                    a_decision_for_an_expired_session_is_stale_when_that_is_live_or_ended
                    a_late_text_ends_the_expired_session_in_the_same_step
                    a_relay_to_somebody_who_is_barred_is_on_record_as_failed
                    stop_and_unstop_count_from_the_record_on_and_for_one_number_only
                    one_sender_is_answered_so_often_in_any_hour_and_no_more
                    all_strangers_together_are_answered_so_often_in_any_minute_and_no_more
                    an_answer_beyond_the_limit_is_left_out_and_the_text_stays_on_record
                    a_stale_or_repeated_text_does_not_use_up_an_answer
                }
                settle {
                    a_message_that_was_taken_is_sent
                    a_refused_message_has_failed_for_good
                    a_message_refused_because_the_recipient_opted_out_marks_the_two_numbers
                    a_message_that_was_not_taken_waits_until_it_is_due
                    a_deferred_message_is_due_at_once_and_was_not_tried
                    deferring_or_waiting_told_twice_counts_once
                    an_unknown_message_is_neither_settled_nor_due
                    a_message_that_is_found_is_sent_under_the_id_that_was_found
                    an_id_that_was_found_is_credited_to_one_message_only
                    the_first_time_a_message_was_seen_absent_is_kept
                    what_nobody_will_ever_know_stays_unknown_and_is_settled
                    what_is_settled_for_good_is_final
                    a_cancelled_message_is_final
                    an_older_lease_changes_nothing
                    a_lease_of_a_message_that_never_was_settles_nothing
                    a_message_to_a_stranger_is_settled_like_any_other
                }
                outbox {
                    what_waits_is_due_oldest_first_up_to_the_limit
                    a_message_is_leased_only_while_it_waits_and_is_due
                    each_lease_of_a_message_has_a_higher_number_and_counts_as_an_attempt
                    a_message_comes_back_as_it_was_put_on_record
                    a_relay_of_a_session_that_is_no_longer_live_is_cancelled_instead_of_leased
                    a_notice_is_leased_after_the_end_of_its_session
                    a_message_whose_recipient_is_barred_by_now_has_failed
                    a_lease_is_prolonged_only_while_the_message_may_be_sent
                    a_lease_that_is_no_longer_held_is_not_prolonged
                    undoing_a_session_stops_the_notices_that_wait_for_their_turn
                    the_messages_of_one_record_are_all_due_at_its_time
                }
                lost {
                    a_message_is_reclaimed_only_after_its_lease_has_run_out
                    unknown_messages_are_listed_the_longest_tried_first_page_by_page
                    the_others_are_what_else_went_from_the_same_number_to_the_same_person
                    one_holder_at_a_time_drains_the_outbox
                }
                history {
                    a_receipt_finds_its_message_by_our_id_or_by_the_providers
                    each_level_counts_once_and_the_highest_stays
                    a_receipt_that_names_our_id_settles_a_message_that_was_not_known_to_be_taken
                    a_receipt_without_the_providers_id_proves_as_much_and_takes_none_away
                    a_receipt_does_not_bring_back_what_was_refused_or_cancelled
                    a_receipt_of_a_message_to_a_stranger_is_recorded
                    the_messages_of_a_session_show_all_that_is_on_record_about_them
                    messages_are_listed_oldest_first_each_exactly_once
                    the_messages_of_an_ended_session_are_still_there
                    a_session_that_never_was_has_no_messages
                }
                gauges {
                    an_empty_store_is_empty
                    what_waits_and_what_is_unknown_is_counted_and_nothing_else
                    a_number_is_free_until_a_session_holds_it_and_again_when_that_is_ended
                    counting_stops_at_the_limit
                    what_waits_in_one_session_is_counted_whole
                }
                races {
                    of_many_who_add_a_number_at_once_one_is_told_added
                    of_many_who_remove_a_number_at_once_one_is_told_removed
                    as_many_sessions_open_at_once_as_there_are_free_numbers_each_on_its_own
                    of_many_who_end_a_session_at_once_one_does
                    of_many_who_record_an_inbound_id_at_once_one_is_told_new
                    of_many_strangers_at_once_as_many_are_answered_as_may_be
                    of_many_who_lease_a_message_at_once_one_gets_it
                    of_many_who_settle_a_lease_at_once_one_does
                    of_many_messages_settled_with_one_id_at_once_one_is
                    of_many_who_want_to_drain_the_outbox_at_once_one_does
                    of_many_receipts_of_one_level_at_once_one_is_recorded
                    a_lost_message_is_reclaimed_once
                    a_relay_recorded_while_its_session_ends_is_stale_or_never_due_again
                    a_number_is_removed_or_carries_a_session_but_never_both
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

/// Forgetting, for backends that are told to; others leave it to their engine.
mod sqlite_forgets {
    tests! { super::open_sqlite;
        forget {
            an_inbound_id_is_forgotten_after_its_time
            a_settled_message_is_forgotten_after_its_time_with_its_receipts
            an_ended_session_is_forgotten_after_its_time
            what_is_open_is_never_forgotten
            a_notice_outlives_its_session_until_it_is_settled
            at_most_so_many_of_each_are_forgotten_at_once
        }
    }
}
