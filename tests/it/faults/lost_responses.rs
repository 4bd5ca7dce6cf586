//! Flowroute's response is lost, and the outcome is reconciled with its list of messages.

use crate::faults::fixture::{Conversation, Fixture, Poster};
use serde_json::Value;
use test_support::{
    Backend,
    binary::{Server, eventually},
    flowroute_standin::{FlowrouteStandin, ListMode, Mode, PAGE},
    on_each_backend,
};

on_each_backend! { slow, with 2 threads:
    texts_not_accepted_without_a_response_are_sent_again_once
    texts_accepted_without_a_response_are_found_in_the_list_and_not_sent_again
    nothing_is_sent_again_while_the_list_is_down_cut_or_links_elsewhere
}

/// A conversation in which Flowroute treated one text from each side in these modes. Its list is still in this mode.
async fn lost_responses(
    backend: Backend,
    modes: [Mode; 2],
    list: ListMode,
) -> (Fixture, Server, Conversation, Vec<Value>) {
    let fixture = Fixture::new(backend).await;
    let (server, conversation) = fixture.begin(&[]).await;
    // Enough others that the list has two pages.
    let mut texts = conversation.texts(PAGE + 1);
    let poster = Poster::to(&server);
    for text in &texts {
        assert_eq!(poster.deliver(text).await, Some(200));
    }
    conversation.all_sent(&server).await;
    fixture.flowroute.list(list);
    for (person, mode) in modes.into_iter().enumerate() {
        fixture.flowroute.mode(mode);
        let text = conversation.text(person, format!("lost from {person}"));
        poster.deliver_all(std::slice::from_ref(&text)).await;
        texts.push(text);
        // It may have missed its request's send budget and be sent by maintenance.
        eventually("Flowroute has it", || (fixture.flowroute.arrivals().len() == texts.len()).then_some(()))
            .await;
    }
    fixture.flowroute.mode(Mode::Take);
    (fixture, server, conversation, texts)
}

async fn texts_accepted_without_a_response_are_found_in_the_list_and_not_sent_again(backend: Backend) {
    let (fixture, server, conversation, texts) =
        lost_responses(backend, [Mode::TakeAndHangUp; 2], ListMode::Whole).await;
    conversation.all_sent(&server).await;
    fixture.assert_each_arrived_once(&texts);
    assert!(fixture.flowroute.readings() > 0);
    assert_eq!(fixture.flowroute.arrivals().len(), texts.len());
}

async fn texts_not_accepted_without_a_response_are_sent_again_once(backend: Backend) {
    let (fixture, server, conversation, texts) =
        lost_responses(backend, [Mode::HangUp; 2], ListMode::Whole).await;
    conversation.all_sent(&server).await;
    fixture.assert_each_arrived_once(&texts);
    assert!(fixture.flowroute.readings() >= 2, "one reading alone must not decide");
    assert_eq!(fixture.flowroute.arrivals().len(), texts.len() + 2);
}

/// Asserts that nothing is sent again while the list is in this mode, and that all is settled after that.
async fn lost_responses_without_list(backend: Backend, list: ListMode) {
    let (fixture, server, conversation, texts) =
        lost_responses(backend, [Mode::TakeAndHangUp, Mode::HangUp], list.clone()).await;
    // The list is read every second; an attempt is reconciled after eight.
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
        lost_responses_without_list(backend, ListMode::Down),
        lost_responses_without_list(backend, ListMode::CutOff),
        lost_responses_without_list(backend, ListMode::LeadsTo(elsewhere.url().to_owned())),
    );
    assert_eq!(elsewhere.requests(), 0, "our credentials are Flowroute's only");
}
