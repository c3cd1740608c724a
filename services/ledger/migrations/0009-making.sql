-- Of what goods were made: the entries of each making, and what part of all that it consumed each product has.

-- One row for each entry of a manufacture or repack. What was consumed has no piece; a product has the piece from
-- `before` to `after` of `whole`: of a consumed quantity it got what that comes to at `after` less what it comes to at
-- `before`. So an edge from each consumed to each produced entry is known without a row of its own. The cancellation of
-- a making has the same rows for its own entries.
CREATE TABLE ledger.making (
    company text NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    entry_id uuid NOT NULL,
    before numeric,
    after numeric,
    whole numeric,
    PRIMARY KEY (company, source, id, entry_id),
    CONSTRAINT a_product_has_a_piece CHECK (num_nulls(before, after, whole) IN (0, 3)),
    CONSTRAINT a_piece_lies_in_the_whole CHECK (0 <= before AND before <= after AND after <= whole AND whole > 0)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.making
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

-- What happened to a batch, wherever it stood.
CREATE INDEX entry_by_batch ON ledger.entry (company, item, batch) WHERE batch IS NOT NULL AND quantity <> 0;

-- What was made before this, from what the gate told of it ----------------------------------------------------------

SET LOCAL statement_timeout = 0;

CREATE TEMPORARY TABLE made_leg ON COMMIT DROP AS
SELECT company, source, id, place, quantity, share,
    cast(lpad(to_hex(floor(cast(extract(epoch FROM recorded_at) AS float8) * 1000)::bigint), 12, '0') || '7'
        || substr(hash, 1, 3) || substr('89ab89ab89ab89ab', strpos('0123456789abcdef', substr(hash, 5, 1)), 1)
        || substr(hash, 6, 15) AS uuid) AS entry_id
FROM (
    SELECT company, source, id, recorded_at, place, cast(each ->> 'quantity' AS numeric) AS quantity,
        cast(each ->> 'share' AS numeric) AS share,
        encode(sha256(convert_to(source || chr(31) || id || chr(31) || place - 1, 'UTF8')), 'hex') AS hash
    FROM receiving.movement CROSS JOIN LATERAL
        json_array_elements(cast(convert_from(allocated, 'UTF8') AS json) -> 'legs') WITH ORDINALITY AS leg (each, place)
    WHERE purpose IN ('manufacture', 'repack') AND allocated IS NOT NULL
        AND cast(each ->> 'quantity' AS numeric) <> 0 AND each ->> 'corrects' IS NULL
) AS told;

INSERT INTO ledger.making (company, source, id, entry_id, before, after, whole)
SELECT company, source, id, entry_id, sum(weight) OVER each - weight, sum(weight) OVER each,
    CASE WHEN weight IS NOT NULL THEN sum(weight) OVER (PARTITION BY company, source, id) END
FROM (
    SELECT leg.company, leg.source, leg.id, entry_id, place, CASE
            WHEN leg.quantity < 0 THEN NULL
            WHEN shares IS NULL OR shares = 0 THEN leg.quantity
            WHEN shares = of_sharing THEN coalesce(share, leg.quantity)
            ELSE coalesce(share * of_sharing, leg.quantity * shares)
        END AS weight
    FROM made_leg AS leg JOIN ledger.entry USING (company, entry_id)
    JOIN (
        SELECT company, source, id, sum(share) FILTER (WHERE quantity > 0) AS shares,
            sum(quantity) FILTER (WHERE quantity > 0 AND share IS NOT NULL) AS of_sharing
        FROM made_leg GROUP BY company, source, id
    ) AS sharing ON (sharing.company, sharing.source, sharing.id) = (leg.company, leg.source, leg.id)
) AS weighed
WINDOW each AS (PARTITION BY company, source, id, weight IS NULL ORDER BY place);

INSERT INTO ledger.making (company, source, id, entry_id, before, after, whole)
SELECT undoing.company, undoing.source, undoing.id, undoing.entry_id, before, after, whole
FROM ledger.making AS undone
JOIN ledger.entry AS undoing ON (undoing.company, undoing.original) = (undone.company, undone.entry_id)
    AND undoing.purpose = 'cancellation' AND undoing.quantity <> 0;

CREATE VIEW ledger.edges AS
SELECT took.company, took.source, took.id, consumed.effective_at, consumed.recorded_at,
    consumed.entry_id AS consumed_entry, consumed.item AS consumed_item, consumed.batch AS consumed_batch,
    produced.entry_id AS produced_entry, produced.item AS produced_item, produced.batch AS produced_batch,
    trim_scale(-sign(consumed.quantity) * (div(abs(consumed.quantity) * 1000000 * made.after, made.whole)
        - div(abs(consumed.quantity) * 1000000 * made.before, made.whole)) / 1000000) AS quantity
FROM ledger.making AS took
JOIN ledger.making AS made ON (made.company, made.source, made.id) = (took.company, took.source, took.id)
JOIN ledger.entry AS consumed ON consumed.company = took.company AND consumed.entry_id = took.entry_id
JOIN ledger.entry AS produced ON produced.company = made.company AND produced.entry_id = made.entry_id
WHERE took.whole IS NULL AND made.whole IS NOT NULL;
COMMENT ON VIEW ledger.edges IS
    'From each entry that a making consumed to each that it produced: how much of the one went into the other, below '
    'zero where a making was cancelled. What one entry consumed is the sum of its edges.';
