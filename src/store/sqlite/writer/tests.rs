//! Writes that fail among others of their transaction, and deferred writes.

use super::*;
use crate::store::sqlite::{
    open::{connect, open},
    rows::count,
};
use futures_util::future::{join, join_all};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
    mpsc::channel,
};
use tokio::sync::Notify;

/// Ten writes of two rows each that wait together; those in `failing` fail after their first row, or before it if
/// `early`. Returns the writes that were acknowledged, the number of rows of each write, and how often writes ran.
async fn ten_writes(failing: &'static [i64], early: bool) -> (Vec<i64>, Vec<u64>, usize) {
    let (writer, _folder, _) = writer();
    let (release, released) = channel();
    let begun = Arc::new(Notify::new());
    let signal = Arc::clone(&begun);
    let busy = writer.write(move |_| {
        signal.notify_one();
        released.recv().map_err(|_| stopped())
    });
    let runs = Arc::new(AtomicUsize::new(0));
    let insert = |n: i64| {
        let runs = Arc::clone(&runs);
        writer.write(move |db| {
            runs.fetch_add(1, SeqCst);
            let fails = failing.contains(&n);
            if fails && early {
                return Err(failure());
            }
            for person in [1, 2] {
                run(db, "INSERT INTO opt_out (tn, person) VALUES (?1, CAST(?2 AS BLOB))", [n, person])?;
                if fails {
                    return Err(failure());
                }
            }
            Ok(n)
        })
    };
    let ten = async {
        begun.notified().await;
        // All are in the queue when the first one ends.
        join(join_all((0..10).map(insert)), async { release.send(()).unwrap() }).await
    };
    let (first, (results, ())) = join(busy, ten).await;
    first.unwrap();
    let rows = |db: &Connection| {
        (0..10).map(|n| count(db, "SELECT count(*) FROM opt_out WHERE tn = ?1", [n])).collect()
    };
    let rows: Vec<u64> = writer.write(rows).await.unwrap();
    (results.into_iter().filter_map(Result::ok).collect(), rows, runs.load(SeqCst))
}

fn failure() -> StoreError {
    StoreError::Unavailable("a test".into())
}

#[tokio::test]
async fn a_write_that_fails_halfway_leaves_nothing_and_the_others_of_its_transaction_are_stored_once() {
    let (acknowledged, rows, runs) = ten_writes(&[4], false).await;
    assert_eq!(acknowledged, [0, 1, 2, 3, 5, 6, 7, 8, 9]);
    assert_eq!(rows, [2, 2, 2, 2, 0, 2, 2, 2, 2, 2]);
    // The first five ran again: they shared a transaction.
    assert_eq!(runs, 15);
}

#[tokio::test]
async fn several_writes_that_fail_halfway_leave_nothing() {
    let (acknowledged, rows, _) = ten_writes(&[0, 5, 9], false).await;
    assert_eq!(acknowledged, [1, 2, 3, 4, 6, 7, 8]);
    assert_eq!(rows, [0, 2, 2, 2, 2, 0, 2, 2, 2, 0]);
}

#[tokio::test]
async fn a_write_that_fails_before_it_changes_anything_does_not_make_others_run_again() {
    let (acknowledged, rows, runs) = ten_writes(&[4], true).await;
    assert_eq!(acknowledged, [0, 1, 2, 3, 5, 6, 7, 8, 9]);
    assert_eq!((rows[4], rows.iter().sum::<u64>(), runs), (0, 18, 10));
}

/// A writer on a database of its own, and what lives as long as it.
fn writer() -> (Writer, tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    let (db, files) = (open(&path).unwrap(), Files::of(&path).unwrap());
    let checkpointer = Checkpointer::start(connect(&path).unwrap(), files.clone()).unwrap();
    let writer = Writer::start(db, files, checkpointer).unwrap();
    (writer, folder, path)
}

fn insert(n: i64) -> impl FnMut(&Connection) -> Result<()> + Send + 'static {
    move |db| run(db, "INSERT INTO opt_out (tn, person) VALUES (?1, x'00')", [n]).map(drop)
}

/// How many rows another connection sees.
fn rows(path: &std::path::Path) -> u64 {
    count(&Connection::open(path).unwrap(), "SELECT count(*) FROM opt_out", []).unwrap()
}

#[tokio::test]
async fn a_deferred_write_is_stored_by_itself() {
    let (writer, _folder, path) = writer();
    writer.write_deferred(MessageId::random(), insert(1)).await.unwrap();
    while rows(&path) == 0 {
        tokio::task::yield_now().await;
    }
    while writer.deferred.load(SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_flush_and_each_later_write_store_the_deferred_writes_first() {
    let (writer, _folder, path) = writer();
    for n in 0..100 {
        writer.write_deferred(MessageId::random(), insert(2 * n)).await.unwrap();
        if n % 2 == 0 {
            writer.flush().await;
            assert_eq!(rows(&path), u64::try_from(2 * n + 1).unwrap());
        }
        let seen = writer.write(|db| count(db, "SELECT count(*) FROM opt_out", [])).await.unwrap();
        assert_eq!(seen, u64::try_from(2 * n + 1).unwrap());
        writer.write(insert(2 * n + 1)).await.unwrap();
    }
}

#[tokio::test]
async fn a_writer_that_is_dropped_stores_the_deferred_writes() {
    let (writer, _folder, path) = writer();
    for n in 0..10 {
        writer.write_deferred(MessageId::random(), insert(n)).await.unwrap();
    }
    drop(writer);
    assert_eq!(rows(&path), 10);
    assert!(!path.with_extension("db-wal").exists());
}

#[tokio::test]
async fn a_deferred_write_that_fails_is_repeated_and_others_are_stored_once() {
    let (writer, _folder, path) = writer();
    let runs = Arc::new(AtomicUsize::new(0));
    let (tries, mut work) = (Arc::clone(&runs), insert(1));
    let fails_four_times = move |db: &Connection| {
        work(db)?;
        if tries.fetch_add(1, SeqCst) < 4 { Err(failure()) } else { Ok(()) }
    };
    writer.write_deferred(MessageId::random(), fails_four_times).await.unwrap();
    writer.write(insert(2)).await.unwrap();
    assert_eq!(rows(&path), 1);
    while writer.deferred.load(SeqCst) > 0 {
        writer.flush().await;
    }
    assert_eq!((rows(&path), runs.load(SeqCst)), (2, 5));
}
