"""Units out of stock: who has each of them, and where; until when it is lent, and when it should be taken out of use.

`overdue_days` is by how long a loan is over. Units in stock, and those that are gone, stand on Serial No Status.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

from services.aftercare.decide.custody import GONE, custody, end_of_life
from services.aftercare.store.asked import Asked, asked
from shared.purposes import SerialStatus
from shared.report import Column, Filters, Kind, Report, Row

COLUMNS = (
    Column("company"),
    Column("item"),
    Column("serial"),
    Column("status"),
    Column("custodian"),
    Column("place"),
    Column("due_back", Kind.DATE),
    Column("overdue_days", Kind.COUNT),
    Column("end_of_life", Kind.DATE),
)


def _read(connection: Connection, filters: Filters) -> Iterator[Row]:
    for each in asked(connection, filters):
        yield from _rows(each)


def _rows(of: Asked) -> Iterator[Row]:
    holds = custody(of.dossier)
    if holds.status in (SerialStatus.ACTIVE, *GONE):
        return
    is_overdue = holds.due_back is not None and holds.due_back < of.day
    overdue = (of.day - holds.due_back).days if is_overdue and holds.due_back is not None else None
    told = (holds.status.value, holds.custodian, holds.place, holds.due_back, overdue, end_of_life(of.dossier))
    yield (*of.unit, *told)


REPORT = Report(
    name="custody",
    title="Units in Use and with Customers",
    columns=COLUMNS,
    takes=("company", "item", "serial", "on", "as_of", "known_at"),
    read=_read,
)
