"""Cycle counts: what was set down of each place, what stood there when it was counted, what was counted, what differs.

It is for who decides on a count, and not for who counts.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from shared.db import stream
from shared.report import Column, Filters, Kind, Report, Row, matching

STATES = ("open", "accepted", "cancelled")

_SELECT = f"""
SELECT company, source, id, warehouse, document, item, nullif(batch, '') AS batch, frozen, expected, counted,
    counted - expected AS difference,
    CASE WHEN counted_at IS NOT NULL THEN nullif(array_to_string(ARRAY(
        SELECT unnest(expected_serials) EXCEPT SELECT unnest(counted_serials) ORDER BY 1), ', '), '') END AS missing,
    CASE WHEN counted_at IS NOT NULL THEN nullif(array_to_string(ARRAY(
        SELECT unnest(counted_serials) EXCEPT SELECT unnest(expected_serials) ORDER BY 1), ', '), '') END AS found,
    cast(reports AS integer) AS reports, counted_at, state, opened_at
FROM receiving.cycle_counts
WHERE state = ANY(:states) AND {matching("company item warehouse batch source id")}
    AND (NOT :different OR counted IS DISTINCT FROM expected
        OR NOT (counted_serials @> expected_serials AND expected_serials @> counted_serials))
ORDER BY opened_at, source, id, item, batch
"""


def lines(
    connection: Connection, filters: Filters, states: Sequence[str] = STATES[:1], *, different: bool = False
) -> Iterable[Row]:
    """The places of counts in these states; those that differ, or were not counted, if only these are meant."""
    return stream(connection, _SELECT, **filters.given(), states=list(states), different=different)


REPORT = Report(
    name="cycle-counts",
    title="Cycle Counts",
    columns=(
        Column("company"),
        Column("source"),
        Column("id"),
        Column("warehouse"),
        Column("document"),
        Column("item"),
        Column("batch"),
        Column("frozen", Kind.QUANTITY),
        Column("expected", Kind.QUANTITY),
        Column("counted", Kind.QUANTITY),
        Column("difference", Kind.QUANTITY),
        Column("missing"),
        Column("found"),
        Column("reports", Kind.COUNT),
        Column("counted_at", Kind.TIME),
        Column("state"),
        Column("opened_at", Kind.TIME),
    ),
    takes=("company", "item", "warehouse", "batch", "source", "id"),
    read=lines,
)
