//! Deletion of records past their retention.

use super::fixtures::{
    MS, Shared, accepted, alice, arrival, at, bob, conversation, end, eve, fill_pool, messages, not_taken,
    notice, receive, relay, sending, sent, settled, talking, tn, uncertain, waiting,
};
use sms_proxy::{
    domain::{Decision, Delivery, EndCause, Kind, Page, Receipt, Role, Settlement, State},
    store::{Receipted, Received},
};

pub async fn a_tombstone_is_forgotten_after_its_retention(store: Shared) {
    let again =
        async || receive(&store, arrival(Some("in-1"), eve(), tn(1), 100), Decision::Send(vec![])).await;
    assert_eq!(again().await, Received::Stored(vec![]));
    assert_eq!(store.forget(at(100), 10).await.unwrap(), 0);
    assert_eq!(again().await, Received::Duplicate);
    assert_eq!(store.forget(at(100) + MS, 10).await.unwrap(), 1);
    assert_eq!(again().await, Received::Stored(vec![]));
}

pub async fn a_settled_message_is_forgotten_after_its_retention_with_its_receipt(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = sending(&store, relay(&session), 5).await;
    settled(&store, &leased, sent("mdr2-1"), 100).await;
    let named = Receipt {
        message: Some(leased.outbound.id),
        provider_id: "mdr2-1".into(),
        delivery: Delivery { level: Some(2), status: "delivered".into(), code: None, at: None },
    };
    assert_eq!(store.receipt(&named, at(101)).await.unwrap(), Receipted::Recorded);
    assert_eq!(store.forget(at(100), 10).await.unwrap(), 2, "the start notices");
    assert_eq!(messages(&store, session.id).await.len(), 1);
    assert_eq!(store.forget(at(100) + MS, 10).await.unwrap(), 1);
    assert_eq!(messages(&store, session.id).await, []);
    assert_eq!(store.receipt(&named, at(101)).await.unwrap(), Receipted::NoMessage);
    assert_eq!(store.session(session.id, at(101)).await.unwrap(), Some(session), "it goes on");
}

pub async fn an_ended_session_is_forgotten_after_its_retention(store: Shared) {
    let session = conversation(&store, None).await;
    assert!(end(&store, session.id, EndCause::Deleted, 100).await);
    assert_eq!(store.forget(at(100), 10).await.unwrap(), 2, "the start notices");
    assert!(store.messages(session.id, Page::default(), at(1)).await.unwrap().is_some());
    assert_eq!(store.forget(at(100) + MS, 10).await.unwrap(), 1);
    assert!(store.messages(session.id, Page::default(), at(1)).await.unwrap().is_none());
    assert_eq!(talking(&store, [alice(), bob()], 101, None).await.tn, session.tn);
}

pub async fn what_is_not_settled_or_ended_is_never_forgotten(store: Shared) {
    fill_pool(&store, 2).await;
    let live = talking(&store, [alice(), bob()], 0, None).await;
    let expired = talking(&store, [alice(), bob()], 0, Some(60)).await;
    let waits = waiting(&store, relay(&live), 1, 1).await;
    let going = sending(&store, relay(&live), 2).await;
    let lost = uncertain(&store, relay(&live), 3).await;
    assert_eq!(store.forget(at(1_000_000), 100).await.unwrap(), 4, "the start notices of two sessions");
    let states: Vec<_> = messages(&store, live.id).await.iter().map(|message| message.status.state).collect();
    assert_eq!(states, [State::Waiting, State::Sending, State::Unknown]);
    assert_eq!(store.session(live.id, at(1_000_000)).await.unwrap(), Some(live.clone()));
    assert_eq!(store.expired_sessions(1, at(1_000_000)).await.unwrap(), [expired]);
    settled(&store, &lost, Settlement::UnknownForGood, 10).await;
    settled(&store, &going, sent("mdr2-1"), 20).await;
    assert_eq!(store.forget(at(1_000_000), 100).await.unwrap(), 2, "now they are settled");
    assert!(store.lease(waits.outbound.id, at(1_000_000), at(1_000_030)).await.unwrap().is_some());
}

pub async fn a_notice_outlives_its_session_until_it_is_settled(store: Shared) {
    let session = conversation(&store, None).await;
    let notice = notice(&session, Kind::End, Role::A, 5);
    store
        .end_session(session.id, EndCause::Deleted, vec![notice.clone()], at(5), None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(store.forget(at(6), 10).await.unwrap(), 3);
    let leased = store.lease(notice.id, at(10), at(40)).await.unwrap().unwrap();
    assert_eq!(leased.outbound, notice);
    settled(&store, &leased, not_taken(11), 11).await;
    let leased = store.lease(notice.id, at(11), at(41)).await.unwrap().unwrap();
    settled(&store, &leased, sent("mdr2-1"), 12).await;
    assert_eq!(store.forget(at(13), 10).await.unwrap(), 1);
}

pub async fn one_call_deletes_no_more_of_each_than_the_limit(store: Shared) {
    fill_pool(&store, 1).await;
    for n in 0..5 {
        let text = arrival(Some(&format!("in-{n}")), eve(), tn(1), n);
        accepted(&store, text, Decision::Send(vec![])).await;
        let session = talking(&store, [alice(), bob()], n, None).await;
        assert!(end(&store, session.id, EndCause::Deleted, n).await);
    }
    // 5 tombstones, 10 notices, 5 sessions.
    let mut all = 0;
    loop {
        let forgotten = store.forget(at(100), 3).await.unwrap();
        assert!(forgotten <= 9, "{forgotten}");
        all += forgotten;
        if forgotten == 0 {
            break;
        }
    }
    assert_eq!(all, 20);
}
