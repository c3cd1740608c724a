"""Units that are told apart: counted where they stand, in one place at a time, on their way without a hole.

What happened to a unit stands in two services: as stays at the gate, and as entries that name it in the ledger. Each
arrival and each departure must be in both, as far as what is cancelled is in both.
"""

from services.desk.verify.checking import OF_COMPANY, Question, asking

OF = OF_COMPANY.format("")
_BIN = "company, item, warehouse"
_SERIAL = "company, item, serial"

_COUNTED = """
SELECT company, item, warehouse, 'quantity' AS what, cast(coalesce(counted.units, 0) AS text) AS expected,
    cast(trim_scale(bin.quantity) AS text) AS found
FROM {bins} AS bin JOIN receiving.item USING (company, item)
LEFT JOIN (
    SELECT company, item, warehouse, count(*) AS units FROM {serials} WHERE warehouse IS NOT NULL AND {of}
    GROUP BY company, item, warehouse
) AS counted USING (company, item, warehouse)
WHERE tracking = 'serial' AND {of} AND bin.quantity <> coalesce(counted.units, 0)
"""
_GATE_AND_LEDGER = f"""
SELECT {_BIN}, serial, 'stands there' AS what, CASE WHEN gate.stands THEN 'yes' ELSE 'no' END AS expected,
    CASE WHEN held.cost IS NOT NULL THEN 'yes' ELSE 'no' END AS found
FROM (SELECT {_BIN}, serial, true AS stands FROM receiving.serial WHERE warehouse IS NOT NULL AND {OF}) AS gate
FULL JOIN (SELECT * FROM ledger.serial WHERE {OF}) AS held USING ({_BIN}, serial)
JOIN receiving.bin AS stamped USING ({_BIN})
JOIN ledger.bin AS posted USING ({_BIN})
WHERE stamped.last_stamp = posted.last_stamp AND (gate.stands IS NULL OR held.cost IS NULL)
"""
_PLACES = f"""
SELECT {_SERIAL}, 'warehouse' AS what, stay.warehouse AS expected, serial.warehouse AS found
FROM (SELECT {_SERIAL}, warehouse FROM receiving.stay WHERE until_at = 'infinity' AND {OF}) AS stay
FULL JOIN (SELECT {_SERIAL}, warehouse FROM receiving.serial WHERE warehouse IS NOT NULL AND {OF}) AS serial
    USING ({_SERIAL})
WHERE stay.warehouse IS DISTINCT FROM serial.warehouse
"""
# Where a unit goes on to another warehouse, it is there at once.
_CHAINS = f"""
SELECT {_SERIAL}, from_at, from_tie, 'until_at' AS what,
    concat(CASE WHEN goes_on THEN '' ELSE 'no later than ' END, next_at, ' ', next_tie) AS expected,
    concat(until_at, ' ', until_tie) AS found
FROM (
    SELECT {_SERIAL}, from_at, from_tie, until_at, until_tie, lead(from_at) OVER own AS next_at,
        lead(from_tie) OVER own AS next_tie,
        coalesce((lead(in_source) OVER own, lead(in_id) OVER own) = (out_source, out_id), false) AS goes_on
    FROM receiving.stay WHERE {OF} WINDOW own AS (PARTITION BY {_SERIAL} ORDER BY from_at, from_tie)
) AS chain
WHERE (until_at, until_tie) > (next_at, next_tie) OR goes_on AND until_at <> next_at
"""
# Counted: a count may find one unit missing and the same one in another place.
_EVENTS = f"""
WITH gone AS (
    SELECT source, id FROM receiving.cancelled UNION SELECT source, id FROM ledger.cancelled
), passed AS (
    SELECT {_BIN}, serial, source, id, arrives, sum(stays) AS stays, sum(entries) AS entries
    FROM (
        SELECT {_BIN}, serial, in_source AS source, in_id AS id, true AS arrives, 1 AS stays, 0 AS entries
        FROM receiving.stay WHERE {OF}
        UNION ALL
        SELECT {_BIN}, serial, out_source, out_id, false, 1, 0 FROM receiving.stay
        WHERE out_id IS NOT NULL AND {OF}
        UNION ALL
        SELECT {_BIN}, serial, source, id, quantity > 0, 0, 1
        FROM ledger.entry JOIN ledger.entry_serial USING (company, item, entry_id)
        WHERE quantity <> 0 AND purpose <> 'cancellation' AND {OF}
    ) AS told
    GROUP BY {_BIN}, serial, source, id, arrives HAVING sum(stays) <> sum(entries)
)
SELECT {_SERIAL}, warehouse, source, id, CASE WHEN arrives THEN 'arrivals' ELSE 'departures' END AS what,
    cast(entries AS text) AS expected, cast(stays AS text) AS found
FROM passed JOIN (SELECT source, id, outputs FROM ledger.movement) AS posted USING (source, id)
WHERE outputs IS NOT NULL AND NOT EXISTS (SELECT FROM gone WHERE (gone.source, gone.id) = (passed.source, passed.id))
"""
_KNOWN = f"""
SELECT stay.company, item, serial, from_at, from_tie, 'movement' AS what, 'an accepted one' AS expected,
    concat(by.source, ' ', by.id) AS found
FROM receiving.stay CROSS JOIN LATERAL (VALUES (in_source, in_id), (out_source, out_id)) AS by (source, id)
WHERE by.id IS NOT NULL AND {OF_COMPANY.format("stay.")} AND NOT EXISTS (
    SELECT FROM receiving.movement
    WHERE (movement.source, movement.id) = (by.source, by.id) AND allocated IS NOT NULL)
"""

units_are_counted = asking(
    Question("receiving.bin", _COUNTED.format(bins="receiving.bin", serials="receiving.serial", of=OF)),
    Question("ledger.bin", _COUNTED.format(bins="ledger.bin", serials="ledger.serial", of=OF)),
    Question("ledger.serial", _GATE_AND_LEDGER),
)
units_are_in_one_place = asking(
    Question("receiving.serial", _PLACES),
    Question("receiving.stay", _CHAINS),
    Question("receiving.stay", _EVENTS),
    Question("receiving.stay", _KNOWN),
)
