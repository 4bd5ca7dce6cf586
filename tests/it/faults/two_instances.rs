//! Two instances on the same store under load; they crash in turn.

use crate::faults::fixture::{Conversation, Fixture, Poster, until};
use serde_json::Value;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use test_support::{
    Backend,
    binary::{Server, eventually},
    flowroute_standin::Mode,
    on_each_backend,
};
use tokio::task::JoinSet;

const CONVERSATIONS: usize = 4;
const CRASHES: usize = 6;
/// How many texts Flowroute accepts between two crashes.
const TAKEN_BEFORE_CRASH: usize = 25;

on_each_backend! { slow, with 2 threads:
    texts_arrive_once_however_often_one_of_two_instances_crashes
}

/// A load balancer in front of the two instances.
#[derive(Clone)]
struct Balancer(Arc<Mutex<[Poster; 2]>>);

impl Balancer {
    fn before(servers: &[Server; 2]) -> Self {
        Self(Arc::new(Mutex::new([Poster::to(&servers[0]), Poster::to(&servers[1])])))
    }

    fn restarted(&self, instance: usize, server: &Server) {
        self.0.lock().unwrap()[instance] = Poster::to(server);
    }

    fn pick(&self, turn: usize) -> Poster {
        self.0.lock().unwrap()[turn % 2].clone()
    }
}

/// Posts one person's texts, each until it is answered 200, to both instances in turn, and every third of them once
/// more.
async fn post_texts(
    balancer: Balancer,
    conversation: Conversation,
    person: usize,
    stop: Arc<AtomicBool>,
) -> Vec<Value> {
    let (mut posted, mut turn) = (Vec::new(), person);
    let give_up = Instant::now() + Duration::from_secs(300);
    while !stop.load(Ordering::SeqCst) {
        let text = conversation.text(person, format!("{} {person}: {}", conversation.tn, posted.len()));
        loop {
            turn += 1;
            match balancer.pick(turn).post(&text).await {
                Some(200) => break,
                None | Some(503) => assert!(Instant::now() < give_up, "no instance accepts a text"),
                other => panic!("{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if posted.len() % 3 == 0 {
            balancer.pick(turn + 1).post(&text).await;
        }
        posted.push(text);
    }
    posted
}

async fn texts_arrive_once_however_often_one_of_two_instances_crashes(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let mut servers = [fixture.serve(&[]).await, fixture.serve(&[]).await];
    let balancer = Balancer::before(&servers);
    let mut conversations = Vec::new();
    for n in 0..CONVERSATIONS {
        conversations.push(Conversation::begin(&servers[n % 2]).await);
    }
    fixture.flowroute.clear();
    // Of the texts in flight at a crash, Flowroute accepts some and others not.
    fixture.flowroute.delay_accepting(Duration::from_millis(60));
    fixture.flowroute.delay_answering(Duration::from_millis(60));
    let stop = Arc::new(AtomicBool::new(false));
    let mut senders = JoinSet::new();
    for conversation in &conversations {
        for person in 0..2 {
            senders.spawn(post_texts(balancer.clone(), conversation.clone(), person, Arc::clone(&stop)));
        }
    }
    for crash in 0..CRASHES {
        let (crashing, other) = (crash % 2, (crash + 1) % 2);
        if crash % 3 == 2 {
            // Both have texts in the outbox when one of them crashes.
            fixture.flowroute.mode(Mode::Answer(503));
            until("texts wait", &servers[other], async || {
                let states = conversations[0].states(&servers[other]).await;
                (states.iter().filter(|state| *state == "waiting").count() >= 3).then_some(())
            })
            .await;
            fixture.flowroute.mode(Mode::Take);
        }
        let enough = fixture.flowroute.taken().len() + TAKEN_BEFORE_CRASH;
        eventually("texts are in flight", || (fixture.flowroute.taken().len() >= enough).then_some(())).await;
        servers[crashing].binary.kill();
        let enough = fixture.flowroute.taken().len() + TAKEN_BEFORE_CRASH / 2;
        eventually("the other goes on", || (fixture.flowroute.taken().len() >= enough).then_some(())).await;
        servers[crashing] = fixture.serve(&[]).await;
        balancer.restarted(crashing, &servers[crashing]);
    }
    stop.store(true, Ordering::SeqCst);
    let texts = senders.join_all().await.concat();
    for conversation in &conversations {
        conversation.all_sent(&servers[0]).await;
    }
    fixture.assert_each_arrived_once(&texts);
    assert!(fixture.flowroute.readings() > 0, "nothing was in flight at a crash");
    let [one, other] = servers;
    one.stop().await;
    other.stop().await;
}
