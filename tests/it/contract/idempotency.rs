//! Sessions that are opened with an idempotency key.

use super::{
    fixtures::{Shared, alice, at, bob, concurrently, end, eve, fill_pool, messages, new_session},
    sharing::try_open,
};
use sms_proxy::{
    domain::{EndCause, NewSession, Number, Page, Session, SessionFilter, SessionId},
    store::OpenSession,
};
use std::sync::Arc;

/// A request for a session of these two with this key, each time with other notices, as each request has.
fn keyed(people: [Number; 2], window: Option<i64>, key: &str) -> NewSession {
    new_session(people, 0, window).with_key(key)
}

async fn opened(store: &Shared, new: NewSession) -> Session {
    match try_open(store, new).await {
        OpenSession::Opened { session, notices } => {
            assert_eq!(notices.len(), 2);
            session
        }
        other => panic!("{other:?}"),
    }
}

async fn live(store: &Shared) -> Vec<SessionId> {
    let (part, _) = store.sessions(SessionFilter::default(), Page::default(), at(1)).await.unwrap();
    part.items.into_iter().map(|session| session.id).collect()
}

pub async fn the_same_key_and_request_open_one_session(store: Shared) {
    fill_pool(&store, 5).await;
    let session = opened(&store, keyed([alice(), bob()], Some(60), "a key")).await;
    for _ in 0..3 {
        let again = try_open(&store, keyed([alice(), bob()], Some(60), "a key")).await;
        assert_eq!(again, OpenSession::Repeated(session.clone()));
    }
    let other = opened(&store, keyed([alice(), bob()], Some(60), "another key")).await;
    opened(&store, new_session([alice(), bob()], 0, Some(60))).await;
    assert_ne!(other.id, session.id);
    assert_eq!(live(&store).await.len(), 3);
    assert_eq!(messages(&store, session.id).await.len(), 2, "start notices");
}

pub async fn a_key_is_for_one_request(store: Shared) {
    fill_pool(&store, 5).await;
    opened(&store, keyed([alice(), bob()], Some(60), "a key")).await;
    let mut chosen = new_session([alice(), bob()], 0, Some(60));
    chosen.virtual_tn = Some(super::fixtures::tn(1));
    for other in [
        keyed([bob(), alice()], Some(60), "a key"),
        keyed([alice(), eve()], Some(60), "a key"),
        keyed([alice(), bob()], Some(61), "a key"),
        keyed([alice(), bob()], None, "a key"),
        chosen.with_key("a key"),
    ] {
        assert_eq!(try_open(&store, other).await, OpenSession::KeyReused);
    }
    assert_eq!(live(&store).await.len(), 1);
}

pub async fn a_key_is_kept_as_long_as_the_record_of_its_session(store: Shared) {
    fill_pool(&store, 1).await;
    let session = opened(&store, keyed([alice(), bob()], None, "a key")).await;
    assert!(end(&store, session.id, EndCause::Deleted, 5).await);
    let again = try_open(&store, keyed([alice(), bob()], None, "a key")).await;
    assert_eq!(again, OpenSession::Repeated(session));
    assert_eq!(live(&store).await, []);
}

pub async fn a_session_that_was_rolled_back_leaves_its_key_unused(store: Shared) {
    fill_pool(&store, 1).await;
    for people in [[alice(), bob()], [alice(), bob()], [alice(), eve()]] {
        let session = opened(&store, keyed(people, None, "a key")).await;
        assert!(end(&store, session.id, EndCause::RolledBack, 1).await);
        // Also if the rollback is repeated, because its response was lost.
        assert!(!end(&store, session.id, EndCause::RolledBack, 1).await);
    }
    opened(&store, keyed([eve(), bob()], None, "a key")).await;
    assert_eq!(live(&store).await.len(), 1);
}

pub async fn of_many_requests_with_a_key_at_once_one_opens_a_session(store: Shared) {
    fill_pool(&store, 40).await;
    for round in 0..20 {
        let key = format!("key {round}");
        let answers = concurrently((0..30).map(|n| {
            let store = Arc::clone(&store);
            let new = keyed([alice(), if n == 0 { eve() } else { bob() }], None, &key);
            async move { (n, try_open(&store, new).await) }
        }))
        .await;
        let first = answers.iter().find_map(|(n, answer)| match answer {
            OpenSession::Opened { session, .. } => Some((*n, session.clone())),
            _ => None,
        });
        let (winner, session) = first.expect("one opens it");
        for (n, answer) in answers.into_iter().filter(|(n, _)| *n != winner) {
            let is_same = (n == 0) == (winner == 0);
            let expected =
                if is_same { OpenSession::Repeated(session.clone()) } else { OpenSession::KeyReused };
            assert_eq!(answer, expected, "{n}");
        }
        assert_eq!(live(&store).await.len(), 1);
        assert_eq!(messages(&store, session.id).await.len(), 2);
        assert!(end(&store, session.id, EndCause::Deleted, 2).await);
    }
}
