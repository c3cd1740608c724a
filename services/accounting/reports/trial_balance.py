"""Trial Balance: debit, credit and balance of every account, now, as of a time, or as known at a time.

Then is the sum of what had taken effect, or was known, by then.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
from shared.report import BY_THEN, Column, Filters, Kind, Report, Row, matching

_WANTED = matching("company account")
_NOW = f"""
SELECT company, account, debit, credit, balance
FROM accounting.trial_balance WHERE {_WANTED} ORDER BY company, account
"""
_THEN = f"""
SELECT company, account, sum(debit) AS debit, sum(credit) AS credit, sum(debit) - sum(credit) AS balance
FROM accounting.debit_credit WHERE {_WANTED} AND {BY_THEN}
GROUP BY company, account ORDER BY company, account
"""


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return stream(connection, _THEN if filters.looks_back else _NOW, **filters.given())


REPORT = Report(
    name="trial-balance",
    title="Trial Balance",
    columns=(
        Column("company"),
        Column("account"),
        Column("debit", Kind.MONEY),
        Column("credit", Kind.MONEY),
        Column("balance", Kind.MONEY),
    ),
    takes=("company", "account", "as_of", "known_at"),
    read=_read,
)
