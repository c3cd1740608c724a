"""What stands in bins, as it is kept: in the ledger's tables now, and noted on the way at checkpoints."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection

from services.desk.verify.checking import NOTHING, Finding, key_of, shown
from services.ledger.decide.revaluing import Position, Standing
from services.ledger.decide.state import BatchKey, BinKey
from services.ledger.decide.valuation import Stock
from services.ledger.store import read_bins
from services.ledger.store.rows import BINS, bin_columns, read_batches, read_layers, read_shortages
from shared.db import columns, query
from shared.quantities import plain

_NOTED = """
SELECT noted.company, noted.item, noted.warehouse, effective_at, stamp, quantity, worth, value, rate,
    cast(layers AS text) AS layers, cast(shortages AS text) AS shortages, cast(batches AS text) AS batches
FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]),
    cast(:from_at AS timestamptz[]), cast(:from_stamp AS bigint[]), cast(:until_at AS timestamptz[]),
    cast(:until_stamp AS bigint[])) AS given (company, item, warehouse, from_at, from_stamp, until_at, until_stamp)
JOIN ledger.checkpoint AS noted ON (noted.company, noted.item, noted.warehouse)
    = (given.company, given.item, given.warehouse)
    AND (effective_at, stamp) > (from_at, from_stamp) AND (effective_at, stamp) <= (until_at, until_stamp)
ORDER BY noted.company, noted.item, noted.warehouse, effective_at, stamp
"""
_BATCHES = f"""
SELECT company, item, warehouse, batch, quantity, worth, value FROM ledger.bin_batch
WHERE (company, item, warehouse) IN (SELECT * FROM {BINS})
"""
_COSTS = f"""
SELECT company, item, warehouse, serial, cost FROM ledger.serial
WHERE (company, item, warehouse) IN (SELECT * FROM {BINS})
"""
_NAMES = "company item warehouse"


class Noted(NamedTuple):
    """A checkpoint: its bin and place, and what is said to stand right behind that."""

    key: BinKey
    place: Position
    standing: Standing

    def differences(self, standing: Standing) -> Iterator[Finding]:
        """In what it is not what stands there."""
        key = key_of(f"{_NAMES} effective_at stamp", (*self.key, *self.place))
        yield from _differences("ledger.checkpoint", key, standing.bin, self.standing.bin)
        for batch, expected, found in _pairs(standing, self.standing):
            yield from _differences("ledger.checkpoint", {**key, "batch": batch[3]}, expected, found)


def noted_between(
    connection: Connection, stretches: Sequence[tuple[BinKey, Position, Position]]
) -> dict[BinKey, list[Noted]]:
    """The checkpoints of bins behind one place and up to another, in their order."""
    rows = [(*key, *start, *end) for key, start, end in stretches if start < end]
    found: dict[BinKey, list[Noted]] = {}
    names = f"{_NAMES} from_at from_stamp until_at until_stamp"
    for row in query(connection, _NOTED, **columns(rows, names)) if rows else ():
        key = (row.company, row.item, row.warehouse)
        layers, shortages = read_layers(row.layers), read_shortages(row.shortages)
        stock = Stock(row.quantity, row.worth, row.value, row.rate, layers, shortages=shortages)
        standing = Standing(stock, read_batches(row.batches, key))
        found.setdefault(key, []).append(Noted(key, (row.effective_at, row.stamp), standing))
    return found


def settled(connection: Connection, standing: Mapping[BinKey, Standing]) -> Iterator[Finding]:
    """In what bins of which all was carried out, so that this must stand there, are otherwise in the ledger."""
    if not standing:
        return
    state = read_bins(connection, standing.keys())
    kept = {key: Standing(state.bins[key]) for key in standing}
    names = bin_columns(standing)
    for company, item, warehouse, batch, *held in map(tuple, query(connection, _BATCHES, **names)):
        kept[company, item, warehouse].batches[company, item, warehouse, batch] = Stock(*held)
    for company, item, warehouse, serial, cost in map(tuple, query(connection, _COSTS, **names)):
        kept[company, item, warehouse].bin.costs[serial] = cost
    for key, expected in standing.items():
        yield from _differences("ledger.bin", key_of(_NAMES, key), expected.bin, kept[key].bin)
        for batch, ours, theirs in _pairs(expected, kept[key]):
            yield from _differences("ledger.bin_batch", key_of(f"{_NAMES} batch", batch), ours, theirs)
        yield from _other_costs(key, expected.bin.costs, kept[key].bin.costs)


def _pairs(expected: Standing, found: Standing) -> Iterator[tuple[BatchKey, Stock, Stock]]:
    for batch in sorted(expected.batches.keys() | found.batches.keys()):
        yield batch, expected.batches.get(batch) or Stock(), found.batches.get(batch) or Stock()


def _differences(table: str, key: Mapping[str, str], expected: Stock, found: Stock) -> Iterator[Finding]:
    for what in ("quantity", "worth", "value", "rate"):
        ours, theirs = getattr(expected, what), getattr(found, what)
        if ours != theirs:
            yield Finding(table, key, what, shown(ours), shown(theirs))
    for what in ("layers", "shortages"):
        ours, theirs = list(getattr(expected, what)), list(getattr(found, what))
        if ours != theirs:
            yield Finding(table, key, what, _listed(ours), _listed(theirs))


def _listed(lots: Sequence[Any]) -> str:
    """Layers, or shortages: how much of each, and what it is worth."""
    return "; ".join(f"{plain(each.quantity)} worth {plain(each.worth)}" for each in lots) or NOTHING


def _other_costs(
    key: BinKey, expected: Mapping[str, Decimal | None], found: Mapping[str, Decimal | None]
) -> Iterator[Finding]:
    for serial in sorted(expected.keys() | found.keys()):
        ours, theirs = expected.get(serial), found.get(serial)
        if ours != theirs:
            yield Finding(
                "ledger.serial", key_of(f"{_NAMES} serial", (*key, serial)), "cost", shown(ours), shown(theirs)
            )
