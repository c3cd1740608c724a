"""Serials in Warranty: every unit whose warranty has not ended, who holds it, and how long it is covered yet.

The warranty runs from the delivery for as many days as the item says, unless the serial's own record says otherwise;
its last day still counts. On an earlier day it is what had begun by then. Days are those of each company's time zone.
"""

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import Connection

from services.desk.store.days import judged
from services.receiving.reports.serial_status import REPORT as SERIAL_STATUS
from shared.report import Column, Filters, Kind, Report, Row

COLUMNS = (
    Column("company"),
    Column("item"),
    Column("serial"),
    Column("status"),
    Column("warehouse"),
    Column("batch"),
    Column("customer"),
    Column("customer_document"),
    Column("warranty_until", Kind.DATE),
    Column("days_left", Kind.COUNT),
)
_PLACES = {column.name: place for place, column in enumerate(SERIAL_STATUS.columns)}
_UNTIL = _PLACES["warranty_until"]
_SHOWN = [_PLACES[column.name] for column in COLUMNS if column.name in _PLACES]


def _read(connection: Connection, filters: Filters) -> Iterator[Row]:
    for each in judged(connection, filters):
        as_of = each.until if filters.as_of is None and filters.on is not None else filters.as_of
        of_company = replace(filters, company=each.company, as_of=as_of, on=None)
        for row in SERIAL_STATUS.read(connection, of_company):
            until = row[_UNTIL]
            if until is not None and until >= each.day:
                yield (*(row[place] for place in _SHOWN), (until - each.day).days)


REPORT = Report(
    name="in-warranty",
    title="Serials in Warranty",
    columns=COLUMNS,
    takes=("company", "item", "warehouse", "batch", "serial", "on", "as_of", "known_at"),
    read=_read,
)
