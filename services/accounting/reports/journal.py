"""Journal: every debit and every credit, movement by movement; each names the ledger entry that it books."""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import query
from shared.report import Column, Filters, Kind, Report, Row, matching

COLUMNS = (
    Column("company"),
    Column("posting_date", Kind.DATE),
    Column("journal_entry"),
    Column("source"),
    Column("id"),
    Column("purpose"),
    Column("document"),
    Column("line", Kind.COUNT),
    Column("account"),
    Column("debit", Kind.MONEY),
    Column("credit", Kind.MONEY),
    Column("effective_at", Kind.TIME),
    Column("ledger_entry"),
)
_SELECT = f"""
SELECT {", ".join(column.name for column in COLUMNS)}
FROM accounting.debit_credit
WHERE {matching("company account")}
  AND (cast(:as_of AS timestamptz) IS NULL OR effective_at <= :as_of)
ORDER BY company, effective_at, recorded_at, source, id, line NULLS LAST, ledger_entry, credit, account
"""


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return query(connection, _SELECT, **filters.given())


REPORT = Report(name="journal", title="Journal", columns=COLUMNS, takes=("company", "account", "as_of"), read=_read)
