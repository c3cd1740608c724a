"""Serials for judging: those that are named, those that stand in a bin, and the first that may be picked there.

A serial that stands in a bin is covered by the bin's lock; one that is named is locked itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row

from services.receiving.decide.stock import BinKey, Entered, Serial, SerialKey, Stock
from services.receiving.store.needs import Needs
from shared.db import Contended, columns, query
from shared.purposes import Pick, SerialStatus

_NAMES = (
    "company item serial status warehouse batch supplier supplier_document customer customer_document warranty_until "
    "entered_at entered_stamp entered_line entered_place last_at last_tie reserved_for left_from"
).split()
_MADE = ("cast(serial.left_by AS text) AS left_by", "serial.recalls > 0 AS recalled")
_COLUMNS = ", ".join([*_MADE, *(f"serial.{name}" for name in _NAMES)])
_SERIALS = """
(company, item, serial) IN
    (SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:serial AS text[])))
"""
_LOCK_NAMED = f"""
SELECT {_COLUMNS} FROM receiving.serial WHERE {_SERIALS} ORDER BY company, item, serial FOR NO KEY UPDATE
"""
_LEFT_FROM = f"SELECT company, item, left_from FROM receiving.serial WHERE {_SERIALS} AND left_from IS NOT NULL"
_STANDING = f"""
SELECT {_COLUMNS} FROM receiving.serial
WHERE (company, item, warehouse) IN
    (SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[])))
"""
# The first serials of each bin in pick order that may be picked on the day; with no limit, all that stand there.
_PICKABLE = f"""
SELECT picked.* FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]),
    cast(:day AS date[]), cast(:most AS bigint[])) AS each (company, item, warehouse, day, most)
CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM receiving.serial
    LEFT JOIN receiving.batch AS its
        ON (its.company, its.item, its.batch) = (serial.company, serial.item, serial.batch)
    WHERE (serial.company, serial.item, serial.warehouse) = (each.company, each.item, each.warehouse)
      AND serial.reserved_for IS NULL AND serial.recalls = 0
      AND (its.batch IS NULL OR (its.state = 'free' AND coalesce(its.expires_on >= each.day, true)))
    ORDER BY {{order}} LIMIT each.most
) AS picked
"""
# The last resort is the number itself, in the order of its characters whatever the database's language.
_ENTRY = (
    "serial.entered_at",
    "serial.entered_stamp",
    "serial.entered_line",
    "serial.entered_place",
    'serial.serial COLLATE "C"',
)
_PICK_ORDERS: Mapping[Pick, str] = {
    Pick.FIFO: ", ".join(_ENTRY),
    Pick.LIFO: ", ".join(f"{column} DESC" for column in _ENTRY),
    Pick.FEFO: ", ".join(("its.expires_on NULLS LAST", *_ENTRY)),
}
_OF_NUMBERS = f"""
SELECT {_COLUMNS} FROM receiving.serial WHERE company = (SELECT :company) AND item = :item AND serial = ANY(:numbers)
"""


def bins_left(connection: Connection, keys: Iterable[SerialKey]) -> set[BinKey]:
    """The bins from which these serials last left the stock, as far as that is known without locking them."""
    wanted = sorted(keys)
    rows = query(connection, _LEFT_FROM, **columns(wanted, "company item serial")) if wanted else ()
    return {(row.company, row.item, row.left_from) for row in rows}


def load_serials(connection: Connection, stock: Stock, needs: Needs) -> None:
    """Lock and read the serials that a set needs; its bins are locked.

    Contended where one of those that may be found left from another bin than was known when the bins were locked.
    """
    if needs.serials:
        keys = columns(sorted(needs.serials), "company item serial")
        _add(stock, query(connection, _LOCK_NAMED, **keys))
    if needs.standing:
        bins = columns(sorted(needs.standing), "company item warehouse")
        _add(stock, query(connection, _STANDING, **bins))
    for pick, picked in _to_pick_from(stock, needs).items():
        statement = _PICKABLE.format(order=_PICK_ORDERS[pick])
        _add(stock, query(connection, statement, **columns(picked, "company item warehouse day most")))
    for company, item, number in needs.finding:
        serial = stock.serials.get((company, item, number))
        if serial is not None and serial.left_from is not None and (company, item, serial.left_from) not in stock.bins:
            raise Contended("a serial left the stock meanwhile", item=item, serial=number)


def serials_numbered(
    connection: Connection, stock: Stock, company: str, item: str, numbers: Sequence[str]
) -> list[str]:
    """Those of these numbers that serials of the item have; the serials are noted in the stock."""
    rows = query(connection, _OF_NUMBERS, company=company, item=item, numbers=numbers)
    _add(stock, [row for row in rows if (company, item, row.serial) not in stock.serials])
    return [row.serial for row in rows]


def _to_pick_from(stock: Stock, needs: Needs) -> Mapping[Pick, Sequence[tuple[object, ...]]]:
    """The bins from which serials are to be picked and that are not read whole, by how; each with its day and limit."""
    bins: dict[Pick, list[tuple[object, ...]]] = {}
    for key, leaving in sorted(needs.leaving.items()):
        pick = stock.items[key[0], key[1]].pick
        if leaving.picked and pick is not Pick.EXPLICIT and key not in needs.standing:
            bins.setdefault(pick, []).append((*key, min(leaving.days), leaving.limit))
    return bins


def _add(stock: Stock, rows: Iterable[Row[Any]]) -> None:
    for row in rows:
        entered = row.entered_at
        stock.serials[row.company, row.item, row.serial] = Serial(
            SerialStatus(row.status),
            row.warehouse,
            row.batch,
            row.supplier,
            row.supplier_document,
            row.customer,
            row.customer_document,
            row.warranty_until,
            None if entered is None else Entered(entered, row.entered_stamp, row.entered_line, row.entered_place),
            row.last_at,
            row.last_tie or 0,
            row.reserved_for,
            left_by=row.left_by,
            left_from=row.left_from,
            recalled=row.recalled,
        )
