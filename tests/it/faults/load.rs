//! Many concurrent texts.

use crate::faults::fixture::{Conversation, DEFAULT_TIMES, Fixture, Poster};
use std::{fs, time::Duration};
use test_support::{Backend, binary::Server, on_each_backend};

on_each_backend! { slow, with 2 threads:
    many_concurrent_texts_pass_a_slow_provider_while_health_responds
    a_burst_stays_below_flowroutes_rate_limit
}

/// The peak memory of the process in megabytes.
fn peak_memory(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.binary.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() / 1024
}

async fn many_concurrent_texts_pass_a_slow_provider_while_health_responds(backend: Backend) {
    let fixture = Fixture::exclusive(backend).await;
    let (server, conversation) = fixture.begin(&DEFAULT_TIMES).await;
    fixture.flowroute.delay_answering(Duration::from_secs(2));
    let texts = conversation.texts(backend.many(200, 40) as usize);
    let posts = tokio::spawn({
        let (poster, texts) = (Poster::to(&server), texts.clone());
        async move { poster.deliver_all(&texts).await }
    });
    // The DynamoDB engine is single-threaded.
    let limit = Duration::from_secs(backend.many(1, 4).into());
    let mut asked = 0;
    while !posts.is_finished() {
        let health = server.request("GET", "/health").timeout(limit).send().await;
        assert!(health.as_ref().is_ok_and(|answer| answer.status() == 200), "{health:?}");
        asked += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    posts.await.unwrap();
    assert!(asked >= 10, "health was asked {asked} times only");
    conversation.all_sent(&server).await;
    fixture.assert_each_arrived_once(&texts);
    let peak = peak_memory(&server);
    assert!(peak < 150, "{peak} MB");
}

async fn a_burst_stays_below_flowroutes_rate_limit(backend: Backend) {
    const PACE: usize = 10;
    let fixture = Fixture::exclusive(backend).await;
    let server = fixture.serve(&[("FLOWROUTE_MAX_PER_SECOND", &PACE.to_string())]).await;
    let conversation = Conversation::begin(&server).await;
    let texts = conversation.texts(40);
    Poster::to(&server).deliver_all(&texts).await;
    conversation.all_sent(&server).await;
    let arrivals = fixture.flowroute.arrivals();
    assert_eq!(arrivals.len(), 2 + texts.len(), "the start notices, and each text once");
    for window in arrivals.windows(PACE + 1) {
        let span = window[PACE].duration_since(window[0]);
        assert!(span >= Duration::from_secs(1), "{} in {span:?}", PACE + 1);
    }
}
