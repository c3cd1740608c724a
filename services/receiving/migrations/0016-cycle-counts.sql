-- Cycle counts: what was expected in a warehouse when one was opened, what was reported since, and what came of it.

-- Its row is the lock of all that belongs to it. movement: the id of the reconciliation that took it over.
CREATE TABLE receiving.cycle_count (
    source text NOT NULL,
    id text NOT NULL,
    company text NOT NULL,
    warehouse text NOT NULL,
    items text[] NOT NULL,
    document text,
    actor text,
    reason text,
    opened_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accepted', 'cancelled')),
    ended_at timestamptz,
    ended_by text,
    movement text,
    PRIMARY KEY (source, id),
    CONSTRAINT what_is_open_has_not_ended CHECK ((state = 'open') = (ended_at IS NULL))
);

-- What stood there when it was opened; batch '' of what has none.
CREATE TABLE receiving.cycle_expected (
    source text NOT NULL,
    id text NOT NULL,
    item text NOT NULL,
    batch text NOT NULL,
    quantity numeric NOT NULL,
    serials text[] NOT NULL,
    PRIMARY KEY (source, id, item, batch)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON receiving.cycle_expected
    FOR EACH STATEMENT EXECUTE FUNCTION receiving.refuse_change();

-- What was reported of a place, by which event; a recount marks what was reported there before.
CREATE TABLE receiving.cycle_report (
    source text NOT NULL,
    id text NOT NULL,
    item text NOT NULL,
    batch text NOT NULL,
    by_source text NOT NULL,
    by_id text NOT NULL,
    quantity numeric NOT NULL CHECK (quantity >= 0),
    serials text[] NOT NULL,
    counted_at timestamptz NOT NULL,
    actor text,
    replaced boolean NOT NULL DEFAULT false,
    PRIMARY KEY (source, id, item, batch, by_source, by_id)
);

-- What was compared when a count was taken over.
CREATE TABLE receiving.cycle_result (
    source text NOT NULL,
    id text NOT NULL,
    item text NOT NULL,
    batch text NOT NULL,
    expected numeric NOT NULL,
    expected_serials text[] NOT NULL,
    PRIMARY KEY (source, id, item, batch)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON receiving.cycle_result
    FOR EACH STATEMENT EXECUTE FUNCTION receiving.refuse_change();

-- expected: what stood there when the place was last counted (now, while it was not), by all that is known by now.
CREATE VIEW receiving.cycle_counts AS
WITH told AS (
    SELECT source, id, item, batch, count(*) AS reports, max(counted_at) AS counted_at, sum(quantity) AS quantity,
        ARRAY(SELECT DISTINCT number FROM receiving.cycle_report AS each, unnest(each.serials) AS number
              WHERE (each.source, each.id, each.item, each.batch) = (report.source, report.id, report.item, report.batch)
                  AND NOT each.replaced ORDER BY number) AS serials
    FROM receiving.cycle_report AS report WHERE NOT replaced GROUP BY source, id, item, batch
), place AS (
    SELECT source, id, item, batch, coalesce(set_down.quantity, 0) AS frozen, coalesce(reports, 0) AS reports,
        counted_at, told.quantity AS counted, told.serials AS counted_serials
    FROM receiving.cycle_expected AS set_down FULL JOIN told USING (source, id, item, batch)
)
SELECT source, id, company, warehouse, document, state, opened_at, ended_at, movement, item, batch, frozen, reports,
    place.counted_at, CASE WHEN tracking = 'serial' THEN cardinality(counted_serials) ELSE counted END AS counted,
    counted_serials,
    CASE WHEN result.expected IS NOT NULL THEN result.expected
        WHEN tracking = 'serial' THEN cardinality(standing.serials)
        WHEN batch = '' THEN coalesce(bin.quantity, 0) - later.quantity
        ELSE coalesce(stock.quantity, 0) - later.quantity END AS expected,
    CASE WHEN result.expected IS NOT NULL THEN result.expected_serials
        WHEN tracking = 'serial' THEN standing.serials ELSE '{}' END AS expected_serials
FROM receiving.cycle_count AS opened JOIN place USING (source, id)
JOIN receiving.item AS master USING (company, item)
LEFT JOIN receiving.cycle_result AS result USING (source, id, item, batch)
LEFT JOIN receiving.bin USING (company, item, warehouse)
LEFT JOIN receiving.batch_stock AS stock USING (company, item, warehouse, batch)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(quantity), 0) AS quantity FROM receiving.change
    WHERE (change.company, change.item, change.warehouse, change.batch)
        = (opened.company, place.item, opened.warehouse, place.batch)
        AND tracking <> 'serial' AND effective_at > place.counted_at
) AS later
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(serial ORDER BY serial), '{}') AS serials FROM receiving.stay
    WHERE tracking = 'serial' AND (stay.company, stay.item, stay.warehouse)
        = (opened.company, place.item, opened.warehouse)
        AND from_at <= coalesce(place.counted_at, 'infinity') AND until_at > coalesce(place.counted_at, now())
) AS standing;
COMMENT ON VIEW receiving.cycle_counts IS
    'Every place of every cycle count: what was set down, what was counted, and what stood there when it was.';
