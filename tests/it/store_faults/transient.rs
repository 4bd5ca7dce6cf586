//! Calls that go wrong a few times: they are made again, and nothing is done twice.

use super::{LONG_LIMIT, NOT_DONE, OF_WRITES, faults_of_writes};
use crate::contract::{
    expected::listed,
    fixtures::{
        Shared, alice, answer, arrival, at, bob, conversation, end, eve, fill_pool, found, new_session,
        no_answer, not_taken, receive, refused, relay, route, sending, sent, settle, stored, tn, uncertain,
        waiting,
    },
};
use futures_util::future::join_all;
use sms_proxy::{
    domain::{
        Decision, Delivery, EndCause, Message, Page, Receipt, Session, SessionFilter, Settlement, State,
    },
    store::{AddTn, OpenSession, Receipted, Received, RemoveTn, StoreError},
};
use std::fmt::Debug;
use test_support::fault_proxy::{Fault, FaultProxy, READS, WRITES};

/// The numbers of times that a fault happens: until the SDK gives up, and for lost responses also once. Slow faults happen
/// once.
fn times(fault: Fault) -> &'static [u32] {
    match fault {
        Fault::NoResponse | Fault::AppliedNoResponse | Fault::AppliedLate => &[1],
        Fault::ResponseLost | Fault::AppliedServerError => &[1, 4],
        _ => &[4],
    }
}

/// Runs this for every fault of these calls: each time it says so, the next call goes wrong.
async fn with_faults(
    calls: &'static [&'static str],
    faults: impl Iterator<Item = Fault>,
    case: impl AsyncFn(Shared, &dyn Fn()),
) {
    let case = &case;
    let each = |(fault, times)| async move {
        let (table, proxy) = FaultProxy::table().await;
        let fail = || proxy.fail(calls, fault, times);
        case(table.store(LONG_LIMIT), &fail).await;
        assert_eq!(proxy.recover(), 0, "{fault:?} happened {times} times");
        proxy.late_calls_applied().await;
    };
    let all = faults.flat_map(|fault| times(fault).iter().map(move |times| (fault, *times)));
    join_all(all.map(each)).await;
}

pub(super) async fn with_every_fault(case: impl AsyncFn(Shared, &dyn Fn())) {
    with_faults(WRITES, faults_of_writes(), case).await;
}

fn receipt(of: &Message) -> Receipt {
    let delivery = Delivery { level: Some(2), status: "delivered".into(), code: None, at: None };
    Receipt { message: Some(of.outbound.id), provider_id: "mdr2-receipt".into(), delivery }
}

async fn sessions(store: &Shared) -> Vec<Session> {
    store.sessions(SessionFilter::default(), Page::default(), at(1)).await.unwrap().0.items
}

#[tokio::test]
async fn a_number_is_added_and_removed() {
    with_every_fault(async |store, fail| {
        fail();
        assert_eq!(store.add_tn(tn(1), at(0)).await.unwrap(), AddTn::Added);
        assert_eq!(store.add_tn(tn(1), at(0)).await.unwrap(), AddTn::Duplicate);
        fail();
        assert_eq!(store.remove_tn(tn(1), at(0)).await.unwrap(), RemoveTn::Removed);
        let new = new_session([alice(), bob()], 0, None);
        assert_eq!(
            store.open_session(new, at(30)).await.unwrap(),
            OpenSession::NoFreeTn { opted_out: vec![] }
        );
    })
    .await;
}

#[tokio::test]
async fn a_session_opens_and_ends_once() {
    with_every_fault(async |store, fail| {
        fill_pool(&store, 2).await;
        fail();
        let new = new_session([alice(), bob()], 0, None);
        let OpenSession::Opened { session, notices } = store.open_session(new, at(30)).await.unwrap() else {
            panic!("a TN is free")
        };
        assert_eq!((notices.len(), sessions(&store).await), (2, vec![session.clone()]));
        fail();
        assert!(end(&store, session.id, EndCause::Deleted, 1).await);
        assert!(!end(&store, session.id, EndCause::Deleted, 1).await);
        assert_eq!(sessions(&store).await, []);
        for _ in 0..2 {
            let new = new_session([alice(), bob()], 1, None);
            assert!(matches!(store.open_session(new, at(30)).await.unwrap(), OpenSession::Opened { .. }));
        }
    })
    .await;
}

#[tokio::test]
async fn a_text_is_stored_once() {
    with_every_fault(async |store, fail| {
        let session = conversation(&store, None).await;
        let text = arrival(Some("id"), alice(), session.tn, 1);
        let send = Decision::Send(vec![relay(&session)]);
        fail();
        let received = receive(&store, text.clone(), send.clone()).await;
        let Received::Stored(leased) = received else { panic!("{received:?}") };
        assert_eq!(leased.len(), 1);
        assert_eq!(stored(&store, &leased[0]).await, listed(&leased[0]));
        assert_eq!(receive(&store, text, send).await, Received::Duplicate);
    })
    .await;
}

#[tokio::test]
#[ignore = "slow"]
async fn a_message_is_settled_once_in_every_way() {
    let ways = [
        (sent("mdr2-1"), State::Sent),
        (refused(false), State::Failed),
        (refused(true), State::Failed),
        (found("mdr2-2"), State::Sent),
        (not_taken(5), State::Waiting),
        (Settlement::Deferred, State::Waiting),
        (no_answer(), State::Unknown),
        (Settlement::SeenAbsent, State::Sending),
        (Settlement::UnknownForGood, State::Unknown),
    ];
    for (settlement, state) in ways {
        with_faults(WRITES, OF_WRITES.into_iter(), async |store, fail| {
            let session = conversation(&store, None).await;
            let leased = sending(&store, relay(&session), 1).await;
            fail();
            let event = settle(&store, &leased, settlement.clone(), 2).await;
            assert!(event.is_some(), "{settlement:?}");
            let status = stored(&store, &leased).await.status;
            let attempts = u32::from(settlement != Settlement::Deferred);
            assert_eq!((status.state, status.attempts), (state, attempts), "{settlement:?}");
        })
        .await;
    }
}

#[tokio::test]
#[ignore = "slow"]
async fn a_message_is_leased_prolonged_and_reclaimed_once() {
    with_every_fault(async |store, fail| {
        let session = conversation(&store, None).await;
        let id = waiting(&store, relay(&session), 1, 1).await.outbound.id;
        fail();
        let leased = store.lease(id, at(2), at(32)).await.unwrap().expect("it waits");
        assert_eq!((leased.status.lease, leased.status.attempts), (2, 2));
        assert_eq!(stored(&store, &leased).await, listed(&leased));
        fail();
        let renewed = store.renew(&leased, at(3), at(33)).await.unwrap().expect("it may be sent");
        assert_eq!(stored(&store, &leased).await, listed(&renewed));
        fail();
        assert_eq!(store.reclaim(10, at(34)).await.unwrap(), 1);
        let status = stored(&store, &leased).await.status;
        assert_eq!((status.state, status.attempts), (State::Unknown, 2));
    })
    .await;
}

#[tokio::test]
async fn a_receipt_is_recorded_once_and_settles_its_message() {
    with_every_fault(async |store, fail| {
        let session = conversation(&store, None).await;
        let leased = sending(&store, relay(&session), 1).await;
        fail();
        assert_eq!(store.receipt(&receipt(&leased), at(2)).await.unwrap(), Receipted::Recorded);
        assert_eq!(stored(&store, &leased).await.status.state, State::Sent);
        assert_eq!(store.receipt(&receipt(&leased), at(2)).await.unwrap(), Receipted::Known);
    })
    .await;
}

#[tokio::test]
async fn one_holder_drains_the_outbox() {
    with_every_fault(async |store, fail| {
        fail();
        assert!(store.acquire_drain_lease("one", at(0), at(60)).await.unwrap());
        assert!(!store.acquire_drain_lease("two", at(0), at(60)).await.unwrap());
        fail();
        store.release_drain_lease("one").await.unwrap();
        assert!(store.acquire_drain_lease("two", at(0), at(60)).await.unwrap());
    })
    .await;
}

/// Asserts that a reading gives the same when it goes wrong at first.
async fn same<T: Debug + PartialEq>(fail: &dyn Fn(), read: impl AsyncFn() -> T) {
    let calm = read().await;
    fail();
    assert_eq!(read().await, calm);
}

#[tokio::test]
#[ignore = "slow"]
async fn failed_reads_are_retried_and_complete() {
    with_faults(READS, NOT_DONE.into_iter(), async |store, fail| {
        let session = conversation(&store, Some(60)).await;
        let page = || Page { limit: Some(10), after: None };
        waiting(&store, relay(&session), 1, 1).await;
        let lost = uncertain(&store, relay(&session), 2).await;
        same(fail, async || store.tn(session.tn, at(1)).await.unwrap()).await;
        same(fail, async || store.tns(page(), 1, at(1)).await.unwrap().0.items).await;
        same(fail, async || store.session(session.id, at(1)).await.unwrap()).await;
        same(fail, async || store.sessions(SessionFilter::default(), page(), at(1)).await.unwrap().0.items)
            .await;
        same(fail, async || store.expired_sessions(9, at(60)).await.unwrap()).await;
        same(fail, async || route(&store, session.tn, alice(), at(1)).await).await;
        same(fail, async || route(&store, session.tn, eve(), at(1)).await).await;
        same(fail, async || store.messages(session.id, page(), at(1)).await.unwrap().unwrap().items).await;
        same(fail, async || store.due(9, at(1)).await.unwrap()).await;
        same(fail, async || store.unknown(9, None).await.unwrap()).await;
        same(fail, async || store.others(&lost.outbound).await.unwrap()).await;
    })
    .await;
}

#[tokio::test]
async fn failed_reads_before_a_write_are_retried() {
    with_faults(READS, NOT_DONE.into_iter(), async |store, fail| {
        fail();
        assert_eq!(store.add_tn(tn(1), at(0)).await.unwrap(), AddTn::Added);
        fail();
        let opened = store.open_session(new_session([alice(), bob()], 0, None), at(30)).await.unwrap();
        let OpenSession::Opened { session, .. } = opened else { panic!("a TN is free") };
        let reply = Decision::Send(vec![answer(tn(1), eve())]);
        fail();
        let received = receive(&store, arrival(Some("id"), eve(), tn(1), 1), reply).await;
        assert!(matches!(received, Received::Stored(leased) if leased.len() == 1));
        let id = waiting(&store, relay(&session), 1, 1).await.outbound.id;
        fail();
        let leased = store.lease(id, at(2), at(32)).await.unwrap().expect("it waits");
        fail();
        assert!(store.renew(&leased, at(3), at(33)).await.unwrap().is_some());
        fail();
        assert_eq!(store.receipt(&receipt(&leased), at(4)).await.unwrap(), Receipted::Recorded);
        fail();
        assert!(end(&store, session.id, EndCause::Deleted, 5).await);
        fail();
        assert_eq!(store.remove_tn(tn(1), at(6)).await.unwrap(), RemoveTn::Removed);
    })
    .await;
}

#[tokio::test]
async fn an_operation_of_many_slow_calls_ends_at_its_limit() {
    let (table, proxy) = FaultProxy::table().await;
    let (healthy, shipped) = (table.store(LONG_LIMIT), table.shipped());
    conversation(&healthy, None).await;
    proxy.fail(READS, Fault::Slow, u32::MAX);
    // No number is free, so each part of the pool is asked.
    let opened = shipped.open_session(new_session([eve(), bob()], 1, None), at(31)).await;
    assert!(matches!(opened, Err(StoreError::Unavailable(_))), "{opened:?}");
    proxy.recover();
    let opened = healthy.open_session(new_session([eve(), bob()], 1, None), at(31)).await;
    assert!(matches!(opened, Ok(OpenSession::NoFreeTn { .. })), "{opened:?}");
}
