//! Unknown outcomes, reconciliation, and the drain lease.

use super::{
    expected::{taken, unknown as now_unknown, waits, with},
    fixtures::{
        MS, Shared, alice, answer, at, bob, conversation, fill_pool, found, no_answer, refused, relay,
        sending, sent, settled, stored, talking, tn, to_side, uncertain, unknown, waiting,
    },
};
use sms_proxy::{
    domain::{Kind, Role, Settlement},
    store::Others,
};

/// The reason of a message whose lease expired.
const SENDER_DIED: &str = "the sender did not report back";

pub async fn a_message_is_reclaimed_only_after_its_lease_has_expired(store: Shared) {
    let session = conversation(&store, None).await;
    let mut leased = Vec::new();
    for n in 0..5 {
        leased.push(sending(&store, relay(&session), n).await);
    }
    assert_eq!(store.reclaim(10, at(30)).await.unwrap(), 0, "a lease holds until its last millisecond");
    assert_eq!(store.reclaim(10, at(30) + MS).await.unwrap(), 1);
    assert_eq!(unknown(&store).await, [leased[0].outbound.id]);
    assert_eq!(stored(&store, &leased[0]).await, now_unknown(&leased[0], SENDER_DIED));
    assert_eq!(store.reclaim(10, at(30) + MS).await.unwrap(), 0, "once");
    assert_eq!(store.reclaim(3, at(100)).await.unwrap(), 3, "up to the limit");
    assert_eq!(store.reclaim(3, at(100)).await.unwrap(), 1);
    assert_eq!(unknown(&store).await.len(), 5);
    // Their senders report late.
    settled(&store, &leased[0], sent("late"), 101).await;
    assert_eq!(stored(&store, &leased[0]).await, taken(&leased[0], 101, "late"));
    settled(&store, &leased[1], Settlement::Deferred, 101).await;
    let expected = with(&waits(&leased[1], 101, Some(SENDER_DIED)), |status| status.attempts = 0);
    assert_eq!(stored(&store, &leased[1]).await, expected);
    assert_eq!(unknown(&store).await.len(), 3);
}

pub async fn unknown_messages_are_listed_earliest_attempt_first_page_by_page(store: Shared) {
    let session = conversation(&store, None).await;
    let mut ids = Vec::new();
    for (created, tried) in [(1, 50), (2, 20), (3, 40), (4, 20), (5, 30), (6, 10), (7, 20)] {
        let leased = sending(&store, relay(&session), created).await;
        let leased = store.renew(&leased, at(tried), at(90)).await.unwrap().unwrap();
        settled(&store, &leased, no_answer(), 60).await;
        ids.push(leased.outbound.id);
    }
    waiting(&store, relay(&session), 8, 8).await;
    sending(&store, relay(&session), 9).await;
    let whole = store.unknown(10, None).await.unwrap();
    let times: Vec<_> = whole.iter().map(|message| message.attempted_at()).collect();
    assert_eq!(times, [10, 20, 20, 20, 30, 40, 50].map(at));
    assert!(ids.iter().all(|id| whole.iter().any(|message| message.outbound.id == *id)));
    for limit in [1, 2, 3, 7] {
        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let part = store.unknown(limit, after).await.unwrap();
            assert!(part.len() <= limit as usize);
            let Some(last) = part.last() else { break };
            after = Some(last.outbound.id);
            read.extend(part);
        }
        assert_eq!(read, whole, "{limit} a page");
    }
    settled(&store, &whole[2], Settlement::UnknownForGood, 70).await;
    let rest = store.unknown(10, Some(whole[2].outbound.id)).await.unwrap();
    assert_eq!(rest, whole[3..], "a message that was settled meanwhile is still a cursor");
}

pub async fn the_others_are_the_other_messages_from_the_same_number_to_the_same_person(store: Shared) {
    fill_pool(&store, 2).await;
    let session = talking(&store, [alice(), bob()], 0, None).await;
    let to_bob = || relay(&session);
    let mine = uncertain(&store, to_bob(), 5).await;
    let others = async || store.others(&mine.outbound).await.unwrap();
    let starts = others().await;
    assert_eq!((starts.sending, starts.provider_ids.len()), (false, 1), "the start notice to him");
    let to_alice = sending(&store, to_side(&session, Kind::Relay, Role::A), 6).await;
    settled(&store, &to_alice, sent("to-alice"), 6).await;
    let other_tn = if session.tn == tn(1) { tn(2) } else { tn(1) };
    sending(&store, answer(other_tn, bob()), 6).await;
    waiting(&store, to_bob(), 6, 6).await;
    let lost = uncertain(&store, to_bob(), 6).await;
    let failed = sending(&store, to_bob(), 6).await;
    settled(&store, &failed, refused(false), 6).await;
    assert_eq!(others().await, starts, "none of these");

    settled(&store, &lost, found("found"), 7).await;
    let going = sending(&store, answer(session.tn, bob()), 7).await;
    let ids: Vec<_> = ["found".to_owned()].into_iter().chain(starts.provider_ids).collect();
    let with = |more: &[&str], sending| {
        let more = more.iter().map(|id| (*id).to_owned());
        Others { sending, provider_ids: ids.iter().cloned().chain(more).collect() }
    };
    assert_eq!(others().await, with(&[], true));
    settled(&store, &going, sent("answer"), 8).await;
    assert_eq!(others().await, with(&["answer"], false));
    settled(&store, &mine, found("mine"), 9).await;
    assert_eq!(others().await, with(&["answer"], false), "itself is not among them");
}

pub async fn one_holder_at_a_time_has_the_drain_lease(store: Shared) {
    let acquire = async |holder, now, until| store.acquire_drain_lease(holder, now, until).await.unwrap();
    assert!(acquire("one", at(0), at(60)).await);
    assert!(!acquire("two", at(1), at(61)).await);
    assert!(acquire("one", at(30), at(90)).await, "its holder extends it");
    assert!(!acquire("two", at(61), at(121)).await);
    assert!(!acquire("two", at(90), at(150)).await, "it holds until its last millisecond");
    assert!(acquire("two", at(90) + MS, at(150)).await, "it has run out");
    assert!(!acquire("one", at(91), at(151)).await);
    store.release_drain_lease("one").await.unwrap();
    assert!(!acquire("one", at(92), at(152)).await, "only its holder releases it");
    store.release_drain_lease("two").await.unwrap();
    assert!(acquire("three", at(93), at(153)).await);
    store.release_drain_lease("three").await.unwrap();
    store.release_drain_lease("three").await.unwrap();
    assert!(acquire("three", at(94), at(154)).await);
    assert!(acquire("three", at(300), at(360)).await, "the same holder again, after it ran out");
}
