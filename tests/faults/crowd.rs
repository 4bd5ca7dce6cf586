//! Many texts at once.

use crate::support::{Conversation, Poster, Scene, binary::Server};
use std::{fs, time::Duration};

/// The most memory that the process has had so far, in megabytes.
fn peak_memory(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.binary.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_texts_at_once_are_carried_through_a_slow_provider_while_health_answers() {
    let scene = Scene::set_alone().await;
    let slow = [("SEND_BUDGET_SECONDS", "8"), ("LEASE_SECONDS", "30"), ("LOOKUP_SETTLE_SECONDS", "300")];
    let server = scene.serve(&slow).await;
    let conversation = Conversation::begin(&server).await;
    scene.flowroute.clear();
    scene.flowroute.delay(Duration::from_secs(2));
    let texts = conversation.texts(200);
    let posts = tokio::spawn({
        let (poster, texts) = (Poster::to(&server), texts.clone());
        async move { poster.deliver_all(&texts).await }
    });
    let mut asked = 0;
    while !posts.is_finished() {
        let health = server.request("GET", "/health").timeout(Duration::from_secs(1)).send().await;
        assert!(health.as_ref().is_ok_and(|answer| answer.status() == 200), "{health:?}");
        asked += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    posts.await.unwrap();
    assert!(asked >= 10, "health was asked {asked} times only");
    conversation.all_sent(&server).await;
    scene.assert_each_arrived_once(&texts);
    let peak = peak_memory(&server);
    assert!(peak < 150, "{peak} MB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_arrives_at_no_more_than_the_pace_that_flowroute_allows() {
    const PACE: usize = 10;
    let scene = Scene::set_alone().await;
    let server = scene.serve(&[("FLOWROUTE_MAX_PER_SECOND", &PACE.to_string())]).await;
    let conversation = Conversation::begin(&server).await;
    let texts = conversation.texts(40);
    Poster::to(&server).deliver_all(&texts).await;
    conversation.all_sent(&server).await;
    let arrivals = scene.flowroute.arrivals();
    assert_eq!(arrivals.len(), 2 + texts.len(), "the start messages, and each text once");
    for window in arrivals.windows(PACE + 1) {
        let span = window[PACE].duration_since(window[0]);
        assert!(span >= Duration::from_secs(1), "{} in {span:?}", PACE + 1);
    }
}
