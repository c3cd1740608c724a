"""Account Changes: why the same balance of an account was another one when less was known, booking by booking.

What was recorded after `known_since`, up to `known_at`, and takes effect up to `as_of`. In each account debits less
credits add up to the difference of the two balances. What books an entry that corrects, revalues or cancels another
names the movement of that one; a correction was recorded with what made it necessary.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
from shared.report import SINCE, Column, Filters, Kind, Report, Row, matching

COLUMNS = (
    Column("company"),
    Column("account"),
    Column("debit", Kind.MONEY),
    Column("credit", Kind.MONEY),
    Column("effective_at", Kind.TIME),
    Column("posting_date", Kind.DATE),
    Column("recorded_at", Kind.TIME),
    Column("source"),
    Column("id"),
    Column("purpose"),
    Column("document"),
    Column("line", Kind.COUNT),
    Column("corrects_source"),
    Column("corrects_id"),
)
_SELECT = f"""
SELECT {", ".join(column.name for column in COLUMNS)}
FROM (SELECT * FROM accounting.debit_credit WHERE {matching("company account")} AND {SINCE}) AS change
LEFT JOIN (
    SELECT company, entry_id AS ledger_entry, corrects_source, corrects_id FROM ledger.corrections
) AS correction USING (company, ledger_entry)
ORDER BY company, account, recorded_at, effective_at, source, id, ordinal, credit
"""


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return stream(connection, _SELECT, **filters.given())


REPORT = Report(
    name="account-changes",
    title="What Became Known of Accounts",
    columns=COLUMNS,
    takes=("company", "account", "as_of", "known_since", "known_at"),
    read=_read,
)
