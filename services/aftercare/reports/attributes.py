"""Attributes: what holds of every unit beside its stock life, and until when: plans, subscriptions, licences.

Those that a serial's own record has (`serial.defined`) are not repeated here.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

from services.aftercare.decide.custody import attributes, custody
from services.aftercare.store.asked import asked
from shared.report import Column, Filters, Kind, Report, Row

COLUMNS = (
    Column("company"),
    Column("item"),
    Column("serial"),
    Column("attribute"),
    Column("value"),
    Column("expires_on", Kind.DATE),
    Column("days_left", Kind.COUNT),
    Column("status"),
    Column("custodian"),
)


def _read(connection: Connection, filters: Filters) -> Iterator[Row]:
    for each in asked(connection, filters):
        holds = custody(each.dossier)
        for name, found in attributes(each.dossier, each.day).items():
            left = (found.until - each.day).days if found.until is not None else None
            yield (*each.unit, name, found.value, found.until, left, holds.status.value, holds.custodian)


REPORT = Report(
    name="attributes",
    title="Attributes and Subscriptions",
    columns=COLUMNS,
    takes=("company", "item", "serial", "on", "as_of", "known_at"),
    read=_read,
)
