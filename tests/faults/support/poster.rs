//! Flowroute's posts.

use super::binary::{PATIENCE, Server};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Whether the engine of the tests may be too slow for the service now and then, on a busy machine.
pub fn is_on_dynamodb(server: &Server) -> bool {
    server.binary.stderr().contains("storage: DynamoDB")
}

/// Posts texts to the webhook, as Flowroute does.
#[derive(Clone)]
pub struct Poster {
    client: reqwest::Client,
    url: String,
    on_dynamodb: bool,
}

impl Poster {
    pub fn to(server: &Server) -> Self {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { client, url: format!("http://{}/", server.address), on_dynamodb: is_on_dynamodb(server) }
    }

    /// Posts a text once: the status of the answer, or `None` when none came.
    pub async fn post(&self, text: &Value) -> Option<u16> {
        let answer = self.client.post(&self.url).json(text).send().await;
        answer.ok().map(|answer| answer.status().as_u16())
    }

    /// Posts texts all at once; their statuses, in order.
    pub async fn post_all(&self, texts: &[Value]) -> Vec<Option<u16>> {
        let mut posts = JoinSet::new();
        for (n, text) in texts.iter().cloned().enumerate() {
            let poster = self.clone();
            posts.spawn(async move { (n, poster.post(&text).await) });
        }
        let mut statuses = posts.join_all().await;
        statuses.sort_unstable();
        statuses.into_iter().map(|(_, status)| status).collect()
    }

    /// Posts a text that is to be taken: the status of the answer, or `None` when none came. On DynamoDB it is posted
    /// again when the engine was too slow.
    pub async fn deliver(&self, text: &Value) -> Option<u16> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let status = self.post(text).await;
            if status != Some(503) || !self.on_dynamodb || Instant::now() > give_up {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Delivers texts all at once.
    pub async fn deliver_all(&self, texts: &[Value]) {
        let mut posts = JoinSet::new();
        for text in texts {
            let (poster, text) = (self.clone(), text.clone());
            posts.spawn(async move { poster.deliver(&text).await });
        }
        let statuses = posts.join_all().await;
        assert!(statuses.iter().all(|status| *status == Some(200)), "{statuses:?}");
    }

    /// Posts texts all at once, each again and again until it is answered 200, as Flowroute does.
    pub async fn insist_all(&self, texts: &[Value]) {
        let mut posts = JoinSet::new();
        for text in texts {
            let (poster, text) = (self.clone(), text.clone());
            posts.spawn(async move { poster.insist(&text).await });
        }
        posts.join_all().await;
    }

    async fn insist(&self, text: &Value) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match self.post(text).await {
                Some(200) => return,
                None | Some(503) if Instant::now() < give_up => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                other => panic!("{other:?} for {text}"),
            }
        }
    }
}
