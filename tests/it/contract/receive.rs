//! Receiving a text: it is decided by the route, and stored with everything that it causes.

use super::{
    expected::{SESSION_ENDED, closed, first_lease, listed, never_tried, revoked},
    fixtures::{
        MS, Shared, accepted, alice, answer, arrival, at, bob, conversation, decided_by, due, end, eve,
        fill_pool, live, live_after, messages, not_taken, opt, person, receive, relay, route, sending, sent,
        settle, settled, stored, stranger, talking, tn, to_side, waiting,
    },
};
use chrono::{DateTime, TimeDelta, Utc};
use sms_proxy::{
    domain::{
        Blocked, Decision, EndCause, IgnoreReason, Kind, MessageEvent, MessageId, Number, OptChange,
        Outbound, Role, Route, Session, State,
    },
    store::{Arrival, Received, ReplyQuota},
};
use std::sync::Arc;

pub async fn a_new_text_is_stored_with_its_messages_leased_to_the_caller(store: Shared) {
    let session = conversation(&store, None).await;
    let texts = vec![relay(&session), to_side(&session, Kind::Relay, Role::A)];
    let text = arrival(Some("in-1"), alice(), session.tn, 5);
    let leased = accepted(&store, text, Decision::Send(texts.clone())).await;
    let [first, second] = [0, 1].map(|n: usize| leased[n].outbound.id);
    assert_eq!(first, MessageId::for_inbound("in-1", tn(1)), "the first message recognises the text");
    assert_ne!(second, first);
    let expected: Vec<_> = texts
        .into_iter()
        .zip([first, second])
        .map(|(text, id)| first_lease(Outbound { id, created_at: at(5), text }, at(35)))
        .collect();
    assert_eq!(leased, expected);
    assert_eq!(due(&store, 30).await, []);
    for leased in &leased {
        assert_eq!(stored(&store, leased).await, listed(leased));
        assert_eq!(settle(&store, leased, sent("x"), 6).await, Some(MessageEvent::Sent));
    }
    let nothing = arrival(Some("in-2"), alice(), session.tn, 5);
    assert_eq!(accepted(&store, nothing, Decision::Send(vec![])).await, []);
}

pub async fn a_text_is_stored_once_whatever_is_decided_about_it_later(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    let text = |now| arrival(Some("in-1"), alice(), session.tn, now);
    accepted(&store, text(5), Decision::Send(vec![relay(&session)])).await;
    let before = messages(&store, session.id).await;
    assert_eq!(before.len(), 3);
    let stop = OptChange { tn: session.tn, person: bob(), out: true };
    for (again, decision) in [
        (text(5), Decision::Send(vec![relay(&session)])),
        (text(6), Decision::Send(vec![])),
        (text(70), Decision::Expire(vec![to_side(&session, Kind::Expired, Role::A)])),
        (text(6), Decision::Opt(stop)),
        (arrival(Some("in-1"), eve(), session.tn, 6), Decision::Send(vec![answer(session.tn, eve())])),
    ] {
        assert_eq!(receive(&store, again, decision).await, Received::Duplicate);
    }
    assert_eq!(messages(&store, session.id).await, before, "nothing more is stored");
    assert_eq!(store.session(session.id, at(6)).await.unwrap(), Some(session.clone()), "there is no opt-out");
    assert_eq!(store.expired_sessions(1, at(70)).await.unwrap(), [session], "and nothing ended");
}

pub async fn ids_are_told_apart_to_the_letter(store: Shared) {
    let long = "x".repeat(500);
    let longer = "x".repeat(501);
    for id in [
        "mdr2-a",
        "mdr2-A",
        "mdr2-a ",
        " mdr2-a",
        "mdr2-ä",
        "mdr2-a\u{308}",
        "%",
        "'",
        "0",
        "00",
        &long,
        &longer,
    ] {
        let again =
            async || receive(&store, arrival(Some(id), eve(), tn(1), 0), Decision::Send(vec![])).await;
        assert_eq!(again().await, Received::Stored(vec![]), "{id}");
        assert_eq!(again().await, Received::Duplicate, "{id}");
    }
}

pub async fn a_text_without_an_id_is_never_a_duplicate(store: Shared) {
    let session = conversation(&store, None).await;
    for _ in 0..3 {
        let text = arrival(None, alice(), session.tn, 5);
        assert_eq!(accepted(&store, text, Decision::Send(vec![relay(&session)])).await.len(), 1);
    }
    assert_eq!(messages(&store, session.id).await.len(), 5);
}

/// Asserts that Alice's text is decided by this route, and that nothing of it is left when it is ignored: not even its
/// id.
async fn assert_decided_by(store: &Shared, text: Arrival, session: &Session, expected: Route) {
    let before = messages(store, session.id).await;
    assert_eq!(decided_by(store, text.clone()).await, expected);
    assert_eq!(messages(store, session.id).await, before);
    assert_eq!(receive(store, text, Decision::Send(vec![])).await, Received::Stored(vec![]));
}

pub async fn a_text_is_decided_by_the_session_that_is_live_at_that_moment(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    let text = |id, now| arrival(Some(id), alice(), session.tn, now);
    assert_decided_by(&store, text("in-0", 0), &session, live(&session)).await;
    let last = Arrival { now: at(60) - MS, ..text("in-1", 60) };
    assert_decided_by(&store, last, &session, live(&session)).await;
    assert_decided_by(&store, text("in-2", 60), &session, Route::Expired(session.clone())).await;
    assert!(end(&store, session.id, EndCause::Deleted, 30).await);
    assert_decided_by(&store, text("in-3", 31), &session, stranger(None)).await;
    let next = talking(&store, [alice(), bob()], 32, None).await;
    assert_eq!(next.tn, session.tn);
    assert_decided_by(&store, text("in-4", 33), &next, live_after(&next, 30)).await;
    assert!(end(&store, next.id, EndCause::Deleted, 34).await);
    let other = talking(&store, [bob(), eve()], 35, None).await;
    assert_decided_by(&store, text("in-5", 36), &other, stranger(None)).await;
}

pub async fn a_text_is_decided_by_the_expired_session_until_that_is_ended(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    let text = |id| arrival(Some(id), alice(), session.tn, 60);
    let expired = Route::Expired(session.clone());
    assert_decided_by(&store, Arrival { now: at(60) - MS, ..text("in-1") }, &session, live(&session)).await;
    assert_decided_by(&store, text("in-2"), &session, expired.clone()).await;
    assert_decided_by(&store, arrival(Some("in-3"), bob(), session.tn, 9_000), &session, expired).await;
    assert_eq!(store.session(session.id, at(0)).await.unwrap(), Some(session.clone()), "it is not ended");
    assert!(end(&store, session.id, EndCause::Expired, 60).await);
    assert_decided_by(&store, text("in-4"), &session, stranger(None)).await;
}

/// A decision depends on the route: it must be stored only if that route still holds.
pub async fn what_is_decided_for_the_route_is_what_is_stored(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    let decide = |route: &Route| match route {
        Route::Live { session, .. } => Decision::Send(vec![relay(session)]),
        Route::Expired(session) => Decision::Expire(vec![to_side(session, Kind::Expired, Role::B)]),
        _ => Decision::Ignore(IgnoreReason::NotOurTn),
    };
    for (now, kind) in [(59, Some(Kind::Relay)), (60, Some(Kind::Expired)), (61, None)] {
        let text = arrival(None, alice(), session.tn, now);
        let kinds = match store.receive(text, Arc::new(decide)).await.unwrap() {
            Received::Stored(leased) => leased.iter().map(|leased| leased.outbound.text.kind).collect(),
            Received::Ignored(IgnoreReason::NotOurTn) => vec![],
            other => panic!("{other:?}"),
        };
        assert_eq!(kinds, Vec::from_iter(kind));
    }
    assert_eq!(messages(&store, session.id).await.len(), 4);
}

pub async fn a_late_text_ends_the_expired_session_in_the_same_step(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    let text = waiting(&store, relay(&session), 1, 5).await;
    let going = sending(&store, relay(&session), 2).await;
    let late = || arrival(Some("late"), alice(), session.tn, 60);
    let notices: Vec<_> = [Role::A, Role::B].map(|role| to_side(&session, Kind::Expired, role)).into();
    let leased = accepted(&store, late(), Decision::Expire(notices.clone())).await;
    let expected: Vec<_> = notices
        .iter()
        .zip(&leased)
        .map(|(text, leased)| {
            let (id, text) = (leased.outbound.id, text.clone());
            first_lease(Outbound { id, created_at: at(60), text }, at(90))
        })
        .collect();
    assert_eq!(leased, expected);
    assert_eq!(stored(&store, &text).await, closed(&text, State::Cancelled, at(60), Some(SESSION_ENDED)));
    assert_eq!(stored(&store, &going).await, revoked(&going));
    settled(&store, &going, not_taken(61), 61).await;
    let expected = closed(&revoked(&going), State::Cancelled, at(61), Some(SESSION_ENDED));
    assert_eq!(stored(&store, &going).await, expected);
    assert_eq!(store.expired_sessions(1, at(60)).await.unwrap(), []);
    assert!(!end(&store, session.id, EndCause::Expired, 61).await, "it has ended");
    assert_eq!(talking(&store, [alice(), eve()], 62, None).await.tn, session.tn, "its number is free");
    assert_eq!(receive(&store, late(), Decision::Expire(notices)).await, Received::Duplicate);
}

pub async fn a_relay_to_a_blocked_participant_is_stored_as_failed(store: Shared) {
    let session = conversation(&store, None).await;
    let mut blocked = relay(&session);
    blocked.blocked = Some(Blocked::OptedOut);
    let text = || arrival(Some("in-1"), alice(), session.tn, 5);
    let send = || Decision::Send(vec![blocked.clone()]);
    assert_eq!(accepted(&store, text(), send()).await, []);
    let id = MessageId::for_inbound("in-1", tn(1));
    let new = never_tried(Outbound { id, created_at: at(5), text: blocked.clone() });
    let expected = closed(&new, State::Failed, at(5), Some(Blocked::OptedOut.as_str()));
    assert_eq!(stored(&store, &new).await, expected);
    assert_eq!(due(&store, 1_000).await, []);
    assert_eq!(receive(&store, text(), send()).await, Received::Duplicate);
}

pub async fn stop_and_unstop_count_as_soon_as_they_are_stored_and_for_one_tn_only(store: Shared) {
    fill_pool(&store, 2).await;
    let eves = async |to| route(&store, to, eve(), at(1)).await;
    let (free, blocked) = (stranger(None), stranger(Some(Blocked::OptedOut)));
    opt(&store, tn(1), eve(), false, 0).await;
    assert_eq!(eves(tn(1)).await, free, "in without having been out");
    for _ in 0..2 {
        opt(&store, tn(1), eve(), true, 0).await;
        assert_eq!((eves(tn(1)).await, eves(tn(2)).await), (blocked.clone(), free.clone()));
    }
    opt(&store, tn(2), eve(), true, 0).await;
    opt(&store, tn(1), eve(), false, 0).await;
    assert_eq!((eves(tn(1)).await, eves(tn(2)).await), (free, blocked.clone()), "in with one word");
    store.remove_tn(tn(2), at(2)).await.unwrap();
    store.add_tn(tn(2), at(3)).await.unwrap();
    assert_eq!(eves(tn(2)).await, blocked, "a TN that is removed and added again is still opted out of");
}

/// Whether a stranger who texts now is answered, with this quota.
async fn answered(store: &Shared, to: Number, now: DateTime<Utc>, per_hour: u32, per_minute: u32) -> bool {
    let text = Arrival {
        now,
        lease_until: now + TimeDelta::seconds(30),
        quota: ReplyQuota { per_hour, per_minute, per_day: 1_000 },
        ..arrival(None, to, tn(1), 0)
    };
    !accepted(store, text, Decision::Send(vec![answer(tn(1), to)])).await.is_empty()
}

pub async fn one_sender_gets_no_more_replies_in_any_hour_than_the_quota(store: Shared) {
    fill_pool(&store, 2).await;
    let hour = TimeDelta::hours(1);
    let times = [at(0), at(600), at(1_200)];
    for now in times {
        assert!(answered(&store, eve(), now, 3, 100).await);
    }
    assert!(!answered(&store, eve(), at(1_201), 3, 100).await);
    assert!(answered(&store, bob(), at(1_201), 3, 100).await, "other senders are not counted");
    let quota = ReplyQuota { per_hour: 1, per_minute: 100, per_day: 1_000 };
    let elsewhere = Arrival { quota, ..arrival(None, eve(), tn(2), 1_202) };
    let leased = accepted(&store, elsewhere, Decision::Send(vec![answer(tn(2), eve())])).await;
    assert_eq!(leased.len(), 1, "neither is another number");
    for past in times {
        assert!(!answered(&store, eve(), past + hour - MS, 3, 100).await);
        assert!(answered(&store, eve(), past + hour, 3, 100).await, "the window slides to the millisecond");
        assert!(!answered(&store, eve(), past + hour, 3, 100).await);
    }
}

pub async fn all_strangers_together_get_no_more_replies_in_any_minute_than_the_quota(store: Shared) {
    let minute = TimeDelta::minutes(1);
    let times = [at(0), at(20), at(20), at(59)];
    for (n, now) in (10..).zip(times) {
        assert!(answered(&store, person(n), now, 100, 4).await);
    }
    for (n, now) in (20..).zip([at(0) + minute - MS, at(59)]) {
        assert!(!answered(&store, person(n), now, 100, 4).await);
    }
    assert!(answered(&store, eve(), at(60), 100, 4).await);
    assert!(!answered(&store, eve(), at(80) - MS, 100, 4).await);
    assert!(answered(&store, eve(), at(80), 100, 4).await);
    assert!(answered(&store, eve(), at(80), 100, 4).await);
    assert!(!answered(&store, eve(), at(80), 100, 4).await);
    assert!(!answered(&store, eve(), at(200), 100, 0).await, "none at all");
    assert!(!answered(&store, eve(), at(200), 0, 100).await);
}

pub async fn a_reply_beyond_the_quota_is_dropped_and_the_text_stays_stored(store: Shared) {
    let session = conversation(&store, None).await;
    let quota = ReplyQuota { per_hour: 0, per_minute: 0, per_day: 1_000 };
    let text = |id, from| Arrival { quota, ..arrival(Some(id), from, tn(1), 1) };
    let send = || Decision::Send(vec![answer(tn(1), eve())]);
    assert_eq!(accepted(&store, text("in-1", eve()), send()).await, []);
    assert_eq!(receive(&store, text("in-1", eve()), send()).await, Received::Duplicate);
    assert_eq!((due(&store, 9_000).await, store.reclaim(9, at(9_000)).await.unwrap()), (vec![], 0));

    let relays = Decision::Send(vec![relay(&session)]);
    let leased = accepted(&store, text("in-2", alice()), relays).await;
    assert_eq!(leased.len(), 1, "the quota is for strangers only");
    let mixed = || Decision::Send(vec![answer(tn(1), eve()), relay(&session)]);
    let leased = accepted(&store, text("in-3", eve()), mixed()).await;
    assert_eq!(leased.iter().map(|leased| leased.outbound.text.kind).collect::<Vec<_>>(), [Kind::Relay]);
    assert_eq!(receive(&store, text("in-3", eve()), mixed()).await, Received::Duplicate);
}

pub async fn an_ignored_or_repeated_text_does_not_use_up_the_quota(store: Shared) {
    let session = conversation(&store, None).await;
    let text = |id| arrival(Some(id), eve(), tn(1), 1);
    accepted(&store, text("in-1"), Decision::Send(vec![])).await;
    assert!(end(&store, session.id, EndCause::Deleted, 0).await);
    for _ in 0..3 {
        let again = receive(&store, text("in-1"), Decision::Send(vec![answer(tn(1), eve())])).await;
        assert_eq!(again, Received::Duplicate);
        let ignored = receive(&store, text("in-2"), Decision::Ignore(IgnoreReason::PreviousSession)).await;
        assert_eq!(ignored, Received::Ignored(IgnoreReason::PreviousSession));
    }
    assert!(answered(&store, eve(), at(1), 1, 1).await);
}
