//! A search for a TN while others take and free TNs.

use super::LONG_LIMIT;
use crate::contract::{
    fixtures::{Shared, end, fill_pool, tn},
    sharing::{couple, new, open, sharing, try_open},
};
use sms_proxy::{
    domain::{EndCause, Number, Session},
    store::OpenSession,
};
use std::{sync::Arc, time::Duration};
use test_support::fault_proxy::{Calls, Fault, FaultProxy};

async fn open_on(store: &Shared, n: u64, tn: Number) -> Session {
    let mut new = new(couple(n), 0, sharing(1));
    new.virtual_tn = Some(tn);
    open(store, new).await
}

/// One of two TNs is free at any moment: one is freed before the other is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn a_tn_that_is_freed_while_another_is_taken_is_found() {
    let (table, proxy) = FaultProxy::table().await;
    let searching = table.without_timeouts(proxy.url()).store(LONG_LIMIT);
    let others = table.at_the_engine().store(LONG_LIMIT);
    fill_pool(&others, 2).await;
    let mut taken = open_on(&others, 0, tn(1)).await;
    for n in 1..12 {
        let queries = proxy.injected();
        proxy.fail(Calls::Containing("FREE#0".into()), Fault::Slow, u32::MAX);
        let store = Arc::clone(&searching);
        let search = tokio::spawn(async move { try_open(&store, new(couple(2 * n), 0, sharing(1))).await });
        // The first part of the free list was read, and the second one is about to be.
        while proxy.injected() < queries + 2 && !search.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if !search.is_finished() {
            let free = if taken.tn == tn(1) { tn(2) } else { tn(1) };
            assert!(end(&others, taken.id, EndCause::Deleted, 0).await);
            taken = open_on(&others, 2 * n + 1, free).await;
        }
        let found = search.await.unwrap();
        proxy.recover();
        let OpenSession::Opened { session, .. } = found else { panic!("attempt {n}: {found:?}") };
        assert!(end(&others, session.id, EndCause::Deleted, 0).await);
    }
}
