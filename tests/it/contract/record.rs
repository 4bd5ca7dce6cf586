//! Putting inbound texts on record with everything that they cause.

use super::fixtures::{
    MS, Shared, alice, answer, at, bob, conversation, due, end, eve, fill_pool, inbound, messages, not_taken,
    opt, person, recorded, relay, sending, sent, side, state, stranger, talking, tn, to_side, waiting,
};
use chrono::{DateTime, TimeDelta, Utc};
use sms_proxy::{
    domain::{Barred, Kind, Number, Outbound, Participant, Role, Session, SessionId},
    store::{AnswerLimits, EndCause, Leased, Opt, Record, Recorded, RestsOn, Route, State},
};

pub async fn a_new_text_goes_on_record_with_its_messages_leased_to_the_caller(store: Shared) {
    let session = conversation(&store, None).await;
    let rests_on = RestsOn::Live(session.id);
    let texts = vec![relay(&session, 5), to_side(&session, Kind::Relay, Role::A, 5)];
    let leased = recorded(&store, inbound(Some("in-1"), rests_on, texts.clone(), 5)).await;
    let expected: Vec<_> = texts.into_iter().map(|outbound| Leased { outbound, lease: 1 }).collect();
    assert_eq!(leased, expected);
    assert_eq!(due(&store, 30).await, []);
    for leased in &leased {
        assert!(store.settle(leased, sent("x"), at(6)).await.unwrap());
    }
    assert_eq!(recorded(&store, inbound(Some("in-2"), RestsOn::Nothing, vec![], 5)).await, []);
}

pub async fn an_inbound_id_goes_on_record_once_whatever_it_comes_with(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    let live = RestsOn::Live(session.id);
    recorded(&store, inbound(Some("in-1"), live.clone(), vec![relay(&session, 5)], 5)).await;
    let stop = Some(Opt { tn: session.tn, person: bob(), out: true });
    for again in [
        inbound(Some("in-1"), live.clone(), vec![relay(&session, 5)], 5),
        inbound(Some("in-1"), RestsOn::Nothing, vec![], 6),
        inbound(Some("in-1"), RestsOn::Expired(session.clone()), vec![relay(&session, 5)], 70),
        inbound(Some("in-1"), RestsOn::Live(SessionId::random()), vec![], 6),
        Record { opt: stop, ..inbound(Some("in-1"), RestsOn::Nothing, vec![], 6) },
    ] {
        assert_eq!(store.record(again).await.unwrap(), Recorded::Duplicate);
    }
    assert_eq!(messages(&store, session.id).await.len(), 3, "nothing more is on record");
    assert_eq!(store.session(session.id, at(6)).await.unwrap(), Some(session.clone()), "nobody opted out");
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
        let record = || inbound(Some(id), RestsOn::Nothing, vec![], 0);
        recorded(&store, record()).await;
        assert_eq!(store.record(record()).await.unwrap(), Recorded::Duplicate, "{id}");
    }
}

pub async fn a_text_without_an_id_is_never_a_repetition(store: Shared) {
    let session = conversation(&store, None).await;
    for _ in 0..3 {
        let record = inbound(None, RestsOn::Live(session.id), vec![relay(&session, 5)], 5);
        assert_eq!(recorded(&store, record).await.len(), 1);
    }
    assert_eq!(messages(&store, session.id).await.len(), 5);
}

/// Asserts that this record is stale and leaves nothing behind, not even its inbound id.
async fn assert_stale(store: &Shared, session: &Session, record: Record) {
    let id = record.inbound.clone();
    let before = messages(store, session.id).await;
    let stop = Some(Opt { tn: session.tn, person: eve(), out: true });
    assert_eq!(store.record(Record { opt: stop, ..record }).await.unwrap(), Recorded::Stale);
    assert_eq!(messages(store, session.id).await, before);
    let route = store.route(session.tn, eve(), at(0)).await.unwrap();
    assert!(matches!(route, Route::Stranger { barred: None, .. }), "{route:?}");
    recorded(store, inbound(id.as_deref(), RestsOn::Nothing, vec![], 60)).await;
}

pub async fn a_decision_for_a_live_session_is_stale_when_that_has_ended_or_expired(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    let record = |id, now| inbound(Some(id), RestsOn::Live(session.id), vec![relay(&session, now)], now);
    recorded(&store, Record { at: at(60) - MS, ..record("in-0", 60) }).await;
    assert_stale(&store, &session, record("in-1", 60)).await;
    assert!(end(&store, session.id, EndCause::Undone, 30).await);
    assert_stale(&store, &session, record("in-2", 31)).await;
    let next = talking(&store, [alice(), bob()], 32, None).await;
    assert_eq!(next.tn, session.tn);
    assert_stale(&store, &session, record("in-3", 33)).await;
    let unheard_of = inbound(Some("in-4"), RestsOn::Live(SessionId::random()), vec![relay(&next, 33)], 33);
    assert_stale(&store, &next, unheard_of).await;
}

pub async fn a_decision_for_an_expired_session_is_stale_when_that_is_live_or_ended(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    let notice = to_side(&session, Kind::Expired, Role::A, 60);
    let record = |id| inbound(Some(id), RestsOn::Expired(session.clone()), vec![notice.clone()], 60);
    assert_stale(&store, &session, Record { at: at(60) - MS, ..record("in-1") }).await;
    assert_eq!(store.session(session.id, at(0)).await.unwrap(), Some(session.clone()), "it goes on");
    assert!(end(&store, session.id, EndCause::Expired, 60).await);
    assert_stale(&store, &session, record("in-2")).await;
    let unheard_of = RestsOn::Expired(Session { id: SessionId::random(), ..session.clone() });
    let unheard_of = inbound(Some("in-3"), unheard_of, vec![notice.clone()], 60);
    assert_stale(&store, &session, unheard_of).await;
}

pub async fn a_late_text_ends_the_expired_session_in_the_same_step(store: Shared) {
    let session = conversation(&store, Some(60)).await;
    let text = waiting(&store, relay(&session, 1), 1, 5).await;
    let way = sending(&store, relay(&session, 2), 2).await;
    let notices: Vec<_> = [Role::A, Role::B].map(|role| to_side(&session, Kind::Expired, role, 60)).into();
    let record = inbound(Some("late"), RestsOn::Expired(session.clone()), notices.clone(), 60);
    let leased = recorded(&store, record.clone()).await;
    let expected: Vec<_> = notices.into_iter().map(|outbound| Leased { outbound, lease: 1 }).collect();
    assert_eq!(leased, expected);
    assert_eq!(state(&store, &text).await, State::Cancelled);
    assert!(store.settle(&way, not_taken(61), at(61)).await.unwrap());
    assert_eq!(state(&store, &way).await, State::Cancelled);
    assert_eq!(store.expired_sessions(1, at(60)).await.unwrap(), []);
    assert!(!end(&store, session.id, EndCause::Expired, 61).await, "it has ended");
    assert_eq!(talking(&store, [alice(), eve()], 62, None).await.tn, session.tn, "its number is free");
    assert_eq!(store.record(record).await.unwrap(), Recorded::Duplicate);
}

pub async fn a_relay_to_somebody_who_is_barred_is_on_record_as_failed(store: Shared) {
    let session = conversation(&store, None).await;
    let barred = Participant { barred: Some(Barred::OptedOut), ..side(&session, Role::B) };
    let mut text = relay(&session, 5);
    text.text.barred = barred.barred;
    assert_eq!(recorded(&store, inbound(Some("in-1"), RestsOn::Live(session.id), vec![text], 5)).await, []);
    let message = &messages(&store, session.id).await[2];
    assert_eq!((message.state, message.attempts, message.attempted_at), (State::Failed, 0, None));
    assert_eq!(message.reason.as_deref(), Some(Barred::OptedOut.as_str()));
    assert_eq!(message.settled_at, Some(at(5)));
    assert_eq!(due(&store, 1_000).await, []);
}

pub async fn stop_and_unstop_count_from_the_record_on_and_for_one_number_only(store: Shared) {
    fill_pool(&store, 2).await;
    let route = async |to| store.route(to, eve(), at(1)).await.unwrap();
    let (open, barred) = (stranger(None, None), stranger(Some(Barred::OptedOut), None));
    opt(&store, tn(1), eve(), false, 0).await;
    assert_eq!(route(tn(1)).await, open, "in without having been out");
    for _ in 0..2 {
        opt(&store, tn(1), eve(), true, 0).await;
        assert_eq!((route(tn(1)).await, route(tn(2)).await), (barred.clone(), open.clone()));
    }
    opt(&store, tn(2), eve(), true, 0).await;
    opt(&store, tn(1), eve(), false, 0).await;
    assert_eq!((route(tn(1)).await, route(tn(2)).await), (open, barred.clone()), "in with one word");
    store.remove_tn(tn(2), at(2)).await.unwrap();
    store.add_tn(tn(2), at(3)).await.unwrap();
    assert_eq!(route(tn(2)).await, barred, "a number that leaves and returns is still opted out of");
}

/// Whether a stranger who texts now is answered, within these limits.
async fn answered(store: &Shared, to: Number, now: DateTime<Utc>, per_hour: u32, per_minute: u32) -> bool {
    let record = Record {
        at: now,
        lease_until: now + TimeDelta::seconds(30),
        answers: AnswerLimits { per_hour, per_minute },
        ..inbound(None, RestsOn::Nothing, vec![answer(tn(1), to, now)], 0)
    };
    !recorded(store, record).await.is_empty()
}

pub async fn one_sender_is_answered_so_often_in_any_hour_and_no_more(store: Shared) {
    fill_pool(&store, 2).await;
    let hour = TimeDelta::hours(1);
    let times = [at(0), at(600), at(1_200)];
    for now in times {
        assert!(answered(&store, eve(), now, 3, 100).await);
    }
    assert!(!answered(&store, eve(), at(1_201), 3, 100).await);
    assert!(answered(&store, bob(), at(1_201), 3, 100).await, "somebody else is not counted");
    let elsewhere = inbound(None, RestsOn::Nothing, vec![answer(tn(2), eve(), at(1_202))], 1_202);
    let elsewhere = Record { answers: AnswerLimits { per_hour: 1, per_minute: 100 }, ..elsewhere };
    assert_eq!(recorded(&store, elsewhere).await.len(), 1, "neither is another number");
    for past in times {
        assert!(!answered(&store, eve(), past + hour - MS, 3, 100).await);
        assert!(answered(&store, eve(), past + hour, 3, 100).await, "the window slides to the millisecond");
        assert!(!answered(&store, eve(), past + hour, 3, 100).await);
    }
}

pub async fn all_strangers_together_are_answered_so_often_in_any_minute_and_no_more(store: Shared) {
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

pub async fn an_answer_beyond_the_limit_is_left_out_and_the_text_stays_on_record(store: Shared) {
    let none = AnswerLimits { per_hour: 0, per_minute: 0 };
    let message = || vec![answer(tn(1), eve(), at(0))];
    let record = |outbound: Vec<Outbound>| Record {
        answers: none,
        ..inbound(Some("in-1"), RestsOn::Nothing, outbound, 0)
    };
    assert_eq!(recorded(&store, record(message())).await, []);
    assert_eq!(store.record(record(message())).await.unwrap(), Recorded::Duplicate);
    assert_eq!((due(&store, 9_000).await, store.reclaim(9, at(9_000)).await.unwrap()), (vec![], 0));

    let session = conversation(&store, None).await;
    let relays = inbound(Some("in-2"), RestsOn::Live(session.id), vec![relay(&session, 1)], 1);
    let leased = recorded(&store, Record { answers: none, ..relays }).await;
    assert_eq!(leased.len(), 1, "the limits are for strangers only");
}

pub async fn a_stale_or_repeated_text_does_not_use_up_an_answer(store: Shared) {
    let session = conversation(&store, None).await;
    recorded(&store, inbound(Some("in-1"), RestsOn::Nothing, vec![], 0)).await;
    assert!(end(&store, session.id, EndCause::Deleted, 0).await);
    let message = || vec![answer(tn(1), eve(), at(1))];
    for _ in 0..3 {
        let again = inbound(Some("in-1"), RestsOn::Nothing, message(), 1);
        assert_eq!(store.record(again).await.unwrap(), Recorded::Duplicate);
        let stale = inbound(Some("in-2"), RestsOn::Live(session.id), message(), 1);
        assert_eq!(store.record(stale).await.unwrap(), Recorded::Stale);
    }
    assert!(answered(&store, eve(), at(1), 1, 1).await);
}
