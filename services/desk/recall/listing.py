"""Recalls at a glance: a row for each, with how many got some of it, who was told, and what is still out.

It is no report: those are for readers too, who see views only, and where goods went is found in tables. Quantities are
those of all goods of a recall, each unit of measure by itself; what was issued to somebody counts as delivered.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from services.desk.recall.finding import find_out
from services.desk.recall.rows import summary
from services.desk.store.recalls import find_recalls
from shared.report import Column, Filters, Kind, Row

STATES = ("open", "closed")

COLUMNS = (
    Column("company"),
    Column("source"),
    Column("id"),
    Column("document"),
    Column("mock"),
    Column("state"),
    Column("recorded_at", Kind.TIME),
    Column("goods", Kind.COUNT),
    Column("customers", Kind.COUNT),
    Column("reached", Kind.COUNT),
    Column("delivered"),
    Column("came_back"),
    Column("still_out"),
    Column("on_hand"),
)


def lines(connection: Connection, filters: Filters, states: Sequence[str]) -> Iterator[Row]:
    """A row for each recall in these states that goods of an item, or a batch, belong to."""
    for recall in find_recalls(connection, filters, states):
        told = summary(find_out(connection, recall))
        about = (recall.company, recall.source, recall.id, recall.document, "yes" if recall.mock else "no")
        yield (*about, recall.state, recall.recorded_at, *told.values())
