"""The units for which labels are wanted, with what a label says of them."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, Row

from services.desk.labels.wording import Unit
from services.desk.store.progress import outcomes
from shared.contracts.outcome import OutcomeAccepted
from shared.db import columns, query
from shared.errors import StockbookError
from shared.service import Key

_SERIALS = """
SELECT serial.company, item, items.name, items.gtin, serial, batch, batch_row.expires_on
FROM receiving.serial JOIN receiving.item AS items USING (company, item)
LEFT JOIN receiving.batch AS batch_row USING (company, item, batch)
"""
_BATCHES = """
SELECT batch.company, item, items.name, items.gtin, NULL AS serial, batch, expires_on
FROM receiving.batch JOIN receiving.item AS items USING (company, item)
"""
_OF = """
AND (cast(:company AS text) IS NULL OR {table}.company = :company) AND (cast(:item AS text) IS NULL OR item = :item)
"""
_IN_ORDER = "ORDER BY company, item, batch, serial"
_SERIALS_CALLED = f"{_SERIALS} WHERE serial = ANY(:numbers) {_OF.format(table='serial')} {_IN_ORDER}"
_BATCHES_CALLED = f"{_BATCHES} WHERE batch = ANY(:numbers) {_OF.format(table='batch')} {_IN_ORDER}"
_SERIALS_IN_STOCK = f"{_SERIALS} WHERE serial.warehouse IS NOT NULL {_OF.format(table='serial')} {_IN_ORDER}"
_BATCHES_IN_STOCK = f"""
{_BATCHES}
WHERE EXISTS (SELECT FROM receiving.batch_stock AS stock
    WHERE (stock.company, stock.item, stock.batch) = (batch.company, batch.item, batch.batch) AND stock.quantity > 0)
{_OF.format(table="batch")} {_IN_ORDER}
"""
_KEYS = "(SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:number AS text[])))"
_SERIALS_NAMED = f"{_SERIALS} WHERE (serial.company, item, serial) IN {_KEYS} {_IN_ORDER}"
_BATCHES_NAMED = f"{_BATCHES} WHERE (batch.company, item, batch) IN {_KEYS} {_IN_ORDER}"


def serials_called(connection: Connection, numbers: Sequence[str], company: str | None, item: str | None) -> list[Unit]:
    """The serials of these numbers, of every item that has one, unless one is named."""
    return _units(query(connection, _SERIALS_CALLED, numbers=list(numbers), company=company, item=item))


def batches_called(connection: Connection, numbers: Sequence[str], company: str | None, item: str | None) -> list[Unit]:
    """The batches of these numbers, likewise."""
    return _units(query(connection, _BATCHES_CALLED, numbers=list(numbers), company=company, item=item))


def in_stock(connection: Connection, company: str | None, item: str) -> list[Unit]:
    """The serials of an item that are in stock, or the batches."""
    serials = query(connection, _SERIALS_IN_STOCK, company=company, item=item)
    return _units(serials or query(connection, _BATCHES_IN_STOCK, company=company, item=item))


def generated_by(connection: Connection, key: Key) -> list[Unit]:
    """The serials and batches that a movement was given by a series. StockbookError where it was not accepted."""
    outcome = outcomes(connection, [key]).get(key)
    if not isinstance(outcome, OutcomeAccepted):
        raise StockbookError("there is no accepted movement of this name", source=key[0], id=key[1])
    made = [each for each in outcome.allocated if each.generated]
    company = outcome.company or ""
    serials = [(company, each.item, serial) for each in made for serial in each.serials]
    batches = [(company, each.item, each.batch) for each in made if each.batch is not None and not each.serials]
    names = "company item number"
    return [
        *_units(query(connection, _SERIALS_NAMED, **columns(serials, names))),
        *_units(query(connection, _BATCHES_NAMED, **columns(batches, names))),
    ]


def _units(rows: Iterable[Row[tuple[object, ...]]]) -> list[Unit]:
    return [Unit(row.company, row.item, row.name, row.gtin, row.serial, row.batch, row.expires_on) for row in rows]
