"""What movements need beside their bins: batches, costs of serials, the entries that they name.

The one idea: all of it belongs to bins that are locked, so it is read plainly, and only where a leg asks for it.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from services.ledger.decide.state import BatchKey, BinKey, State, batches_of, landed_on_by
from services.ledger.decide.valuation import Arrival, Stock
from services.ledger.store.originals import read_originals
from services.ledger.store.rows import fetch
from shared.contracts.movement import MovementAllocated
from shared.db import columns
from shared.purposes import Tracking

_BATCHES = """
SELECT company, item, warehouse, batch, quantity, worth, value, pending FROM ledger.bin_batch
WHERE (company, item, warehouse, batch) IN (SELECT * FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:batch AS text[])))
"""
_SERIALS = """
SELECT company, item, warehouse, serial, cost FROM ledger.serial
WHERE (company, item, warehouse, serial) IN (SELECT * FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:serial AS text[])))
"""
# What came into a bin by the receipt that is revalued: only where nothing else happened since, and nothing is to be
# valued anew.
_ARRIVALS = """
SELECT came.company, came.item, came.warehouse, cast(came.entry_id AS text), came.quantity, came.worth + coalesce((
    SELECT sum(later.worth) FROM ledger.entry AS later
    WHERE (later.company, later.original) = (came.company, came.entry_id) AND later.quantity = 0), 0)
FROM (
    SELECT DISTINCT ON (company, item, warehouse) company, item, warehouse, effective_at, stamp
    FROM unnest(cast(:company AS text[]), cast(:entry AS uuid[])) AS given (company, entry_id)
    JOIN ledger.entry USING (company, entry_id)
    ORDER BY company, item, warehouse, effective_at, stamp
) AS receipt
JOIN ledger.entry AS came USING (company, item, warehouse)
WHERE (came.effective_at, came.stamp) = (receipt.effective_at, receipt.stamp) AND came.quantity > 0
    AND NOT EXISTS (
        SELECT FROM ledger.entry AS other
        WHERE (other.company, other.item, other.warehouse) = (receipt.company, receipt.item, receipt.warehouse)
            AND (other.effective_at, other.stamp) >= (receipt.effective_at, receipt.stamp)
            AND (other.stamp <> receipt.stamp OR other.part_of IS NOT NULL))
    AND NOT EXISTS (
        SELECT FROM ledger.silent AS other
        WHERE (other.company, other.item, other.warehouse) = (receipt.company, receipt.item, receipt.warehouse)
            AND (other.effective_at, other.stamp) >= (receipt.effective_at, receipt.stamp))
    AND NOT EXISTS (
        SELECT FROM ledger.dirty AS other
        WHERE (other.company, other.item, other.warehouse) = (receipt.company, receipt.item, receipt.warehouse))
ORDER BY came.ordinal
"""


def read_details(connection: Connection, movements: Sequence[MovementAllocated], state: State) -> None:
    """Add to a state what movements need beside the bins in it, which are locked unless the movements are only tried.

    That is the batches that they change, the costs of the serials that leave or are valued, and the entries that they
    name.
    """
    batches: set[BatchKey] = set()
    serials: list[tuple[str, str, str, str]] = []
    for movement in movements:
        company = movement.company
        batches.update(batches_of(movement))
        for leg in movement.legs:
            if leg.tracking is Tracking.SERIAL and leg.quantity <= 0:
                serials += [(company, leg.item, leg.warehouse, serial) for serial in leg.serials]
    state.batches.update(read_batches(connection, batches))
    _read_serials(connection, serials, state)
    read_originals(connection, movements, state)
    _read_arrivals(connection, [each for movement in movements for each in landed_on_by(movement)], state)


def read_batches(connection: Connection, batches: Collection[BatchKey]) -> dict[BatchKey, Stock]:
    """What there is of batches in bins."""
    held = {key: Stock() for key in batches}
    if batches:
        rows = fetch(connection, _BATCHES, **columns(list(batches), "company item warehouse batch"))
        for company, item, warehouse, batch, quantity, worth, value, pending in rows:
            held[company, item, warehouse, batch] = Stock(quantity, worth, value, pending=pending)
    return held


def _read_serials(connection: Connection, serials: Sequence[tuple[str, str, str, str]], state: State) -> None:
    if serials:
        for company, item, warehouse, serial, cost in fetch(
            connection, _SERIALS, **columns(serials, "company item warehouse serial")
        ):
            state.bins[company, item, warehouse].costs[serial] = cost


def _read_arrivals(connection: Connection, landed: Sequence[tuple[BinKey, str]], state: State) -> None:
    """A receipt that is not posted yet may be so in the same set: then all that came in since is known from there."""
    if not landed:
        return
    entries = list({(key[0], entry) for key, entry in landed})
    state.arrivals.update((key, []) for key, entry in landed if state.originals.get(entry) is None)
    for company, item, warehouse, entry, quantity, worth in fetch(
        connection, _ARRIVALS, **columns(entries, "company entry")
    ):
        state.arrivals.setdefault((company, item, warehouse), []).append(Arrival(entry, quantity, worth))
