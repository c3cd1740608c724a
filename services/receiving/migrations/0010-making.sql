-- What was made of what: which goods each accepted making took, and which it made. A cancelled making's rows are deleted:
-- the table is what is, not what was said.

-- number: of a batch or a serial, as `tracking` says; empty for untracked goods.
CREATE TABLE receiving.making (
    company text NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    produced boolean NOT NULL,
    item text NOT NULL,
    tracking text NOT NULL CHECK (tracking IN ('none', 'serial', 'batch')),
    number text NOT NULL,
    PRIMARY KEY (company, source, id, produced, item, number),
    CONSTRAINT untracked_goods_have_no_number CHECK ((tracking = 'none') = (number = ''))
);
CREATE INDEX making_by_goods ON receiving.making (company, item, number) WHERE number <> '';

-- The units of a batch.
CREATE INDEX serial_by_batch ON receiving.serial (company, item, batch) WHERE batch IS NOT NULL;

-- What was accepted before this, from what was told of it -------------------------------------------------------------

SET LOCAL statement_timeout = 0;

INSERT INTO receiving.making (company, source, id, produced, item, tracking, number)
SELECT DISTINCT company, source, id, cast(leg ->> 'quantity' AS numeric) > 0, leg ->> 'item', tracking, number
FROM (
    SELECT movement.company, movement.source, movement.id, leg, coalesce(leg ->> 'tracking', 'none') AS tracking
    FROM receiving.movement CROSS JOIN LATERAL
        json_array_elements(cast(convert_from(allocated, 'UTF8') AS json) -> 'legs') AS legs (leg)
    WHERE purpose IN ('manufacture', 'repack') AND allocated IS NOT NULL
        AND cast(leg ->> 'quantity' AS numeric) <> 0 AND leg ->> 'corrects' IS NULL
        AND NOT EXISTS (SELECT FROM receiving.cancelled
            WHERE (cancelled.source, cancelled.id) = (movement.source, movement.id))
) AS accepted
CROSS JOIN LATERAL (
    SELECT coalesce(leg ->> 'batch', '') AS number WHERE tracking <> 'serial'
    UNION ALL
    SELECT json_array_elements_text(leg -> 'serials') WHERE tracking = 'serial'
) AS goods;
