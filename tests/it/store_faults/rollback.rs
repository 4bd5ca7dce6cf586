//! A caller is told that a call failed, or would be, and it has happened or happens later: what is told is made true.

use super::Trouble;
use serde_json::Value;
use test_support::{
    ALICE, App, BOB, Outcome, TN,
    fault_proxy::{Fault, WRITES},
    pair,
};

/// The number of attempts at one write in the time limit of a store call.
const TRIES: u32 = 2;
/// The number of attempts at a call that may time out on a busy machine.
const ATTEMPTS: u32 = 5;
const OTHER_TN: &str = "12062992130";

/// Opens a session with retries: on a busy machine a call may time out.
async fn open_with_retries(app: &App) -> Value {
    for _ in 0..ATTEMPTS {
        let answer = app.call("POST", "/session", Some(pair())).await;
        if answer.status != 503 {
            assert_eq!(answer.status, 200, "{answer:?}");
            return answer.json();
        }
    }
    panic!("no session opens");
}

#[tokio::test]
async fn a_session_whose_response_is_lost_is_rolled_back_before_the_caller_gets_an_error() {
    let Trouble { troubled, well, proxy, .. } = &Trouble::new(WRITES, Fault::AppliedNoResponse).await;
    well.add_tn(TN).await;
    proxy.fail(WRITES, Fault::AppliedNoResponse, TRIES);
    troubled.call("POST", "/session", Some(pair())).await.assert_error(503, "store_unavailable");
    assert_eq!(well.pool().await, (1, 0));
    assert_eq!(well.provider.asked(), 0);
}

#[tokio::test]
async fn no_session_begins_after_its_creation_was_reported_as_failed() {
    let Trouble { troubled, well, proxy, .. } = &Trouble::new(WRITES, Fault::AppliedMuchLater).await;
    well.add_tn(TN).await;
    proxy.fail(WRITES, Fault::AppliedMuchLater, TRIES);
    troubled.call("POST", "/session", Some(pair())).await.assert_error(503, "store_unavailable");
    assert_eq!(proxy.recover(), 0, "every try of the opening comes later");
    proxy.late_calls_applied().await;
    assert_eq!(well.pool().await, (1, 0));
    // Others are opened as ever, and what was left behind is no session for anybody.
    let session = open_with_retries(troubled).await;
    well.end_session(&session).await;
    assert_eq!(well.pool().await, (1, 0));
}

#[tokio::test]
async fn a_session_that_only_a_newer_release_can_roll_back_blocks_no_other() {
    let trouble = Trouble::new(WRITES, Fault::ConnectionCut).await;
    let Trouble { troubled, well, proxy, .. } = &trouble;
    well.add_tn(TN).await;
    let (script, provider) = (proxy.clone(), &well.provider);
    provider.script(move |_| {
        script.fail(WRITES, Fault::ConnectionCut, u32::MAX);
        Outcome::Refused
    });
    let mut id = None;
    for _ in 0..ATTEMPTS {
        troubled.call("POST", "/session", Some(pair())).await.assert_error(503, "store_unavailable");
        trouble.ends().await;
        let sessions = well.call("GET", "/session", None).await.json();
        // On a busy machine the session may not be stored.
        id = sessions["sessions"][0]["id"].as_str().map(str::to_owned);
        if id.is_some() {
            break;
        }
    }
    let id = id.expect("the session is stored");
    provider.always(Outcome::Sent);
    proxy.rewrite_as_newer_release(format!("S#{id}"), "S").await;
    well.add_tn(OTHER_TN).await;
    assert_eq!(open_with_retries(troubled).await["virtual_tn"], OTHER_TN);
}

#[tokio::test]
async fn an_end_whose_response_is_lost_is_reported_to_the_caller_and_to_both_participants() {
    let Trouble { troubled, well, proxy, .. } = &Trouble::new(WRITES, Fault::AppliedNoResponse).await;
    let session = well.conversation(None).await;
    proxy.fail(WRITES, Fault::AppliedNoResponse, TRIES);
    troubled.end_session(&session).await;
    let told: Vec<String> = well.provider.taken().into_iter().map(|text| text.to).collect();
    assert_eq!(told.len(), 2);
    assert!([ALICE, BOB].iter().all(|person| told.iter().any(|to| to == person)), "{told:?}");
    assert_eq!(well.pool().await, (1, 0));
    let id = session["session_id"].as_str().unwrap();
    let again = well.call("DELETE", &format!("/session/{id}"), None).await;
    again.assert_error(404, "session_not_found");
}
