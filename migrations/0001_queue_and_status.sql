-- The interface to everybody else (docs: README.md, "The two tables"). Whatever SQLite client writes to `queue`,
-- these constraints and triggers keep it true, while the daemon runs, is stopped, or has crashed.
--
-- Clients need SQLite 3.37 or newer (STRICT). Statements inside triggers never rely on their own conflict clause:
-- the clause of the outer statement (INSERT OR REPLACE, INSERT OR IGNORE) would take its place.
--
-- Times are rewritten with '+0 seconds': without a modifier, libraries before 3.43 give 2026-02-31 and 24:00 back as
-- they came, and nobody else can read those.

CREATE TABLE queue (
    id            INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice: it names the request
    env           TEXT NOT NULL UNIQUE,
    priority      INTEGER NOT NULL DEFAULT 0,
    not_before    TEXT,
    requested_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),

    -- The daemon's own, from here on.
    call          TEXT NOT NULL DEFAULT 'create' CHECK (call IN ('create', 'describe')), -- the next call to make
    claim         INTEGER,                           -- the claim that holds the row; NULL: nobody
    due_at        TEXT,                              -- NULL: ready. Claimed: when the lease ends
    retry_at      TEXT,                              -- what the last outcome asked for
    failures      INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0), -- in a row, of the kind that passes
    unknowns      INTEGER NOT NULL DEFAULT 0 CHECK (unknowns >= 0), -- in a row, with a code nobody knows
    failing_since TEXT,                              -- when the present row of failures began
    accepted_at   TEXT,                              -- Weixin has accepted it; now it is confirmed
    looks         INTEGER NOT NULL DEFAULT 0 CHECK (looks >= 0),    -- how often since then

    CONSTRAINT "queue.env must be 1 to 128 characters of A-Z a-z 0-9 - _"
        CHECK (length(CAST(env AS BLOB)) BETWEEN 1 AND 128
               AND length(env) = length(CAST(env AS BLOB))
               AND env NOT GLOB '*[^A-Za-z0-9_-]*'),
    CONSTRAINT "queue.not_before must be NULL or a UTC time such as 2026-11-23T16:25:07.123Z"
        CHECK (not_before IS NULL
               OR (not_before GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
                   AND strftime('%Y-%m-%dT%H:%M:%fZ', not_before, '+0 seconds') >= '0000')),
    CONSTRAINT "queue.requested_at must be a UTC time such as 2026-11-23T16:25:07.123Z"
        CHECK (requested_at GLOB '[0-9]*'
               AND requested_at IS strftime('%Y-%m-%dT%H:%M:%fZ', requested_at, '+0 seconds'))
) STRICT;

-- A row is in exactly one of these three.
CREATE INDEX queue_ready ON queue (call, priority DESC, id) WHERE claim IS NULL AND due_at IS NULL;
CREATE INDEX queue_waiting ON queue (due_at) WHERE claim IS NULL AND due_at IS NOT NULL;
CREATE INDEX queue_claimed ON queue (due_at) WHERE claim IS NOT NULL;

CREATE TABLE status (
    env             TEXT PRIMARY KEY NOT NULL,
    state           TEXT NOT NULL
        CHECK (state IN ('pending', 'opening', 'retrying', 'online', 'failed', 'accepted', 'cancelled')),
    attempts        INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    errcode         INTEGER,
    errmsg          TEXT,
    rid             TEXT,
    remedy          TEXT,
    domain          TEXT,
    bucket          TEXT,
    region          TEXT,
    requested_at    TEXT NOT NULL,
    updated_at      TEXT NOT NULL,
    next_attempt_at TEXT,
    finished_at     TEXT,

    request         INTEGER NOT NULL,             -- queue.id of the latest request
    create_sent     INTEGER NOT NULL DEFAULT 0 CHECK (create_sent IN (0, 1)),
        -- 1: a create for this env was, or may have been, sent, ever. It is looked at before the next one.
    in_flight_until TEXT,
        -- The request was deleted while its call was on its way: by then that call has come to its end. A look before
        -- would not see what it does.

    CONSTRAINT "a final state, and only a final state, has finished_at"
        CHECK ((state IN ('online', 'failed', 'accepted', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT "a final state has no next_attempt_at" CHECK (finished_at IS NULL OR next_attempt_at IS NULL),
    CONSTRAINT "an online website has a domain" CHECK (state <> 'online' OR domain IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE INDEX status_state ON status (state);

CREATE TABLE attempt (
    id          INTEGER PRIMARY KEY,
    env         TEXT NOT NULL,
    at          TEXT NOT NULL,
    call        TEXT NOT NULL CHECK (call IN ('create', 'describe')),
    errcode     INTEGER,
    errmsg      TEXT,
    http_status INTEGER,
    latency_ms  INTEGER NOT NULL,
    outcome     TEXT NOT NULL
) STRICT;

CREATE INDEX attempt_env ON attempt (env);

CREATE TABLE service (
    id                 INTEGER PRIMARY KEY CHECK (id = 1),
    state              TEXT NOT NULL DEFAULT 'stopped'
        CHECK (state IN ('running', 'waiting_for_ticket', 'blocked', 'paused', 'stopped')),
    reason             TEXT,
    remedy             TEXT,
    errcode            INTEGER,
    version            TEXT,
    pid                INTEGER,
    host               TEXT,
    started_at         TEXT,
    heartbeat_at       TEXT,
    token_expires_at   TEXT,
    token_refreshed_at TEXT,
    ticket_received_at TEXT,
    paused             INTEGER NOT NULL DEFAULT 0
        CONSTRAINT "service.paused must be 0 or 1" CHECK (paused IN (0, 1)),
    push_asked_at      TEXT -- the last api_start_push_ticket
) STRICT;

INSERT INTO service (id) VALUES (1);

CREATE TABLE ticket (
    id                      INTEGER PRIMARY KEY AUTOINCREMENT,
    component_verify_ticket TEXT NOT NULL
        CONSTRAINT "ticket.component_verify_ticket must be 1 to 512 printable ASCII characters without spaces"
        CHECK (length(CAST(component_verify_ticket AS BLOB)) BETWEEN 1 AND 512
               AND length(component_verify_ticket) = length(CAST(component_verify_ticket AS BLOB))
               AND component_verify_ticket NOT GLOB '*[^!-~]*'),
    received_at             TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        CONSTRAINT "ticket.received_at must be a UTC time such as 2026-11-23T16:25:07.123Z"
        CHECK (received_at GLOB '[0-9]*'
               AND received_at IS strftime('%Y-%m-%dT%H:%M:%fZ', received_at, '+0 seconds'))
) STRICT;

-- Bad input is refused aloud in every form of INSERT: OR IGNORE would skip a failed CHECK in silence, and the
-- request with it. The CHECKs above say the same for UPDATE. Then the same env twice becomes one request; the higher
-- priority wins. One trigger, because SQLite promises no order between two: bad input must not pass as a duplicate.
CREATE TRIGGER queue_receive BEFORE INSERT ON queue
BEGIN
    SELECT RAISE(ABORT, 'queue.env must be 1 to 128 characters of A-Z a-z 0-9 - _')
     WHERE NEW.env IS NULL
        OR length(CAST(NEW.env AS BLOB)) NOT BETWEEN 1 AND 128
        OR length(NEW.env) <> length(CAST(NEW.env AS BLOB))
        OR NEW.env GLOB '*[^A-Za-z0-9_-]*';
    SELECT RAISE(ABORT, 'queue.priority must be an integer')
     WHERE NEW.priority IS NULL;
    SELECT RAISE(ABORT, 'queue.not_before must be NULL or a UTC time such as 2026-11-23T16:25:07.123Z')
     WHERE NEW.not_before NOT GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
        OR (NEW.not_before IS NOT NULL
            AND coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', NEW.not_before, '+0 seconds'), '') < '0000');
    SELECT RAISE(ABORT, 'queue.requested_at must be a UTC time such as 2026-11-23T16:25:07.123Z')
     WHERE NEW.requested_at IS NULL
        OR NEW.requested_at NOT GLOB '[0-9]*'
        OR NEW.requested_at IS NOT strftime('%Y-%m-%dT%H:%M:%fZ', NEW.requested_at, '+0 seconds');
    -- An id given by hand could replace another request, revive a finished one, or (the greatest) use up all ids.
    -- It is -1 here when left out. The daemon alone brings one back: see queue_request.
    SELECT RAISE(ABORT, 'queue.id is assigned by the database: leave it out')
     WHERE NEW.id <> -1
       AND (NEW.call <> 'describe' OR NOT EXISTS (SELECT 1 FROM status WHERE env = NEW.env AND request = NEW.id));
    UPDATE queue SET priority = NEW.priority WHERE env = NEW.env AND priority < NEW.priority;
    SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM queue WHERE env = NEW.env);
END;

-- A request is in `status` from the moment of its INSERT. (The one that has its own id there already was cancelled
-- while its call was on its way, and is taken back by the daemon, to be described.)
CREATE TRIGGER queue_request AFTER INSERT ON queue
WHEN NEW.call <> 'describe' OR NOT EXISTS (SELECT 1 FROM status WHERE env = NEW.env AND request = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'queue.id is assigned by the database: leave it out') WHERE NEW.id < 1;
    UPDATE queue
       SET call = CASE WHEN EXISTS (SELECT 1 FROM status WHERE env = NEW.env AND create_sent = 1)
                       THEN 'describe' ELSE 'create' END,
           not_before = strftime('%Y-%m-%dT%H:%M:%fZ', NEW.not_before, '+0 seconds'),
           due_at = nullif(max(coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', NEW.not_before, '+0 seconds'), ''),
                               coalesce((SELECT in_flight_until FROM status WHERE env = NEW.env), '')), ''),
           claim = NULL, retry_at = (SELECT in_flight_until FROM status WHERE env = NEW.env), failures = 0, unknowns = 0, failing_since = NULL, accepted_at = NULL,
           looks = 0
     WHERE id = NEW.id
       AND (NEW.not_before IS NOT NULL
            OR EXISTS (SELECT 1 FROM status WHERE env = NEW.env AND create_sent = 1)
            OR NEW.call <> 'create' OR NEW.claim IS NOT NULL OR NEW.due_at IS NOT NULL OR NEW.retry_at IS NOT NULL
            OR NEW.failures <> 0 OR NEW.unknowns <> 0 OR NEW.failing_since IS NOT NULL
            OR NEW.accepted_at IS NOT NULL OR NEW.looks <> 0);
    UPDATE status
       SET state = 'pending', attempts = 0, errcode = NULL, errmsg = NULL, rid = NULL, remedy = NULL,
           domain = NULL, bucket = NULL, region = NULL, requested_at = NEW.requested_at,
           updated_at = NEW.requested_at,
           next_attempt_at = (SELECT coalesce(due_at, requested_at) FROM queue WHERE id = NEW.id),
           finished_at = NULL, request = NEW.id, in_flight_until = NULL
     WHERE env = NEW.env;
    INSERT INTO status (env, state, requested_at, updated_at, next_attempt_at, request)
    SELECT NEW.env, 'pending', NEW.requested_at, NEW.requested_at,
           coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', NEW.not_before, '+0 seconds'), NEW.requested_at), NEW.id
     WHERE NOT EXISTS (SELECT 1 FROM status WHERE env = NEW.env);
END;

CREATE TRIGGER queue_fixed BEFORE UPDATE OF id, env ON queue
WHEN NEW.id IS NOT OLD.id OR NEW.env IS NOT OLD.env
BEGIN
    SELECT RAISE(ABORT, 'queue.id and queue.env cannot be changed: DELETE the row and INSERT another');
END;

-- not_before moves a row that nobody holds; one that is held is put in its place when its call is settled.
CREATE TRIGGER queue_postpone AFTER UPDATE OF not_before ON queue
WHEN NEW.not_before IS NOT OLD.not_before
BEGIN
    UPDATE queue
       SET not_before = strftime('%Y-%m-%dT%H:%M:%fZ', NEW.not_before, '+0 seconds'),
           due_at = CASE WHEN claim IS NOT NULL THEN due_at
                         ELSE nullif(max(
                             coalesce(retry_at, ''),
                             coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', NEW.not_before, '+0 seconds'), '')), '') END
     WHERE id = NEW.id;
    UPDATE status
       SET next_attempt_at = (SELECT coalesce(due_at, requested_at) FROM queue WHERE id = NEW.id)
     WHERE env = NEW.env AND finished_at IS NULL AND NEW.claim IS NULL;
END;

-- DELETE cancels. (The daemon deletes a row only after its status is final.)
CREATE TRIGGER queue_cancel AFTER DELETE ON queue
WHEN EXISTS (SELECT 1 FROM status WHERE env = OLD.env AND finished_at IS NULL)
BEGIN
    UPDATE status
       SET state = 'cancelled', next_attempt_at = NULL,
           in_flight_until = CASE WHEN OLD.claim IS NOT NULL THEN OLD.due_at END,
           updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), finished_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
           remedy = CASE
               WHEN OLD.accepted_at IS NOT NULL
               THEN 'Weixin had already accepted this request, so the website opens all the same; insert the env again to follow it.'
               WHEN attempts > 0
               THEN 'A create call had already been sent, so the website may open all the same; insert the env again to find out.'
           END
     WHERE env = OLD.env;
END;

CREATE TRIGGER status_keep BEFORE DELETE ON status
WHEN OLD.finished_at IS NULL AND EXISTS (SELECT 1 FROM queue WHERE env = OLD.env)
BEGIN
    SELECT RAISE(ABORT, 'this request is not finished: DELETE it FROM queue first');
END;
