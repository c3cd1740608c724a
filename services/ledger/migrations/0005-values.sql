-- What a return, a purchase return or a landed cost names, what is booked apart from a purpose's own accounts, and what
-- was issued beyond stock and is not covered yet.

-- original: the entry that this one returns, sends back or, with quantity zero, corrects. booked: account and amount of
-- each part of the value that goes elsewhere than to the purpose's own account, in one flat list; null: there is none.
ALTER TABLE ledger.entry
    ADD COLUMN original uuid,
    ADD COLUMN booked json;
CREATE INDEX entry_by_original ON ledger.entry (company, original) WHERE original IS NOT NULL;

-- The costs with which serials came or left, or stand after a revaluation.
CREATE INDEX entry_serial_by_entry ON ledger.entry_serial (company, entry_id);

-- shortages: quantity, worth, account and entry of each issue beyond stock, as far as nothing has covered it, oldest
-- first, in one flat list. The account bears the difference when it is covered at another rate. What a bin lacks beyond
-- these, nobody remembers.
ALTER TABLE ledger.bin
    ADD COLUMN shortages json NOT NULL DEFAULT '[]',
    ADD CONSTRAINT what_is_there_is_not_short CHECK (quantity < 0 OR json_array_length(shortages) = 0);

CREATE OR REPLACE VIEW ledger.stock_ledger AS
SELECT company, item, warehouse, batch, stamp, ordinal, source, id, purpose, line, entry_id, quantity, value,
    quantity_after, value_after, effective_at, recorded_at, posting_date, document, currency, original
FROM ledger.entry;

CREATE VIEW ledger.shortages AS
SELECT company, item, warehouse, number,
    cast(shortages ->> 4 * number AS numeric) AS quantity,
    cast(shortages ->> 4 * number + 1 AS numeric) AS worth,
    shortages ->> 4 * number + 2 AS account,
    cast(shortages ->> 4 * number + 3 AS uuid) AS entry_id
FROM ledger.bin CROSS JOIN LATERAL generate_series(0, json_array_length(shortages) / 4 - 1) AS number
WHERE quantity < 0;
COMMENT ON VIEW ledger.shortages IS
    'What was issued beyond stock and is not covered yet: the oldest of a bin has number 0.';
