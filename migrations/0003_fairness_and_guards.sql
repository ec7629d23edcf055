-- Fairness, and four ways in which one row could spoil others or itself.

-- Within one priority the request that has been ready longest goes first: neither do old requests that are retried keep a new
-- one waiting, nor new ones a retry. The daemon's claim names the same expression. (`retry_at` is the moment that the last
-- outcome allowed the next call from, also where that was at once.)
DROP INDEX queue_ready;
CREATE INDEX queue_ready
    ON queue (call, priority DESC, max(requested_at, coalesce(retry_at, ''), coalesce(not_before, '')), id)
    WHERE claim IS NULL AND due_at IS NULL;

-- As in 0001, and of the same env twice the earlier not_before wins, too (NULL is the earliest). And only the daemon's own
-- come-back of an unfinished request may name an id: a finished one that is copied back from a backup would end in a
-- contradiction of its two rows.
DROP TRIGGER queue_receive;
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
       AND (NEW.call <> 'describe' OR NOT EXISTS (SELECT 1 FROM status WHERE env = NEW.env AND request = NEW.id AND finished_at IS NULL));
    UPDATE queue SET priority = NEW.priority WHERE env = NEW.env AND priority < NEW.priority;
    UPDATE queue SET not_before = strftime('%Y-%m-%dT%H:%M:%fZ', NEW.not_before, '+0 seconds')
     WHERE env = NEW.env
       AND not_before > coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', NEW.not_before, '+0 seconds'), '');
    SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM queue WHERE env = NEW.env);
END;

DROP TRIGGER queue_request;
CREATE TRIGGER queue_request AFTER INSERT ON queue
WHEN NEW.call <> 'describe' OR NOT EXISTS (SELECT 1 FROM status WHERE env = NEW.env AND request = NEW.id AND finished_at IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'queue.id is assigned by the database: leave it out') WHERE NEW.id < 1;
    UPDATE queue
       SET call = CASE WHEN EXISTS (SELECT 1 FROM status WHERE env = NEW.env AND create_sent = 1)
                       THEN 'describe' ELSE 'create' END,
           not_before = strftime('%Y-%m-%dT%H:%M:%fZ', NEW.not_before, '+0 seconds'),
           due_at = nullif(max(coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', NEW.not_before, '+0 seconds'), ''),
                               coalesce((SELECT in_flight_until FROM status WHERE env = NEW.env), '')), ''),
           claim = NULL, retry_at = (SELECT in_flight_until FROM status WHERE env = NEW.env), failures = 0,
           unknowns = 0, failing_since = NULL, accepted_at = NULL, looks = 0
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

-- The CHECK of not_before is NULL where strftime is, and a CHECK that is NULL passes: a text that is no time became NULL,
-- which is "at once".
CREATE TRIGGER queue_not_before BEFORE UPDATE OF not_before ON queue
WHEN NEW.not_before IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'queue.not_before must be NULL or a UTC time such as 2026-11-23T16:25:07.123Z')
     WHERE NEW.not_before NOT GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
        OR coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', NEW.not_before, '+0 seconds'), '') < '0000';
END;

-- As in 0001, and a request that waits for the end of an earlier request's call hands that knowledge on: DELETE and INSERT
-- twice in one call led to two creates at the same time.
DROP TRIGGER queue_cancel;
CREATE TRIGGER queue_cancel AFTER DELETE ON queue
WHEN EXISTS (SELECT 1 FROM status WHERE env = OLD.env AND finished_at IS NULL)
BEGIN
    UPDATE status
       SET state = 'cancelled', next_attempt_at = NULL,
           in_flight_until = CASE WHEN OLD.claim IS NOT NULL THEN OLD.due_at
                                  WHEN OLD.accepted_at IS NULL AND OLD.failures = 0 AND OLD.unknowns = 0
                                  THEN OLD.retry_at END,
           updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), finished_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
           remedy = CASE
               WHEN OLD.accepted_at IS NOT NULL
               THEN 'Weixin had already accepted this request, so the website opens all the same; insert the env again to follow it.'
               WHEN attempts > 0
               THEN 'A create call had already been sent, so the website may open all the same; insert the env again to find out.'
           END
     WHERE env = OLD.env;
END;

-- The daemon's own row: without it no daemon would start.
CREATE TRIGGER service_keep BEFORE DELETE ON service
BEGIN
    SELECT RAISE(ABORT, 'the row of service belongs to the daemon and cannot be deleted: UPDATE service SET paused instead');
END;
