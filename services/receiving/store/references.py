"""What movements refer to beyond the stock: others that they name, who cancelled them beforehand, what was returned.

An accepted movement never changes, so it may be read before anything is locked. What came back of its ledger entries is
read under the locks of its bins, in each of which whoever names it takes a stamp.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from services.receiving.decide.originals import legs_with_entries
from services.receiving.decide.stock import MovementKey, Returned, Stock
from shared.contracts.codec import decoder, read
from shared.contracts.movement import MovementAllocated
from shared.db import columns, copy, query

_KEYS = "(source, id) IN (SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[])))"
_DECIDED = f"SELECT source, id, allocated FROM receiving.movement WHERE {_KEYS}"
# One statement for every set: the tombstones of its movements, and its sources that tell facts, which have no id.
_BEFOREHAND = f"""
SELECT source, id, by_source, by_id FROM receiving.tombstone WHERE {_KEYS}
UNION ALL
SELECT source, NULL, NULL, NULL FROM receiving.source WHERE mode = 'fact' AND source = ANY(cast(:source AS text[]))
"""
_ABOUT = f"""
SELECT source, id, by_source, by_id, true AS cancels FROM receiving.cancelled WHERE {_KEYS}
UNION ALL
SELECT source, id, by_source, by_id, false FROM receiving.naming WHERE {_KEYS}
"""
# Nothing but the row itself tells those apart who name a movement that has no bins.
_LOCK_ALONE = f"SELECT FROM receiving.movement WHERE {_KEYS} ORDER BY source, id FOR NO KEY UPDATE"
_RETURNED = """
SELECT cast(entry AS text) AS entry, quantity, serials FROM receiving.returned
WHERE (company, entry) IN (SELECT * FROM unnest(cast(:company AS text[]), cast(:entry AS uuid[])))
"""

_allocated = decoder(MovementAllocated)


def load_originals(connection: Connection, keys: Iterable[MovementKey]) -> dict[MovementKey, MovementAllocated | None]:
    """Those of these movements that were decided; None for a rejected one."""
    wanted = sorted(set(keys))
    rows = query(connection, _DECIDED, **columns(wanted, "source id")) if wanted else ()
    return {
        (row.source, row.id): read(_allocated, bytes(row.allocated)) if row.allocated is not None else None
        for row in rows
    }


def load_beforehand(connection: Connection, stock: Stock, keys: Iterable[MovementKey]) -> None:
    """Note which of the movements `keys` were cancelled before they came, and which of their sources tell facts."""
    rows = query(connection, _BEFOREHAND, **columns(sorted(set(keys)), "source id"))
    stock.tombstones = {(row.source, row.id): (row.by_source, row.by_id) for row in rows if row.id is not None}
    stock.telling = frozenset(row.source for row in rows if row.id is None)


def lock_boundless(connection: Connection, stock: Stock) -> None:
    """Lock the originals that have no bin; whoever names another one has a number in each bin of that, and its lock."""
    boundless = [key for key, each in sorted(stock.originals.items()) if each is not None and not each.stamps]
    if boundless:
        query(connection, _LOCK_ALONE, **columns(boundless, "source id"))


def load_naming(connection: Connection, stock: Stock) -> None:
    """Note which movements name the originals, and which of these were cancelled."""
    if not stock.originals:
        return
    for row in query(connection, _ABOUT, **columns(sorted(stock.originals), "source id")):
        key, by = (row.source, row.id), (row.by_source, row.by_id)
        if row.cancels:
            stock.cancelled[key] = by
        else:
            stock.naming.setdefault(key, set()).add(by)


def save_naming(connection: Connection, accepted: Iterable[MovementAllocated]) -> None:
    """Note which movements these name; a cancellation is noted with what it cancels."""
    naming = ((each.against, each) for each in accepted if each.against is not None and each.mirrors is None)
    rows = sorted((named.source, named.id, each.source, each.id) for named, each in naming)
    copy(connection, "receiving.naming", "source, id, by_source, by_id", rows)


def load_returned(connection: Connection, stock: Stock, exits: Mapping[str, str]) -> None:
    """Note what was returned of the entries of all originals, and of these further `exits` (entries with companies)."""
    entries = dict(exits)
    for original in stock.originals.values():
        if original is not None:
            entries |= {entry: original.company for entry, _ in legs_with_entries(original)}
    if entries:
        keys = sorted((company, entry) for entry, company in entries.items())
        for row in query(connection, _RETURNED, **columns(keys, "company entry")):
            stock.returned[row.entry] = Returned(row.quantity, frozenset(row.serials))
