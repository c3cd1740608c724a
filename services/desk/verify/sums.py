"""What stands in bins and batches is what their entries add up to, in the ledger and at the gate alike.

What the gate has accepted and the ledger has not posted yet is under way: where a bin's last stamps differ, the two are
not compared. Whether stamps and inboxes fit is for other checks.
"""

from services.desk.verify.checking import OF_COMPANY, Question, asking

OF = OF_COMPANY.format("")
_BIN = "company, item, warehouse"

# Both places at which goods of a batch are counted hold them by batch; serials may name a batch, and have none there.
_IN_BATCHES = f"""
in_batches AS (
    SELECT company, item FROM receiving.item WHERE tracking = 'batch' AND {OF}
    UNION SELECT company, item FROM ledger.bin_batch WHERE {OF}
)"""
_BINS_AND_ENTRIES = f"""
SELECT {_BIN}, what, expected, found
FROM (SELECT * FROM ledger.bin WHERE {OF}) AS bin
FULL JOIN (
    SELECT {_BIN}, sum(quantity) AS quantity, sum(value) AS value, max(effective_at) AS latest_at,
        max(revaluation) AS revaluations
    FROM ledger.entry WHERE {OF} GROUP BY {_BIN}
) AS told USING ({_BIN})
LEFT JOIN (
    SELECT {_BIN}, max(effective_at) AS latest_at FROM ledger.silent WHERE {OF} GROUP BY {_BIN}
) AS silent USING ({_BIN})
CROSS JOIN LATERAL (VALUES
    ('quantity', cast(trim_scale(coalesce(told.quantity, 0)) AS text), cast(trim_scale(bin.quantity) AS text)),
    ('value and pending', cast(trim_scale(coalesce(told.value, 0)) AS text),
        cast(trim_scale(bin.value + bin.pending) AS text)),
    ('latest_at', cast(coalesce(greatest(told.latest_at, silent.latest_at), bin.latest_at) AS text),
        cast(bin.latest_at AS text)),
    ('revaluations', cast(coalesce(told.revaluations, 0) AS text), cast(bin.revaluations AS text))
) AS part (what, expected, found)
WHERE expected IS DISTINCT FROM found
"""
_BATCHES_AND_ENTRIES = f"""
WITH {_IN_BATCHES}
SELECT {_BIN}, batch, what, cast(trim_scale(expected) AS text) AS expected, cast(trim_scale(found) AS text) AS found
FROM (SELECT * FROM ledger.bin_batch WHERE {OF}) AS held
FULL JOIN (
    SELECT {_BIN}, batch, sum(quantity) AS quantity, sum(value) AS value
    FROM ledger.entry JOIN in_batches USING (company, item)
    WHERE batch IS NOT NULL GROUP BY {_BIN}, batch
) AS told USING ({_BIN}, batch)
CROSS JOIN LATERAL (VALUES
    ('quantity', coalesce(told.quantity, 0), held.quantity),
    ('value and pending', coalesce(told.value, 0), held.value + held.pending)
) AS part (what, expected, found)
WHERE expected IS DISTINCT FROM found
"""
_BINS_AND_BATCHES = f"""
WITH {_IN_BATCHES}
SELECT {_BIN}, what, cast(trim_scale(expected) AS text) AS expected, cast(trim_scale(found) AS text) AS found
FROM ledger.bin JOIN in_batches USING (company, item)
LEFT JOIN (
    SELECT {_BIN}, sum(quantity) AS quantity, sum(worth) AS worth, sum(value) AS value, sum(pending) AS pending
    FROM ledger.bin_batch WHERE {OF} GROUP BY {_BIN}
) AS held USING ({_BIN})
CROSS JOIN LATERAL (VALUES
    ('quantity', coalesce(held.quantity, 0), bin.quantity), ('worth', coalesce(held.worth, 0), bin.worth),
    ('value', coalesce(held.value, 0), bin.value), ('pending', coalesce(held.pending, 0), bin.pending)
) AS part (what, expected, found)
WHERE expected <> found
"""
_SETTLED = f"""
SELECT {_BIN}, 'pending' AS what, '0' AS expected, cast(trim_scale(pending) AS text) AS found
FROM ledger.bin WHERE {OF} AND pending <> 0
    AND NOT EXISTS (SELECT FROM ledger.dirty
        WHERE (dirty.company, dirty.item, dirty.warehouse) = (bin.company, bin.item, bin.warehouse))
"""
_GATE_AND_LEDGER = f"""
SELECT {_BIN}, what, expected, found
FROM (SELECT * FROM receiving.bin WHERE {OF}) AS gate
FULL JOIN (SELECT * FROM ledger.bin WHERE {OF}) AS bin USING ({_BIN})
CROSS JOIN LATERAL (VALUES
    ('last_stamp no less than', cast(bin.last_stamp AS text), cast(gate.last_stamp AS text),
        bin.last_stamp > coalesce(gate.last_stamp, 0)),
    ('quantity', cast(trim_scale(bin.quantity) AS text), cast(trim_scale(gate.quantity) AS text),
        bin.last_stamp = gate.last_stamp AND bin.quantity <> gate.quantity)
) AS part (what, expected, found, is_wrong)
WHERE is_wrong
"""
_GATE_AND_LEDGER_BATCHES = f"""
SELECT {_BIN}, batch, 'quantity' AS what, cast(trim_scale(coalesce(held.quantity, 0)) AS text) AS expected,
    cast(trim_scale(gate.quantity) AS text) AS found
FROM (SELECT * FROM receiving.batch_stock WHERE {OF}) AS gate
FULL JOIN (SELECT * FROM ledger.bin_batch WHERE {OF}) AS held USING ({_BIN}, batch)
JOIN receiving.bin AS stamped USING ({_BIN})
JOIN ledger.bin AS posted USING ({_BIN})
WHERE stamped.last_stamp = posted.last_stamp AND coalesce(gate.quantity, 0) <> coalesce(held.quantity, 0)
"""
# Of serials their stays tell.
_BINS_AND_CHANGES = f"""
SELECT {_BIN}, 'quantity' AS what, cast(trim_scale(coalesce(changed.quantity, 0)) AS text) AS expected,
    cast(trim_scale(bin.quantity) AS text) AS found
FROM receiving.bin JOIN receiving.item USING (company, item)
LEFT JOIN (
    SELECT {_BIN}, sum(quantity) AS quantity FROM receiving.change WHERE {OF} GROUP BY {_BIN}
) AS changed USING ({_BIN})
WHERE tracking <> 'serial' AND {OF} AND bin.quantity <> coalesce(changed.quantity, 0)
"""
_BATCHES_AND_CHANGES = f"""
SELECT {_BIN}, batch, 'quantity' AS what, cast(trim_scale(coalesce(changed.quantity, 0)) AS text) AS expected,
    cast(trim_scale(held.quantity) AS text) AS found
FROM (SELECT * FROM receiving.batch_stock WHERE {OF}) AS held
FULL JOIN (
    SELECT {_BIN}, batch, sum(quantity) AS quantity FROM receiving.change WHERE batch <> '' AND {OF}
    GROUP BY {_BIN}, batch
) AS changed USING ({_BIN}, batch)
WHERE coalesce(held.quantity, 0) <> coalesce(changed.quantity, 0)
"""
_GATE_AND_BATCHES = f"""
SELECT {_BIN}, 'quantity' AS what, cast(trim_scale(coalesce(held.quantity, 0)) AS text) AS expected,
    cast(trim_scale(bin.quantity) AS text) AS found
FROM receiving.bin JOIN receiving.item USING (company, item)
LEFT JOIN (
    SELECT {_BIN}, sum(quantity) AS quantity FROM receiving.batch_stock WHERE {OF} GROUP BY {_BIN}
) AS held USING ({_BIN})
WHERE tracking = 'batch' AND {OF} AND bin.quantity <> coalesce(held.quantity, 0)
"""

entries_add_up = asking(
    Question("ledger.bin", _BINS_AND_ENTRIES),
    Question("ledger.bin_batch", _BATCHES_AND_ENTRIES),
    Question("ledger.bin", _BINS_AND_BATCHES),
    Question("ledger.bin", _SETTLED),
)
gate_and_ledger_agree = asking(
    Question("receiving.bin", _GATE_AND_LEDGER),
    Question("receiving.batch_stock", _GATE_AND_LEDGER_BATCHES),
    Question("receiving.bin", _BINS_AND_CHANGES),
    Question("receiving.batch_stock", _BATCHES_AND_CHANGES),
    Question("receiving.bin", _GATE_AND_BATCHES),
)
