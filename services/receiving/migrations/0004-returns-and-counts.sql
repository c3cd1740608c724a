-- Returns, counts, shortages: what is needed to judge what names another movement, or says what is there.

-- short: more was issued than was there. last_drawn: the stamp of the last movement whose value hangs on what stood there.
-- counted_at: when it was counted last.
ALTER TABLE receiving.bin
    DROP CONSTRAINT bin_quantity_check,
    ADD COLUMN short boolean NOT NULL DEFAULT false,
    ADD COLUMN last_drawn bigint NOT NULL DEFAULT 0 CHECK (last_drawn >= 0),
    ADD COLUMN counted_at timestamptz NOT NULL DEFAULT '-infinity',
    ADD CONSTRAINT stock_is_below_zero_only_where_short CHECK (quantity >= 0 OR short);

-- last_drawn: the stamp in the bin of the last movement that took of the batch there.
ALTER TABLE receiving.batch_stock
    ADD COLUMN last_drawn bigint NOT NULL DEFAULT 0 CHECK (last_drawn >= 0);

-- Of what moved before this nobody knows how much it was drawn from: as if all of it had been.
UPDATE receiving.bin SET last_drawn = last_stamp WHERE last_stamp > 0;
UPDATE receiving.batch_stock SET last_drawn = bin.last_stamp FROM receiving.bin
WHERE (bin.company, bin.item, bin.warehouse) = (batch_stock.company, batch_stock.item, batch_stock.warehouse);

-- By which ledger entry the unit last left the company's stock, and from which warehouse.
ALTER TABLE receiving.serial
    ADD COLUMN left_by uuid,
    ADD COLUMN left_from text,
    ADD CONSTRAINT who_left_left_from_somewhere CHECK ((left_by IS NULL) = (left_from IS NULL));

-- What came back, or was sent back, of a ledger entry so far; under the lock of that entry's bin.
CREATE TABLE receiving.returned (
    company text NOT NULL,
    entry uuid NOT NULL,
    quantity numeric NOT NULL CHECK (quantity > 0),
    serials json NOT NULL DEFAULT '[]',
    PRIMARY KEY (company, entry)
);

-- Movements that wait, or were refused for good: what was asked, and what speaks against it. One that was refused and is
-- judged again stands here once, as one that waits. purpose is null where it was not read yet, or could not be.
CREATE VIEW receiving.undone AS
    SELECT source, id, 'waiting' AS state, NULL AS company, NULL AS purpose, since, request, NULL AS outcome,
           ARRAY(SELECT lack FROM receiving.waiting_for AS each
                 WHERE (each.source, each.id) = (waiting.source, waiting.id) ORDER BY lack) AS lacks
    FROM receiving.waiting WHERE kind = 'movement.requested.v1'
    UNION ALL
    SELECT source, id, 'rejected', company, purpose, recorded_at, request, outcome, '{}'
    FROM receiving.movement
    WHERE allocated IS NULL AND NOT EXISTS (
        SELECT FROM receiving.waiting
        WHERE (waiting.source, waiting.id) = (movement.source, movement.id) AND kind = 'movement.requested.v1');
