-- What happened when: what is inserted into the past, or cancelled, is judged by what was there from then on.

-- Every change of the quantity of an untracked item in a bin, or of a batch there (batch '' otherwise); of serials their
-- stays tell. One movement has at most two rows in a place: part 0 is what leaves it, part 1 what comes after that. What a
-- count found later on, because something was inserted before it, stands at the stamp of the count: its part is the stamp
-- of what was inserted, plus one. line is the first that says so. A cancelled movement's rows are deleted: the table is
-- what is, not what was said.
CREATE TABLE receiving.change (
    company text NOT NULL,
    item text NOT NULL,
    warehouse text NOT NULL,
    batch text NOT NULL,
    effective_at timestamptz NOT NULL,
    stamp bigint NOT NULL CHECK (stamp > 0),
    part bigint NOT NULL CHECK (part >= 0),
    quantity numeric NOT NULL,
    line integer NOT NULL,
    PRIMARY KEY (company, item, warehouse, batch, effective_at, stamp, part)
);

-- Counts that hold (also those that found no difference): what was inserted before one ends there. entry is the ledger
-- entry of its difference, account the one on the other side of stock. Of serials batch is ''.
CREATE TABLE receiving.count (
    company text NOT NULL,
    item text NOT NULL,
    warehouse text NOT NULL,
    batch text NOT NULL,
    effective_at timestamptz NOT NULL,
    stamp bigint NOT NULL CHECK (stamp > 0),
    source text NOT NULL,
    id text NOT NULL,
    line integer NOT NULL,
    entry uuid,
    account text NOT NULL,
    posting_date date NOT NULL,
    PRIMARY KEY (company, item, warehouse, batch, effective_at, stamp)
);

-- Which accepted movements name which others; a cancelled one names none any more.
CREATE TABLE receiving.naming (
    source text NOT NULL,
    id text NOT NULL,
    by_source text NOT NULL,
    by_id text NOT NULL,
    PRIMARY KEY (source, id, by_source, by_id)
);

-- Accepted movements that were cancelled, and by which.
CREATE TABLE receiving.cancelled (
    source text NOT NULL,
    id text NOT NULL,
    by_source text NOT NULL,
    by_id text NOT NULL,
    PRIMARY KEY (source, id)
);

-- rated_from: the earliest time from which a rate is known in the bin; null, if none is.
ALTER TABLE receiving.bin
    ADD COLUMN rated_from timestamptz,
    DROP COLUMN last_drawn;
ALTER TABLE receiving.batch_stock DROP COLUMN last_drawn;
ALTER TABLE receiving.returned
    DROP CONSTRAINT returned_quantity_check,
    ADD CONSTRAINT nothing_comes_back_twice CHECK (quantity >= 0);

-- What movements name, of those that were accepted before.
INSERT INTO receiving.naming (source, id, by_source, by_id)
SELECT told -> 'against' ->> 'source', told -> 'against' ->> 'id', source, id
FROM (SELECT source, id, cast(convert_from(allocated, 'UTF8') AS json) AS told
      FROM receiving.movement WHERE allocated IS NOT NULL) AS accepted
WHERE told -> 'against' ->> 'id' IS NOT NULL;

-- warranty_until: the warranty that began when the serial left. Of stays that ended before this is known, that of the
-- last one is what the serial's record says.
ALTER TABLE receiving.stay ADD COLUMN warranty_until date;
UPDATE receiving.stay SET warranty_until = serial.warranty_until FROM receiving.serial
WHERE (serial.company, serial.item, serial.serial) = (stay.company, stay.item, stay.serial)
    AND (serial.last_at, serial.last_tie) = (stay.until_at, stay.until_tie) AND serial.status = 'delivered';

-- What definitions said of serials: a field that a cancelled movement had set falls back to it.
CREATE TABLE receiving.serial_said (
    company text NOT NULL,
    item text NOT NULL,
    serial text NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    recorded_at timestamptz NOT NULL,
    batch text,
    supplier text,
    warranty_until date,
    PRIMARY KEY (company, item, serial, number)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON receiving.serial_said
    FOR EACH STATEMENT EXECUTE FUNCTION receiving.refuse_change();
INSERT INTO receiving.serial_said (company, item, serial, recorded_at, batch, supplier, warranty_until)
SELECT company, item, serial, '-infinity', batch, supplier, warranty_until FROM receiving.serial
WHERE status = 'inactive' AND num_nonnulls(batch, supplier, warranty_until) > 0;

-- What happened to serials and counts no more: arrivals and departures of movements that were cancelled, and those by
-- which they were undone. Their stays are as if they had never been. void_since: when the cancellation was recorded.
CREATE TABLE receiving.void_event (
    company text NOT NULL,
    item text NOT NULL,
    serial text NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    effective_at timestamptz NOT NULL,
    tie integer NOT NULL,
    arrives boolean NOT NULL,
    warehouse text NOT NULL,
    warranty_until date,
    void_since timestamptz NOT NULL,
    PRIMARY KEY (company, item, serial, source, id, tie, arrives)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON receiving.void_event
    FOR EACH STATEMENT EXECUTE FUNCTION receiving.refuse_change();

CREATE OR REPLACE VIEW receiving.serial_event AS
SELECT event.company, item, serial, event.effective_at, tie, warehouse, source, id, purpose, recorded_at,
    warranty_until, void_since
FROM (
    SELECT company, item, serial, from_at AS effective_at, from_tie AS tie, warehouse, in_source AS source,
        in_id AS id, CAST(NULL AS date) AS warranty_until, CAST(NULL AS timestamptz) AS void_since
    FROM receiving.stay
    UNION ALL
    SELECT company, item, serial, until_at, until_tie, NULL, out_source, out_id, warranty_until, NULL
    FROM receiving.stay WHERE out_id IS NOT NULL
    UNION ALL
    SELECT company, item, serial, effective_at, tie, CASE WHEN arrives THEN warehouse END, source, id, warranty_until,
        void_since
    FROM receiving.void_event
) AS event JOIN receiving.movement USING (source, id);
COMMENT ON VIEW receiving.serial_event IS
    'Every arrival of a serial in a warehouse, and every departure from one (warehouse null), by which movement. Of one '
    'effective_at and tie, the departure comes first. What was recorded as void_since or later does not know of events '
    'that have one: they were cancelled then, or cancelled others.';

-- What was accepted before this, from what was told of it -------------------------------------------------------------

SET LOCAL statement_timeout = 0;

CREATE TEMPORARY TABLE accepted ON COMMIT DROP AS
SELECT source, id, company, purpose, effective_at, recorded_at, convert_from(allocated, 'UTF8')::json AS told
FROM receiving.movement WHERE allocated IS NOT NULL;

CREATE TEMPORARY TABLE stamped ON COMMIT DROP AS
SELECT source, id, each ->> 'item' AS item, each ->> 'warehouse' AS warehouse, (each ->> 'stamp')::bigint AS stamp
FROM accepted, json_array_elements(told -> 'stamps') AS each;

CREATE TEMPORARY TABLE leg ON COMMIT DROP AS
SELECT source, id, company, effective_at, recorded_at, told -> 'accounts' ->> 'stock_adjustment' AS account,
    (told ->> 'posting_date')::date AS posting_date, place - 1 AS place, (each ->> 'line')::integer AS line,
    each ->> 'item' AS item, each ->> 'warehouse' AS warehouse, coalesce(each ->> 'batch', '') AS batch,
    coalesce(each ->> 'tracking', 'none') AS tracking, (each ->> 'quantity')::numeric AS quantity,
    (each ->> 'amount')::numeric AS amount, each ->> 'counted' IS NOT NULL AS counted
FROM accepted, json_array_elements(told -> 'legs') WITH ORDINALITY AS leg (each, place);

ANALYZE stamped;
ANALYZE leg;

INSERT INTO receiving.change (company, item, warehouse, batch, effective_at, stamp, part, quantity, line)
SELECT company, item, warehouse, batch, effective_at, stamp, (quantity > 0)::integer, sum(quantity), min(line)
FROM leg JOIN stamped USING (source, id, item, warehouse)
WHERE tracking <> 'serial' AND quantity <> 0
GROUP BY company, item, warehouse, batch, effective_at, stamp, (quantity > 0);

-- The id of a ledger entry derives from its movement's name and time, and its place there (a UUID of version 7).
INSERT INTO receiving.count
    (company, item, warehouse, batch, effective_at, stamp, source, id, line, entry, account, posting_date)
SELECT company, item, warehouse, batch, effective_at, stamp, source, id, line,
    cast(lpad(to_hex(floor(cast(extract(epoch FROM recorded_at) AS float8) * 1000)::bigint), 12, '0') || '7'
        || substr(hash, 1, 3) || substr('89ab89ab89ab89ab', strpos('0123456789abcdef', substr(hash, 5, 1)), 1)
        || substr(hash, 6, 15) AS uuid),
    account, posting_date
FROM leg JOIN stamped USING (source, id, item, warehouse)
CROSS JOIN LATERAL (SELECT encode(sha256(convert_to(
    source || chr(31) || id || chr(31) || place, 'UTF8')), 'hex')) AS named (hash)
WHERE counted AND tracking <> 'serial';

-- What was told of a count of serials does not say which bins it only looked into: those that were counted are taken.
INSERT INTO receiving.count
    (company, item, warehouse, batch, effective_at, stamp, source, id, line, account, posting_date)
SELECT company, item, warehouse, '', effective_at, stamp, source, id,
    coalesce((SELECT min(line) FROM leg WHERE (leg.source, leg.id, leg.item, leg.warehouse)
        = (accepted.source, accepted.id, bin.item, bin.warehouse)), 1),
    told -> 'accounts' ->> 'stock_adjustment', (told ->> 'posting_date')::date
FROM accepted JOIN stamped USING (source, id) JOIN receiving.bin USING (company, item, warehouse)
JOIN receiving.item USING (company, item)
WHERE purpose = 'reconciliation' AND item.tracking = 'serial' AND bin.counted_at >= effective_at;

UPDATE receiving.bin SET rated_from = coalesce(
    (SELECT coalesce(min(effective_at) FILTER (WHERE amount > 0), min(effective_at) FILTER (WHERE quantity > 0)) FROM leg
     WHERE (leg.company, leg.item, leg.warehouse) = (bin.company, bin.item, bin.warehouse)), '-infinity')
WHERE rated;
ALTER TABLE receiving.bin DROP COLUMN rated;
