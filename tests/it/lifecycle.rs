//! What holds for the life of any message, whatever happens to it and in whatever order.

mod lives;

use lives::{Step, life};
use proptest::prelude::*;
use sms_proxy::domain::{
    Delivery, EndCause, Kind, Message, MessageEvent, Receipt, Settlement, State, Status,
};

/// Makes a property of each life out of what must hold at each of its moments.
macro_rules! at_each_moment {
    ($($(#[$about:meta])* $property:ident($moment:ident) $holds:block)*) => {proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        $($(#[$about])* #[test]
        fn $property(life in life()) {
            for $moment in &life $holds
        })*
    }};
}

at_each_moment! {
    what_is_settled_is_changed_by_receipts_only(moment) {
        if moment.before.is_settled() && !matches!(moment.step, Step::Receive(..)) {
            prop_assert_eq!(moment.event, None);
            prop_assert_eq!(&moment.after, &moment.before);
        }
    }

    nothing_leaves_sent_failed_or_cancelled(moment) {
        let (before, after) = moment.states();
        if matches!(before, State::Sent | State::Failed | State::Cancelled) {
            prop_assert_eq!(after, before);
            let delivery = moment.after.status.delivery.clone();
            let expected = Status { delivery, ..moment.before.status.clone() };
            prop_assert_eq!(&moment.after.status, &expected, "only a receipt is added");
        }
    }

    the_content_is_erased_exactly_when_the_message_is_settled(moment) {
        for message in [&moment.before, &moment.after] {
            prop_assert_eq!(message.outbound.text.content.is_empty(), message.is_settled());
        }
    }

    but_for_its_content_nothing_changes_but_the_status(moment) {
        let mut identity = moment.after.outbound.clone();
        identity.text.content = moment.before.outbound.text.content.clone();
        prop_assert_eq!(&identity, &moment.before.outbound);
    }

    sent_failed_and_cancelled_are_settled_and_waiting_and_sending_are_not(moment) {
        let is_settled = moment.after.is_settled();
        match moment.after.status.state {
            State::Sent | State::Failed | State::Cancelled => prop_assert!(is_settled),
            State::Waiting | State::Sending => prop_assert!(!is_settled),
            State::Unknown => {}
        }
    }

    a_message_is_due_exactly_while_it_waits_and_leased_exactly_while_it_is_being_sent(moment) {
        let Status { state, due_at, lease_until, .. } = &moment.after.status;
        prop_assert_eq!(due_at.is_some(), *state == State::Waiting);
        prop_assert_eq!(lease_until.is_some(), *state == State::Sending);
    }

    the_number_of_the_lease_never_falls_and_rises_by_leasing_only(moment) {
        let (before, after) = (moment.before.status.lease, moment.after.status.lease);
        let is_leased = matches!(moment.step, Step::Lease(_)) && moment.event == Some(MessageEvent::Leased);
        prop_assert_eq!(after, before + u32::from(is_leased));
    }

    only_the_holder_of_the_newest_lease_settles_or_extends_it(moment) {
        if matches!(moment.step, Step::Renew(..) | Step::Settle(..)) && !moment.is_by_the_holder() {
            prop_assert_eq!(moment.event, None);
        }
    }

    the_holder_of_the_newest_lease_settles_what_is_not_settled(moment) {
        if matches!(moment.step, Step::Settle(0, _)) {
            prop_assert_eq!(moment.event.is_some(), !moment.before.is_settled());
        }
    }

    there_are_never_more_attempts_than_leases(moment) {
        prop_assert!(moment.after.status.attempts <= moment.after.status.lease);
    }

    an_attempt_is_counted_by_leasing_and_refunded_by_deferring_only(moment) {
        let (before, after) = (moment.before.status.attempts, moment.after.status.attempts);
        match (&moment.step, moment.event) {
            (Step::Lease(_), Some(MessageEvent::Leased)) => prop_assert_eq!(after, before + 1),
            (Step::Settle(_, Settlement::Deferred), Some(_)) => prop_assert!(before - after <= 1),
            _ => prop_assert_eq!(after, before),
        }
    }

    a_message_is_leased_only_when_it_waits_is_due_and_may_be_sent(moment) {
        if let Step::Lease(around) = &moment.step {
            let due = moment.before.status.due_at.is_some_and(|due| due <= moment.now);
            prop_assert_eq!(moment.event.is_some(), moment.before.status.state == State::Waiting && due);
            if moment.event == Some(MessageEvent::Leased) {
                prop_assert!(around.session_is_live || moment.before.needs_live().is_none());
                prop_assert_eq!(around.blocked, None);
            }
        }
    }

    a_lease_is_extended_only_while_the_message_is_being_sent_and_may_be(moment) {
        if let Step::Renew(_, around) = &moment.step {
            let held = moment.is_by_the_holder() && moment.before.status.state == State::Sending;
            prop_assert_eq!(moment.event.is_some(), held);
            if moment.event == Some(MessageEvent::Leased) {
                prop_assert!(around.session_is_live || moment.before.needs_live().is_none());
                prop_assert_eq!(around.blocked, None);
                prop_assert!(!moment.before.status.revoked);
            }
        }
    }

    what_may_no_longer_be_sent_is_cancelled_with_its_session_or_else_failed(moment) {
        if let (Step::Lease(around) | Step::Renew(_, around), Some(event)) = (&moment.step, moment.event) {
            let is_over = moment.before.needs_live().is_some() && !around.session_is_live;
            let (expected, reason) = match around.blocked {
                _ if is_over || moment.before.status.revoked => {
                    (MessageEvent::Cancelled, Some("the session has ended"))
                }
                Some(blocked) => (MessageEvent::Failed, Some(blocked.as_str())),
                None => (MessageEvent::Leased, moment.before.status.reason.as_deref()),
            };
            prop_assert_eq!(event, expected);
            prop_assert_eq!(moment.after.status.reason.as_deref(), reason);
        }
    }

    a_revoked_message_stays_revoked_and_is_never_sent_again(moment) {
        if moment.before.status.revoked {
            let (before, after) = moment.states();
            prop_assert!(moment.after.status.revoked);
            prop_assert!(after != State::Waiting);
            prop_assert!(after != State::Sending || before == State::Sending);
            prop_assert_eq!(moment.after.status.lease, moment.before.status.lease);
        }
    }

    a_message_that_was_withdrawn_is_cancelled_or_revoked_and_a_notice_by_a_rollback_only(moment) {
        if let Step::Withdraw(cause) = &moment.step {
            let needs_live = matches!(moment.before.outbound.text.kind, Kind::Relay | Kind::NotDelivered);
            let affected = *cause == EndCause::RolledBack || needs_live;
            let expected = match moment.before.status.state {
                _ if moment.before.is_settled() || !affected => None,
                State::Waiting => Some(MessageEvent::Cancelled),
                _ => Some(MessageEvent::Revoked),
            };
            prop_assert_eq!(moment.event, expected);
        }
    }

    a_message_is_reclaimed_only_after_its_lease_has_expired(moment) {
        if matches!(moment.step, Step::Reclaim) {
            let ran_out = moment.before.status.lease_until.is_some_and(|until| until < moment.now);
            prop_assert_eq!(moment.event, ran_out.then_some(MessageEvent::Unknown));
        }
    }

    a_receipt_by_our_id_makes_a_message_in_doubt_sent_and_another_receipt_never_changes_the_state(moment) {
        if let Step::Receive(_, by_our_id) = &moment.step {
            let (before, after) = moment.states();
            let in_doubt = !moment.before.is_settled() || before == State::Unknown;
            let proves = *by_our_id && in_doubt && moment.event.is_some();
            prop_assert_eq!(after, if proves { State::Sent } else { before });
        }
    }

    a_receipt_is_kept_if_it_says_something_and_is_the_first_or_replaces_the_stored_one(moment) {
        let (before, after) = (&moment.before.status.delivery, &moment.after.status.delivery);
        let received = match &moment.step {
            Step::Receive(Receipt { delivery, .. }, _) => Some(delivery),
            _ => None,
        };
        let replaces = |news: &Delivery| before.as_ref().is_none_or(|known| news.replaces(known, moment.now));
        let says_something = |news: &Delivery| !news.status.is_empty() || news.code.is_some();
        match received.filter(|news| says_something(news) && replaces(news)) {
            Some(news) => prop_assert_eq!(after.as_ref(), Some(news)),
            None => prop_assert_eq!(after, before),
        }
    }

    a_final_state_is_never_replaced_by_a_passing_one_nor_a_later_one_by_an_earlier(moment) {
        let is_final = |it: &Delivery| it.status == "delivered" || it.code.as_deref() == Some("1007");
        if let (Some(before), Some(after)) = (&moment.before.status.delivery, &moment.after.status.delivery) {
            prop_assert!(is_final(after) || !is_final(before));
            if is_final(before) {
                prop_assert!(after.at >= before.at);
            }
        }
    }

    the_first_time_of_absence_is_kept_until_the_message_is_to_be_sent_again(moment) {
        let (before, after) = (moment.before.status.absent_at, moment.after.status.absent_at);
        let expected = match (&moment.step, moment.event) {
            (Step::Settle(_, Settlement::SeenAbsent), Some(_)) => before.or(Some(moment.now)),
            (Step::Lease(_), Some(MessageEvent::Leased)) => None,
            (Step::Settle(_, Settlement::Waiting { .. }), Some(MessageEvent::Waiting)) => None,
            _ => before,
        };
        prop_assert_eq!(after, expected);
    }

    the_last_attempt_is_when_the_message_was_leased_or_its_lease_extended(moment) {
        let leased = moment.event == Some(MessageEvent::Leased);
        let expected = if leased { Some(moment.now) } else { moment.before.status.attempted_at };
        prop_assert_eq!(moment.after.status.attempted_at, expected);
    }

    a_message_is_settled_at_the_time_of_the_event_that_settles_it(moment) {
        use MessageEvent::{Cancelled, Failed, Sent, UnknownForGood};
        let settles = matches!(moment.event, Some(Sent | Failed | Cancelled | UnknownForGood));
        let expected = if settles { Some(moment.now) } else { moment.before.status.settled_at };
        prop_assert_eq!(moment.after.status.settled_at, expected);
    }

    a_cancelled_message_tells_the_end_of_its_session_a_failed_one_why_and_a_sent_one_nothing(moment) {
        let reason = moment.after.status.reason.as_deref();
        match moment.after.status.state {
            State::Cancelled => prop_assert_eq!(reason, Some("the session has ended")),
            State::Failed => prop_assert!(reason.is_some()),
            State::Sent => prop_assert_eq!(reason, None),
            State::Waiting | State::Sending | State::Unknown => {}
        }
    }

    a_sent_message_has_the_id_that_the_provider_gave_it(moment) {
        let (before, after) = (&moment.before.status.provider_id, &moment.after.status.provider_id);
        match (&moment.step, moment.event) {
            (Step::Settle(_, Settlement::Sent { provider_id } | Settlement::Found { provider_id }), Some(_)) => {
                prop_assert_eq!(after.as_ref(), Some(provider_id));
            }
            (Step::Receive(receipt, _), Some(MessageEvent::Sent)) if !receipt.provider_id.is_empty() => {
                prop_assert_eq!(after.as_ref(), Some(&receipt.provider_id));
            }
            _ => prop_assert_eq!(after, before),
        }
    }

    the_event_says_where_the_message_stands(moment) {
        let expected = |event| match event {
            MessageEvent::Leased => Some(State::Sending),
            MessageEvent::Sent => Some(State::Sent),
            MessageEvent::Failed => Some(State::Failed),
            MessageEvent::Cancelled => Some(State::Cancelled),
            MessageEvent::Waiting => Some(State::Waiting),
            MessageEvent::Unknown | MessageEvent::UnknownForGood => Some(State::Unknown),
            MessageEvent::Revoked | MessageEvent::SeenAbsent | MessageEvent::Receipt => None,
        };
        let (before, after) = moment.states();
        prop_assert_eq!(after, moment.event.and_then(expected).unwrap_or(before));
    }

    /// Its caller may repeat the call when the answer was lost.
    deferring_again_with_the_same_lease_changes_nothing(moment) {
        let message = &moment.after;
        let defer = |message: &Message| message.settle(message.status.lease, &Settlement::Deferred, moment.now);
        if let Some(once) = defer(message) {
            if once.to.is_settled() {
                prop_assert_eq!(defer(&once.to), None);
            } else {
                prop_assert_eq!(defer(&once.to), Some(once));
            }
        }
    }
}
