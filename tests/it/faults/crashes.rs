//! The process is killed under load, repeatedly.

use crate::faults::fixture::{Conversation, Fixture, Poster};
use serde_json::Value;
use std::time::Duration;
use test_support::{Backend, binary::eventually, on_each_backend};
use tokio::task::JoinSet;

const CRASHES: usize = 3;
const CONVERSATIONS: usize = 4;
/// How many texts Flowroute accepts between a start and a crash.
const TAKEN_BEFORE_CRASH: usize = 40;

on_each_backend! { slow, with 2 threads:
    texts_arrive_once_however_often_the_service_crashes_while_sending
}

/// Posts one person's texts until the service crashes. Returns the texts, and whether each was answered 200.
async fn post_until_crash(
    poster: Poster,
    conversation: Conversation,
    person: usize,
    round: usize,
) -> Vec<(Value, bool)> {
    let mut posted = Vec::new();
    loop {
        let text =
            conversation.text(person, format!("{} {person}: {round}.{}", conversation.tn, posted.len()));
        let status = poster.deliver(&text).await;
        assert!(matches!(status, None | Some(200)), "{status:?}");
        posted.push((text, status.is_some()));
        if status.is_none() {
            return posted;
        }
    }
}

async fn texts_arrive_once_however_often_the_service_crashes_while_sending(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let mut server = fixture.serve(&[]).await;
    let mut conversations = Vec::new();
    for _ in 0..CONVERSATIONS {
        conversations.push(Conversation::begin(&server).await);
    }
    fixture.flowroute.clear();
    // Of the texts in flight at a crash, Flowroute accepts some and others not.
    fixture.flowroute.delay_accepting(Duration::from_millis(60));
    fixture.flowroute.delay_answering(Duration::from_millis(60));
    let mut texts = Vec::new();
    for round in 0..CRASHES {
        let mut senders = JoinSet::new();
        for conversation in &conversations {
            for person in 0..2 {
                senders.spawn(post_until_crash(Poster::to(&server), conversation.clone(), person, round));
            }
        }
        let enough = fixture.flowroute.taken().len() + TAKEN_BEFORE_CRASH;
        eventually("texts are in flight", || (fixture.flowroute.taken().len() >= enough).then_some(())).await;
        server.binary.kill();
        let posted = senders.join_all().await.concat();
        assert_eq!(posted.iter().filter(|(_, answered)| !answered).count(), 2 * CONVERSATIONS);

        server = fixture.serve(&[]).await;
        let repeated = posted.iter().enumerate().filter(|(n, (_, answered))| !answered || n % 3 == 0);
        let repeated: Vec<Value> = repeated.map(|(_, (text, _))| text.clone()).collect();
        Poster::to(&server).deliver_all(&repeated).await;
        texts.extend(posted.into_iter().map(|(text, _)| text));
    }
    for conversation in &conversations {
        conversation.all_sent(&server).await;
    }
    fixture.assert_each_arrived_once(&texts);
    assert!(fixture.flowroute.readings() > 0, "nothing was in flight at a crash");
}
