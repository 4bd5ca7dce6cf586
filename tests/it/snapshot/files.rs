//! Files that are not whole, or not ours: each is refused before anything is written.

use super::{
    populated_store::PopulatedStore,
    snapshot_store::{SnapshotStore, file, lines},
};
use sms_proxy::snapshot::Problem;
use test_support::{ALICE, BOB, Backend, number};

/// A file with everything in it, and an empty store.
async fn fixture() -> (Vec<String>, SnapshotStore) {
    let source = PopulatedStore::on(Backend::Sqlite).await.store;
    let all = lines(&source.export().await);
    (all, SnapshotStore::beside(&source, Backend::Sqlite).await)
}

/// Asserts that the file is refused because of this line, in these words, with nothing written.
#[track_caller]
fn check(problem: &Problem, line: Option<usize>, words: &str) {
    let Problem::BadLine { line: found, why } = problem else { panic!("{problem}") };
    assert!(line.is_none_or(|line| line == *found), "line {found}: {why}");
    assert!(why.contains(words), "{why}");
    let said = problem.to_string();
    for secret in [ALICE, BOB, &number(1000), "busy", "lost", "picture", "secret"] {
        assert!(!said.contains(secret), "{said}");
    }
}

async fn assert_refused(target: &SnapshotStore, bytes: impl AsRef<[u8]>, line: Option<usize>, words: &str) {
    let problem = target.import(bytes).await.expect_err(words);
    check(&problem, line, words);
    assert_eq!(target.export().await, file(&[]));
}

#[tokio::test]
async fn a_truncated_file_is_refused() {
    let (all, target) = fixture().await;
    let whole = file(&all);
    let ends: Vec<usize> =
        (0..whole.len() - 1).step_by(97).chain(whole.len() - 30..whole.len() - 1).collect();
    for end in ends {
        assert_refused(&target, &whole.as_bytes()[..end], None, "").await;
    }
    for (n, _) in whole.match_indices('\n').take(all.len() + 1) {
        assert_refused(&target, &whole[..=n], None, "the closing line is missing").await;
    }
    target.import(whole.trim_end()).await.unwrap();
}

#[tokio::test]
async fn other_files_and_newer_formats_are_refused() {
    let (all, target) = fixture().await;
    let whole = file(&all);
    let (first, rest) = whole.split_once('\n').unwrap();
    let begin = "is not the beginning of a file";
    for (instead, words) in [
        ("", begin),
        ("milk, bread", begin),
        ("{}", begin),
        ("[]", begin),
        (r#"{"snapshot":{"format":"another program's","version":1}}"#, begin),
        (r#"{"snapshot":{"format":"sms-proxy snapshot","version":"1"}}"#, begin),
        (r#"{"snapshot":{"format":"sms-proxy snapshot","version":0}}"#, begin),
        (r#"{"snapshot":{"format":"sms-proxy snapshot","version":2}}"#, "version 2, this program knows 1"),
        (r#"{"snapshot":{"format":"sms-proxy snapshot","version":7,"more":"secret"}}"#, "newer sms-proxy"),
        (r#"{"snapshot":{"format":"sms-proxy snapshot","version":1,"more":"secret"}}"#, "column"),
    ] {
        assert_refused(&target, format!("{instead}\n{rest}"), Some(1), words).await;
    }
    assert_refused(&target, rest, Some(1), begin).await;
    assert_refused(&target, "", Some(1), begin).await;
    assert_refused(&target, format!("{first}\n{whole}"), Some(2), "it is not a record").await;
}

/// They would be stored under hashes that no number has.
#[tokio::test]
async fn opt_outs_without_their_key_are_refused() {
    let (all, target) = fixture().await;
    let key = all.iter().position(|line| line.contains("\"opt_out_key\"")).unwrap();
    let mut without = all.clone();
    without.remove(key);
    assert_refused(&target, file(&without), Some(key + 2), "no key of opt-outs").await;
}

#[tokio::test]
async fn missing_added_or_reordered_lines_are_refused() {
    let (all, target) = fixture().await;
    let count = all.len();
    let mut without = all.clone();
    without.remove(3);
    let wrong_count = file(&without).replace(&format!(":{}}}}}", count - 1), &format!(":{count}}}}}"));
    assert_refused(&target, wrong_count, Some(count + 1), "its count of records is wrong").await;
    let mut swapped = all.clone();
    swapped.swap(4, 5);
    let unsorted = "records must be sorted and unique: this TN comes before the one on line 6 (TNs are sorted by number)";
    assert_refused(&target, file(&swapped), Some(7), unsorted).await;
    let first_session = all.iter().position(|line| line.contains("\"session\":{")).unwrap();
    let mut mixed = all.clone();
    mixed.swap(first_session - 1, first_session);
    let unsorted = format!("this opt-out comes before the session on line {}", first_session + 1);
    assert_refused(&target, file(&mixed), Some(first_session + 2), &unsorted).await;
    let mut twice = all.clone();
    twice.insert(4, all[4].clone());
    assert_refused(&target, file(&twice), Some(7), "this TN is the one on line 6 again").await;
    let mut empty_line = all.clone();
    empty_line.insert(4, String::new());
    assert_refused(&target, file(&empty_line), Some(6), "cut off").await;
    let whole = file(&all);
    let after = [format!("{whole}{whole}"), format!("{whole}{}\n", all[0]), format!("{whole}\n")];
    for file in after {
        assert_refused(&target, file, Some(count + 3), "nothing may follow the closing line").await;
    }
}

/// Orders and kinds as the file has them: the kind's name in a line, in words, and the fields that it is sorted by.
const ORDERS: [(&str, &str, &str); 5] = [
    ("tn", "TN", "number"),
    ("opt_out", "opt-out", "tn, then person"),
    ("session", "session", "created_at, then id"),
    ("inbound", "inbound text", "id"),
    ("message", "message", "created_at, then kind and recipient, then id"),
];

#[tokio::test]
async fn a_record_out_of_order_is_refused_with_the_order_and_both_lines() {
    let (all, target) = fixture().await;
    let first = |kind: &str| all.iter().position(|line| line.starts_with(&format!("{{\"{kind}\":"))).unwrap();
    for (kind, words, order) in ORDERS {
        let (n, line) = (first(kind), first(kind) + 2);
        let mut twice = all.clone();
        twice.insert(n, all[n].clone());
        let why = format!("records must be sorted and unique: this {words} is the one on line {line} again");
        assert_refused(&target, file(&twice), Some(line + 1), &why).await;
        let mut swapped = all.clone();
        swapped.swap(n, n + 1);
        let why =
            format!("this {words} comes before the one on line {line} ({words}s are sorted by {order})");
        assert_refused(&target, file(&swapped), Some(line + 1), &why).await;
    }
    let mut kinds = ORDERS.map(|(kind, words, _)| (kind, words)).to_vec();
    kinds.insert(1, ("opt_out_key", "key of opt-outs"));
    for pair in kinds.windows(2) {
        let ((_, earlier), (kind, later)) = (pair[0], pair[1]);
        let (n, line) = (first(kind) - 1, first(kind) + 1);
        let mut swapped = all.clone();
        swapped.swap(n, n + 1);
        let order = "first TNs, then the key of opt-outs, opt-outs, sessions, inbound texts, messages";
        let why = format!("this {earlier} comes before the {later} on line {line} ({order})");
        assert_refused(&target, file(&swapped), Some(line + 1), &why).await;
    }
}

/// Each of these changes one line into something that there can't be.
#[tokio::test]
async fn impossible_records_are_refused() {
    let (all, target) = fixture().await;
    let unknown = "unknown or missing";
    for (which, from, to, words) in [
        ("\"tn\":{", "\"tn\":{", "\"pn\":{", unknown),
        ("\"tn\":{", "\"added_at\"", "\"added\"", unknown),
        ("\"tn\":{", "\"added_at\":", "\"secret\":1,\"added_at\":", unknown),
        ("\"tn\":{", "\"added_at\":", "\"added_at\":-", "a time is out of range"),
        ("\"tn\":{", "\"added_at\":", "\"added_at\":99999", "a time is out of range"),
        ("\"tn\":{", "\"added_at\":1", "\"added_at\":\"secret\",\"x\":1", unknown),
        ("\"tn\":{", "\"number\":\"1", "\"number\":\"", "a phone number has 10 digits"),
        ("\"tn\":{", "\"number\":\"1", "\"number\":\"2", "does not begin with 1"),
        ("\"tn\":{", "}}", "}},{}", "not JSON"),
        ("\"session\":{", "\"id\":\"", "\"id\":\"0", "32 lower-case"),
        ("\"session\":{", "\"created_at\"", "\"opened_at\"", unknown),
        ("\"opt_out_key\":{", "\"key\":\"", "\"key\":\"x", "64 lower-case"),
        ("\"opt_out\":{", "\"person\":\"", "\"person\":\"x", "32 lower-case"),
        ("\"inbound\":{", "\"id\":\"", "\"id\":\"-", "32 lower-case"),
        ("\"state\":\"waiting\"", "\"state\":\"waiting\"", "\"state\":\"sending\"", "leased"),
        ("\"state\":\"waiting\"", "\"state\":\"waiting\"", "\"state\":\"secret\"", "state of the message"),
        ("\"state\":\"waiting\"", "\"state\":\"waiting\"", "\"state\":\"sent\"", "settled_at"),
        ("\"state\":\"waiting\"", "\"state\":\"waiting\"", "\"state\":\"unknown\"", "due_at"),
        ("\"state\":\"waiting\"", "\"due_at\"", "\"settled_at\"", "a message that waits"),
        ("\"state\":\"waiting\"", "\"body\":\"", "\"reason\":\"\",\"words\":\"", unknown),
        ("\"state\":\"sent\"", "\"settled_at\"", "\"body\":\"secret\",\"settled_at\"", "has a body, or"),
        (
            "\"state\":\"sent\"",
            "\"settled_at\"",
            "\"media_urls\":[\"secret\"],\"settled_at\"",
            "has a body, or",
        ),
        ("\"state\":\"sent\"", "\"settled_at\"", "\"due_at\":1,\"settled_at\"", "has a body, or"),
        ("\"kind\":\"relay\"", "\"kind\":\"relay\"", "\"kind\":\"secret\"", "kind of the message"),
        ("\"to_role\":\"a\"", "\"to_role\":\"a\"", "\"to_role\":\"c\"", "recipient of the message"),
        ("\"receipt\":{", "\"level\":", "\"levels\":", unknown),
        ("\"receipt\":{", "\"at\":", "\"at\":99999", "a time is out of range"),
        ("\"attempts\":1", "\"attempts\":1", "\"attempts\":-1", unknown),
        ("\"lease\":1", "\"lease\":1", "\"lease\":4294967296", unknown),
    ] {
        let mut changed = all.clone();
        let n = all.iter().position(|line| line.contains(which)).unwrap();
        assert!(all[n].contains(from), "{}", all[n]);
        changed[n] = all[n].replacen(from, to, 1);
        assert_refused(&target, file(&changed), Some(n + 2), words).await;
    }
    let n = all.iter().position(|line| line.contains("\"session\":{")).unwrap();
    let mut session: serde_json::Value = serde_json::from_str(&all[n]).unwrap();
    session["session"]["participant_b"] = session["session"]["participant_a"].clone();
    let mut changed = all.clone();
    changed[n] = session.to_string();
    assert_refused(&target, file(&changed), Some(n + 2), "participants are the same").await;
    let mut bytes = file(&all).into_bytes();
    let at = bytes.windows(4).position(|window| window == b"busy").unwrap();
    bytes[at] = 0xff;
    assert_refused(&target, bytes, None, "not JSON").await;
}
