"""Serial No Status: where every unit is, from whom it came, who holds it, and how long it is covered.

As of a time, or as known at a time, status, warehouse and holder follow from the unit's last event by then; a unit that
had not come yet is inactive. A movement that was cancelled is none from then on, and was one while nobody knew of that.
The rest is the record of now, with the warranty that began by then where deliveries since, or none, say otherwise.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
from shared.purposes import PURPOSES
from shared.report import BY_THEN, Column, Filters, Kind, Report, Row, matching

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
_WANTED = matching("company item warehouse batch serial")
_NOW = f"""
SELECT {", ".join(column.name for column in COLUMNS)}
FROM receiving.serial_status WHERE {_WANTED} ORDER BY company, item, serial
"""
# Its stays alone would not do: one that was known may since have been cut short by a movement that was not.
_THEN = f"""
WITH event AS (
    SELECT *, {BY_THEN} AND coalesce(void_since > :known_at, void_since IS NULL) AS is_known,
        warehouse IS NULL AND purpose = ANY(:to_customers) AS is_delivery
    FROM receiving.serial_event WHERE {matching("company item serial")}
), last AS (
    SELECT DISTINCT ON (company, item, serial) company, item, serial, warehouse, source, id, purpose, is_delivery
    FROM event WHERE is_known
    ORDER BY company, item, serial, effective_at DESC, tie DESC, warehouse IS NULL
), delivered_otherwise AS (
    SELECT DISTINCT company, item, serial, true AS is_otherwise FROM event
    WHERE is_delivery AND is_known IS DISTINCT FROM (void_since IS NULL)
), covered AS (
    SELECT DISTINCT ON (company, item, serial) company, item, serial, warranty_until AS covered_until FROM event
    WHERE is_delivery AND is_known AND warranty_until IS NOT NULL
    ORDER BY company, item, serial, effective_at DESC, tie DESC
), record AS (
    SELECT company, item, serial, batch, supplier, supplier_document, warranty_until, end_of_life
    FROM receiving.serial_status
), place AS (
    SELECT company, warehouse, kind FROM receiving.warehouses
), delivery AS (
    SELECT source, id, convert_from(allocated, 'UTF8') AS told FROM receiving.allocated
)
SELECT company, item, serial,
    CASE WHEN kind = 'transit' THEN 'in_transit' WHEN warehouse IS NOT NULL THEN 'active'
        ELSE coalesce(left_as.status, 'inactive') END AS status,
    warehouse, batch, supplier, supplier_document,
    cast(delivery.told AS json) ->> 'customer' AS customer,
    cast(delivery.told AS json) ->> 'document' AS customer_document,
    CASE WHEN is_otherwise THEN covered_until ELSE warranty_until END AS warranty_until, end_of_life
FROM record
LEFT JOIN last USING (company, item, serial)
LEFT JOIN delivered_otherwise USING (company, item, serial)
LEFT JOIN covered USING (company, item, serial)
LEFT JOIN place USING (company, warehouse)
LEFT JOIN unnest(cast(:purposes AS text[]), cast(:statuses AS text[])) AS left_as (purpose, status)
    ON left_as.purpose = last.purpose
LEFT JOIN delivery ON is_delivery AND (delivery.source, delivery.id) = (last.source, last.id)
WHERE {_WANTED} ORDER BY company, item, serial
"""
_MEANINGS = {
    "purposes": list(PURPOSES),
    "statuses": [each.serial_status.value for each in PURPOSES.values()],
    "to_customers": [each.name for each in PURPOSES.values() if each.to_customer],
}


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    if not filters.looks_back:
        return stream(connection, _NOW, **filters.given())
    return stream(connection, _THEN, **_MEANINGS, **filters.given())


REPORT = Report(
    name="serial-status",
    title="Serial No Status",
    columns=COLUMNS,
    takes=("company", "item", "warehouse", "batch", "serial", "as_of", "known_at"),
    read=_read,
)
