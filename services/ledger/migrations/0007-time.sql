-- What is inserted, cancelled or revalued before what was posted already: it is appended, and so is every correction that
-- follows from it. Nothing that stands here is ever changed.

-- (effective_at, stamp, revaluation, ordinal) orders the entries of a bin in time. revaluation: 0 for what a movement
-- posted at its own place; else the number in the bin of an entry that changes what stands there, be it a landed cost, a
-- correction, or a later difference of a count: it has the stamp of what it changes. part_of: the entry to whose total
-- this one belongs; true_up: to the part of it that trues up what was issued beyond stock. dated_at: when it counts in
-- the books, where that is not effective_at, whose day was closed. worth of a correction: how much more comes or leaves.
ALTER TABLE ledger.entry
    ADD COLUMN revaluation bigint NOT NULL DEFAULT 0 CHECK (revaluation >= 0),
    ADD COLUMN part_of uuid,
    ADD COLUMN true_up boolean NOT NULL DEFAULT false,
    ADD COLUMN dated_at timestamptz,
    -- The rate that goods brought along which left for another bin and were too cheap to have a value.
    ADD COLUMN rate numeric,
    -- *_after is what was told up to then: between two pieces of revaluation that need not make sense.
    DROP CONSTRAINT no_quantity_no_value,
    DROP CONSTRAINT stock_is_never_worth_less_than_nothing;

-- True-ups stand right before the entry to whose total they belong.
ALTER TABLE ledger.entry DISABLE TRIGGER append_only;
UPDATE ledger.entry AS covering SET true_up = true, part_of = (
    SELECT entry_id FROM ledger.entry AS arriving
    WHERE (arriving.company, arriving.item, arriving.warehouse, arriving.stamp, arriving.line)
        = (covering.company, covering.item, covering.warehouse, covering.stamp, covering.line)
        AND arriving.ordinal > covering.ordinal AND arriving.quantity > 0
    ORDER BY arriving.ordinal LIMIT 1)
WHERE quantity = 0 AND booked IS NOT NULL AND original IS NULL;
ALTER TABLE ledger.entry ENABLE TRIGGER append_only;

ALTER TABLE ledger.entry DROP CONSTRAINT entry_company_item_warehouse_stamp_ordinal_key;
CREATE UNIQUE INDEX entry_in_time
    ON ledger.entry (company, item, warehouse, effective_at, stamp, revaluation, ordinal);
CREATE INDEX entry_by_part ON ledger.entry (company, part_of) WHERE part_of IS NOT NULL;

-- Movements that have a leg in a bin but made no entry there: a count that found no difference.
CREATE TABLE ledger.silent (
    company text NOT NULL,
    item text NOT NULL,
    warehouse text NOT NULL,
    effective_at timestamptz NOT NULL,
    stamp bigint NOT NULL CHECK (stamp > 0),
    source text NOT NULL,
    id text NOT NULL,
    PRIMARY KEY (company, item, warehouse, effective_at, stamp)
);

-- Movements that were cancelled, and by which. Valuation skips both.
CREATE TABLE ledger.cancelled (
    source text NOT NULL,
    id text NOT NULL,
    by_source text NOT NULL,
    by_id text NOT NULL,
    PRIMARY KEY (source, id)
);

-- latest_at: the latest time of all that was posted. pending: what the entries add up to beyond the value of what stands
-- there, while some of it is to be valued anew. revaluations: the number of the last entry that has one; pieces: of the
-- last piece of revaluation.
ALTER TABLE ledger.bin
    ADD COLUMN latest_at timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN pending numeric NOT NULL DEFAULT 0,
    ADD COLUMN revaluations bigint NOT NULL DEFAULT 0 CHECK (revaluations >= 0),
    ADD COLUMN pieces bigint NOT NULL DEFAULT 0 CHECK (pieces >= 0);
ALTER TABLE ledger.bin_batch ADD COLUMN pending numeric NOT NULL DEFAULT 0;
UPDATE ledger.bin SET latest_at = coalesce((
    SELECT max(effective_at) FROM ledger.entry
    WHERE (entry.company, entry.item, entry.warehouse) = (bin.company, bin.item, bin.warehouse)), '-infinity');

-- From where on a bin is to be valued anew (behind this place in its time), since when, and how it is dated if its day
-- is closed (open_from is the first open day). moved: goods came or went in it, which stands as if they had now. A bin may have several: what is between them may agree. not_before: when it
-- is tried again, where that failed.
CREATE TABLE ledger.dirty (
    company text NOT NULL,
    item text NOT NULL,
    warehouse text NOT NULL,
    from_at timestamptz NOT NULL,
    from_stamp bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    moved boolean NOT NULL DEFAULT false,
    open_from date,
    dated_at timestamptz,
    not_before timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (company, item, warehouse, from_at, from_stamp),
    CHECK ((open_from IS NULL) = (dated_at IS NULL))
);
CREATE INDEX dirty_by_time ON ledger.dirty (from_at);

-- What stood in a bin right behind a place in its time: where valuing anew begins, and where it may end.
CREATE TABLE ledger.checkpoint (
    company text NOT NULL,
    item text NOT NULL,
    warehouse text NOT NULL,
    effective_at timestamptz NOT NULL,
    stamp bigint NOT NULL,
    quantity numeric NOT NULL,
    worth numeric NOT NULL,
    value numeric NOT NULL,
    rate numeric,
    layers json NOT NULL,
    shortages json NOT NULL,
    batches json NOT NULL,
    PRIMARY KEY (company, item, warehouse, effective_at, stamp)
);

-- What was told of each piece of revaluation.
CREATE TABLE ledger.revaluation (
    source text NOT NULL,
    id text NOT NULL,
    company text NOT NULL,
    item text NOT NULL,
    warehouse text NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    recorded_at timestamptz NOT NULL,
    outputs bytea NOT NULL,
    PRIMARY KEY (source, id),
    UNIQUE (company, item, warehouse, number)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.revaluation
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

CREATE OR REPLACE VIEW ledger.stock_ledger AS
SELECT company, item, warehouse, batch, stamp, ordinal, source, id, purpose, line, entry_id, quantity, value,
    quantity_after, value_after, coalesce(dated_at, effective_at) AS effective_at, recorded_at, posting_date, document,
    currency, original, revaluation, part_of, effective_at AS takes_effect_at
FROM ledger.entry;
COMMENT ON VIEW ledger.stock_ledger IS
    'Every stock ledger entry: the change of quantity and value, and what the bin holds after it. effective_at is when it '
    'counts; takes_effect_at differs from it where that day was closed. revaluation above zero: it corrects or revalues '
    'what stands at its stamp; part_of: the entry to whose total it belongs.';

CREATE OR REPLACE VIEW ledger.stock_balance AS
SELECT company, item, warehouse, quantity, value + pending AS value, rate, last_stamp FROM ledger.bin;

CREATE OR REPLACE VIEW ledger.batch_balance AS
SELECT company, item, warehouse, batch, quantity, value + pending AS value FROM ledger.bin_batch;

CREATE OR REPLACE VIEW ledger.batch_ledger AS
SELECT company, item, warehouse, batch, entry.quantity, entry.value,
    coalesce(dated_at, effective_at) AS effective_at, recorded_at
FROM ledger.entry JOIN ledger.bin_batch USING (company, item, warehouse, batch);

CREATE VIEW ledger.dirty_bins AS
SELECT company, item, warehouse, min(from_at) AS from_at, min(recorded_at) AS since FROM ledger.dirty
GROUP BY company, item, warehouse;
COMMENT ON VIEW ledger.dirty_bins IS
    'The bins of which some is still to be valued anew: from when on, and since when that is known.';

CREATE VIEW ledger.revalued AS
SELECT source, id, company, recorded_at, outputs AS revalued FROM ledger.revaluation;
COMMENT ON VIEW ledger.revalued IS 'What was told of each piece of revaluation.';

-- A count that found no difference has no entry to correct: it is found by its place in the bin.
CREATE VIEW ledger.corrections AS
SELECT correcting.company, correcting.entry_id, coalesce(corrected.source, counted.source) AS corrects_source,
    coalesce(corrected.id, counted.id) AS corrects_id
FROM ledger.entry AS correcting
LEFT JOIN ledger.entry AS corrected
    ON (corrected.company, corrected.entry_id) = (correcting.company, coalesce(correcting.part_of, correcting.original))
LEFT JOIN ledger.silent AS counted ON corrected.entry_id IS NULL
    AND (counted.company, counted.item, counted.warehouse, counted.effective_at, counted.stamp)
        = (correcting.company, correcting.item, correcting.warehouse, correcting.effective_at, correcting.stamp)
WHERE correcting.revaluation > 0
    OR correcting.original IS NOT NULL AND (correcting.quantity = 0 OR correcting.purpose = 'cancellation');
COMMENT ON VIEW ledger.corrections IS
    'The entries that correct, revalue or cancel something, and the movement which that belongs to.';
