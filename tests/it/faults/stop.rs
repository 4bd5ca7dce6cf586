//! The service is stopped while maintenance drains a full outbox.

use crate::faults::fixture::{Conversation, DEFAULT_TIMES, Fixture, Poster};
use sms_proxy::domain::State;
use std::time::Duration;
use test_support::{Backend, binary::eventually, flowroute_standin::Mode, on_each_backend};

const TEXTS: usize = 60;

on_each_backend! { with 2 threads:
    a_stop_while_draining_the_outbox_neither_loses_nor_duplicates_a_text
}

/// How many relays are sent and how many are waiting. None is in another state.
async fn sent_and_waiting(fixture: &Fixture, conversation: &Conversation) -> (usize, usize) {
    let states = conversation.states_in(&fixture.store()).await;
    let count = |wanted| states.iter().filter(|state| **state == wanted).count();
    let (sent, waiting) = (count(State::Sent), count(State::Waiting));
    assert_eq!(sent + waiting, TEXTS, "{states:?}");
    (sent, waiting)
}

async fn a_stop_while_draining_the_outbox_neither_loses_nor_duplicates_a_text(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (server, conversation) =
        fixture.begin(&[&DEFAULT_TIMES[..], &[("MAINTENANCE_INTERVAL", "3600")]].concat()).await;
    fixture.flowroute.mode(Mode::Answer(503));
    let texts = conversation.texts(TEXTS);
    Poster::to(&server).deliver_all(&texts).await;
    server.stop().await;
    assert_eq!(sent_and_waiting(&fixture, &conversation).await, (0, TEXTS));

    fixture.flowroute.mode(Mode::Take);
    fixture.flowroute.delay_answering(Duration::from_millis(300));
    let server = fixture.serve(&DEFAULT_TIMES).await;
    eventually("the outbox is being drained", || (fixture.flowroute.taken().len() >= 12).then_some(())).await;
    tokio::time::timeout(Duration::from_secs(15), server.stop()).await.expect("a stop in bounded time");
    let taken = fixture.flowroute.taken().len();
    assert!(taken < TEXTS, "the drain did not stop");
    assert_eq!(sent_and_waiting(&fixture, &conversation).await, (taken, TEXTS - taken));

    let server = fixture.serve(&DEFAULT_TIMES).await;
    conversation.all_sent(&server).await;
    fixture.assert_each_arrived_once(&texts);
    assert_eq!(fixture.flowroute.readings(), 0, "nothing was unknown");
}
