"""Received, Not Billed: what every line of a receipt has left on the account for it, for the supplier's bills to match.

Bills and payments are the finance system's: here stands what was received, less what was sent back or cancelled, and
what was booked to the account besides for the same goods (a difference of price as a landed cost). `open` adds up to
the account, which is that of the role `stock_received_not_billed` unless another is named. What names no receipt stands
as a line of its own; what comes to nothing is left out.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
from shared.purposes import Role
from shared.report import BY_THEN, ON_DAY, Column, Filters, Kind, Report, Row, matching

COLUMNS = (
    Column("company"),
    Column("account"),
    Column("supplier"),
    Column("source"),
    Column("id"),
    Column("purpose"),
    Column("document"),
    Column("posting_date", Kind.DATE),
    Column("line", Kind.COUNT),
    Column("item"),
    Column("warehouse"),
    Column("batch"),
    Column("quantity", Kind.QUANTITY),
    Column("open_quantity", Kind.QUANTITY),
    Column("amount", Kind.MONEY),
    Column("open", Kind.MONEY),
    Column("currency"),
)
# From what is booked back to the receipt: what corrects an entry is part of it, what returns or cancels it names it.
_SELECT = f"""
WITH RECURSIVE books AS (
    SELECT company, currency, coalesce(cast(:account AS text), roles ->> :role, :role) AS account
    FROM receiving.companies WHERE {matching("company")}
), booked AS (
    SELECT company, source, id, line, ledger_entry, sum(credit - debit) AS amount, min(posting_date) AS posting_date,
        min(purpose) AS purpose, min(document) AS document
    FROM accounting.debit_credit JOIN books USING (company, account)
    WHERE {BY_THEN} AND {ON_DAY}
    GROUP BY company, source, id, line, ledger_entry
), entry AS NOT MATERIALIZED (
    SELECT company, entry_id, coalesce(part_of, original) AS of_entry, source, id, purpose, document, posting_date,
        line, item, warehouse, batch, quantity
    FROM ledger.stock_ledger
), trail AS (
    SELECT DISTINCT company, ledger_entry, ledger_entry AS entry_id FROM booked WHERE ledger_entry IS NOT NULL
    UNION
    SELECT company, ledger_entry, of_entry FROM trail JOIN entry USING (company, entry_id) WHERE of_entry IS NOT NULL
), origin AS (
    SELECT company, ledger_entry, entry_id AS root FROM trail JOIN entry USING (company, entry_id)
    WHERE of_entry IS NULL
), receipt AS (
    SELECT company, root, CASE WHEN root IS NULL THEN source END AS of_source,
        CASE WHEN root IS NULL THEN id END AS of_id, CASE WHEN root IS NULL THEN line END AS of_line,
        sum(amount) AS open,
        sum(amount) FILTER (WHERE ledger_entry = root) AS amount, sum(moved.quantity) AS open_quantity,
        min(booked.posting_date) AS booked_on, min(booked.purpose) AS booked_as, min(booked.document) AS booked_by
    FROM booked LEFT JOIN origin USING (company, ledger_entry)
    LEFT JOIN (SELECT company, entry_id AS ledger_entry, quantity FROM entry) AS moved USING (company, ledger_entry)
    GROUP BY company, root, 3, 4, 5
)
SELECT company, account, cast(convert_from(told.allocated, 'UTF8') AS json) ->> 'supplier' AS supplier,
    coalesce(came.source, of_source) AS source, coalesce(came.id, of_id) AS id,
    coalesce(came.purpose, booked_as) AS purpose, coalesce(came.document, booked_by) AS document,
    coalesce(came.posting_date, booked_on) AS posting_date, coalesce(came.line, of_line) AS line,
    item, warehouse, batch, came.quantity, open_quantity, coalesce(amount, 0) AS amount, open, currency
FROM receipt JOIN books USING (company)
LEFT JOIN (
    SELECT company, entry_id AS root, source, id, purpose, document, posting_date, line, item, warehouse, batch,
        quantity
    FROM entry
) AS came USING (company, root)
LEFT JOIN LATERAL (
    SELECT allocated FROM receiving.allocated AS movement
    WHERE (movement.source, movement.id) = (coalesce(came.source, of_source), coalesce(came.id, of_id))
) AS told ON true
WHERE {matching("item warehouse")} AND (open <> 0 OR open_quantity <> 0)
ORDER BY company, supplier, posting_date, source, id, line, batch
"""


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return stream(connection, _SELECT, role=Role.STOCK_RECEIVED_NOT_BILLED.value, **filters.given())


REPORT = Report(
    name="received-not-billed",
    title="Received, Not Billed",
    columns=COLUMNS,
    takes=("company", "account", "item", "warehouse", "on", "as_of", "known_at"),
    read=_read,
)
