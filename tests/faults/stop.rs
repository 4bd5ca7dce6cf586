//! The service is asked to stop while maintenance drains a full outbox.

use crate::support::{
    Backend, Conversation, PATIENT, Poster, Scene, binary::eventually, flowroute_standin::Mode,
    on_each_backend,
};
use sms_proxy::store::State;
use std::time::Duration;

const TEXTS: usize = 60;

on_each_backend! { with 2 threads:
    a_stop_in_the_middle_of_a_full_outbox_neither_loses_nor_doubles_a_text
}

/// How many relays are sent, and how many wait; none is in any other state.
async fn sent_and_waiting(scene: &Scene, conversation: &Conversation) -> (usize, usize) {
    let states = conversation.states_in(&scene.store()).await;
    let count = |wanted| states.iter().filter(|state| **state == wanted).count();
    let (sent, waiting) = (count(State::Sent), count(State::Waiting));
    assert_eq!(sent + waiting, TEXTS, "{states:?}");
    (sent, waiting)
}

async fn a_stop_in_the_middle_of_a_full_outbox_neither_loses_nor_doubles_a_text(backend: Backend) {
    let scene = Scene::set(backend).await;
    let server = scene.serve(&[&PATIENT[..], &[("MAINTENANCE_INTERVAL", "3600")]].concat()).await;
    let conversation = Conversation::begin(&server).await;
    scene.flowroute.clear();
    scene.flowroute.mode(Mode::Answer(503));
    let texts = conversation.texts(TEXTS);
    Poster::to(&server).deliver_all(&texts).await;
    server.stop().await;
    assert_eq!(sent_and_waiting(&scene, &conversation).await, (0, TEXTS));

    scene.flowroute.mode(Mode::Take);
    scene.flowroute.delay(Duration::from_millis(300));
    let server = scene.serve(&PATIENT).await;
    eventually("the outbox is being drained", || (scene.flowroute.taken().len() >= 12).then_some(())).await;
    tokio::time::timeout(Duration::from_secs(15), server.stop()).await.expect("a stop in bounded time");
    let taken = scene.flowroute.taken().len();
    assert!(taken < TEXTS, "the drain did not stop");
    assert_eq!(sent_and_waiting(&scene, &conversation).await, (taken, TEXTS - taken));

    let server = scene.serve(&PATIENT).await;
    conversation.all_sent(&server).await;
    scene.assert_each_arrived_once(&texts);
    assert_eq!(scene.flowroute.readings(), 0, "nothing was unknown");
}
