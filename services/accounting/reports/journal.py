"""Journal: every debit and every credit, movement by movement; each names the ledger entry that it books.

Among movements of one time those that were known first stand first. What was known at once has no order but this: what
revalues or returns goods stands behind what brought them, what cancels behind that, and at last what a revaluation
corrects. Such a correction is a journal entry of its own, of the movement that it corrects; `revaluation` names it.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
from shared.purposes import PURPOSES, Flow
from shared.report import BY_THEN, Column, Filters, Kind, Report, Row, matching

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
    Column("revaluation"),
)
_SELECT = f"""
SELECT {", ".join(column.name for column in COLUMNS)}
FROM accounting.debit_credit
WHERE {matching("company account")}
  AND {BY_THEN}
ORDER BY company, effective_at, recorded_at, revaluation IS NOT NULL, purpose = ANY(:last), purpose = ANY(:behind),
    source, id, revaluation, ordinal, credit
"""
_BEHIND = [each.name for each in PURPOSES.values() if each.flow in (Flow.COME_BACK, Flow.SEND_BACK, Flow.LAND)]
_LAST = [each.name for each in PURPOSES.values() if each.flow is Flow.CANCEL]


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return stream(connection, _SELECT, behind=_BEHIND, last=_LAST, **filters.given())


REPORT = Report(
    name="journal", title="Journal", columns=COLUMNS, takes=("company", "account", "as_of", "known_at"), read=_read
)
