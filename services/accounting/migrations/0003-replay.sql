-- A replay that is due, one row at most: since when (the queue was missed then), when its present round began, the key up
-- to which that round has come, and how many movements from before the mark it found missing. An operator who wants one
-- inserts the row (DEFAULT VALUES).

CREATE TABLE accounting.replay (
    is_due boolean PRIMARY KEY DEFAULT true CHECK (is_due),
    since timestamptz NOT NULL DEFAULT now(),
    began_at timestamptz NOT NULL DEFAULT now(),
    source text NOT NULL DEFAULT '',
    id text NOT NULL DEFAULT '',
    found bigint NOT NULL DEFAULT 0
);

-- Messages about journal entries that a replay made: they hang on no unacknowledged input, and stand here until they are
-- confirmed.
CREATE TABLE accounting.outbox (
    source text NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (source, id, kind)
);
