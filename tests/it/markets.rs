//! How many TNs a market needs if its sessions share them.
//!
//! `cargo test --locked --test it -- --ignored pool_sizes --nocapture` measures and prints the table of
//! docs/operations.md.

mod market;
mod pools;

use crate::contract::fixtures::Shared;
use market::Market;
use pools::{Simulated, Stored};
use std::fmt::Write;

const PEOPLE: usize = 5_000;
/// So many sessions are opened in a full market, one after the other, each after another has ended.
const OPENINGS: usize = 20_000;
/// How many sessions the busiest have.
const BUSIEST: [usize; 5] = [5, 10, 20, 50, 100];

type Make = fn(usize) -> Market;

/// The markets of the table, as it names them.
const MARKETS: [(&str, Make); 5] = [
    ("drivers, and customers with one session each", |busiest| Market::of_drivers(PEOPLE, busiest, 1)),
    ("drivers, and customers with up to 3 sessions", |busiest| Market::of_drivers(PEOPLE, busiest, 3)),
    ("anybody meets anybody, and all may be as busy; half of the sessions", |busiest| {
        Market::of_equals(PEOPLE, busiest).half_full()
    }),
    ("anybody meets anybody; one in 20 may be as busy, the others have up to 2", |busiest| {
        Market::with_few_busy(PEOPLE, busiest)
    }),
    ("anybody meets anybody, and all may be as busy", |busiest| Market::of_equals(PEOPLE, busiest)),
];

/// The smallest simulated pool in which no session is refused.
async fn smallest(market: &Market, busiest: usize) -> usize {
    let (mut too_small, mut enough) = (busiest - 1, 2 * busiest - 1);
    while enough - too_small > 1 {
        let tns = usize::midpoint(too_small, enough);
        match market.fits(&mut Simulated::with(PEOPLE, tns), OPENINGS).await {
            true => enough = tns,
            false => too_small = tns,
        }
    }
    enough
}

/// The rows of the table for these numbers of sessions.
async fn rows(busiest: &[usize]) -> Vec<String> {
    let mut rows = Vec::new();
    for (name, make) in MARKETS {
        let mut row = format!("| {name} |");
        for busiest in busiest {
            write!(row, " {} |", smallest(&make(*busiest), *busiest).await).unwrap();
        }
        rows.push(row);
    }
    rows
}

fn documented() -> &'static str {
    include_str!("../../docs/operations.md")
}

#[tokio::test]
#[ignore = "takes a minute; the next test measures the first columns"]
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
async fn pool_sizes() {
    let rows = rows(&BUSIEST).await;
    println!("{}", rows.join("\n"));
    for row in rows {
        assert!(documented().lines().any(|line| line == row), "docs/operations.md should have: {row}");
    }
}

#[tokio::test]
async fn the_documented_pool_sizes_are_those_that_are_measured() {
    for row in rows(&BUSIEST[..2]).await {
        assert!(documented().lines().any(|line| line.starts_with(&row)), "docs/operations.md: {row}");
    }
}

/// Asserts that a pool of this size refuses nobody.
async fn assert_fits(store: Shared, market: &Market, tns: usize, more: usize) {
    assert!(market.fits(&mut Stored::with(store, tns as u64).await, more).await, "a session was refused");
}

#[tokio::test]
async fn drivers_need_as_many_tns_as_each_has_sessions() {
    let (store, _guard) = test_support::sqlite_in_memory();
    assert_fits(store, &Market::of_drivers(505, 100, 1), 100, 500).await;
    let dynamodb = test_support::dynamodb::dynamodb().await;
    assert_fits(dynamodb, &Market::of_drivers(42, 20, 1), 20, 20).await;
}

#[tokio::test]
#[ignore = "slow"]
async fn twice_as_many_tns_as_anybody_has_sessions_less_one_are_enough() {
    let (store, _guard) = test_support::sqlite_in_memory();
    assert_fits(store, &Market::of_equals(PEOPLE, 10), 19, 2_000).await;
    let dynamodb = test_support::dynamodb::dynamodb().await;
    assert_fits(dynamodb, &Market::of_equals(40, 5), 9, 60).await;
}
