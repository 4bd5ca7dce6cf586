//! Forgetting what is past its retention.

use super::fixtures::{
    MS, Shared, alice, at, bob, conversation, end, fill_pool, inbound, messages, not_taken, recorded, relay,
    sending, sent, talking, to_side, uncertain, waiting,
};
use sms_proxy::{
    domain::{Kind, Receipt, Role},
    store::{EndCause, Page, Receipted, Recorded, RestsOn, Settlement, State},
};

pub async fn an_inbound_id_is_forgotten_after_its_time(store: Shared) {
    let record = |id| inbound(Some(id), RestsOn::Nothing, vec![], 100);
    recorded(&store, record("in-1")).await;
    assert_eq!(store.forget(at(100), 10).await.unwrap(), 0);
    assert_eq!(store.record(record("in-1")).await.unwrap(), Recorded::Duplicate);
    assert_eq!(store.forget(at(100) + MS, 10).await.unwrap(), 1);
    assert_eq!(store.record(record("in-1")).await.unwrap(), Recorded::New(vec![]));
}

pub async fn a_settled_message_is_forgotten_after_its_time_with_its_receipts(store: Shared) {
    let session = conversation(&store, None).await;
    let leased = sending(&store, relay(&session, 5), 5).await;
    assert!(store.settle(&leased, sent("mdr2-1"), at(100)).await.unwrap());
    let named = Receipt {
        message: Some(leased.outbound.id),
        provider_id: "mdr2-1".into(),
        level: 2,
        status: "delivered".into(),
        code: None,
        at: None,
    };
    assert_eq!(store.receipt(&named, at(101)).await.unwrap(), Receipted::Recorded);
    assert_eq!(store.forget(at(100), 10).await.unwrap(), 2, "the start notices");
    assert_eq!(messages(&store, session.id).await.len(), 1);
    assert_eq!(store.forget(at(100) + MS, 10).await.unwrap(), 1);
    assert_eq!(messages(&store, session.id).await, []);
    assert_eq!(store.receipt(&named, at(101)).await.unwrap(), Receipted::NoMessage);
    assert_eq!(store.session(session.id, at(101)).await.unwrap(), Some(session), "it goes on");
}

pub async fn an_ended_session_is_forgotten_after_its_time(store: Shared) {
    let session = conversation(&store, None).await;
    assert!(end(&store, session.id, EndCause::Deleted, 100).await);
    assert_eq!(store.forget(at(100), 10).await.unwrap(), 2, "the start notices");
    assert!(store.messages(session.id, Page::default(), at(1)).await.unwrap().is_some());
    assert_eq!(store.forget(at(100) + MS, 10).await.unwrap(), 1);
    assert!(store.messages(session.id, Page::default(), at(1)).await.unwrap().is_none());
    assert_eq!(talking(&store, [alice(), bob()], 101, None).await.tn, session.tn);
}

pub async fn what_is_open_is_never_forgotten(store: Shared) {
    fill_pool(&store, 2).await;
    let live = talking(&store, [alice(), bob()], 0, None).await;
    let expired = talking(&store, [alice(), bob()], 0, Some(60)).await;
    let waits = waiting(&store, relay(&live, 1), 1, 1).await;
    let going = sending(&store, relay(&live, 2), 2).await;
    let lost = uncertain(&store, relay(&live, 3), 3).await;
    assert_eq!(store.forget(at(1_000_000), 100).await.unwrap(), 4, "the start notices of two sessions");
    let states: Vec<_> = messages(&store, live.id).await.iter().map(|message| message.state).collect();
    assert_eq!(states, [State::Waiting, State::Sending, State::Unknown]);
    assert_eq!(store.session(live.id, at(1_000_000)).await.unwrap(), Some(live.clone()));
    assert_eq!(store.expired_sessions(1, at(1_000_000)).await.unwrap(), [expired]);
    let forever = Settlement::UnknownForGood;
    assert!(store.settle(&lost, forever, at(10)).await.unwrap());
    assert!(store.settle(&going, sent("mdr2-1"), at(20)).await.unwrap());
    assert_eq!(store.forget(at(1_000_000), 100).await.unwrap(), 2, "now they are settled");
    assert!(store.lease(waits.outbound.id, at(1_000_000), at(1_000_030)).await.unwrap().is_some());
}

pub async fn a_notice_outlives_its_session_until_it_is_settled(store: Shared) {
    let session = conversation(&store, None).await;
    let notice = to_side(&session, Kind::End, Role::A, 5);
    store
        .end_session(session.id, EndCause::Deleted, vec![notice.clone()], at(5), None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(store.forget(at(6), 10).await.unwrap(), 3);
    let leased = store.lease(notice.id, at(10), at(40)).await.unwrap().unwrap();
    assert_eq!(leased.outbound, notice);
    assert!(store.settle(&leased, not_taken(11), at(11)).await.unwrap());
    let leased = store.lease(notice.id, at(11), at(41)).await.unwrap().unwrap();
    assert!(store.settle(&leased, sent("mdr2-1"), at(12)).await.unwrap());
    assert_eq!(store.forget(at(13), 10).await.unwrap(), 1);
}

pub async fn at_most_so_many_of_each_are_forgotten_at_once(store: Shared) {
    fill_pool(&store, 1).await;
    for n in 0..5 {
        recorded(&store, inbound(Some(&format!("in-{n}")), RestsOn::Nothing, vec![], n)).await;
        let session = talking(&store, [alice(), bob()], n, None).await;
        assert!(end(&store, session.id, EndCause::Deleted, n).await);
    }
    // 5 inbound ids, 10 notices, 5 sessions.
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
