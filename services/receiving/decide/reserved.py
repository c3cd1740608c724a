"""What is reserved where goods leave: how much others may take, and what is freed for a line that names a reservation.

Such a line frees of what the reservation keeps back as much as it takes, in its draft, and is then judged like any
other; and what it freed it may take in any case, as far as it is there. Of what is kept back without naming a batch or
a unit, so much must be left as may be picked.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from decimal import Decimal

from services.receiving.decide.case import Case, Line
from services.receiving.decide.picking import Pickable, may_be_picked, pickable_batches, shelf_of, why_not
from services.receiving.decide.stock import Batch, BatchStock, MovementKey, Reserved, Warehouse
from shared.contracts.movement import Reference, RequestedLine
from shared.purposes import Flow
from shared.quantities import ZERO

_TAKING = frozenset({Flow.OUT, Flow.MOVE, Flow.MAKE})
"""The flows by which goods may leave against a reservation."""


def tag(key: MovementKey) -> str:
    """What the record of a reserved unit names its reservation by; no source has a colon in its name."""
    return f"{key[0]}:{key[1]}"


def refuse_needless(case: Case, requested: RequestedLine | None, number: int | None) -> None:
    """Refuse a reservation on what takes no goods: a movement of another flow, or a line of one that brings some."""
    named = case.movement.reservation if requested is None else requested.reservation
    takes = case.purpose.flow in _TAKING and (requested is None or requested.source is not None)
    if named is not None and not takes:
        case.refuse("reservation_not_allowed", number, purpose=case.purpose.name, id=named.id)


def free_quantity(case: Case, line: Line, source: Warehouse) -> Decimal:
    """Free what is reserved of an untracked item; how much that is."""
    return _free_any(case, line, source, line.quantity)


# --- batches ----------------------------------------------------------------------------------------------------------


def free_batch(case: Case, line: Line, source: Warehouse, number: str) -> tuple[Decimal, Decimal]:
    """Free for a line what is reserved of the batch that it names, and then of any: how much of each."""
    of_it = _free_named(case, line, source, number, line.quantity)
    return of_it, _free_any(case, line, source, line.quantity - of_it)


def available_of(
    case: Case, line: Line, source: Warehouse, number: str, batch: Batch, freed: tuple[Decimal, Decimal]
) -> Decimal:
    """How much of a batch a line may take that has freed so much of it, and so much of any."""
    key = case.bin_key(line.item, source)
    stock = case.draft.batch_stock.get((*key, number)) or BatchStock()
    of_it, of_any = freed
    available = max(stock.quantity - stock.reserved, min(of_it, stock.quantity))
    reserved = case.bin(key).reserved
    if reserved > ZERO and why_not(batch, case.day) is None:
        room = shelf_of(case, line, source).total() - reserved
        available = min(available, max(room, of_it + of_any))
    return available


def free_batches(case: Case, line: Line, source: Warehouse) -> dict[str, Decimal]:
    """Free for a line that names no batch what is reserved of batches that may be picked: how much of which."""
    taken: dict[str, Decimal] = {}
    for each in _kept(case, line, source):
        batch = case.draft.batches.get(case.batch_key(line.item, each.batch)) if each.batch is not None else None
        if each.batch is not None and batch is not None and why_not(batch, case.day) is None:
            stock = case.draft.batch_stock.get((*each.bin, each.batch)) or BatchStock()
            there = stock.quantity - taken.get(each.batch, ZERO)
            wanted = max(min(line.quantity - sum(taken.values(), ZERO), there), ZERO)
            freed = _free_named(case, line, source, each.batch, wanted)
            taken[each.batch] = taken.get(each.batch, ZERO) + freed
    return taken


def pick_rest(
    case: Case, line: Line, source: Warehouse, taken: Mapping[str, Decimal]
) -> tuple[Decimal, Iterable[Pickable]]:
    """What may be picked besides what was freed by name: how much in all, and of which batches in their order."""
    by_name = sum(taken.values(), ZERO)
    there = shelf_of(case, line, source).total() - by_name
    freed = _free_any(case, line, source, line.quantity - by_name)
    pickable: Iterable[Pickable] = pickable_batches(case, line, source)
    if taken:
        pickable = (replace(each, quantity=each.quantity - taken.get(each.number, ZERO)) for each in pickable)
    reserved = case.bin(case.bin_key(line.item, source)).reserved
    available = max(there - reserved, min(freed, there), ZERO)
    return available, (each for each in pickable if each.quantity > ZERO)


# --- serials ----------------------------------------------------------------------------------------------------------


def own_serials(case: Case, line: Line, source: Warehouse) -> list[str]:
    """The serials of a bin that are kept back for a line by their names, in the order of its reservation."""
    key = reservation_of(case, line)
    named = (number for each in _kept(case, line, source) for number in each.serials)
    return [number for number in named if key is not None and _is_kept(case, line, source, number, tag(key))]


def _is_kept(case: Case, line: Line, source: Warehouse, number: str, reserved_for: str) -> bool:
    serial_key = (case.company.company, line.item.item, number)
    serial = case.draft.serials.get(serial_key)
    stands = serial is not None and serial.warehouse == source.warehouse and serial_key not in case.draft.serials.own
    return stands and serial is not None and serial.reserved_for == reserved_for


def pickable_own(case: Case, line: Line, own: Sequence[str]) -> Iterator[str]:
    """Those of them that may be picked at the movement's day: of the batch that the line names, if it names one."""
    for number in own:
        serial = case.draft.stock.serials[case.company.company, line.item.item, number]
        batch = None if serial.batch is None else case.draft.batches.get(case.batch_key(line.item, serial.batch))
        sound = may_be_picked(serial, batch, case.day)
        told = serial.last_at is None or serial.last_at <= case.effective_at
        if sound and told and line.batch in (None, serial.batch):
            yield number


def free_serials(case: Case, line: Line, source: Warehouse, taken: Sequence[str], own: Set[str]) -> Decimal:
    """Free what is reserved of the serials that a line takes, `own` of them by their names; how many it may take.

    What is reserved by name is let go as the unit leaves.
    """
    named = own & set(taken)
    for each in _kept(case, line, source):
        _deliver(case, line, each, Decimal(len(named & set(each.serials))))
    freed = len(named) + _free_any(case, line, source, Decimal(len(taken) - len(named)))
    there = case.bin(case.bin_key(line.item, source))
    return max(there.quantity - (there.reserved - len(named)), Decimal(freed))


# --- the reservation --------------------------------------------------------------------------------------------------


def reservation_of(case: Case, line: Line) -> MovementKey | None:
    """The reservation against which a line takes goods: its own, else that of its movement."""
    named: Reference | None = line.requested.reservation or case.movement.reservation
    return None if named is None else (named.source or case.request.source, named.id)


def refuse_unknown(case: Case, line: Line) -> None:
    """Refuse a line that names a reservation which was not accepted, or not yet."""
    key = reservation_of(case, line)
    if key is not None and case.draft.reservations.get(key) is None:
        case.refuse("unknown_reservation", line, source=key[0], id=key[1])


def _kept(case: Case, line: Line, source: Warehouse) -> Iterator[Reserved]:
    """What the reservation of a line still keeps back of its item in a warehouse."""
    key = reservation_of(case, line)
    bin_key = case.bin_key(line.item, source)
    for each in (case.draft.reservations.get(key) or ()) if key is not None else ():
        if each.bin == bin_key and each.open > ZERO:
            yield each


def _free_any(case: Case, line: Line, source: Warehouse, wanted: Decimal) -> Decimal:
    """Free what is reserved without a batch or serials named, up to what is wanted; how much that is."""
    freed = ZERO
    for each in _kept(case, line, source):
        part = min(wanted - freed, each.open)
        if each.batch is None and not each.serials and part > ZERO:
            _deliver(case, line, each, part)
            case.free(each.bin, part)
            freed += part
    return freed


def _free_named(case: Case, line: Line, source: Warehouse, number: str, wanted: Decimal) -> Decimal:
    freed = ZERO
    for each in _kept(case, line, source):
        part = min(wanted - freed, each.open)
        if each.batch == number and part > ZERO:
            _deliver(case, line, each, part)
            case.free_batch((*each.bin, number), part)
            freed += part
    return freed


def _deliver(case: Case, line: Line, delivered: Reserved, quantity: Decimal) -> None:
    """Note that so much of a line of the reservation was delivered."""
    key = reservation_of(case, line)
    if key is None or not quantity:
        return
    after = delivered._replace(open=delivered.open - quantity, delivered=delivered.delivered + quantity)
    lines = case.draft.reservations.get(key) or ()
    case.draft.reservations[key] = tuple(after if each.line == after.line else each for each in lines)
