//! An export of much, through a way that is slow or narrow.

use super::snapshot_store::records;
use chrono::{TimeDelta, Utc};
use futures_util::future::join_all;
use sms_proxy::{
    domain::Number,
    snapshot,
    store::{Dynamo, Pool},
};
use test_support::fault_proxy::{Fault, FaultProxy};

const MANY: u64 = 300;

async fn full_table() -> (Dynamo, FaultProxy) {
    let (table, proxy) = FaultProxy::table().await;
    let store = Dynamo::new(table.client, &table.name, TimeDelta::days(30));
    let unlimited = store.clone().with_limit(std::time::Duration::from_secs(60));
    let numbers = (0..MANY).map(|n| Number::try_from(12_062_990_000 + n).unwrap());
    for added in join_all(numbers.map(|tn| unlimited.add_tn(tn, Utc::now()))).await {
        added.unwrap();
    }
    proxy.calls();
    (store, proxy)
}

async fn export(store: &Dynamo) -> String {
    let mut file = Vec::new();
    snapshot::export(store, Utc::now() - TimeDelta::days(30), &mut file).await.unwrap();
    String::from_utf8(file).unwrap()
}

#[tokio::test]
async fn a_table_is_read_in_small_pieces() {
    let (store, proxy) = full_table().await;
    assert_eq!(records(&export(&store).await, "tn").len(), usize::try_from(MANY).unwrap());
    // Each number is an item, and its entry in the free list another. All is read twice, 250 items at a time.
    assert_eq!(proxy.calls().get("Scan"), Some(&6));
}

#[tokio::test]
async fn an_export_continues_after_throttling() {
    let (store, proxy) = full_table().await;
    proxy.fail(&["Scan"], Fault::THROTTLED, 20);
    assert_eq!(records(&export(&store).await, "tn").len(), usize::try_from(MANY).unwrap());
    assert_eq!(proxy.recover(), 0);
}
