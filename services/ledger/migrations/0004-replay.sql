-- A replay that is due, one row at most: since when (the queue was missed then), when its present round began, the key up
-- to which that round has come, and how many movements from before the mark it found missing. An operator who wants one
-- inserts the row (DEFAULT VALUES).

CREATE TABLE ledger.replay (
    is_due boolean PRIMARY KEY DEFAULT true CHECK (is_due),
    since timestamptz NOT NULL DEFAULT now(),
    began_at timestamptz NOT NULL DEFAULT now(),
    source text NOT NULL DEFAULT '',
    id text NOT NULL DEFAULT '',
    found bigint NOT NULL DEFAULT 0
);
