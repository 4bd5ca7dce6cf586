//! What got lost on the way, what tells about it, and who looks after the outbox.

use super::fixtures::{
    MS, Shared, alice, answer, at, bob, conversation, fill_pool, found, message, nobody_knows, refused,
    relay, sending, sent, state, talking, tn, to_side, uncertain, unknown, waiting,
};
use sms_proxy::{
    domain::{Kind, Role},
    store::{Others, Settlement, State},
};

pub async fn a_message_is_reclaimed_only_after_its_lease_has_run_out(store: Shared) {
    let session = conversation(&store, None).await;
    let mut leased = Vec::new();
    for n in 0..5 {
        leased.push(sending(&store, relay(&session, n), n).await);
    }
    assert_eq!(store.reclaim(10, at(30)).await.unwrap(), 0, "a lease holds until its last millisecond");
    assert_eq!(store.reclaim(10, at(30) + MS).await.unwrap(), 1);
    assert_eq!(unknown(&store).await, [leased[0].outbound.id]);
    assert!(message(&store, &leased[0]).await.reason.is_some());
    assert_eq!(store.reclaim(10, at(30) + MS).await.unwrap(), 0, "once");
    assert_eq!(store.reclaim(3, at(100)).await.unwrap(), 3, "up to the limit");
    assert_eq!(store.reclaim(3, at(100)).await.unwrap(), 1);
    assert_eq!(unknown(&store).await.len(), 5);
    assert!(store.settle(&leased[0], sent("late"), at(101)).await.unwrap(), "its sender may come late");
    assert_eq!(state(&store, &leased[0]).await, State::Sent);
    assert!(store.settle(&leased[1], Settlement::Deferred, at(101)).await.unwrap());
    assert_eq!(message(&store, &leased[1]).await.attempts, 0);
    assert_eq!(unknown(&store).await.len(), 3);
}

pub async fn unknown_messages_are_listed_the_longest_tried_first_page_by_page(store: Shared) {
    let session = conversation(&store, None).await;
    let mut ids = Vec::new();
    for (created, tried) in [(1, 50), (2, 20), (3, 40), (4, 20), (5, 30), (6, 10), (7, 20)] {
        let leased = sending(&store, relay(&session, created), created).await;
        assert!(store.renew(&leased, at(tried), at(90)).await.unwrap());
        assert!(store.settle(&leased, nobody_knows(), at(60)).await.unwrap());
        ids.push(leased.outbound.id);
    }
    waiting(&store, relay(&session, 8), 8, 8).await;
    sending(&store, relay(&session, 9), 9).await;
    let whole = store.unknown(10, None).await.unwrap();
    let times: Vec<_> = whole.iter().map(|unknown| unknown.attempted_at).collect();
    assert_eq!(times, [10, 20, 20, 20, 30, 40, 50].map(at));
    assert!(ids.iter().all(|id| whole.iter().any(|unknown| unknown.leased.outbound.id == *id)));
    for limit in [1, 2, 3, 7] {
        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let part = store.unknown(limit, after).await.unwrap();
            assert!(part.len() <= limit as usize);
            let Some(last) = part.last() else { break };
            after = Some(last.leased.outbound.id);
            read.extend(part);
        }
        assert_eq!(read, whole, "{limit} a page");
    }
    let third = whole[2].leased.clone();
    assert!(store.settle(&third, Settlement::UnknownForGood, at(70)).await.unwrap());
    let rest = store.unknown(10, Some(third.outbound.id)).await.unwrap();
    assert_eq!(rest, whole[3..], "a mark that was settled meanwhile still is one");
}

pub async fn the_others_are_what_else_went_from_the_same_number_to_the_same_person(store: Shared) {
    fill_pool(&store, 2).await;
    let session = talking(&store, [alice(), bob()], 0, None).await;
    let to_bob = || relay(&session, 5);
    let mine = uncertain(&store, to_bob(), 5).await;
    let others = async || store.others(&mine.outbound).await.unwrap();
    let starts = others().await;
    assert_eq!((starts.sending, starts.provider_ids.len()), (false, 1), "the start notice to him");
    let to_alice = sending(&store, to_side(&session, Kind::Relay, Role::A, 6), 6).await;
    assert!(store.settle(&to_alice, sent("to-alice"), at(6)).await.unwrap());
    let other_tn = if session.tn == tn(1) { tn(2) } else { tn(1) };
    sending(&store, answer(other_tn, bob(), at(6)), 6).await;
    waiting(&store, to_bob(), 6, 6).await;
    let lost = uncertain(&store, to_bob(), 6).await;
    let failed = sending(&store, to_bob(), 6).await;
    assert!(store.settle(&failed, refused(false), at(6)).await.unwrap());
    assert_eq!(others().await, starts, "none of these");

    assert!(store.settle(&lost, found("found"), at(7)).await.unwrap());
    let going = sending(&store, answer(session.tn, bob(), at(7)), 7).await;
    let ids: Vec<_> = ["found".to_owned()].into_iter().chain(starts.provider_ids).collect();
    let with = |more: &[&str], sending| {
        let more = more.iter().map(|id| (*id).to_owned());
        Others { sending, provider_ids: ids.iter().cloned().chain(more).collect() }
    };
    assert_eq!(others().await, with(&[], true));
    assert!(store.settle(&going, sent("answer"), at(8)).await.unwrap());
    assert_eq!(others().await, with(&["answer"], false));
    assert!(store.settle(&mine, found("mine"), at(9)).await.unwrap());
    assert_eq!(others().await, with(&["answer"], false), "itself it is not");
}

pub async fn one_holder_at_a_time_drains_the_outbox(store: Shared) {
    let begin = async |holder, now, until| store.begin_drain(holder, now, until).await.unwrap();
    assert!(begin("one", at(0), at(60)).await);
    assert!(!begin("two", at(1), at(61)).await);
    assert!(begin("one", at(30), at(90)).await, "the same holder prolongs");
    assert!(!begin("two", at(61), at(121)).await);
    assert!(!begin("two", at(90), at(150)).await, "it holds until its last millisecond");
    assert!(begin("two", at(90) + MS, at(150)).await, "it has run out");
    assert!(!begin("one", at(91), at(151)).await);
    store.end_drain("one").await.unwrap();
    assert!(!begin("one", at(92), at(152)).await, "only its holder lets it go");
    store.end_drain("two").await.unwrap();
    assert!(begin("three", at(93), at(153)).await);
    store.end_drain("three").await.unwrap();
    store.end_drain("three").await.unwrap();
    assert!(begin("three", at(94), at(154)).await);
    assert!(begin("three", at(300), at(360)).await, "the same holder again, after it ran out");
}
