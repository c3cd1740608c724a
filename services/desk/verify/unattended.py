"""What should have come to its end by now: waiting, stuck, dirty, parked, not posted, not booked, not told.

Nothing here is wrong by itself, and nothing is lost: but somebody should know. Whatever is younger than what counts as
late is left alone; what is stuck or parked stays so until somebody acts, and is told at once.
"""

from services.desk.verify.checking import OF_COMPANY, Question, asking
from shared.migrate import SERVICES

OF = OF_COMPANY.format("")

_NOT_POSTED = f"""
SELECT source, id, 'posted' AS what, 'by now' AS expected, concat('accepted ', recorded_at) AS found
FROM receiving.movement AS accepted WHERE allocated IS NOT NULL AND recorded_at < :late AND {OF} AND NOT EXISTS (
    SELECT FROM ledger.movement
    WHERE (movement.source, movement.id) = (accepted.source, accepted.id) AND outputs IS NOT NULL)
"""
_NOT_BOOKED = f"""
SELECT source, id, 'booked' AS what, 'by now' AS expected, concat('accepted ', recorded_at) AS found
FROM {{table}} AS told WHERE outputs IS NOT NULL AND recorded_at < :late AND {OF} AND NOT EXISTS (
    SELECT FROM accounting.movement WHERE (movement.source, movement.id) = (told.source, told.id))
"""
_WAITING_AT_THE_GATE = """
SELECT source, id, 'decided' AS what, concat('by ', deadline) AS expected, concat('waits since ', since) AS found
FROM receiving.waiting WHERE deadline < :late
"""
_WAITING = f"""
SELECT source, id, 'waiting' AS what, 'not for long' AS expected, concat('accepted ', recorded_at) AS found
FROM ledger.waiting JOIN ledger.movement USING (source, id) WHERE recorded_at < :late AND {OF}
"""
_STUCK = f"""
SELECT company, item, warehouse, 'stuck' AS what, 'no' AS expected,
    concat('since ', since, ' by ', source, ' ', id, ': ', reason) AS found
FROM ledger.stuck WHERE {OF}
"""
_DIRTY = f"""
SELECT company, item, warehouse, 'valued anew' AS what, 'by now' AS expected,
    concat('dirty from ', from_at, ' since ', recorded_at) AS found
FROM ledger.dirty WHERE recorded_at < :late AND {OF}
"""
_PARKED = """
SELECT parked_id, source, id, 'parked' AS what, 'no' AS expected, concat(reason, ' since ', first_seen) AS found
FROM {schema}.parked WHERE discarded_at IS NULL
"""
# An outbox has no times of its own: that of what it tells of stands in the inbox.
_OUTBOX = """
SELECT source, id, kind, 'told' AS what, 'by now' AS expected, concat('recorded ', recorded_at) AS found
FROM {schema}.outbox LEFT JOIN ({inbox}) AS its USING (source, id)
WHERE coalesce(recorded_at < :late, true)
"""
_GATE_INBOX = """
SELECT source, id, recorded_at FROM receiving.movement
UNION ALL SELECT source, id, recorded_at FROM receiving.definition
"""
_LEDGER_INBOX = """
SELECT source, id, recorded_at FROM ledger.movement UNION ALL SELECT source, id, recorded_at FROM ledger.revaluation
"""
_ACCOUNTING_INBOX = """
SELECT source, id, recorded_at FROM accounting.movement UNION ALL
SELECT source, id, greatest(locked_at, recorded_at) FROM accounting.period
"""
# What is told of coverage stands in no inbox; its id begins with its time, in milliseconds.
_AFTERCARE_INBOX = """
SELECT source, id, recorded_at FROM aftercare.answer UNION ALL
SELECT source, id, to_timestamp(cast(cast('x' || left(replace(id, '-', ''), 12) AS bit(48)) AS bigint) / 1000.0)
FROM aftercare.outbox WHERE kind = 'coverage.changed.v1'
"""
_NOT_IN_AFTERCARE = f"""
SELECT source, id, 'in aftercare' AS what, 'by now' AS expected, concat('accepted ', recorded_at) AS found
FROM receiving.units_allocated AS accepted WHERE recorded_at < :late AND {OF} AND NOT EXISTS (
    SELECT FROM aftercare.movement WHERE (movement.source, movement.id) = (accepted.source, accepted.id))
"""
_WAITING_IN_AFTERCARE = """
SELECT source, id, 'decided' AS what, concat('by ', deadline) AS expected, concat('waits since ', since) AS found
FROM aftercare.waiting WHERE deadline < :late
"""
_UNNUMBERED = f"""
SELECT company, journal_entry, 'number' AS what, 'by now' AS expected, concat('recorded ', recorded_at) AS found
FROM accounting.unnumbered WHERE recorded_at < :late AND {OF}
"""
_NOT_LOCKED = f"""
SELECT company, number, 'locked' AS what, 'by now' AS expected, concat('closed ', gate.recorded_at) AS found
FROM receiving.period_change AS gate LEFT JOIN accounting.period AS books USING (company, number)
WHERE gate.recorded_at < :late AND {OF}
    AND (books.id IS NULL OR gate.through IS NOT NULL AND locked_at IS NULL AND ended_by IS NULL)
"""
_REPLAY = """
SELECT since, 'replay' AS what, 'done by now' AS expected, concat(source, ' ', id) AS found
FROM {schema}.replay WHERE since < :late
"""

nothing_is_left_alone = asking(
    Question("ledger.stuck", _STUCK),
    *(Question(f"{name}.parked", _PARKED.format(schema=name)) for name in SERVICES),
    Question("receiving.waiting", _WAITING_AT_THE_GATE),
    Question("receiving.movement", _NOT_POSTED),
    Question("ledger.waiting", _WAITING),
    Question("ledger.dirty", _DIRTY),
    Question("ledger.movement", _NOT_BOOKED.format(table="ledger.movement")),
    Question("ledger.revaluation", _NOT_BOOKED.format(table="ledger.revaluation")),
    Question("receiving.outbox", _OUTBOX.format(schema="receiving", inbox=_GATE_INBOX)),
    Question("ledger.outbox", _OUTBOX.format(schema="ledger", inbox=_LEDGER_INBOX)),
    Question("accounting.outbox", _OUTBOX.format(schema="accounting", inbox=_ACCOUNTING_INBOX)),
    Question("aftercare.outbox", _OUTBOX.format(schema="aftercare", inbox=_AFTERCARE_INBOX)),
    Question("aftercare.movement", _NOT_IN_AFTERCARE),
    Question("aftercare.waiting", _WAITING_IN_AFTERCARE),
    Question("accounting.unnumbered", _UNNUMBERED),
    Question("receiving.period_change", _NOT_LOCKED),
    *(Question(f"{name}.replay", _REPLAY.format(schema=name)) for name in ("ledger", "accounting", "aftercare")),
)
