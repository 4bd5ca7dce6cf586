-- Marks the file as ours (the letters SMSP), so that a foreign database is never written to.
PRAGMA application_id = 1397576528;

-- Times are milliseconds since 1970-01-01 UTC, phone numbers integers of eleven digits,
-- ids of our own 32 lower-case hexadecimal digits.

-- The pool. A free number has a random place in the draw; drawing takes the next one after a random point,
-- so that it costs the same among ten numbers and a million.
CREATE TABLE tn (
    value    INTEGER PRIMARY KEY,
    added_at INTEGER NOT NULL,
    draw     INTEGER
) STRICT;
CREATE INDEX tn_free ON tn (draw) WHERE draw IS NOT NULL;

CREATE TABLE session (
    id            TEXT PRIMARY KEY,
    tn            INTEGER NOT NULL,
    participant_a INTEGER NOT NULL,
    participant_b INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER,
    ended_at      INTEGER,
    CHECK (participant_a <> participant_b)
) STRICT;
CREATE INDEX session_open ON session (created_at, id) WHERE ended_at IS NULL;
CREATE INDEX session_on_tn ON session (tn) WHERE ended_at IS NULL;
CREATE INDEX session_expiry ON session (expires_at) WHERE ended_at IS NULL AND expires_at IS NOT NULL;
CREATE INDEX session_ended ON session (ended_at) WHERE ended_at IS NOT NULL;

-- Who texts whom through which number, while the session is not ended. Two sessions may share a number
-- as long as nobody is in both.
CREATE TABLE route (
    tn         INTEGER NOT NULL REFERENCES tn (value),
    sender     INTEGER NOT NULL,
    session_id TEXT    NOT NULL REFERENCES session (id),
    PRIMARY KEY (tn, sender)
) STRICT, WITHOUT ROWID;
CREATE INDEX route_sender ON route (sender);

-- Inbound ids, each once.
CREATE TABLE inbound (
    id          TEXT PRIMARY KEY,
    received_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX inbound_age ON inbound (received_at);

-- Who has opted out of which number.
CREATE TABLE opt_out (
    tn     INTEGER NOT NULL,
    person INTEGER NOT NULL,
    since  INTEGER NOT NULL,
    PRIMARY KEY (tn, person)
) STRICT, WITHOUT ROWID;

-- What we send. The content is erased when the message is settled.
--   sending    leased to one sender until lease_until
--   waiting    the provider has not taken it; may be sent from due_at on
--   unknown    nobody knows whether the provider took it
--   sent, failed, cancelled   settled for good
CREATE TABLE outbound (
    id           TEXT PRIMARY KEY,
    session_id   TEXT,
    kind         TEXT    NOT NULL CHECK (kind IN ('relay', 'start', 'end', 'expired', 'no_session')),
    from_tn      INTEGER NOT NULL,
    recipient    INTEGER NOT NULL,
    to_role      TEXT CHECK (to_role IN ('a', 'b')),
    body         TEXT,
    media_urls   TEXT,
    created_at   INTEGER NOT NULL,
    state        TEXT    NOT NULL
        CHECK (state IN ('sending', 'waiting', 'unknown', 'sent', 'failed', 'cancelled')),
    due_at       INTEGER,
    lease        INTEGER NOT NULL DEFAULT 0,
    lease_until  INTEGER,
    attempts     INTEGER NOT NULL DEFAULT 0,
    attempted_at INTEGER,
    -- The session ended while the message was on its way: it must not be sent again.
    revoked      INTEGER NOT NULL DEFAULT 0,
    -- When the provider's list was first seen without it.
    absent_at    INTEGER,
    provider_id  TEXT,
    reason       TEXT,
    -- The last state of its delivery receipts.
    receipt_level  INTEGER,
    receipt_status TEXT,
    receipt_code   TEXT,
    receipt_at     INTEGER,
    settled_at   INTEGER
) STRICT;
CREATE INDEX outbound_session ON outbound (session_id, created_at) WHERE session_id IS NOT NULL;
CREATE INDEX outbound_open ON outbound (state, created_at) WHERE settled_at IS NULL;
CREATE INDEX outbound_pair ON outbound (from_tn, recipient, created_at);
CREATE INDEX outbound_provider ON outbound (provider_id) WHERE provider_id IS NOT NULL;
CREATE INDEX outbound_answers ON outbound (created_at) WHERE kind = 'no_session';
CREATE INDEX outbound_settled ON outbound (settled_at) WHERE settled_at IS NOT NULL;

-- Delivery receipts, each level of a message once.
CREATE TABLE receipt (
    message_id TEXT    NOT NULL REFERENCES outbound (id) ON DELETE CASCADE,
    level      INTEGER NOT NULL,
    PRIMARY KEY (message_id, level)
) STRICT, WITHOUT ROWID;

-- Who drains the outbox.
CREATE TABLE drainer (
    only   INTEGER PRIMARY KEY CHECK (only = 1),
    holder TEXT    NOT NULL,
    until  INTEGER NOT NULL
) STRICT;
