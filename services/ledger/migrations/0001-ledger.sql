-- The stock ledger: which movements were posted, their entries, what every bin holds and is worth, and who waits.
--
-- A bin is one item in one warehouse. Its movements are numbered by stamps without a gap, and are applied in that order:
-- `bin.last_stamp` is the only truth about what comes next, a waiting movement is only remembered.

CREATE SCHEMA ledger;

-- The inbox: a movement whose key stands here has arrived. `outputs` is what was said of it, to be said again when it is
-- delivered again; null while it waits for an earlier movement of one of its bins.
CREATE TABLE ledger.movement (
    source text NOT NULL,
    id text NOT NULL,
    company text NOT NULL,
    recorded_at timestamptz NOT NULL,
    outputs bytea,
    PRIMARY KEY (source, id)
);

-- worth is exact (9 places), value its rounding to the currency's minor unit; of an item in batches both are the sums of
-- the batches'. rate: value / quantity after the last entry that left stock. layers: quantity, worth and rate of each
-- layer, oldest first, in one flat list. Below zero, quantity and worth stand for what was issued beyond stock.
CREATE TABLE ledger.bin (
    company text NOT NULL,
    item text NOT NULL,
    warehouse text NOT NULL,
    last_stamp bigint NOT NULL DEFAULT 0 CHECK (last_stamp >= 0),
    quantity numeric NOT NULL DEFAULT 0 CHECK (abs(quantity) < 1e18),
    worth numeric NOT NULL DEFAULT 0 CHECK (scale(trim_scale(worth)) <= 9),
    value numeric NOT NULL DEFAULT 0 CHECK (scale(trim_scale(value)) <= 3),
    rate numeric,
    layers json NOT NULL DEFAULT '[]',
    PRIMARY KEY (company, item, warehouse),
    CONSTRAINT no_quantity_no_value CHECK (quantity <> 0 OR (worth = 0 AND value = 0)),
    CONSTRAINT stock_is_never_worth_less_than_nothing CHECK (quantity <= 0 OR (worth >= 0 AND value >= 0))
) WITH (fillfactor = 70);

CREATE TABLE ledger.bin_batch (
    company text NOT NULL,
    item text NOT NULL,
    warehouse text NOT NULL,
    batch text NOT NULL,
    quantity numeric NOT NULL CHECK (abs(quantity) < 1e18),
    worth numeric NOT NULL CHECK (scale(trim_scale(worth)) <= 9),
    value numeric NOT NULL CHECK (scale(trim_scale(value)) <= 3),
    PRIMARY KEY (company, item, warehouse, batch),
    CONSTRAINT no_quantity_no_value CHECK (quantity <> 0 OR (worth = 0 AND value = 0)),
    CONSTRAINT stock_is_never_worth_less_than_nothing CHECK (quantity <= 0 OR (worth >= 0 AND value >= 0)),
    CONSTRAINT value_is_the_rounding_of_worth CHECK (abs(value - worth) <= 0.5)
) WITH (fillfactor = 70);

-- The serials that stand in a bin, each with its own cost. The bin is part of the key: bins go their ways independently,
-- and a serial may come into one before the movement that takes it out of another has arrived here.
CREATE TABLE ledger.serial (
    company text NOT NULL,
    item text NOT NULL,
    warehouse text NOT NULL,
    serial text NOT NULL,
    cost numeric NOT NULL CHECK (cost >= 0),
    PRIMARY KEY (company, item, warehouse, serial)
);

-- quantity, value and worth are changes; *_after is what the bin holds behind this entry. ordinal: its place in the movement.
CREATE TABLE ledger.entry (
    company text NOT NULL,
    entry_id uuid NOT NULL,
    item text NOT NULL,
    warehouse text NOT NULL,
    stamp bigint NOT NULL CHECK (stamp > 0),
    ordinal integer NOT NULL CHECK (ordinal >= 0),
    source text NOT NULL,
    id text NOT NULL,
    purpose text NOT NULL,
    line integer NOT NULL,
    batch text,
    quantity numeric NOT NULL,
    value numeric NOT NULL,
    worth numeric NOT NULL,
    quantity_after numeric NOT NULL,
    value_after numeric NOT NULL,
    effective_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    posting_date date NOT NULL,
    document text,
    currency text NOT NULL,
    PRIMARY KEY (company, entry_id),
    UNIQUE (company, item, warehouse, stamp, ordinal),
    CONSTRAINT no_quantity_no_value CHECK (quantity_after <> 0 OR value_after = 0),
    CONSTRAINT stock_is_never_worth_less_than_nothing CHECK (quantity_after <= 0 OR value_after >= 0)
);

-- The cost with which a serial came or left.
CREATE TABLE ledger.entry_serial (
    company text NOT NULL,
    item text NOT NULL,
    serial text NOT NULL,
    entry_id uuid NOT NULL,
    cost numeric NOT NULL CHECK (cost >= 0),
    PRIMARY KEY (company, item, serial, entry_id)
);

-- Movements that arrived early, as they came; touched only by who holds all bins of the movement.
CREATE TABLE ledger.waiting (
    source text NOT NULL,
    id text NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (source, id)
);

CREATE TABLE ledger.waiting_stamp (
    company text NOT NULL,
    item text NOT NULL,
    warehouse text NOT NULL,
    stamp bigint NOT NULL CHECK (stamp > 0),
    source text NOT NULL,
    id text NOT NULL,
    PRIMARY KEY (company, item, warehouse, stamp)
);
CREATE INDEX waiting_stamp_by_movement ON ledger.waiting_stamp (source, id);

-- Outputs of released movements: they hang on no unacknowledged input, and stand here until they are confirmed.
CREATE TABLE ledger.outbox (
    source text NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (source, id, kind)
);

CREATE TABLE ledger.parked (
    parked_id uuid PRIMARY KEY,
    reason text NOT NULL,
    error text NOT NULL,
    kind text,
    source text,
    id text,
    headers json NOT NULL,
    body bytea NOT NULL,
    times integer NOT NULL DEFAULT 1,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.entry
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.entry_serial
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

CREATE VIEW ledger.stock_ledger AS
SELECT company, item, warehouse, batch, stamp, ordinal, source, id, purpose, line, entry_id, quantity, value,
    quantity_after, value_after, effective_at, recorded_at, posting_date, document, currency
FROM ledger.entry;
COMMENT ON VIEW ledger.stock_ledger IS
    'Every stock ledger entry: the change of quantity and value, and what the bin holds after it.';

CREATE VIEW ledger.stock_balance AS
SELECT company, item, warehouse, quantity, value, rate, last_stamp FROM ledger.bin;
COMMENT ON VIEW ledger.stock_balance IS
    'What every bin holds now; rate is the last known one, of the last entry that left stock in the bin.';

CREATE VIEW ledger.batch_balance AS
SELECT company, item, warehouse, batch, quantity, value FROM ledger.bin_batch;
COMMENT ON VIEW ledger.batch_balance IS 'What there is now of every batch in every bin.';

CREATE VIEW ledger.posted AS
SELECT source, id, company, recorded_at, outputs AS posted FROM ledger.movement WHERE outputs IS NOT NULL;
COMMENT ON VIEW ledger.posted IS 'The movements that were posted, with the message that was sent of each.';
