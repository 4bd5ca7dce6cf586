//! How free TNs are spread over shards: a small pool is in one shard, a large one in all of them, with any number of
//! processes.

use crate::contract::fixtures::{Shared, at, concurrently, counted, end, fill_pool, person, talking};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use sms_proxy::{
    domain::{EndCause, Session},
    store::{AddTn, RemoveTn},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use test_support::{
    App,
    dynamodb::{Table, engine_url},
    fault_proxy::{Fault, FaultProxy, WRITES},
    without_timeouts,
};

/// A table that several processes share.
struct Pool {
    table: Table,
}

impl Pool {
    async fn new() -> Self {
        Self { table: Table::create(&engine_url()).await.at_the_engine() }
    }

    /// With a hundred sampled TNs, as in a pool of ten thousand.
    async fn large() -> Self {
        let pool = Self::new().await;
        let store = pool.process();
        for tens in 0..10 {
            let adding = (1..=10).map(|n| {
                let store = Arc::clone(&store);
                async move { store.add_tn(counted(10 * tens + n), at(0)).await.unwrap() }
            });
            assert_eq!(concurrently(adding).await, [AddTn::Added; 10]);
        }
        pool
    }

    /// A new process.
    fn process(&self) -> Shared {
        self.table.store(Duration::from_secs(60))
    }

    async fn items(&self) -> Vec<HashMap<String, AttributeValue>> {
        let all = self.table.client.scan().table_name(&self.table.name).consistent_read(true).send().await;
        all.unwrap().items.unwrap()
    }

    /// How many sampled TNs the table counts.
    async fn counted(&self) -> String {
        let items = self.items().await;
        let pool = items.iter().find(|item| item["pk"].as_s().unwrap() == "POOL").unwrap();
        pool["counted_tns"].as_n().unwrap().clone()
    }

    /// How many free TNs are in each shard.
    async fn parts(&self) -> BTreeMap<String, usize> {
        let mut parts = BTreeMap::new();
        for item in self.items().await {
            let pk = item["pk"].as_s().unwrap();
            if let Some(part) = pk.strip_prefix("FREE#") {
                *parts.entry(part.to_owned()).or_default() += 1;
            }
        }
        parts
    }
}

async fn open(store: &Shared, count: u64) -> Vec<Session> {
    let mut sessions = Vec::new();
    for n in 0..count {
        sessions.push(talking(store, [person(2 * n), person(2 * n + 1)], 1, None).await);
    }
    sessions
}

#[tokio::test]
async fn a_small_pool_is_in_one_shard() {
    let pool = Pool::new().await;
    fill_pool(&pool.process(), 10).await;
    assert_eq!(pool.parts().await, [("0".to_owned(), 10)].into());
    for session in open(&pool.process(), 10).await {
        assert!(end(&pool.process(), session.id, EndCause::Deleted, 2).await);
    }
    assert_eq!(pool.parts().await, [("0".to_owned(), 10)].into());
}

#[tokio::test]
#[ignore = "slow"]
async fn a_large_pool_is_spread_over_the_shards_and_every_tn_is_found() {
    let pool = Pool::large().await;
    let before = pool.parts().await;
    assert_spread(&before, 100);
    let mut sessions = open(&pool.process(), 20).await;
    let after = pool.parts().await;
    let taken = |part: &str| before[part] - after.get(part).unwrap_or(&0);
    assert!(taken("0") < 16, "most are picked from other shards: {before:?}, {after:?}");
    sessions.extend(open(&pool.process(), 80).await);
    assert_eq!(pool.parts().await, BTreeMap::new());
    let process = pool.process();
    for session in sessions {
        assert!(end(&process, session.id, EndCause::Deleted, 2).await);
    }
    assert_spread(&pool.parts().await, 100);
}

#[tokio::test]
#[ignore = "slow"]
async fn tns_freed_by_late_texts_are_spread_too() {
    let pool = Pool::large().await;
    let app = App::on(pool.process(), without_timeouts());
    let mut tns = Vec::new();
    for n in 0..100 {
        let (a, b) = (person(2 * n).digits(), person(2 * n + 1).digits());
        let session = app.open_session(&a, &b, Some(1)).await;
        tns.push((a, session["virtual_tn"].as_str().unwrap().to_owned()));
    }
    app.clock.advance(TimeDelta::minutes(1));
    let another = app.beside(pool.process(), without_timeouts());
    for (sender, tn) in tns {
        another.text(&sender, &tn, "late").await;
    }
    assert_spread(&pool.parts().await, 100);
}

#[tokio::test]
#[ignore = "slow"]
async fn a_pool_that_shrank_is_found_whole_and_gathered_in_one_shard() {
    let pool = Pool::large().await;
    let store = pool.process();
    for n in 1..=95 {
        assert_eq!(store.remove_tn(counted(n), at(1)).await.unwrap(), RemoveTn::Removed);
    }
    fill_pool(&store, 5).await;
    for session in open(&store, 10).await {
        assert!(end(&store, session.id, EndCause::Deleted, 2).await);
    }
    assert_eq!(pool.parts().await, [("0".to_owned(), 10)].into());
}

#[tokio::test]
async fn a_number_is_counted_once_if_the_response_is_lost() {
    for (fault, times) in [(Fault::ResponseLost, 1), (Fault::ResponseLost, 4), (Fault::AppliedServerError, 4)]
    {
        let (table, proxy) = FaultProxy::table().await;
        let store = table.store(Duration::from_secs(60));
        let fail = || proxy.fail(WRITES, fault, times);
        let at_the_engine = Pool { table: table.at_the_engine() };
        fail();
        assert_eq!(store.add_tn(counted(1), at(0)).await.unwrap(), AddTn::Added);
        assert_eq!(at_the_engine.counted().await, "1");
        fail();
        assert_eq!(store.remove_tn(counted(1), at(0)).await.unwrap(), RemoveTn::Removed);
        assert_eq!(at_the_engine.counted().await, "0");
        assert_eq!(proxy.recover(), 0, "{fault:?} happened {times} times");
    }
}

/// Asserts that most shards have TNs, and that none has nearly all of them.
fn assert_spread(parts: &BTreeMap<String, usize>, tns: usize) {
    assert_eq!(parts.values().sum::<usize>(), tns);
    assert!(parts.len() >= 6 && parts.values().all(|part| *part < 2 * tns / 3), "{parts:?}");
}
