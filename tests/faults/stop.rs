//! The service is asked to stop while maintenance drains a full outbox.

use crate::support::{Conversation, Poster, Scene, binary::eventually, flowroute_standin::Mode};
use rusqlite::{Connection, OpenFlags};
use std::{collections::BTreeMap, path::Path, time::Duration};

const TEXTS: u32 = 60;

/// How many relays there are in each state.
fn states(database: &Path) -> BTreeMap<String, u32> {
    let db = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut query =
        db.prepare("SELECT state, count(*) FROM outbound WHERE kind = 'relay' GROUP BY state").unwrap();
    query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_the_middle_of_a_full_outbox_neither_loses_nor_doubles_a_text() {
    let scene = Scene::set().await;
    let server = scene.serve(&[("MAINTENANCE_INTERVAL", "3600")]).await;
    let conversation = Conversation::begin(&server).await;
    scene.flowroute.clear();
    scene.flowroute.mode(Mode::Answer(503));
    let texts = conversation.texts(TEXTS as usize);
    Poster::to(&server).deliver_all(&texts).await;
    server.stop().await;
    assert_eq!(states(&scene.database()), BTreeMap::from([("waiting".to_owned(), TEXTS)]));

    scene.flowroute.mode(Mode::Take);
    scene.flowroute.delay(Duration::from_millis(300));
    let server = scene.serve(&[]).await;
    eventually("the outbox is being drained", || (scene.flowroute.taken().len() >= 12).then_some(())).await;
    tokio::time::timeout(Duration::from_secs(15), server.stop()).await.expect("a stop in bounded time");
    let taken = u32::try_from(scene.flowroute.taken().len()).unwrap();
    assert!(taken < TEXTS, "the drain did not stop");
    let expected = [("sent".to_owned(), taken), ("waiting".to_owned(), TEXTS - taken)];
    assert_eq!(states(&scene.database()), BTreeMap::from(expected));

    let server = scene.serve(&[]).await;
    conversation.all_sent(&server).await;
    scene.assert_each_arrived_once(&texts);
    assert_eq!(scene.flowroute.readings(), 0, "nothing was unknown");
}
