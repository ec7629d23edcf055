-- An older or replayed push never replaces a newer ticket. What tells them apart must outlive the tickets, which are pruned and
-- may be inserted by hand, so it stands in the daemon's own row: the CreateTime of the newest ticket that was pushed.
ALTER TABLE service ADD COLUMN ticket_created_at TEXT
    CONSTRAINT "service.ticket_created_at must be NULL or a UTC time such as 2026-11-23T16:25:07.123Z"
    CHECK (ticket_created_at IS NULL
           OR (ticket_created_at GLOB '[0-9]*'
               AND ticket_created_at IS strftime('%Y-%m-%dT%H:%M:%fZ', ticket_created_at, '+0 seconds')));
