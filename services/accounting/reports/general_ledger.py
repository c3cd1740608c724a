"""General Ledger: account by account what was debited and credited, against which account, and the balance after it.

The balance is debits less credits, in the order of posting dates. With a first day, each account begins with a line
`opening_balance`: what it came to before that day; so the lines of an account lead to its balance in the trial balance.
`number` counts the journal entries of a year; one that was booked a moment ago has none yet.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
from shared.report import BY_THEN, IN_DAYS, Column, Filters, Kind, Report, Row, matching

COLUMNS = (
    Column("company"),
    Column("account"),
    Column("posting_date", Kind.DATE),
    Column("year", Kind.COUNT),
    Column("number", Kind.COUNT),
    Column("source"),
    Column("id"),
    Column("purpose"),
    Column("document"),
    Column("line", Kind.COUNT),
    Column("against"),
    Column("debit", Kind.MONEY),
    Column("credit", Kind.MONEY),
    Column("balance", Kind.MONEY),
    Column("currency"),
    Column("effective_at", Kind.TIME),
    Column("recorded_at", Kind.TIME),
    Column("ledger_entry"),
    Column("revaluation"),
)
_ORDER = "posting_date, effective_at, recorded_at, source, id, revaluation NULLS FIRST, ordinal, credit"
_SELECT = f"""
WITH side AS (
    SELECT company, account, posting_date, year, number, source, id, purpose, document, line, against, debit, credit,
        currency, effective_at, recorded_at, cast(ledger_entry AS text) AS ledger_entry, revaluation, ordinal
    FROM accounting.journal CROSS JOIN LATERAL (VALUES
        (debit_account, credit_account, amount, 0::numeric), (credit_account, debit_account, 0::numeric, amount)
    ) AS side (account, against, debit, credit)
    WHERE ordinal IS NOT NULL AND {matching("company account")} AND {BY_THEN}
        AND (cast(:to_day AS date) IS NULL OR posting_date <= :to_day)
), told AS (
    SELECT *, sum(debit - credit) OVER (PARTITION BY company, account ORDER BY {_ORDER} ROWS UNBOUNDED PRECEDING)
        AS balance
    FROM side
), opening AS (
    SELECT company, account, cast(:from_day AS date) AS posting_date, currency, sum(debit - credit) AS balance
    FROM side WHERE posting_date < cast(:from_day AS date) GROUP BY company, account, currency
)
SELECT {", ".join(column.name for column in COLUMNS)}
FROM (
    SELECT false AS is_told, company, account, posting_date, NULL AS year, NULL AS number, NULL AS source, NULL AS id,
        'opening_balance' AS purpose, NULL AS document, NULL AS line, NULL AS against, NULL AS debit, NULL AS credit,
        balance, currency, NULL AS effective_at, NULL AS recorded_at, NULL AS ledger_entry, NULL AS revaluation,
        NULL AS ordinal
    FROM opening
    UNION ALL
    SELECT true, company, account, posting_date, year, number, source, id, purpose, document, line, against, debit,
        credit, balance, currency, effective_at, recorded_at, ledger_entry, revaluation, ordinal
    FROM told WHERE {IN_DAYS}
) AS shown
ORDER BY company, account, is_told, {_ORDER}
"""


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return stream(connection, _SELECT, **filters.given())


REPORT = Report(
    name="general-ledger",
    title="General Ledger",
    columns=COLUMNS,
    takes=("company", "account", "from_day", "to_day", "as_of", "known_at"),
    read=_read,
)
