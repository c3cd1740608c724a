"""Closed books: the gate's closings and reopenings are accounting's, and nothing was booked on a day closed before it.

A day is closed from the moment a closing that covers it is recorded until a later reopening from it, or from a day
before it, is. What was accepted meanwhile is dated later, also where it corrects something of that day.
"""

from collections.abc import Iterator
from datetime import date
from itertools import groupby

from sqlalchemy import Connection

from services.accounting.decide.periods import day_before
from services.desk.verify.checking import OF_COMPANY, Finding, Question, Scope, ask, key_of, shown
from shared.db import query

OF = OF_COMPANY.format("")

# A day that has an entry recorded after a closing of it is looked at entry by entry: it may have been reopened.
_BOOKED_LATER = f"""
WITH suspicious AS (
    SELECT company, posting_date FROM accounting.journal_entry WHERE {OF}
    GROUP BY company, posting_date HAVING max(recorded_at) > (
        SELECT min(recorded_at) FROM receiving.period_change AS closing
        WHERE closing.company = journal_entry.company AND through >= posting_date)
)
SELECT entry.company, journal_entry, 'posting_date' AS what, concat('after ', closing.through) AS expected,
    cast(entry.posting_date AS text) AS found
FROM suspicious JOIN accounting.journal_entry AS entry USING (company, posting_date)
CROSS JOIN LATERAL (
    SELECT max(through) AS through FROM receiving.period_change AS closing
    WHERE closing.company = entry.company AND through >= posting_date AND closing.recorded_at < entry.recorded_at
        AND NOT EXISTS (SELECT FROM receiving.period_change AS reopening
            WHERE reopening.company = closing.company AND reopening.number > closing.number
                AND reopening.open_from <= posting_date AND reopening.recorded_at <= entry.recorded_at)
) AS closing
WHERE closing.through IS NOT NULL
"""
_GATE_AND_BOOKS = f"""
SELECT company, number, what, expected, found
FROM (SELECT * FROM receiving.period_change WHERE {OF}) AS gate
FULL JOIN (SELECT * FROM accounting.period WHERE {OF}) AS books USING (company, number)
CROSS JOIN LATERAL (VALUES
    ('closing or reopening', 'one of the gate', 'nothing', gate.id IS NULL),
    ('movement', concat(gate.source, ' ', gate.id), concat(books.source, ' ', books.id),
        (gate.source, gate.id) <> (books.source, books.id)),
    ('through', cast(gate.through AS text), cast(books.through AS text),
        books.id IS NOT NULL AND gate.id IS NOT NULL AND gate.through IS DISTINCT FROM books.through),
    ('open_from', cast(gate.open_from AS text), cast(books.open_from AS text),
        books.id IS NOT NULL AND gate.id IS NOT NULL AND gate.open_from IS DISTINCT FROM books.open_from),
    ('actor', gate.actor, books.actor, gate.actor <> books.actor),
    ('reason', gate.reason, books.reason, gate.reason <> books.reason),
    ('recorded_at', cast(gate.recorded_at AS text), cast(books.recorded_at AS text),
        gate.recorded_at <> books.recorded_at)
) AS part (what, expected, found, is_wrong)
WHERE is_wrong
"""
_NUMBERS = f"""
SELECT company, 'closings and reopenings' AS what, concat('1 to ', period_changes) AS expected,
    concat(count(number), ' up to ', max(number)) AS found
FROM receiving.company LEFT JOIN receiving.period_change USING (company)
WHERE {OF} GROUP BY company, period_changes
HAVING count(number) <> period_changes OR coalesce(max(number), 0) <> period_changes
"""
# In the order in which they take effect; a closing counts as a lock when it is one.
_CHANGES = f"""
SELECT company, number, through, open_from, through IS NOT NULL AND locked_at IS NOT NULL AS is_lock, ended_by, changes,
    locked_through
FROM accounting.period JOIN accounting.books USING (company) WHERE {OF} ORDER BY company, number
"""


def nothing_is_booked_on_closed_days(connection: Connection, scope: Scope) -> Iterator[Finding]:
    """Both services know of the same closings, books are locked as far as these say, and no closed day has changed."""
    yield from ask(connection, scope, Question("accounting.journal_entry", _BOOKED_LATER))
    yield from ask(connection, scope, Question("accounting.period", _GATE_AND_BOOKS))
    yield from ask(connection, scope, Question("receiving.period_change", _NUMBERS))
    yield from _locks(connection, scope)


def _locks(connection: Connection, scope: Scope) -> Iterator[Finding]:
    """How far each company's books are locked, by all that has taken effect."""
    for company, changes in groupby(query(connection, _CHANGES, company=scope.company), key=lambda row: row.company):
        rows = list(changes)
        expected: date | None = None
        for row in rows:
            if row.number > row.changes:
                break
            if row.is_lock:
                expected = max(expected or row.through, row.through)
            if row.open_from is not None and expected is not None and expected >= row.open_from:
                expected = day_before(row.open_from)
        found = rows[0].locked_through
        if found != expected:
            key = key_of("company", (company,))
            yield Finding("accounting.books", key, "locked_through", shown(expected), shown(found))
