"""What movements need beside their bins: batches, costs of serials, the entries that they name, what came after these.

The one idea: all of it belongs to bins that are locked, so it is read plainly, and only where a leg asks for it.
"""

from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal

from sqlalchemy import Connection

from services.ledger.decide.originals import Original
from services.ledger.decide.state import BatchKey, BinKey, State, batches_of, landed_layers_of
from services.ledger.decide.valuation import Arrival, Stock
from services.ledger.store.rows import booked_amounts, fetch
from shared.contracts.movement import Leg, MovementAllocated
from shared.db import columns
from shared.purposes import Tracking
from shared.quantities import ZERO

_BATCHES = """
SELECT company, item, warehouse, batch, quantity, worth, value FROM ledger.bin_batch
WHERE (company, item, warehouse, batch) IN (SELECT * FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:batch AS text[])))
"""
_SERIALS = """
SELECT company, item, warehouse, serial, cost FROM ledger.serial
WHERE (company, item, warehouse, serial) IN (SELECT * FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:serial AS text[])))
"""
_ENTRIES = "unnest(cast(:company AS text[]), cast(:entry AS uuid[])) AS given (company, entry_id)"
_ORIGINALS = f"""
SELECT cast(entry_id AS text), abs(quantity), value, worth, cast(booked AS text), corrected, corrected_worth, returned
FROM {_ENTRIES} JOIN ledger.entry USING (company, entry_id)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(later.value) FILTER (WHERE later.quantity = 0), 0) AS corrected,
        coalesce(sum(later.worth) FILTER (WHERE later.quantity = 0), 0) AS corrected_worth,
        coalesce(sum(abs(later.quantity)), 0) AS returned
    FROM ledger.entry AS later WHERE later.company = given.company AND later.original = given.entry_id
) AS known
"""
# What all serials of an entry cost in it, and those among them that came back. A serial is looked up in its own
# history: an entry may have a hundred thousand of them, and by its id all of them would be read for each one.
_COSTS = f"""
SELECT cast(entry_id AS text), (
    SELECT coalesce(sum(own.cost), 0) FROM ledger.entry_serial AS own
    WHERE own.company = given.company AND own.entry_id = given.entry_id
), (
    SELECT coalesce(sum(own.cost), 0)
    FROM ledger.entry AS later
    JOIN ledger.entry_serial AS back ON back.company = later.company AND back.entry_id = later.entry_id
    JOIN ledger.entry_serial AS own
        ON own.company = back.company AND own.item = back.item AND own.serial = back.serial
        AND own.entry_id IS NOT DISTINCT FROM given.entry_id
    WHERE later.company = given.company AND later.original = given.entry_id AND later.quantity <> 0
)
FROM {_ENTRIES}
"""
_COSTS_IN_ENTRIES = """
SELECT cast(own.entry_id AS text), serial, cost
FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:serial AS text[]), cast(:entry AS uuid[])
) AS given (company, item, serial, entry_id)
JOIN ledger.entry_serial AS own USING (company, item, serial)
WHERE own.entry_id IS NOT DISTINCT FROM given.entry_id
"""
# With the first of the named entries of each bin, whatever came in there since.
_ARRIVALS = """
SELECT came.company, came.item, came.warehouse, cast(came.entry_id AS text), came.quantity,
    came.worth + coalesce((
        SELECT sum(later.worth) FROM ledger.entry AS later
        WHERE later.company = came.company AND later.original = came.entry_id AND later.quantity = 0), 0)
FROM (
    SELECT company, item, warehouse, min(stamp) AS stamp
    FROM unnest(cast(:company AS text[]), cast(:entry AS uuid[])) AS given (company, entry_id)
    JOIN ledger.entry USING (company, entry_id)
    GROUP BY company, item, warehouse
) AS receipt
JOIN ledger.entry AS came USING (company, item, warehouse)
WHERE came.stamp >= receipt.stamp AND came.quantity > 0
ORDER BY came.stamp, came.ordinal
"""


def read_details(connection: Connection, movements: Iterable[MovementAllocated], state: State) -> None:
    """Add to a state what movements need beside the bins in it, which are locked unless the movements are only tried.

    That is the batches that they change, the costs of the serials that leave or are valued, the entries that they name,
    and what came into a bin after a receipt that a landed cost revalues.
    """
    batches: set[BatchKey] = set()
    serials: list[tuple[str, str, str, str]] = []
    naming: list[tuple[str, Leg]] = []
    landed: list[tuple[BinKey, str]] = []
    for movement in movements:
        company = movement.company
        batches.update(batches_of(movement))
        for leg in movement.legs:
            if leg.tracking is Tracking.SERIAL and leg.quantity <= 0:
                serials += [(company, leg.item, leg.warehouse, serial) for serial in leg.serials]
            if leg.original is not None:
                naming.append((company, leg))
        landed += landed_layers_of(movement)
    _read_batches(connection, batches, state)
    _read_serials(connection, serials, state)
    _read_originals(connection, naming, state)
    _read_arrivals(connection, landed, state)


def _read_batches(connection: Connection, batches: Collection[BatchKey], state: State) -> None:
    state.batches.update((key, Stock()) for key in batches)
    if batches:
        rows = fetch(connection, _BATCHES, **columns(list(batches), "company item warehouse batch"))
        state.batches.update(
            ((company, item, warehouse, batch), Stock(*held)) for company, item, warehouse, batch, *held in rows
        )


def _read_serials(connection: Connection, serials: Sequence[tuple[str, str, str, str]], state: State) -> None:
    if serials:
        for company, item, warehouse, serial, cost in fetch(
            connection, _SERIALS, **columns(serials, "company item warehouse serial")
        ):
            state.bins[company, item, warehouse].costs[serial] = cost


def _read_originals(connection: Connection, naming: Sequence[tuple[str, Leg]], state: State) -> None:
    """The entries that legs name; those that are not posted yet may be so in the same set."""
    if not naming:
        return
    named = {(company, leg.original) for company, leg in naming if leg.original is not None}
    state.originals.update((entry, None) for _, entry in named)
    for entry, quantity, value, worth, booked, *later in fetch(
        connection, _ORIGINALS, **columns(list(named), "company entry")
    ):
        apart = sum(booked_amounts(booked), ZERO)
        state.originals[entry] = Original(quantity, value, worth, apart, ZERO, {}, *later)
    back = [(company, leg) for company, leg in naming if leg.tracking is Tracking.SERIAL and leg.quantity > 0]
    if back:
        _read_costs_in_originals(connection, back, state)


def _read_costs_in_originals(connection: Connection, back: Sequence[tuple[str, Leg]], state: State) -> None:
    """What serials that come back cost when they left, with all that left and came back with them."""
    entries = list({(company, leg.original) for company, leg in back})
    for entry, cost, returned_cost in fetch(connection, _COSTS, **columns(entries, "company entry")):
        original = state.originals[entry]
        if original is not None:
            original.cost, original.returned_cost = cost, returned_cost
    wanted = [(company, leg.item, serial, leg.original) for company, leg in back for serial in leg.serials]
    costs: dict[str, dict[str, Decimal]] = {}
    for entry, serial, cost in fetch(connection, _COSTS_IN_ENTRIES, **columns(wanted, "company item serial entry")):
        costs.setdefault(entry, {})[serial] = cost
    for entry, own in costs.items():
        original = state.originals[entry]
        if original is not None:
            original.costs = own


def _read_arrivals(connection: Connection, landed: Sequence[tuple[BinKey, str]], state: State) -> None:
    if landed:
        state.arrivals.update((bin_key, []) for bin_key, _ in landed)
        entries = list({(bin_key[0], entry) for bin_key, entry in landed})
        for *place, entry, quantity, worth in fetch(connection, _ARRIVALS, **columns(entries, "company entry")):
            state.arrivals[place[0], place[1], place[2]].append(Arrival(entry, quantity, worth))
