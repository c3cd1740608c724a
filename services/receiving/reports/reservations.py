"""Reservations: what is kept back for which order, until when; and what of it cannot be met any more.

What stands in a place goes to the reservations there in the order in which they were accepted: whoever finds too little
left is short. It is told line by line, as of a moment that decides what has expired.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from shared.db import stream
from shared.report import Column, Filters, Kind, Report, Row, matching

STATES = ("open", "short", "expired", "delivered", "released")
"""How a line stands: kept back; not wholly there any more; over in time; done; or given up."""
KEPT = STATES[:2]

_AT = "(SELECT at FROM moment)"
# Of a serial item, any unit that is not reserved by its name stands for those that are reserved without one.
_SELECT = f"""
WITH moment AS (
    SELECT coalesce(cast(:at AS timestamptz), now()) AS at
), live AS (
    SELECT *, cardinality(serials) > 0 AS is_named FROM receiving.reservations
    WHERE open > 0 AND expires_at > {_AT} AND {matching("company item warehouse")}
), claimed AS (
    SELECT source, id, line, company, item, warehouse, batch, is_named, open,
        sum(open) OVER (PARTITION BY company, item, warehouse, batch, is_named ORDER BY recorded_at, source, id, line)
            AS wanted
    FROM live
), bins AS (
    SELECT DISTINCT company, item, warehouse FROM live
), free_of_batches AS (
    SELECT company, item, warehouse, sum(greatest(place.quantity - reserved, 0)) FILTER (
        WHERE state = 'free' AND coalesce(expires_on >= cast(timezone(time_zone, {_AT}) AS date), true)
    ) AS quantity
    FROM bins JOIN receiving.batch_places AS place USING (company, item, warehouse)
    JOIN receiving.batch_status USING (company, item, batch) JOIN receiving.companies USING (company)
    GROUP BY company, item, warehouse
), named AS (
    SELECT company, item, warehouse, reserved_for, count(*) AS units
    FROM receiving.reserved_serials GROUP BY company, item, warehouse, reserved_for
), named_in_bins AS (
    SELECT company, item, warehouse, sum(units) AS units FROM named GROUP BY company, item, warehouse
), met AS (
    SELECT source, id, line, least(claimed.open, greatest(wanted - CASE
        WHEN is_named THEN wanted - claimed.open + coalesce(named.units, 0)
        WHEN claimed.batch <> '' THEN coalesce(place.quantity, 0)
        WHEN tracking = 'batch' THEN coalesce(free_of_batches.quantity, 0)
        ELSE coalesce(stock.quantity, 0) - coalesce(named_in_bins.units, 0)
    END, 0)) AS short
    FROM claimed JOIN receiving.items USING (company, item)
    LEFT JOIN receiving.stock USING (company, item, warehouse)
    LEFT JOIN receiving.batch_places AS place USING (company, item, warehouse, batch)
    LEFT JOIN free_of_batches USING (company, item, warehouse)
    LEFT JOIN named_in_bins USING (company, item, warehouse)
    LEFT JOIN named ON is_named AND reserved_for = source || ':' || id
        AND (named.company, named.item, named.warehouse) = (claimed.company, claimed.item, claimed.warehouse)
), told AS (
    SELECT company, source, id, line, document, customer, item, warehouse, nullif(batch, '') AS batch,
        nullif(array_to_string(serials, ', '), '') AS serials, quantity, delivered,
        CASE WHEN expires_at > {_AT} THEN open ELSE 0 END AS open, coalesce(short, 0) AS short,
        CASE WHEN delivered = quantity THEN 'delivered' WHEN released_at IS NOT NULL THEN 'released'
            WHEN expires_at <= {_AT} THEN 'expired' WHEN short > 0 THEN 'short' ELSE 'open' END AS state,
        expires_at, recorded_at
    FROM receiving.reservations LEFT JOIN met USING (source, id, line)
)
SELECT company, source, id, line, document, customer, item, warehouse, batch, serials, quantity, delivered, open, short,
    state, expires_at, recorded_at
FROM told WHERE state = ANY(:states) AND {matching("company item warehouse batch source id")}
ORDER BY company, item, warehouse, recorded_at, source, id, line
"""


def lines(
    connection: Connection, filters: Filters, states: Sequence[str] = KEPT, at: datetime | None = None
) -> Iterable[Row]:
    """The lines of reservations that stand so at a moment; now, if none is given."""
    return stream(connection, _SELECT, **filters.given(), states=list(states), at=at)


REPORT = Report(
    name="reservations",
    title="Reservations",
    columns=(
        Column("company"),
        Column("source"),
        Column("id"),
        Column("line", Kind.COUNT),
        Column("document"),
        Column("customer"),
        Column("item"),
        Column("warehouse"),
        Column("batch"),
        Column("serials"),
        Column("quantity", Kind.QUANTITY),
        Column("delivered", Kind.QUANTITY),
        Column("open", Kind.QUANTITY),
        Column("short", Kind.QUANTITY),
        Column("state"),
        Column("expires_at", Kind.TIME),
        Column("recorded_at", Kind.TIME),
    ),
    takes=("company", "item", "warehouse", "batch", "source", "id"),
    read=lines,
)
