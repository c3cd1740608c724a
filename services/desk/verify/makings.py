"""What was made of what is what the gate's messages and the ledger's entries say of it, in both services.

A product's piece of what was consumed is reckoned once more, by the database, from the shares that the gate told.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

from services.desk.verify.bodies import answered
from services.desk.verify.checking import OF_COMPANY, Finding, Question, Scope
from shared.purposes import PURPOSES, Flow

_PURPOSES = ", ".join(f"'{name}'" for name, row in PURPOSES.items() if row.flow is Flow.MAKE)
_MOVED = f"""
SELECT movement.company, movement.source, movement.id, leg, place, cast(leg ->> 'quantity' AS numeric) AS quantity,
    cast(leg ->> 'share' AS numeric) AS share, coalesce(leg ->> 'tracking', 'none') AS tracking
FROM receiving.movement CROSS JOIN LATERAL
    json_array_elements(cast(convert_from(allocated, 'UTF8') AS json) -> 'legs') WITH ORDINALITY AS legs (leg, place)
WHERE purpose IN ({_PURPOSES}) AND allocated IS NOT NULL AND {OF_COMPANY.format("movement.")}
    AND cast(leg ->> 'quantity' AS numeric) <> 0 AND leg ->> 'corrects' IS NULL
"""
# The legs of a making stand in the order of its entries, which have numbers of their own where something is trued up.
_EXPECTED = f"""
told AS (
    SELECT moved.*, row_number() OVER (PARTITION BY source, id ORDER BY place) AS number,
        sum(share) FILTER (WHERE quantity > 0) OVER movement AS shares,
        sum(quantity) FILTER (WHERE quantity > 0 AND share IS NOT NULL) OVER movement AS of_sharing
    FROM ({_MOVED}) AS moved WINDOW movement AS (PARTITION BY source, id)
), posted AS (
    SELECT company, source, id, entry_id, row_number() OVER (PARTITION BY source, id ORDER BY ordinal) AS number
    FROM ledger.entry
    WHERE purpose IN ({_PURPOSES}) AND part_of IS NULL AND revaluation = 0 AND quantity <> 0
        AND {OF_COMPANY.format("entry.")}
), weighed AS (
    SELECT posted.*, place, CASE
            WHEN quantity < 0 THEN NULL
            WHEN coalesce(shares, 0) = 0 THEN quantity
            WHEN shares = of_sharing THEN coalesce(share, quantity)
            ELSE coalesce(share * of_sharing, quantity * shares)
        END AS weight
    FROM posted LEFT JOIN told USING (company, source, id, number)
), expected AS (
    SELECT company, source, id, entry_id, sum(weight) OVER piece - weight AS before, sum(weight) OVER piece AS after,
        CASE WHEN weight IS NOT NULL THEN sum(weight) OVER (PARTITION BY source, id) END AS whole
    FROM weighed WINDOW piece AS (PARTITION BY source, id, weight IS NULL ORDER BY place)
)"""
_PIECE = "coalesce(trim_scale(before) || ' to ' || trim_scale(after) || ' of ' || trim_scale(whole), 'consumed')"
_PIECES = f"""
WITH {_EXPECTED}, undoing AS (
    SELECT undoing.company, undoing.source, undoing.id, undoing.entry_id, before, after, whole
    FROM expected JOIN ledger.entry AS undoing
        ON (undoing.company, undoing.original) = (expected.company, expected.entry_id)
    WHERE undoing.purpose = 'cancellation' AND undoing.quantity <> 0
)
SELECT company, source, id, entry_id, 'piece' AS what, wanted.piece AS expected, there.piece AS found
FROM (
    SELECT company, source, id, entry_id, {_PIECE} AS piece
    FROM (SELECT * FROM expected UNION ALL SELECT * FROM undoing) AS each
) AS wanted
FULL JOIN (
    SELECT company, source, id, entry_id, {_PIECE} AS piece FROM ledger.making WHERE {OF_COMPANY.format("")}
) AS there USING (company, source, id, entry_id)
WHERE wanted.piece IS DISTINCT FROM there.piece
"""
_GOODS = f"""
WITH told AS (
    SELECT DISTINCT company, source, id, quantity > 0 AS produced, leg ->> 'item' AS item, tracking, number
    FROM ({_MOVED}) AS moved CROSS JOIN LATERAL (
        SELECT coalesce(leg ->> 'batch', '') AS number WHERE tracking <> 'serial'
        UNION ALL SELECT json_array_elements_text(leg -> 'serials') WHERE tracking = 'serial'
    ) AS goods
    WHERE NOT EXISTS (SELECT FROM receiving.cancelled WHERE (cancelled.source, cancelled.id) = (moved.source, moved.id))
)
SELECT company, source, id, item, number, CASE WHEN produced THEN 'produced' ELSE 'consumed' END AS what,
    told.tracking AS expected, making.tracking AS found
FROM told
FULL JOIN (SELECT * FROM receiving.making WHERE {OF_COMPANY.format("")}) AS making
    USING (company, source, id, produced, item, number)
WHERE told.tracking IS DISTINCT FROM making.tracking
"""


def makings_are_as_told(connection: Connection, scope: Scope) -> Iterator[Finding]:
    """Each making has its goods at the gate, and in the ledger its entries with their pieces."""
    yield from answered(connection, scope, Question("ledger.making", _PIECES))
    yield from answered(connection, scope, Question("receiving.making", _GOODS))
