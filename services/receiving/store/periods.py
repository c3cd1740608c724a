"""Closed books in PostgreSQL: how far each company's are closed, and every closing and reopening, for ever.

A movement holds its company's row shared until it is committed, a closing takes it exclusively: so when a closing is
decided, all that was accepted before it has been committed, and all that comes after is judged by it.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from services.receiving.decide.periods import Books, Told, closed_through
from services.receiving.decide.stock import NEVER
from shared.contracts import masters
from shared.contracts.codec import write
from shared.contracts.period import PeriodClosing
from shared.contracts.registry import PERIOD_CLOSING, PERIOD_REOPENING
from shared.db import columns, copy, query, run
from shared.service import Key, Output

_LOCK = """
SELECT company, open_from, period_changes FROM receiving.company WHERE company = ANY(:company)
ORDER BY company FOR NO KEY UPDATE
"""
_LAST_RECORDED = """
SELECT company, max(last_recorded_at) AS at FROM receiving.bin
WHERE company = ANY(:company) AND last_stamp > 0 GROUP BY company
"""
_CHANGE = """
UPDATE receiving.company SET closed_through = cast(:closed_through AS date), period_changes = :number
WHERE company = :company
"""
_COLUMNS = "company, number, source, id, kind, through, open_from, actor, reason, recorded_at, told"
_TOLD = """
SELECT source, id, kind, told FROM receiving.period_change
WHERE (source, id) IN (SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[])))
ORDER BY company, number
"""


def lock_books(connection: Connection, definitions: Iterable[masters.Master]) -> dict[str, Books]:
    """The books that are to be closed or reopened; nothing else may be decided in their companies meanwhile."""
    changes = [each for each in definitions if isinstance(each, masters.PeriodClosed | masters.PeriodReopened)]
    wanted = sorted({each.company for each in changes})
    rows = query(connection, _LOCK, company=wanted) if wanted else ()
    recorded = {row.company: row.at for row in query(connection, _LAST_RECORDED, company=wanted)} if rows else {}
    return {row.company: Books(row.open_from, row.period_changes, recorded.get(row.company, NEVER)) for row in rows}


def save_changes(connection: Connection, told: Sequence[Told]) -> None:
    """Append closings and reopenings, and close or reopen the books of their companies."""
    copy(connection, "receiving.period_change", _COLUMNS, map(_row, told))
    for each in {each.company: each for each in told}.values():
        day = closed_through(each)
        run(connection, _CHANGE, closed_through=day, number=each.number, company=each.company)


def outputs_of(connection: Connection, keys: Iterable[Key]) -> list[Output]:
    """What was told of those of these that closed or reopened books."""
    rows = query(connection, _TOLD, **columns(sorted(keys), "source id"))
    return [Output(row.kind, row.source, row.id, bytes(row.told)) for row in rows]


def _row(told: Told) -> tuple[object, ...]:
    return (
        told.company,
        told.number,
        told.source,
        told.id,
        PERIOD_CLOSING if isinstance(told, PeriodClosing) else PERIOD_REOPENING,
        told.through if isinstance(told, PeriodClosing) else None,
        None if isinstance(told, PeriodClosing) else told.open_from,
        told.actor,
        told.reason,
        told.recorded_at,
        write(told),
    )
