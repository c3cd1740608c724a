"""What is picked where a line names nothing: which units and batches may be taken, and in which order.

FEFO goes by expiry, then by entry; FIFO by the first entry into the company since it last left; LIFO is exactly the
FIFO order read backwards, ties included.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from services.receiving.decide.case import Case, Line
from services.receiving.decide.shelf import Shelf
from services.receiving.decide.stock import NEVER, Batch, BatchStock, BinKey, Entered, Serial, Warehouse
from shared.purposes import BatchState, Pick, Tracking
from shared.quantities import ZERO

_NEVER_ENTERED = Entered(NEVER, 0, 0)


@dataclass(frozen=True, slots=True)
class Pickable:
    """A unit or a batch that may be picked; `quantity` is 1 for a unit."""

    number: str
    quantity: Decimal
    expires_on: date | None
    entered: Entered


def pickable_batches(case: Case, line: Line, warehouse: Warehouse) -> Iterator[Pickable]:
    """The batches of a bin that may be picked at the movement's day, in the order in which to pick them."""
    for number, free in shelf_of(case, line, warehouse):
        batch = case.draft.batches.get(case.batch_key(line.item, number)) or Batch()
        yield Pickable(number, free, batch.expires_on, batch.entered or _NEVER_ENTERED)


def shelf_of(case: Case, line: Line, warehouse: Warehouse) -> Shelf:
    """The batches of a bin that may be picked at the movement's day, with how much of each; all lines have one shelf.

    All that leaves is picked before anything arrives that would change the order.
    """
    key = case.bin_key(line.item, warehouse)
    shelf = case.shelves.get(key)
    if shelf is None:
        stocks = case.draft.batch_stock
        sound = [number for number in _pick_order(case, line, key) if _is_sound(case, line, number)]
        shelf = case.shelves[key] = Shelf(sound, lambda number: _free(stocks.get((*key, number))), stocks.changed[key])
    return shelf


def _is_sound(case: Case, line: Line, number: str) -> bool:
    batch = case.draft.batches.get(case.batch_key(line.item, number))
    return batch is not None and why_not(batch, case.day) is None


def _free(stock: BatchStock | None) -> Decimal:
    return stock.quantity - stock.reserved if stock is not None else ZERO


def pickable_serials(case: Case, line: Line, warehouse: Warehouse) -> Iterator[str]:
    """The serials of a bin that may be picked at the movement's day, in the order in which to pick them.

    Of those of a batch where the line names one.
    """
    key = case.bin_key(line.item, warehouse)
    standing = case.draft.stock.serials_in.get(key, ())
    for number in _pick_order(case, line, key):
        serial_key = (case.company.company, line.item.item, number)
        if number in standing and serial_key not in case.draft.serials.own:
            serial = case.draft.stock.serials[serial_key]
            batch = _batch_of(case, line, serial)
            sound = serial.reserved_for is None and may_be_picked(serial, batch, case.day)
            sound = sound and (serial.last_at is None or serial.last_at <= case.effective_at)
            if sound and line.batch in (None, serial.batch):
                yield number


def _pick_order(case: Case, line: Line, key: BinKey) -> Sequence[str]:
    """What stands in a bin in the order in which to pick it; sorted once, until others come there."""
    stock = case.draft.stock
    order = stock.pick_orders.get(key)
    if order is None:
        found = _STANDING[line.item.tracking](case, line, key)
        order = stock.pick_orders[key] = [each.number for each in in_order(found, line.item.pick)]
    return order


def _serials_standing(case: Case, line: Line, key: BinKey) -> Iterator[Pickable]:
    stock = case.draft.stock
    for number in stock.serials_in.get(key, ()):
        serial = stock.serials[(*key[:2], number)]
        yield _unit(number, serial, _batch_of(case, line, serial))


def _batches_standing(case: Case, line: Line, key: BinKey) -> Iterator[Pickable]:
    stock = case.draft.stock
    for number in stock.batches_in.get(key, ()):
        batch = stock.batches.get(case.batch_key(line.item, number)) or Batch()
        yield Pickable(number, ZERO, batch.expires_on, batch.entered or _NEVER_ENTERED)


def _unit(number: str, serial: Serial, batch: Batch | None) -> Pickable:
    expires_on = batch.expires_on if batch is not None else None
    return Pickable(number, Decimal(1), expires_on, serial.entered or _NEVER_ENTERED)


def _batch_of(case: Case, line: Line, serial: Serial) -> Batch | None:
    """The batch that a serial's record names; it reaches the unit with its expiry, hold and recall."""
    return None if serial.batch is None else case.draft.batches.get(case.batch_key(line.item, serial.batch))


def why_not(batch: Batch, day: date) -> str | None:
    """Why a batch is not picked on a day: `batch_expired`, `batch_held`, `batch_recalled`; the expiry day is usable."""
    if batch.state is not BatchState.FREE:
        return f"batch_{batch.state.value}"
    return "batch_expired" if batch.expires_on is not None and batch.expires_on < day else None


def may_be_picked(serial: Serial, batch: Batch | None, day: date) -> bool:
    """Whether a unit, of a batch or of none, is picked on a day."""
    return not serial.recalled and (batch is None or why_not(batch, day) is None)


def in_order(found: Iterable[Pickable], pick: Pick) -> list[Pickable]:
    """Sort what may be picked; `Pick.EXPLICIT` is shown in FIFO order."""
    order = _ORDERS[pick]
    return sorted(found, key=order.key, reverse=order.backwards)


@dataclass(frozen=True, slots=True)
class _Order:
    key: Callable[[Pickable], Any]
    backwards: bool = False


def _by_entry(each: Pickable) -> tuple[Entered, str]:
    return (each.entered, each.number)


def _by_expiry(each: Pickable) -> tuple[date, Entered, str]:
    return (each.expires_on or date.max, each.entered, each.number)


def spread(wanted: Decimal, pickable: Iterable[Pickable]) -> list[tuple[str, Decimal]]:
    """Take from the first on until the quantity is reached: how much of which; less than wanted if there is less."""
    taken = []
    for each in pickable:
        part = min(wanted, each.quantity)
        if part <= ZERO:
            break
        taken.append((each.number, part))
        wanted -= part
    return taken


_ORDERS: Mapping[Pick, _Order] = {
    Pick.FEFO: _Order(_by_expiry),
    Pick.FIFO: _Order(_by_entry),
    Pick.LIFO: _Order(_by_entry, backwards=True),
    Pick.EXPLICIT: _Order(_by_entry),
}
_STANDING: Mapping[Tracking, Callable[[Case, Line, BinKey], Iterator[Pickable]]] = {
    Tracking.SERIAL: _serials_standing,
    Tracking.BATCH: _batches_standing,
}
