//! The store fails while a text is being sent: its outcome is reconciled later, and it is sent once.

use super::{LASTING, Trouble, with_each};
use test_support::{ALICE, BOB, Outcome, TN, fault_proxy::WRITES, flat, fresh_id};

/// A text is sent, with this outcome, while the store begins to fail. It is stored, so it is answered with 200.
async fn is_sent_as_the_store_fails(trouble: &Trouble, outcome: Outcome) -> serde_json::Value {
    let Trouble { troubled, well, proxy, calls, fault } = trouble;
    let session = well.conversation(None).await;
    let (script, calls, lasting) = (proxy.clone(), *calls, *fault);
    well.provider.script(move |_| {
        script.fail(calls, lasting, u32::MAX);
        outcome.clone()
    });
    assert_eq!(troubled.post(flat(&fresh_id(), ALICE, TN, "hello")).await.status, 200, "{fault:?}");
    trouble.ends().await;
    well.provider.always(Outcome::Sent);
    session
}

#[tokio::test]
async fn a_text_that_was_accepted_is_not_sent_again() {
    with_each(WRITES, LASTING, async |trouble| {
        let session = is_sent_as_the_store_fails(trouble, Outcome::Sent).await;
        let (well, fault) = (&trouble.well, trouble.fault);
        trouble.comes_to_rest().await;
        assert_eq!(well.provider.taken_by(), [(BOB.to_owned(), "hello".to_owned())], "{fault:?}");
        assert_eq!(well.relays(&session).await, ["sent"], "{fault:?}");
    })
    .await;
}

#[tokio::test]
#[ignore = "slow"]
async fn a_text_that_was_not_accepted_is_sent_later_and_once() {
    with_each(WRITES, LASTING, async |trouble| {
        let session = is_sent_as_the_store_fails(trouble, Outcome::Busy).await;
        let (well, fault) = (&trouble.well, trouble.fault);
        assert_eq!(well.provider.taken(), [], "{fault:?}");
        trouble.comes_to_rest().await;
        assert_eq!(well.provider.taken_by(), [(BOB.to_owned(), "hello".to_owned())], "{fault:?}");
        assert_eq!(well.relays(&session).await, ["sent"], "{fault:?}");
    })
    .await;
}

#[tokio::test]
#[ignore = "slow"]
async fn a_text_whose_session_ended_meanwhile_is_not_sent() {
    with_each(WRITES, LASTING, async |trouble| {
        let session = is_sent_as_the_store_fails(trouble, Outcome::LostNoResponse).await;
        let (well, fault) = (&trouble.well, trouble.fault);
        well.end_session(&session).await;
        trouble.comes_to_rest().await;
        assert!(well.provider.bodies().iter().all(|body| body != "hello"), "{fault:?}");
        assert_eq!(well.relays(&session).await, ["cancelled"], "{fault:?}");
    })
    .await;
}
