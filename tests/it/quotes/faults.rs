//! The faults that a Flowroute can have besides refusals.

use super::{Service, TEXT};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use test_support::{
    ALICE, BOB, TN,
    binary::WAIT_LIMIT,
    flat,
    flowroute_standin::{FlowrouteStandin, ListMode, Mode},
    fresh_id,
};

/// Waits until each message of the list at this path is in one of these states. Returns the list.
pub(super) async fn settled(service: &Service, path: &str, states: &[&str]) -> Value {
    let give_up = Instant::now() + WAIT_LIMIT;
    loop {
        let shown = service.call("GET", path, None).await.1;
        let messages = shown["messages"].as_array().unwrap_or_else(|| panic!("{shown}"));
        let open: Vec<_> =
            messages.iter().filter(|it| !states.contains(&it["state"].as_str().unwrap())).collect();
        if open.is_empty() {
            return shown;
        }
        assert!(Instant::now() < give_up, "gave up waiting: {open:?}");
        service.maintain().await;
    }
}

/// Posts a text of each participant.
async fn talk(service: &Service) {
    for from in [ALICE, BOB] {
        service.post("", &flat(&fresh_id(), from, TN, TEXT)).await;
    }
}

/// Has each fault while texts arrive, then reconciles with the message list, which has faults too.
pub(super) async fn suffer(service: &Service, flowroute: &FlowrouteStandin, path: &str, quoted: &[String]) {
    let all = quoted.join(", ");
    let error = json!({"errors": [{"title": all, "detail": all, "code": all}]}).to_string();
    let broken = &error[..error.len() - 3];
    // With an answer that says nothing certain, with one that is no JSON, and with none.
    for (status, body) in [
        (500, error.as_str()),
        (504, broken),
        (502, &format!("<html>{all}</html>")),
        (202, broken),
        (202, &all),
        (202, ""),
        (422, broken),
        (400, &all),
        (302, &error),
    ] {
        flowroute.answer_with_text(status, body);
        talk(service).await;
    }
    for mode in [Mode::TakeAndHangUp, Mode::HangUp] {
        flowroute.mode(mode);
        talk(service).await;
    }
    flowroute.mode(Mode::Take);
    flowroute.delay_answering(Duration::from_secs(5));
    service.post("", &flat(&fresh_id(), ALICE, TN, TEXT)).await;
    flowroute.delay_answering(Duration::ZERO);
    let shown = service.call("GET", path, None).await.1;
    let messages = shown["messages"].as_array().unwrap();
    let unknown = messages.iter().filter(|message| message["state"] == "unknown");
    assert!(unknown.count() > 10, "{:?}", messages.iter().rev().take(30).collect::<Vec<_>>());

    for list in [ListMode::CutOff, ListMode::Down] {
        flowroute.list(list);
        let readings = flowroute.readings();
        let give_up = Instant::now() + WAIT_LIMIT;
        while flowroute.readings() == readings {
            assert!(Instant::now() < give_up, "the list is not read");
            service.maintain().await;
        }
    }
    flowroute.list(ListMode::Whole);
    settled(service, path, &["sent", "failed", "cancelled", "waiting"]).await;

    // What Flowroute does not take waits, until the session ends.
    for (status, body) in [(503, error.as_str()), (429, &all), (401, &error), (404, broken)] {
        flowroute.answer_with_text(status, body);
        talk(service).await;
    }
    flowroute.stop().await;
    talk(service).await;
    flowroute.restart();
    flowroute.mode(Mode::Take);
}
