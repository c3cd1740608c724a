"""What one service has worked on, the one before it has told: no movement from nowhere, and all booked exactly once.

What the next service has not taken yet is under way, and no finding here: whether it is late is for `unattended`.
"""

from services.desk.verify.checking import OF_COMPANY, Question, asking

OF = OF_COMPANY.format("")

_POSTED = f"""
SELECT source, id, what, expected, found
FROM ledger.movement AS posted LEFT JOIN receiving.movement AS accepted USING (source, id)
CROSS JOIN LATERAL (VALUES
    ('accepted', 'yes', 'no', accepted.allocated IS NULL),
    ('company', accepted.company, posted.company, accepted.company <> posted.company),
    ('recorded_at', cast(accepted.recorded_at AS text), cast(posted.recorded_at AS text),
        accepted.recorded_at <> posted.recorded_at)
) AS part (what, expected, found, is_wrong)
WHERE {OF_COMPANY.format("posted.")} AND is_wrong AND (accepted.allocated IS NULL
    OR (accepted.company, accepted.recorded_at) <> (posted.company, posted.recorded_at))
"""
_BOOKED = f"""
SELECT source, id, what, expected, found
FROM accounting.movement AS booked LEFT JOIN (
    SELECT source, id, company, recorded_at FROM ledger.movement WHERE outputs IS NOT NULL
    UNION ALL SELECT source, id, company, recorded_at FROM ledger.revaluation
) AS told USING (source, id)
CROSS JOIN LATERAL (VALUES
    ('posted', 'yes', 'no', told.company IS NULL),
    ('company', told.company, booked.company, told.company <> booked.company),
    ('recorded_at', cast(told.recorded_at AS text), cast(booked.recorded_at AS text),
        told.recorded_at <> booked.recorded_at)
) AS part (what, expected, found, is_wrong)
WHERE {OF_COMPANY.format("booked.")} AND is_wrong AND (told.company IS NULL
    OR (told.company, told.recorded_at) <> (booked.company, booked.recorded_at))
"""
_OUTLINE = f"""
SELECT source, id, what, expected, found
FROM receiving.movement CROSS JOIN LATERAL (VALUES
    ('effective_at', 'a time', cast(effective_at AS text), allocated IS NOT NULL AND effective_at IS NULL),
    ('allocated', 'what was allocated', NULL, allocated IS NULL AND effective_at IS NOT NULL)
) AS part (what, expected, found, is_wrong)
WHERE {OF} AND is_wrong AND (allocated IS NULL) <> (effective_at IS NULL)
"""
_ENTRIES = f"""
SELECT company, entry_id, 'movement' AS what, 'a posted one' AS expected, concat(source, ' ', id) AS found
FROM ledger.entry WHERE {OF} AND NOT EXISTS (
    SELECT FROM ledger.movement
    WHERE (movement.source, movement.id) = (entry.source, entry.id) AND outputs IS NOT NULL)
"""
# What is told of a movement is what it has a journal entry for: a company without perpetual accounting has neither.
_JOURNAL = f"""
SELECT booked.source, booked.id, 'journal entries' AS what, CASE WHEN is_told THEN '1' ELSE '0' END AS expected,
    cast(coalesce(entries, 0) AS text) AS found
FROM (
    SELECT source, id, outputs IS NOT NULL AS is_told FROM accounting.movement
    WHERE {OF} AND NOT EXISTS (
        SELECT FROM ledger.revaluation WHERE (revaluation.source, revaluation.id) = (movement.source, movement.id))
) AS booked
FULL JOIN (
    SELECT source, id, count(*) AS entries FROM accounting.journal_entry WHERE revaluation IS NULL AND {OF}
    GROUP BY source, id
) AS journal ON (journal.source, journal.id) = (booked.source, booked.id)
WHERE booked.source IS NOT NULL AND coalesce(entries, 0) <> cast(is_told AS integer)
"""
_UNTOLD_JOURNAL = f"""
SELECT company, journal_entry, 'movement' AS what, 'a booked one' AS expected,
    concat_ws(' ', source, id, revaluation) AS found
FROM accounting.journal_entry WHERE {OF} AND (
    NOT EXISTS (SELECT FROM ledger.movement
        WHERE (movement.source, movement.id) = (journal_entry.source, journal_entry.id) AND outputs IS NOT NULL)
    OR revaluation IS NULL AND NOT EXISTS (SELECT FROM accounting.movement
        WHERE (movement.source, movement.id) = (journal_entry.source, journal_entry.id) AND outputs IS NOT NULL)
    OR revaluation IS NOT NULL AND NOT EXISTS (SELECT FROM accounting.movement
        WHERE (movement.source, movement.id) = ('ledger', revaluation) AND outputs IS NOT NULL))
"""
# A cancellation marks its original in the transaction that posts it.
_CANCELLED = f"""
SELECT original.source, original.id, 'cancelled by' AS what, concat_ws(' ', gate.by_source, gate.by_id) AS expected,
    concat_ws(' ', ledger.by_source, ledger.by_id) AS found
FROM receiving.cancelled AS gate FULL JOIN ledger.cancelled AS ledger USING (source, id)
CROSS JOIN LATERAL (SELECT coalesce(gate.source, ledger.source), coalesce(gate.id, ledger.id)) AS original (source, id)
JOIN ledger.movement AS by ON (by.source, by.id)
    = (coalesce(gate.by_source, ledger.by_source), coalesce(gate.by_id, ledger.by_id))
WHERE by.outputs IS NOT NULL AND {OF_COMPANY.format("by.")}
    AND (gate.by_source, gate.by_id) IS DISTINCT FROM (ledger.by_source, ledger.by_id)
"""

nothing_comes_from_nowhere = asking(
    Question("receiving.movement", _OUTLINE),
    Question("ledger.movement", _POSTED),
    Question("ledger.entry", _ENTRIES),
    Question("ledger.cancelled", _CANCELLED),
    Question("accounting.movement", _BOOKED),
    Question("accounting.movement", _JOURNAL),
    Question("accounting.journal_entry", _UNTOLD_JOURNAL),
)
