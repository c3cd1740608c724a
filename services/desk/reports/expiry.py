"""Expiry: the stock of every batch, the one first that expires first: what has expired, and what will within 90 days.

A batch may be used up to its last day, and on it. What never expires, or later, stands there too, so the report adds up
to all stock that is kept in batches. Days are those of each company's time zone; the record of a batch is that of now.
"""

from collections.abc import Iterable, Iterator
from datetime import date

from sqlalchemy import Connection

from services.desk.store.days import JUDGED, days_given
from shared.db import stream
from shared.report import BY_THEN, ON_DAY, Column, Filters, Kind, Picture, Report, Row, matching

EXPIRED = "expired"
LATER, NEVER = "later", "never"
WITHIN = {days: f"within {days} days" for days in (30, 60, 90)}
WINDOWS = (EXPIRED, *WITHIN.values(), LATER, NEVER)

COLUMNS = (
    Column("company"),
    Column("item"),
    Column("warehouse"),
    Column("batch"),
    Column("expires_on", Kind.DATE),
    Column("days_left", Kind.COUNT),
    Column("window"),
    Column("quantity", Kind.QUANTITY),
    Column("value", Kind.MONEY),
    Column("currency"),
    Column("state"),
    Column("manufactured_on", Kind.DATE),
    Column("supplier"),
    Column("supplier_batch"),
)
_PLACE = "company, item, warehouse, batch"
_WANTED = matching("company item warehouse batch")
_SELECT = f"""
SELECT {_PLACE}, expires_on, judged.day AS judged_on, balance.quantity, balance.value, currency, state,
    manufactured_on, supplier, supplier_batch
FROM {{balance}} AS balance
LEFT JOIN receiving.batch_status AS record USING (company, item, batch)
JOIN {JUDGED} USING (company)
JOIN (SELECT company, currency FROM receiving.companies) AS books USING (company)
WHERE {_WANTED} AND (balance.quantity <> 0 OR balance.value <> 0)
ORDER BY company, expires_on NULLS LAST, item, batch, warehouse
"""
_NOW = _SELECT.format(balance="ledger.batch_balance")
_THEN = _SELECT.format(
    balance=f"""(
    SELECT {_PLACE}, sum(told.quantity) AS quantity, sum(told.value) AS value
    FROM (SELECT * FROM ledger.stock_ledger WHERE {_WANTED} AND {BY_THEN} AND {ON_DAY}) AS told
    JOIN (SELECT {_PLACE} FROM ledger.batch_balance) AS kept USING ({_PLACE})
    GROUP BY {_PLACE}
)"""
)


def _read(connection: Connection, filters: Filters) -> Iterator[Row]:
    days = days_given(connection, filters)
    found: Iterable[Row] = stream(connection, _THEN if filters.looks_back else _NOW, **days, **filters.given())
    for company, item, warehouse, batch, expires_on, day, *rest in found:
        left = None if expires_on is None else (expires_on - day).days
        quantity, value, currency, *record = rest
        place = (company, item, warehouse, batch, expires_on)
        yield (*place, left, window(expires_on, day), quantity, value, currency, *record)


def window(expires_on: date | None, day: date) -> str:
    """How near its expiry something is on a day; the last day on which it may be used has not passed it."""
    if expires_on is None:
        return NEVER
    left = (expires_on - day).days
    if left < 0:
        return EXPIRED
    return next((name for days, name in WITHIN.items() if left <= days), LATER)


REPORT = Report(
    name="expiry",
    title="Expiry",
    columns=COLUMNS,
    takes=("company", "item", "warehouse", "batch", "on", "as_of", "known_at"),
    read=_read,
    picture=Picture("window", "value", WINDOWS),
)
