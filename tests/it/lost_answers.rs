//! Writes that go wrong between the SDK and DynamoDB, and writes whose answers get lost: they are tried again, and
//! nothing is done twice.

use crate::{
    contract::scene::{
        Shared, alice, at, bob, conversation, end, fill_pool, found, inbound, message, message_of,
        new_session, nobody_knows, not_taken, refused, relay, sending, sent, tn, waiting,
    },
    support::between::{Between, Fault, WRITES},
};
use sms_proxy::{
    domain::{Receipt, Session},
    store::{
        AddTn, EndCause, OpenSession, Page, Receipted, Recorded, RemoveTn, RestsOn, Settlement, State,
        StoreError,
    },
};

const FAULTS: [Fault; 4] =
    [Fault::Lost, Fault::DoneButFailed, Fault::Throttled("ThrottlingException"), Fault::Conflict];

/// Runs this for every fault: the next write goes wrong, once or twice.
async fn with_every_fault(case: impl AsyncFn(Shared, Between, &dyn Fn())) {
    for fault in FAULTS {
        for times in [1, 2] {
            let (store, between) = Between::store().await;
            let fail = || between.fail(WRITES, fault, times);
            case(store, between.clone(), &fail).await;
            assert_eq!(between.mend(), 0, "{fault:?} happened {times} times");
        }
    }
}

fn receipt(of: &sms_proxy::store::Leased) -> Receipt {
    Receipt {
        message: Some(of.outbound.id),
        provider_id: "mdr2-receipt".into(),
        level: 2,
        status: "delivered".into(),
        code: None,
        at: None,
    }
}

async fn sessions(store: &Shared) -> Vec<Session> {
    store.sessions(Page::default(), at(1)).await.unwrap().0.items
}

#[tokio::test]
async fn a_number_is_added_and_removed() {
    with_every_fault(async |store, _, fail| {
        fail();
        assert_eq!(store.add_tn(tn(1), at(0)).await.unwrap(), AddTn::Added);
        assert_eq!(store.add_tn(tn(1), at(0)).await.unwrap(), AddTn::Duplicate);
        fail();
        assert_eq!(store.remove_tn(tn(1), at(0)).await.unwrap(), RemoveTn::Removed);
        let new = new_session([alice(), bob()], 0, None);
        assert_eq!(store.open_session(new, at(30)).await.unwrap(), OpenSession::NoFreeTn);
    })
    .await;
}

#[tokio::test]
async fn a_session_opens_and_ends_once() {
    with_every_fault(async |store, _, fail| {
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
async fn a_text_goes_on_record_once() {
    with_every_fault(async |store, _, fail| {
        let session = conversation(&store, None).await;
        let record = inbound(Some("id"), RestsOn::Live(session.id), vec![relay(&session, 1)], 1);
        fail();
        let Recorded::New(leased) = store.record(record.clone()).await.unwrap() else { panic!("it is new") };
        assert_eq!((leased.len(), message(&store, &leased[0]).await.state), (1, State::Sending));
        assert_eq!(store.record(record).await.unwrap(), Recorded::Duplicate);
    })
    .await;
}

#[tokio::test]
async fn a_message_is_settled_once_in_every_way() {
    let ways = [
        (sent("mdr2-1"), State::Sent),
        (refused(false), State::Failed),
        (refused(true), State::Failed),
        (found("mdr2-2"), State::Sent),
        (not_taken(5), State::Waiting),
        (Settlement::Deferred, State::Waiting),
        (nobody_knows(), State::Unknown),
        (Settlement::SeenAbsent, State::Sending),
        (Settlement::UnknownForGood, State::Unknown),
    ];
    for (settlement, state) in ways {
        with_every_fault(async |store, _, fail| {
            let session = conversation(&store, None).await;
            let leased = sending(&store, relay(&session, 1), 1).await;
            fail();
            assert!(store.settle(&leased, settlement.clone(), at(2)).await.unwrap(), "{settlement:?}");
            let message = message(&store, &leased).await;
            let attempts = u32::from(settlement != Settlement::Deferred);
            assert_eq!((message.state, message.attempts), (state, attempts), "{settlement:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_message_is_leased_prolonged_and_reclaimed_once() {
    with_every_fault(async |store, _, fail| {
        let session = conversation(&store, None).await;
        let id = waiting(&store, relay(&session, 1), 1, 1).await.outbound.id;
        fail();
        let leased = store.lease(id, at(2), at(32)).await.unwrap().expect("it waits");
        assert_eq!((leased.lease, message(&store, &leased).await.attempts), (2, 2));
        fail();
        assert!(store.renew(&leased, at(3), at(33)).await.unwrap());
        fail();
        assert_eq!(store.reclaim(10, at(34)).await.unwrap(), 1);
        assert_eq!(message_of(&store, session.id, id).await.attempts, 2);
    })
    .await;
}

#[tokio::test]
async fn a_receipt_is_recorded_once_and_settles_its_message() {
    with_every_fault(async |store, _, fail| {
        let session = conversation(&store, None).await;
        let leased = sending(&store, relay(&session, 1), 1).await;
        fail();
        assert_eq!(store.receipt(&receipt(&leased), at(2)).await.unwrap(), Receipted::Recorded);
        assert_eq!(message(&store, &leased).await.state, State::Sent);
        assert_eq!(store.receipt(&receipt(&leased), at(2)).await.unwrap(), Receipted::Known);
    })
    .await;
}

#[tokio::test]
async fn one_holder_drains_the_outbox() {
    with_every_fault(async |store, _, fail| {
        fail();
        assert!(store.begin_drain("one", at(0), at(60)).await.unwrap());
        assert!(!store.begin_drain("two", at(0), at(60)).await.unwrap());
        fail();
        store.end_drain("one").await.unwrap();
        assert!(store.begin_drain("two", at(0), at(60)).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn when_every_try_fails_the_store_is_unavailable_and_nothing_is_half_written() {
    for fault in [Fault::Throttled("ThrottlingException"), Fault::Conflict] {
        let (store, between) = Between::store().await;
        let session = conversation(&store, None).await;
        let leased = sending(&store, relay(&session, 1), 1).await;
        let record = inbound(Some("id"), RestsOn::Live(session.id), vec![relay(&session, 1)], 1);
        between.fail(WRITES, fault, u32::MAX);
        let failed = |error: StoreError| assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        failed(store.add_tn(tn(2), at(1)).await.unwrap_err());
        failed(store.record(record.clone()).await.unwrap_err());
        failed(store.settle(&leased, sent("mdr2-1"), at(1)).await.unwrap_err());
        failed(store.receipt(&receipt(&leased), at(1)).await.unwrap_err());
        let ended = store.end_session(session.id, EndCause::Deleted, Vec::new(), at(1), None).await;
        failed(ended.unwrap_err());
        between.mend();
        assert_eq!(message(&store, &leased).await.state, State::Sending);
        assert_eq!(sessions(&store).await, [session]);
        assert_eq!(store.add_tn(tn(2), at(1)).await.unwrap(), AddTn::Added);
        assert!(matches!(store.record(record).await.unwrap(), Recorded::New(_)));
        assert!(store.settle(&leased, sent("mdr2-1"), at(1)).await.unwrap());
    }
}
