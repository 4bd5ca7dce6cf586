//! Flowroute's answer does not arrive, and its list of messages has to tell.

use crate::fixture::{Conversation, Fixture, Poster};
use serde_json::Value;
use test_support::{
    Backend,
    binary::{Server, eventually},
    flowroute_standin::{FlowrouteStandin, ListMode, Mode, PAGE},
    on_each_backend,
};

on_each_backend! { with 2 threads:
    texts_accepted_without_a_response_are_found_in_the_list_and_not_sent_again
    texts_not_accepted_without_a_response_are_sent_again_once
    nothing_is_sent_again_while_the_list_is_down_cut_or_links_elsewhere
}

/// A conversation in which Flowroute treats two texts so, one from each side, and is well again but for its list.
async fn unheard(
    backend: Backend,
    modes: [Mode; 2],
    list: ListMode,
) -> (Fixture, Server, Conversation, Vec<Value>) {
    let fixture = Fixture::new(backend).await;
    let (server, conversation) = fixture.begin(&[]).await;
    // So many others that the list has two pages.
    let mut texts = conversation.texts(PAGE + 1);
    let poster = Poster::to(&server);
    for text in &texts {
        assert_eq!(poster.deliver(text).await, Some(200));
    }
    conversation.all_sent(&server).await;
    fixture.flowroute.list(list);
    for (person, mode) in modes.into_iter().enumerate() {
        fixture.flowroute.mode(mode);
        let text = conversation.text(person, format!("unheard from {person}"));
        poster.deliver_all(std::slice::from_ref(&text)).await;
        texts.push(text);
        // It may have been too late for its request, and come with maintenance.
        eventually("Flowroute has got it", || {
            (fixture.flowroute.arrivals().len() == texts.len()).then_some(())
        })
        .await;
    }
    fixture.flowroute.mode(Mode::Take);
    (fixture, server, conversation, texts)
}

async fn texts_accepted_without_a_response_are_found_in_the_list_and_not_sent_again(backend: Backend) {
    let (fixture, server, conversation, texts) =
        unheard(backend, [Mode::TakeAndHangUp; 2], ListMode::Whole).await;
    conversation.all_sent(&server).await;
    fixture.assert_each_arrived_once(&texts);
    assert!(fixture.flowroute.readings() > 0);
    assert_eq!(fixture.flowroute.arrivals().len(), texts.len());
}

async fn texts_not_accepted_without_a_response_are_sent_again_once(backend: Backend) {
    let (fixture, server, conversation, texts) = unheard(backend, [Mode::HangUp; 2], ListMode::Whole).await;
    conversation.all_sent(&server).await;
    fixture.assert_each_arrived_once(&texts);
    assert!(fixture.flowroute.readings() >= 2, "one reading alone does not decide");
    assert_eq!(fixture.flowroute.arrivals().len(), texts.len() + 2);
}

/// Nothing is sent again as long as the list is shown so, and then all is settled.
async fn unheard_without_a_list(backend: Backend, list: ListMode) {
    let (fixture, server, conversation, texts) =
        unheard(backend, [Mode::TakeAndHangUp, Mode::HangUp], list.clone()).await;
    // One reading a second, and an attempt is decided on after eight.
    let enough = fixture.flowroute.readings() + 12;
    eventually("the list is asked for again and again", || {
        assert_eq!(fixture.flowroute.arrivals().len(), texts.len(), "{list:?}: a text was sent again");
        (fixture.flowroute.readings() >= enough).then_some(())
    })
    .await;
    let states = conversation.states(&server).await;
    let unknown = states.iter().filter(|state| *state == "unknown").count();
    assert_eq!(unknown, 2, "{list:?}: {states:?}");

    fixture.flowroute.list(ListMode::Whole);
    conversation.all_sent(&server).await;
    fixture.assert_each_arrived_once(&texts);
    assert_eq!(fixture.flowroute.arrivals().len(), texts.len() + 1, "{list:?}");
}

async fn nothing_is_sent_again_while_the_list_is_down_cut_or_links_elsewhere(backend: Backend) {
    let elsewhere = FlowrouteStandin::start().await;
    tokio::join!(
        unheard_without_a_list(backend, ListMode::Down),
        unheard_without_a_list(backend, ListMode::CutOff),
        unheard_without_a_list(backend, ListMode::LeadsTo(elsewhere.url().to_owned())),
    );
    assert_eq!(elsewhere.requests(), 0, "our credentials are Flowroute's only");
}
