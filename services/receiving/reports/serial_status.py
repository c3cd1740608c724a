"""Serial No Status: where every unit is, from whom it came, who holds it, and how long it is covered."""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import query
from shared.report import Column, Filters, Kind, Report, Row, matching

COLUMNS = (
    Column("company"),
    Column("item"),
    Column("serial"),
    Column("status"),
    Column("warehouse"),
    Column("batch"),
    Column("supplier"),
    Column("supplier_document"),
    Column("customer"),
    Column("customer_document"),
    Column("warranty_until", Kind.DATE),
    Column("end_of_life", Kind.DATE),
)
_SELECT = f"""
SELECT {", ".join(column.name for column in COLUMNS)}
FROM receiving.serial_status
WHERE {matching("company item warehouse batch serial")}
ORDER BY company, item, serial
"""


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return query(connection, _SELECT, **filters.given())


REPORT = Report(
    name="serial-status",
    title="Serial No Status",
    columns=COLUMNS,
    takes=("company", "item", "warehouse", "batch", "serial"),
    read=_read,
)
