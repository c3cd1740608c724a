-- What operators do with what was parked. A body that was replaced is kept, with who did it, when and why, and stays when
-- the message has gone its way. A message that was discarded is only hidden.

ALTER TABLE ledger.parked
    ADD COLUMN discarded_at timestamptz,
    ADD COLUMN discarded_by text CHECK (discarded_by <> ''),
    ADD COLUMN discarded_because text CHECK (discarded_because <> ''),
    ADD CONSTRAINT who_discards_says_why CHECK (
        (discarded_at IS NULL) = (discarded_by IS NULL) AND (discarded_at IS NULL) = (discarded_because IS NULL));

CREATE TABLE ledger.parked_edit (
    parked_id uuid NOT NULL,
    edited_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL CHECK (actor <> ''),
    because text NOT NULL CHECK (because <> ''),
    body_before bytea NOT NULL,
    body_after bytea NOT NULL,
    PRIMARY KEY (parked_id, edited_at)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.parked_edit
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

-- For the status: which movements of the last day are still on their way. It costs next to nothing to keep.
CREATE INDEX movement_by_time ON ledger.movement USING brin (recorded_at);
