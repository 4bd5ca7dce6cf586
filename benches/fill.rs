//! Fills databases, with SQL: an import takes several times as long.

use crate::{load::People, process};
use rusqlite::Connection;
use std::{path::Path, process::Stdio};

/// Makes a database with these sessions, two messages that were sent for each, and so many TNs without a session.
pub(crate) fn fill(path: &Path, people: People, spare_tns: u64) {
    // It makes the file, and has ended.
    process::run(path, &["maintenance"], Stdio::null());
    let db = Connection::open(path).expect("a database");
    db.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -200000;
         BEGIN",
    )
    .expect("a transaction");
    // An index that is made at the end is sorted once, and written from its beginning to its end.
    let indexes = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
    let indexes: Vec<_> = db
        .prepare(indexes)
        .and_then(|mut indexes| indexes.query_map([], read)?.collect())
        .expect("the indexes of the schema");
    let drop = indexes.iter().map(|(name, _)| format!("DROP INDEX {name}"));
    let make = indexes.iter().map(|(_, sql)| sql.clone());
    for statement in drop.chain(records(people, spare_tns)).chain(make) {
        db.execute(&statement, []).expect("the statement runs");
    }
    db.execute_batch("COMMIT").expect("a commit");
}

/// Statements that store the records, as the service leaves them. Ids ascend, as rows that are stored in the order of their
/// key take the least time; the ids of later records fall between them.
fn records(people: People, spare_tns: u64) -> [String; 4] {
    let People { sessions, per_tn } = people;
    let (tn, [a, b]) = (people.tn(0), People::pair(0, 0));
    let now = chrono::Utc::now().timestamp_millis();
    let count = |values: u64| {
        format!(
            "(WITH RECURSIVE it(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM it LIMIT {values}) SELECT n FROM it)"
        )
    };
    let (tns, all) = (count(sessions.div_ceil(per_tn) + spare_tns), count(sessions));
    let id =
        |n: &str, of: u64| format!("unhex(printf('%08x', {n} * 4294967295 / {of}) || hex(randomblob(12)))");
    let (session, message) = (id("n", sessions), id("(n * 2 + is_b)", sessions * 2));
    // With a prime, each of them comes up once: who has a session is not in the order of the numbers.
    let mixed = format!("n * 7919 % {sessions}");
    [
        format!(
            "INSERT INTO tn (value, added_at, pick_key, sessions, draining)
             SELECT {tn} + n, {now}, iif(live < {per_tn}, abs(random() >> 1), NULL), live, 0
             FROM (SELECT n, max(0, min({per_tn}, {sessions} - n * {per_tn})) AS live FROM {tns})"
        ),
        format!(
            "INSERT INTO session (id, tn, participant_a, participant_b, created_at)
             SELECT {session}, {tn} + m / {per_tn}, {a} + m, {b} + m, {now} - {sessions} + n
             FROM (SELECT n, {mixed} AS m FROM {all})"
        ),
        "INSERT INTO route (tn, sender, session_id)
         SELECT tn, participant_a, id FROM session UNION ALL SELECT tn, participant_b, id FROM session ORDER BY 1, 2"
            .into(),
        format!(
            "INSERT INTO outbound (id, session_id, kind, from_tn, recipient, to_role, created_at, state, lease, attempts,
                 attempted_at, revoked, provider_id, settled_at)
             SELECT {message}, id, 'start', tn, iif(is_b, participant_b, participant_a), iif(is_b, 'b', 'a'), created_at,
                 'sent', 1, 1, created_at, 0, 'mdr2-' || lower(hex(randomblob(16))), created_at
             FROM (SELECT row_number() OVER (ORDER BY id) - 1 AS n, * FROM session), (SELECT 0 AS is_b UNION ALL SELECT 1)"
        ),
    ]
}
