//! Gauges.

use super::fixtures::{
    Shared, alice, at, bob, conversation, end, eve, fill_pool, new_session, not_taken, opened, person,
    refused, relay, sending, sent, settled, talking, to_side, uncertain, waiting,
};
use sms_proxy::{
    domain::Gauges,
    domain::{EndCause, Kind, Role, Settlement},
};

pub async fn an_empty_store_is_empty(store: Shared) {
    assert_eq!(store.gauges(1_000).await.unwrap(), Gauges::default());
}

pub async fn what_waits_and_what_is_unknown_is_counted_and_nothing_else(store: Shared) {
    let session = conversation(&store, None).await;
    for (created, due) in [(30, 40), (10, 900), (20, 30)] {
        waiting(&store, relay(&session), created, due).await;
    }
    for created in [5, 6] {
        uncertain(&store, relay(&session), created).await;
    }
    sending(&store, relay(&session), 1).await;
    for (created, settlement) in [(2, sent("an-id")), (3, refused(false))] {
        let leased = sending(&store, relay(&session), created).await;
        settled(&store, &leased, settlement, 30).await;
    }
    let for_good = uncertain(&store, relay(&session), 4).await;
    settled(&store, &for_good, Settlement::UnknownForGood, 30).await;
    let expected = Gauges { waiting: 3, waiting_since: Some(at(10)), unknown: 2, free_tns: 0 };
    assert_eq!(store.gauges(1_000).await.unwrap(), expected);
    assert!(end(&store, session.id, EndCause::Deleted, 40).await, "it cancels what waits");
    let expected = Gauges { unknown: 2, free_tns: 1, ..Gauges::default() };
    assert_eq!(store.gauges(1_000).await.unwrap(), expected);
}

pub async fn a_number_is_free_until_a_session_holds_it_and_again_when_that_is_ended(store: Shared) {
    let free = async || store.gauges(1_000).await.unwrap().free_tns;
    fill_pool(&store, 3).await;
    assert_eq!(free().await, 3);
    let long = talking(&store, [alice(), bob()], 0, None).await;
    let (short, _) = opened(&store, new_session([alice(), eve()], 0, Some(1))).await;
    assert_eq!(free().await, 1);
    assert!(end(&store, short.id, EndCause::Expired, 60).await);
    assert_eq!(free().await, 2);
    assert!(end(&store, long.id, EndCause::Deleted, 60).await);
    assert_eq!(free().await, 3);
}

pub async fn counting_stops_at_the_limit(store: Shared) {
    fill_pool(&store, 12).await;
    for n in 0..6 {
        let session = talking(&store, [person(2 * n), person(2 * n + 1)], 0, None).await;
        for created in [1, 2] {
            waiting(&store, relay(&session), created, 10).await;
            uncertain(&store, to_side(&session, Kind::Relay, Role::A), created).await;
        }
        let later = sending(&store, relay(&session), 3).await;
        settled(&store, &later, not_taken(20), 5).await;
    }
    for (up_to, [waiting, unknown, free_tns]) in
        [(1_000, [18, 12, 6]), (17, [17, 12, 6]), (5, [5, 5, 5]), (1, [1, 1, 1]), (0, [0, 0, 0])]
    {
        let counted = store.gauges(up_to).await.unwrap();
        assert_eq!([counted.waiting, counted.unknown, counted.free_tns], [waiting, unknown, free_tns]);
        assert_eq!(counted.waiting_since.is_some(), up_to > 0);
    }
}

pub async fn what_waits_in_one_session_is_counted_whole(store: Shared) {
    let session = conversation(&store, None).await;
    for created in (0..70).rev() {
        waiting(&store, relay(&session), created, 100 - created).await;
    }
    for (up_to, waiting) in [(1_000, 70), (70, 70), (69, 69), (40, 40)] {
        assert_eq!(store.gauges(up_to).await.unwrap().waiting, waiting);
    }
    assert_eq!(store.gauges(1_000).await.unwrap().waiting_since, Some(at(0)));
}
