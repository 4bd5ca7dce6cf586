//! Which number a session gets: one that is chosen, one that is not cooling off, the one that the pair had.

use super::{
    fixtures::{Shared, alice, at, bob, end, eve, fill_pool, opt, person, route, tn},
    sharing::{couple, new, none_free, open, sharing, try_open},
};
use sms_proxy::{
    domain::{EndCause, Number, Page, Role, Route, Sharing, Unavailable},
    store::{OpenSession, RemoveTn},
};

fn strict(sessions_per_tn: u32) -> Sharing {
    Sharing { strict: true, ..sharing(sessions_per_tn) }
}

/// Why a session of these two cannot have this number.
async fn why(store: &Shared, people: [Number; 2], number: Number, now: i64, sharing: Sharing) -> Unavailable {
    let mut new = new(people, now, sharing);
    new.virtual_tn = Some(number);
    match try_open(store, new).await {
        OpenSession::Unavailable(why) => why,
        other => panic!("{other:?}"),
    }
}

pub async fn a_chosen_number_is_got_or_the_reason_is_told(store: Shared) {
    fill_pool(&store, 4).await;
    let mut chosen = new([alice(), bob()], 0, sharing(2));
    chosen.virtual_tn = Some(tn(3));
    assert_eq!(open(&store, chosen).await.tn, tn(3));
    let two = sharing(2);
    assert_eq!(why(&store, [alice(), eve()], tn(9), 0, two).await, Unavailable::NotInPool);
    assert_eq!(why(&store, [alice(), eve()], tn(3), 0, two).await, Unavailable::Busy(Role::A));
    assert_eq!(why(&store, [eve(), alice()], tn(3), 0, two).await, Unavailable::Busy(Role::B));
    store.drain_tn(tn(4), true, at(0)).await.unwrap();
    assert_eq!(why(&store, couple(0), tn(4), 0, two).await, Unavailable::Draining);
    opt(&store, tn(2), eve(), true, 0).await;
    assert_eq!(why(&store, [eve(), person(50)], tn(2), 0, two).await, Unavailable::OptedOut(Role::A));
    assert_eq!(why(&store, [person(50), eve()], tn(2), 0, two).await, Unavailable::OptedOut(Role::B));
    let mut second = new(couple(1), 0, two);
    second.virtual_tn = Some(tn(3));
    open(&store, second).await;
    assert_eq!(why(&store, couple(2), tn(3), 0, two).await, Unavailable::Full);
    assert_eq!(store.tns(Page::default(), 2, at(0)).await.unwrap().1.sessions, 2);
}

/// Opens a session of these two on this number, and ends it.
async fn past(store: &Shared, people: [Number; 2], number: Number, ended: i64, sharing: Sharing) {
    let mut chosen = new(people, ended - 1, sharing);
    chosen.virtual_tn = Some(number);
    let session = open(store, chosen).await;
    assert!(end(store, session.id, EndCause::Deleted, ended).await);
}

pub async fn a_number_that_is_cooling_off_is_the_last_choice(store: Shared) {
    const MINUTE: i64 = 60;
    for (first, sharing) in [(100, sharing(1)), (200, sharing(20))] {
        let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|n| person(first + n));
        fill_pool(&store, 2).await;
        past(&store, [a, b], tn(1), 0, sharing).await;
        for pair in [[a, c], [d, b]] {
            let session = open(&store, new(pair, 59 * MINUTE, sharing)).await;
            assert_eq!(session.tn, tn(2));
            assert!(end(&store, session.id, EndCause::Deleted, 59 * MINUTE).await);
        }
        // Nothing else is left.
        store.drain_tn(tn(2), true, at(0)).await.unwrap();
        let session = open(&store, new([a, e], 59 * MINUTE, sharing)).await;
        assert_eq!(session.tn, tn(1));
        assert!(end(&store, session.id, EndCause::Deleted, 60 * MINUTE).await);
        for number in [tn(1), tn(2)] {
            assert_eq!(store.remove_tn(number, at(61 * MINUTE)).await.unwrap(), RemoveTn::Removed);
        }
    }
}

pub async fn with_strict_cool_off_a_late_text_finds_no_other_partner(store: Shared) {
    let minute = 60;
    fill_pool(&store, 1).await;
    past(&store, [alice(), bob()], tn(1), 0, strict(5)).await;
    for now in [0, 1, 59 * minute] {
        assert_eq!(try_open(&store, new([alice(), eve()], now, strict(5))).await, none_free(), "{now}");
        assert_eq!(try_open(&store, new([eve(), bob()], now, strict(5))).await, none_free(), "{now}");
        let chosen = why(&store, [eve(), bob()], tn(1), now, strict(5)).await;
        assert_eq!(chosen, Unavailable::CoolingOff(Role::B));
        // A late text reaches nobody.
        assert!(matches!(route(&store, tn(1), alice(), at(now)).await, Route::Stranger { .. }));
    }
    // The same two may have it at once, and others may have it meanwhile.
    past(&store, [bob(), alice()], tn(1), 2, strict(5)).await;
    open(&store, new(couple(1), 3, strict(5))).await;
    assert_eq!(try_open(&store, new([alice(), eve()], 60 * minute, strict(5))).await, none_free());
    let late = new([alice(), eve()], 60 * minute + 2, strict(5));
    assert_eq!(open(&store, late).await.tn, tn(1));
}

pub async fn a_pair_gets_the_number_of_its_last_session_again_if_numbers_are_shared(store: Shared) {
    fill_pool(&store, 20).await;
    past(&store, [alice(), bob()], tn(5), 0, sharing(2)).await;
    past(&store, [bob(), alice()], tn(7), 10, sharing(2)).await;
    for now in [11, 100_000] {
        let session = open(&store, new([alice(), bob()], now, sharing(2))).await;
        assert_eq!(session.tn, tn(7));
        assert!(end(&store, session.id, EndCause::Deleted, now + 1).await);
    }
    store.drain_tn(tn(7), true, at(0)).await.unwrap();
    assert_ne!(open(&store, new([alice(), bob()], 100_002, sharing(2))).await.tn, tn(7));
}
