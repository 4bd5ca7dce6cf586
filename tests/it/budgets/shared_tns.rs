//! What sessions cost on shared TNs: neither the sessions of others nor, but for reads, those of the two people count.

use super::{Calls, LIMIT, cost};
use sms_proxy::{domain::Sharing, service::Options};
use test_support::{
    App,
    fault_proxy::{FaultProxy, Spent},
    number, unpaced,
};

/// A service whose TNs carry up to 1,000 sessions, with this number of TNs.
async fn shared(tns: u32) -> (App, FaultProxy) {
    let (store, proxy) = FaultProxy::store_without_receipts(LIMIT).await;
    let sharing = Sharing { sessions_per_tn: 1_000, ..Sharing::default() };
    let app = App::on(store, Options { send_budget: LIMIT, request_limit: LIMIT, sharing, ..unpaced() });
    for n in 0..tns {
        app.add_tn(&number(n)).await;
    }
    (app, proxy)
}

/// What it costs to open a session of these two, to relay a text in it, and to end it.
async fn life(app: &App, proxy: &FaultProxy, [a, b]: [u32; 2]) -> [Spent; 3] {
    let [a, b] = [a, b].map(number);
    proxy.spent();
    let session = app.open_session(&a, &b, None).await;
    let opened = proxy.spent();
    app.text(&a, session["virtual_tn"].as_str().unwrap(), "hello").await;
    let relayed = proxy.spent();
    app.end_session(&session).await;
    [opened, relayed, proxy.spent()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn a_session_costs_the_same_on_a_tn_with_one_session_and_with_500() {
    let (app, proxy) = shared(1).await;
    let opened: Calls =
        &[("GetItem", 3), ("BatchGetItem", 1), ("Query", 3), ("TransactWriteItems", 1), ("UpdateItem", 2)];
    let relayed: Calls = &[("GetItem", 2), ("Query", 1), ("UpdateItem", 2)];
    let ended: Calls =
        &[("GetItem", 2), ("BatchGetItem", 3), ("Query", 3), ("TransactWriteItems", 1), ("UpdateItem", 2)];
    // The text of a moment ago is read at the end. The TN stays in the free list, so its entry there costs nothing.
    let expected = [cost(opened, 9.0, 20.0), cost(relayed, 2.5, 4.0), cost(ended, 10.5, 20.0)];
    let mut sessions = 0;
    for of_others in [1, 500] {
        for n in sessions..of_others {
            app.open_session(&number(10_000 + 2 * n), &number(10_001 + 2 * n), None).await;
        }
        sessions = of_others;
        // With a single TN, a search from a random position begins on the empty side half of the time.
        let mut least: Option<[Spent; 3]> = None;
        for n in 0..20 {
            let first = 20_000 + 100 * of_others + 2 * n;
            let spent = life(&app, &proxy, [first, first + 1]).await;
            let is_less = least.as_ref().is_none_or(|least| spent[0].read_units < least[0].read_units);
            least = if is_less { Some(spent) } else { least };
        }
        assert_eq!(least.unwrap(), expected, "beside {of_others}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn a_person_with_many_sessions_costs_more_reads_and_nothing_else() {
    let (app, proxy) = shared(300).await;
    let driver = 10_000;
    let mut customers = 20_000..;
    let mut costs = Vec::new();
    let mut sessions = 0;
    for of_driver in [1, 50] {
        while sessions < of_driver {
            app.open_session(&number(driver), &number(customers.next().unwrap()), None).await;
            sessions += 1;
        }
        costs.push(life(&app, &proxy, [driver, customers.next().unwrap()]).await);
    }
    let [few, many] = [&costs[0], &costs[1]];
    for (step, (few, many)) in few.iter().zip(many).enumerate() {
        assert_eq!((&few.calls, few.write_units), (&many.calls, many.write_units), "step {step}");
        // The routes of a person are read together, about thirty to a read unit.
        assert!(many.read_units <= few.read_units + 4.0, "step {step}: {few:?}, {many:?}");
    }
    assert_eq!(few[1..], many[1..], "a text and an end cost the same");
}
