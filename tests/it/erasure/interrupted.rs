//! An erasure that is interrupted is finished by the next one.

use super::{counts, erase};
use serde_json::json;
use test_support::{
    ALICE, App, BOB, EVE, Outcome, TN,
    fault_proxy::{Fault, FaultProxy},
    number, unpaced,
};

/// Whether an item of the table has this number.
async fn has(proxy: &FaultProxy, person: &str) -> bool {
    let scanned = proxy.engine("Scan", &json!({"TableName": proxy.table_name()})).await;
    scanned["Items"].to_string().contains(person)
}

#[tokio::test]
#[ignore = "slow"]
async fn an_erasure_that_a_failing_table_interrupts_anywhere_is_finished_by_the_next() {
    const CALLS: [&[&str]; 4] = [&["Scan"], &["TransactWriteItems"], &["Query"], &["GetItem"]];
    for calls in CALLS {
        let (store, proxy) = FaultProxy::store().await;
        let app = App::on(store, unpaced());
        app.conversation(None).await;
        app.add_tn(&number(1)).await;
        app.open_session(EVE, ALICE, None).await;
        app.provider.always(Outcome::Busy);
        app.text(BOB, TN, "to her").await;
        app.provider.always(Outcome::Sent);
        app.provider.clear();
        // Longer than the retries take.
        proxy.fail(calls, Fault::ServerError, u32::MAX);
        let refused = app.call("POST", "/participant/erase", Some(json!({"number": ALICE}))).await;
        refused.assert_error(503, "store_unavailable");
        assert!(has(&proxy, ALICE).await);
        proxy.recover();
        erase(&app, ALICE).await;
        assert!(!has(&proxy, ALICE).await, "{calls:?}");
        assert_eq!(counts(&erase(&app, ALICE).await), [0; 4]);
        app.settle_everything().await;
        let mut told: Vec<String> = app.provider.taken_by().into_iter().map(|(to, _)| to).collect();
        told.sort_unstable();
        assert_eq!(told, [BOB, EVE], "{calls:?}");
    }
}

#[tokio::test]
async fn an_erasure_whose_responses_are_lost_leaves_nothing() {
    let (store, proxy) = FaultProxy::store().await;
    let app = App::on(store, unpaced());
    app.conversation(None).await;
    proxy.fail(&["TransactWriteItems", "UpdateItem"][..], Fault::ResponseLost, 3);
    erase(&app, ALICE).await;
    assert!(!has(&proxy, ALICE).await);
}
