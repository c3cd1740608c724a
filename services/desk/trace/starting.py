"""From what a person names to the goods that a trace starts from: a batch, a unit, a customer, a document."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from services.desk.trace.goods import Goods, Key
from shared.db import columns, query
from shared.errors import StockbookError
from shared.purposes import PURPOSES

_COMPANIES = """
SELECT company, tracking FROM receiving.company JOIN receiving.item USING (company)
WHERE item = :item AND (cast(:company AS text) IS NULL OR company = :company) ORDER BY company
"""
_BATCH = "SELECT FROM receiving.batch WHERE (company, item, batch) = ((SELECT :company), :item, :batch)"
_SERIAL = "SELECT FROM receiving.serial WHERE (company, item, serial) = ((SELECT :company), :item, :serial)"
_UNITS = """
SELECT serial FROM receiving.serial WHERE (company, item, batch) = ((SELECT :company), :item, :batch) ORDER BY serial
"""
# Documents have no index: nobody else looks them up, and every entry would pay for it.
_CALLED = """
SELECT DISTINCT company, source, id FROM ledger.entry
WHERE document = :document AND (cast(:company AS text) IS NULL OR company = :company) ORDER BY company, source, id
"""
# All that went out of the item is looked through: customers have no index either.
_TO_CUSTOMER = """
SELECT DISTINCT entry.source, entry.id FROM ledger.entry JOIN receiving.movement USING (source, id)
WHERE entry.company = (SELECT :company) AND entry.item = :item AND entry.quantity < 0 AND entry.purpose = ANY(:purposes)
    AND cast(convert_from(allocated, 'UTF8') AS json) ->> 'customer' = :customer
    AND NOT EXISTS (SELECT FROM ledger.cancelled WHERE (cancelled.source, cancelled.id) = (entry.source, entry.id))
ORDER BY entry.source, entry.id
"""
_MOVEMENT = """
SELECT company, outputs IS NOT NULL AS is_posted FROM ledger.movement
WHERE (source, id) = (:source, :id) AND (cast(:company AS text) IS NULL OR company = :company)
"""
_MOVED = """
SELECT DISTINCT entry.item, CASE WHEN serial IS NULL THEN batch END AS batch, serial
FROM unnest(cast(:source AS text[]), cast(:id AS text[])) AS given (source, id)
JOIN ledger.movement USING (source, id)
CROSS JOIN LATERAL json_array_elements(cast(convert_from(outputs, 'UTF8') AS json) -> 'entries') AS told
JOIN ledger.entry ON (entry.company, entry.entry_id) = (movement.company, cast(told ->> 'entry' AS uuid))
LEFT JOIN ledger.entry_serial AS own ON (own.company, own.entry_id) = (entry.company, entry.entry_id)
WHERE entry.quantity <> 0 ORDER BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Start:
    """What a trace starts from: goods of a company, and the movements that named them, if any did."""

    company: str
    goods: Sequence[Goods]
    keys: Sequence[Key] = ()


def start_from_goods(
    connection: Connection, item: str, *, batch: str | None, serial: str | None, company: str | None
) -> Start:
    """A batch, a unit, or the units of a batch. StockbookError where there is none of that name, or several."""
    company, tracking = _company_of(connection, item, company)
    if (batch is None) == (serial is None):
        raise StockbookError("name a batch or a serial of the item: --batch or --serial", item=item, tracking=tracking)
    named = {"company": company, "item": item}
    if serial is not None:
        if not query(connection, _SERIAL, serial=serial, **named):
            raise StockbookError("there is no such serial", item=item, serial=serial, company=company)
        return Start(company, [Goods(item, serial=serial)])
    if tracking == "serial":
        units = [Goods(item, serial=row.serial) for row in query(connection, _UNITS, batch=batch, **named)]
        if units:
            return Start(company, units)
    elif query(connection, _BATCH, batch=batch, **named):
        return Start(company, [Goods(item, batch)])
    raise StockbookError("there is no such batch", item=item, batch=batch, company=company)


def start_from_customer(connection: Connection, item: str, customer: str, company: str | None) -> Start:
    """All of an item that a customer ever got. StockbookError where that is nothing."""
    company, _ = _company_of(connection, item, company)
    purposes = [each.name for each in PURPOSES.values() if each.to_customer]
    found = query(connection, _TO_CUSTOMER, company=company, item=item, customer=customer, purposes=purposes)
    if not found:
        raise StockbookError("the customer got none of it, as far as is posted", item=item, customer=customer)
    moved = _moved(connection, company, [(row.source, row.id) for row in found])
    return Start(company, [each for each in moved.goods if each.item == item], moved.keys)


def start_from_movement(connection: Connection, key: Key, company: str | None) -> Start:
    """All that a movement moved. StockbookError where it is not posted."""
    found = query(connection, _MOVEMENT, source=key[0], id=key[1], company=company)
    if not found or not found[0].is_posted:
        raise StockbookError("no such movement is posted", source=key[0], id=key[1], company=company or "any")
    return _moved(connection, found[0].company, [key])


def start_from_document(connection: Connection, document: str, company: str | None) -> Start:
    """All that the movements with a document of this number moved. StockbookError where there is none."""
    found = query(connection, _CALLED, document=document, company=company)
    companies = sorted({row.company for row in found})
    if not companies:
        raise StockbookError("no movement with this document is posted", document=document, company=company or "any")
    if len(companies) > 1:
        raise StockbookError("several companies have such a document: say --company", companies=", ".join(companies))
    return _moved(connection, companies[0], [(row.source, row.id) for row in found])


def _company_of(connection: Connection, item: str, company: str | None) -> tuple[str, str]:
    found = query(connection, _COMPANIES, item=item, company=company)
    if not found:
        raise StockbookError("there is no such item", item=item, company=company or "any")
    if len(found) > 1:
        names = ", ".join(row.company for row in found)
        raise StockbookError("several companies have such an item: say --company", companies=names)
    return found[0].company, found[0].tracking


def _moved(connection: Connection, company: str, keys: Sequence[Key]) -> Start:
    rows = query(connection, _MOVED, **columns(list(keys), "source id"))
    return Start(company, [Goods(row.item, row.batch, row.serial) for row in rows], keys)
