-- Identifies the file (the letters SMSP), so that a foreign database is never written to.
PRAGMA application_id = 1397576528;

-- Times are milliseconds since 1970-01-01 UTC, phone numbers integers of eleven digits,
-- our own ids 16 bytes, the API's 32 hexadecimal digits.

-- The pool. A number that takes sessions has a random pick key; picking takes the next one after a random key, so that it
-- costs the same among ten numbers and a million. A number that is full, or draining, has none. `sessions` counts those
-- that are not ended.
CREATE TABLE tn (
    value    INTEGER PRIMARY KEY,
    added_at INTEGER NOT NULL,
    pick_key INTEGER,
    sessions INTEGER NOT NULL,
    draining INTEGER NOT NULL
) STRICT;
CREATE INDEX tn_open ON tn (pick_key) WHERE pick_key IS NOT NULL;
CREATE INDEX tn_full ON tn (sessions) WHERE pick_key IS NULL AND draining = 0;

-- How many numbers have so many sessions: the size of the pool without a look at each number.
CREATE TABLE pool (
    draining INTEGER NOT NULL,
    sessions INTEGER NOT NULL,
    tns      INTEGER NOT NULL,
    PRIMARY KEY (draining, sessions)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER tn_added AFTER INSERT ON tn BEGIN
    INSERT INTO pool (draining, sessions, tns) VALUES (NEW.draining, NEW.sessions, 1)
        ON CONFLICT DO UPDATE SET tns = tns + 1;
END;
CREATE TRIGGER tn_removed AFTER DELETE ON tn BEGIN
    UPDATE pool SET tns = tns - 1 WHERE draining = OLD.draining AND sessions = OLD.sessions;
END;
CREATE TRIGGER tn_changed AFTER UPDATE OF sessions, draining ON tn BEGIN
    UPDATE pool SET tns = tns - 1 WHERE draining = OLD.draining AND sessions = OLD.sessions;
    INSERT INTO pool (draining, sessions, tns) VALUES (NEW.draining, NEW.sessions, 1)
        ON CONFLICT DO UPDATE SET tns = tns + 1;
END;

-- `request` is a hash of what was requested with an idempotency key; the id is then a hash of the key.
CREATE TABLE session (
    id            BLOB PRIMARY KEY,
    tn            INTEGER NOT NULL,
    participant_a INTEGER NOT NULL,
    participant_b INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER,
    ended_at      INTEGER,
    request       TEXT,
    CHECK (participant_a <> participant_b)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_not_ended ON session (created_at, id) WHERE ended_at IS NULL;
-- Has all that a list of the pool reads of a session.
CREATE INDEX session_on_tn ON session (tn, expires_at, ended_at, id) WHERE ended_at IS NULL;
CREATE INDEX session_expiry ON session (expires_at) WHERE ended_at IS NULL AND expires_at IS NOT NULL;
CREATE INDEX session_ended ON session (ended_at) WHERE ended_at IS NOT NULL;

-- Who texts whom through which number while the session is not ended, and when the sender's previous session on the
-- number ended, and with whom it was; a partner who was erased is absent.
CREATE TABLE route (
    tn               INTEGER NOT NULL,
    sender           INTEGER NOT NULL,
    session_id       BLOB,
    previous_end     INTEGER,
    previous_partner INTEGER,
    PRIMARY KEY (tn, sender)
) STRICT, WITHOUT ROWID;
CREATE INDEX route_sender ON route (sender);
CREATE INDEX route_previous ON route (previous_end) WHERE session_id IS NULL;

-- Tombstones of inbound texts that caused no message with their dedupe key.
CREATE TABLE inbound (
    id          BLOB PRIMARY KEY,
    received_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX inbound_age ON inbound (received_at);

-- Who has opted out of which number. A person is a hash of the number with this key (src/domain/opt_out_key.rs), so that an
-- opt-out outlasts the erasure of the person.
CREATE TABLE opt_out_key (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    key  TEXT    NOT NULL
) STRICT;
INSERT INTO opt_out_key (only, key) VALUES (1, lower(hex(randomblob(32))));
CREATE TABLE opt_out (
    tn     INTEGER NOT NULL,
    person BLOB    NOT NULL,
    PRIMARY KEY (tn, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX opt_out_person ON opt_out (person);

-- Outbound messages. The content is erased when the message is settled. The columns from `state` on are those of
-- `Status` in src/domain/status.rs.
-- For a list of more than two values SQLite makes a table in memory each time that it checks it, so the conditions have none.
CREATE TABLE outbound (
    id           BLOB PRIMARY KEY,
    session_id   BLOB,
    kind         TEXT    NOT NULL
        CHECK (kind = 'relay' OR kind = 'start' OR kind = 'end' OR kind = 'expired' OR kind = 'no_session'
            OR kind = 'not_delivered'),
    from_tn      INTEGER NOT NULL,
    recipient    INTEGER NOT NULL,
    to_role      TEXT CHECK (to_role IN ('a', 'b')),
    body         TEXT,
    media_urls   TEXT,
    created_at   INTEGER NOT NULL,
    state        TEXT    NOT NULL
        CHECK (state = 'sent' OR state = 'sending' OR state = 'waiting' OR state = 'unknown' OR state = 'failed'
            OR state = 'cancelled'),
    lease           INTEGER NOT NULL,
    lease_until     INTEGER,
    due_at          INTEGER,
    attempts        INTEGER NOT NULL,
    attempted_at    INTEGER,
    absent_at       INTEGER,
    revoked         INTEGER NOT NULL,
    provider_id     TEXT,
    reason          TEXT,
    delivery_level  INTEGER,
    delivery_status TEXT,
    delivery_code   TEXT,
    delivery_at     INTEGER,
    settled_at      INTEGER
) STRICT;
CREATE INDEX outbound_pending ON outbound (state, created_at) WHERE settled_at IS NULL;
-- Each index that is not in the order of time costs a text a page that is written. So the messages of a session are found by
-- its TN and its participants.
CREATE INDEX outbound_pair ON outbound (from_tn, recipient, created_at);
CREATE INDEX outbound_provider ON outbound (provider_id) WHERE provider_id IS NOT NULL;
CREATE INDEX outbound_answers ON outbound (created_at) WHERE kind = 'no_session';
CREATE INDEX outbound_settled ON outbound (settled_at) WHERE settled_at IS NOT NULL;

-- Who drains the outbox.
CREATE TABLE drain_lease (
    only   INTEGER PRIMARY KEY CHECK (only = 1),
    holder TEXT    NOT NULL,
    until  INTEGER NOT NULL
) STRICT;

-- Written to find out whether the file can be written.
CREATE TABLE test_write (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    content BLOB NOT NULL
) STRICT;
