//! The process is killed under load, again and again.

use crate::support::{Backend, Conversation, Poster, Scene, binary::eventually, on_each_backend};
use serde_json::Value;
use std::time::Duration;
use tokio::task::JoinSet;

const DEATHS: usize = 3;
const CONVERSATIONS: usize = 4;
/// How many texts Flowroute has taken, since the start, when the process dies.
const TAKEN_BEFORE_DEATH: usize = 40;

on_each_backend! { with 2 threads:
    texts_arrive_once_however_often_the_service_dies_while_it_sends_them
}

/// One person posts text after text until the service is dead; what was posted, and whether it was answered 200.
async fn post_until_the_end(
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

async fn texts_arrive_once_however_often_the_service_dies_while_it_sends_them(backend: Backend) {
    let scene = Scene::set(backend).await;
    let mut server = scene.serve(&[]).await;
    let mut conversations = Vec::new();
    for _ in 0..CONVERSATIONS {
        conversations.push(Conversation::begin(&server).await);
    }
    scene.flowroute.clear();
    // Of the texts that are under way at a death, some are taken and some are not.
    scene.flowroute.hesitate(Duration::from_millis(60));
    scene.flowroute.delay(Duration::from_millis(60));
    let mut texts = Vec::new();
    for round in 0..DEATHS {
        let mut senders = JoinSet::new();
        for conversation in &conversations {
            for person in 0..2 {
                senders.spawn(post_until_the_end(Poster::to(&server), conversation.clone(), person, round));
            }
        }
        let enough = scene.flowroute.taken().len() + TAKEN_BEFORE_DEATH;
        eventually("texts are under way", || (scene.flowroute.taken().len() >= enough).then_some(())).await;
        server.binary.kill();
        let posted = senders.join_all().await.concat();
        assert_eq!(posted.iter().filter(|(_, answered)| !answered).count(), 2 * CONVERSATIONS);

        server = scene.serve(&[]).await;
        let repeated = posted.iter().enumerate().filter(|(n, (_, answered))| !answered || n % 3 == 0);
        let repeated: Vec<Value> = repeated.map(|(_, (text, _))| text.clone()).collect();
        Poster::to(&server).deliver_all(&repeated).await;
        texts.extend(posted.into_iter().map(|(text, _)| text));
    }
    for conversation in &conversations {
        conversation.all_sent(&server).await;
    }
    scene.assert_each_arrived_once(&texts);
    assert!(scene.flowroute.readings() > 0, "nothing was under way at a death");
}
