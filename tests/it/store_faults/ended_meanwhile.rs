//! A session ends while a text of one of its participants is being stored.

use super::LONG_LIMIT;
use serde_json::json;
use test_support::{
    ALICE, App, BOB, EVE, TN,
    fault_proxy::{Calls, Fault, FaultProxy},
    flat, fresh_id, without_timeouts,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_is_stored_after_its_session_has_ended_reaches_nobody() {
    let (table, proxy) = FaultProxy::table().await;
    let app = App::on(table.without_timeouts(proxy.url()).store(LONG_LIMIT), without_timeouts());
    let others = app.beside(table.at_the_engine().store(LONG_LIMIT), without_timeouts());
    others.add_tn(TN).await;
    for (partner, next_partner) in [(BOB, EVE), (EVE, BOB)] {
        let session = others.open_session(ALICE, partner, None).await;
        // The route is read, and the write that stores the text is on its way.
        let (text, injected) = (format!("for {partner}"), proxy.injected());
        proxy.fail(Calls::Containing(text.clone()), Fault::Held, 1);
        let (posting, post) = (app.clone(), flat(&fresh_id(), ALICE, TN, &text));
        let posted = tokio::spawn(async move { posting.post(post).await });
        while proxy.injected() == injected {
            tokio::task::yield_now().await;
        }
        others.end_session(&session).await;
        let next = others.open_session(ALICE, next_partner, None).await;
        assert_eq!(next["virtual_tn"], json!(TN));
        proxy.release();
        assert_eq!(posted.await.unwrap().status, 200);
        assert_eq!(others.maintain().await.sent, 0);
        assert!(!app.provider.bodies().contains(&text), "{:?}", app.provider.bodies());
        assert_eq!(others.relays(&session).await, ["cancelled"]);
        assert!(others.relays(&next).await.is_empty());
        others.end_session(&next).await;
    }
}
