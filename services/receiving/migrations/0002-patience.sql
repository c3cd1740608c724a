-- What was refused only for something that may still be on its way stands here, until that comes or its source's
-- patience ends: movements, and definitions (a batch of an item that is not defined yet). kind is the event's type.

CREATE TABLE receiving.waiting (
    source text NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    digest bytea NOT NULL,
    request bytea NOT NULL,
    trace text,
    attempt integer NOT NULL,
    tries integer NOT NULL,
    since timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    deadline timestamptz NOT NULL,
    PRIMARY KEY (source, id)
);
CREATE INDEX waiting_by_due_time ON receiving.waiting (due_at);

-- What each of them lacks: whoever brings it makes it due.
CREATE TABLE receiving.waiting_for (
    lack text NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    PRIMARY KEY (lack, source, id)
);
CREATE INDEX waiting_for_by_movement ON receiving.waiting_for (source, id);

-- Outcomes of movements that waited hang on no unacknowledged input, and stand here until they are confirmed.
CREATE TABLE receiving.outbox (
    source text NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (source, id, kind)
);

-- A cancellation whose original never came: the original, arriving later, is refused.
CREATE TABLE receiving.tombstone (
    source text NOT NULL,
    id text NOT NULL,
    by_source text NOT NULL,
    by_id text NOT NULL,
    PRIMARY KEY (source, id)
);

-- What was asked, of rejected movements: an operator may have it judged again.
ALTER TABLE receiving.movement ADD COLUMN request bytea;

CREATE VIEW receiving.waiters AS
    SELECT source, id, kind, attempt, tries, since, due_at, deadline,
           ARRAY(SELECT lack FROM receiving.waiting_for AS each
                 WHERE (each.source, each.id) = (waiting.source, waiting.id) ORDER BY lack) AS lacks
    FROM receiving.waiting;
