//! Flowroute accepts nothing for a while.

use crate::faults::fixture::{Conversation, Fixture, Poster, until};
use test_support::{Backend, binary::Server, flowroute_standin::Mode, on_each_backend};

const TEXTS: usize = 20;

on_each_backend! { with 2 threads:
    texts_answered_503_by_flowroute_arrive_once_later
    texts_throttled_by_flowroute_arrive_once_later
    texts_that_could_not_connect_to_flowroute_arrive_once_later
}

/// Posts texts while Flowroute accepts none: each is answered 200 and retried without success.
async fn undelivered_texts(conversation: &Conversation, server: &Server) -> Vec<serde_json::Value> {
    let texts = conversation.texts(TEXTS);
    Poster::to(server).deliver_all(&texts).await;
    until("some are tried again", server, async || {
        let relays = conversation.relays(server).await;
        let again = relays.iter().filter(|relay| relay["attempts"].as_u64() > Some(1)).count();
        (again >= 3).then_some(())
    })
    .await;
    texts
}

/// Flowroute answers every text with this status, and then accepts them all.
async fn outage(backend: Backend, status: u16) {
    let fixture = Fixture::new(backend).await;
    let (server, conversation) = fixture.begin(&[]).await;
    fixture.flowroute.mode(Mode::Answer(status));
    let texts = undelivered_texts(&conversation, &server).await;
    assert_eq!(fixture.flowroute.taken(), []);
    fixture.flowroute.mode(Mode::Take);
    conversation.all_sent(&server).await;
    fixture.assert_each_arrived_once(&texts);
    assert_eq!(fixture.flowroute.readings(), 0, "nothing was unknown");
}

async fn texts_answered_503_by_flowroute_arrive_once_later(backend: Backend) {
    outage(backend, 503).await;
}

async fn texts_throttled_by_flowroute_arrive_once_later(backend: Backend) {
    outage(backend, 429).await;
}

async fn texts_that_could_not_connect_to_flowroute_arrive_once_later(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (server, conversation) = fixture.begin(&[]).await;
    fixture.flowroute.stop().await;
    let texts = undelivered_texts(&conversation, &server).await;
    fixture.flowroute.restart();
    conversation.all_sent(&server).await;
    fixture.assert_each_arrived_once(&texts);
}
