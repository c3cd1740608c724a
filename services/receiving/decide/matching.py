"""What a line returns of the movement that it names: which of its legs, in their order, and how much of each.

Of a delivery or a sale comes back what left by it, of a receipt is sent back what arrived by it. No leg gives more than
it had, less what was returned of it before, be it by another movement or by another line of this one.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice

from services.receiving.decide.case import Case, Line
from services.receiving.decide.originals import legs_with_entries
from services.receiving.decide.stock import Returned, Serial, Warehouse
from services.receiving.decide.taking import lack
from shared.contracts.movement import Leg, MovementAllocated
from shared.purposes import Flow, Tracking
from shared.quantities import ZERO

Entry = tuple[str, Leg]
"""A leg of the original, behind the id of its ledger entry."""


@dataclass(slots=True)
class Entries:
    """What of one item an original moved, leg by leg; `holders` says by which of them each serial went.

    Nothing is left of the legs before `first`: they need no look any more.
    """

    legs: list[Entry] = field(default_factory=list)
    holders: dict[str, Entry] = field(default_factory=dict)
    first: int = 0


@dataclass(frozen=True, slots=True)
class Match:
    """What a line returns of one leg of its original: so much of it, or these serials."""

    entry: str
    leg: Leg
    quantity: Decimal
    serials: Sequence[str] = ()


def entries_by_item(original: MovementAllocated, flow: Flow, items: Collection[str]) -> dict[str, Entries]:
    """What may be returned of each of these items: what arrived where it is sent back, else what left."""
    sign = 1 if flow is Flow.SEND_BACK else -1
    found = {item: Entries() for item in items}
    for entry, leg in legs_with_entries(original):
        if leg.item in found and leg.quantity * sign > ZERO:
            entries = found[leg.item]
            entries.legs.append((entry, leg))
            entries.holders.update(dict.fromkeys(leg.serials, (entry, leg)))
    return found


def match(case: Case, line: Line, entries: Entries) -> list[Match]:
    """What a line returns of each leg, noted in the draft; where it cannot have all of it the reason is noted."""
    matches = _MATCHING[line.item.tracking](case, line, entries)
    for each in matches:
        note_returned(case, each.entry, each.quantity, each.serials)
    while entries.first < len(entries.legs) and not _left(case, *entries.legs[entries.first]):
        entries.first += 1
    return matches


def note_returned(case: Case, entry: str, quantity: Decimal, serials: Sequence[str]) -> None:
    """Note in the draft how much of a ledger entry was returned, and which of its serials."""
    before = _returned(case, entry)
    case.draft.returned[entry] = Returned(before.quantity + quantity, before.serials | frozenset(serials))


def leg_warehouse(case: Case, leg: Leg) -> Warehouse:
    """The warehouse of a leg of the original."""
    return case.draft.stock.warehouses[case.company.company, leg.warehouse]


def _returned(case: Case, entry: str) -> Returned:
    return case.draft.returned.get(entry) or Returned()


def _left(case: Case, entry: str, leg: Leg) -> Decimal:
    """How much of a leg was not returned yet."""
    return abs(leg.quantity) - _returned(case, entry).quantity


def _legs(line: Line, entries: Entries, first: int = 0) -> Iterator[Entry]:
    """The legs that a line may mean: those of the line of the original, and of the batch, that it names."""
    number = line.requested.against_line
    batch = line.batch if line.item.tracking is Tracking.BATCH else None
    for entry, leg in islice(entries.legs, first, None):
        if number in (None, leg.line) and batch in (None, leg.batch):
            yield entry, leg


def _match_quantity(case: Case, line: Line, entries: Entries) -> list[Match]:
    matches: list[Match] = []
    wanted = line.quantity
    for entry, leg in _legs(line, entries, entries.first):
        part = min(wanted, _left(case, entry, leg))
        if part > ZERO:
            matches.append(Match(entry, leg, part))
            wanted -= part
        if not wanted:
            return matches
    _refuse(case, line, entries, line.quantity - wanted)
    return []


def _match_serials(case: Case, line: Line, entries: Entries) -> list[Match]:
    if line.serials is not None:
        return _match_named(case, line, line.serials, entries)
    return _match_in_order(case, line, entries)


def _match_named(case: Case, line: Line, named: Sequence[str], entries: Entries) -> list[Match]:
    """The named serials by the legs that had them; it is a reason against the line if one had none, or is back."""
    chosen: dict[str, tuple[Leg, list[str]]] = {}
    foreign, gone = [], []
    for number in named:
        entry, leg = entries.holders.get(number, ("", None))
        if leg is None or line.requested.against_line not in (None, leg.line):
            foreign.append(number)
        elif not _is_returnable(case, line, entry, number):
            gone.append(number)
        else:
            chosen.setdefault(entry, (leg, []))[1].append(number)
    if foreign and any(_legs(line, entries)):
        case.refuse("not_in_original", line, item=line.item.item, serials=", ".join(foreign))
    elif foreign:
        _refuse(case, line, entries, ZERO)
    if gone:
        returnable = len(named) - len(foreign) - len(gone)
        _refuse(case, line, entries, Decimal(returnable), serials=", ".join(gone))
    return [Match(entry, leg, Decimal(len(numbers)), numbers) for entry, (leg, numbers) in chosen.items()]


def _match_in_order(case: Case, line: Line, entries: Entries) -> list[Match]:
    """The first serials of the original that can be returned, where a line names none."""
    matches: list[Match] = []
    wanted = int(line.quantity)
    for entry, leg in _legs(line, entries, entries.first):
        there = (number for number in leg.serials if _can_be_chosen(case, line, entry, leg, number))
        chosen = list(islice(there, wanted))
        if chosen:
            matches.append(Match(entry, leg, Decimal(len(chosen)), chosen))
            wanted -= len(chosen)
        if not wanted:
            return matches
    _refuse_unfound(case, line, entries, line.quantity - wanted)
    return []


def _is_returnable(case: Case, line: Line, entry: str, number: str) -> bool:
    """Whether a unit was not returned yet; what went out by another entry since then is out by that one."""
    if number in _returned(case, entry).serials:
        return False
    return case.purpose.flow is Flow.SEND_BACK or _serial(case, line, number).left_by in (None, entry)


def _can_be_chosen(case: Case, line: Line, entry: str, leg: Leg, number: str) -> bool:
    """Whether a unit can be returned that no line names: it is where such a one is to be found."""
    if not _is_meant(case, line, entry, number):
        return False
    serial = _serial(case, line, number)
    moved = (case.company.company, line.item.item, number) in case.draft.serials.own
    moved |= serial.last_at is not None and serial.last_at > case.effective_at
    if case.purpose.flow is Flow.SEND_BACK:
        source = line.source.warehouse if line.source is not None else leg.warehouse
        return serial.warehouse == source and serial.reserved_for is None and not moved
    return serial.warehouse is None and not moved


def _is_meant(case: Case, line: Line, entry: str, number: str) -> bool:
    """Whether a line that names no units speaks of this one, wherever it is."""
    return line.batch in (None, _serial(case, line, number).batch) and _is_returnable(case, line, entry, number)


def _serial(case: Case, line: Line, number: str) -> Serial:
    return case.draft.serials.get((case.company.company, line.item.item, number)) or Serial()


def _refuse_unfound(case: Case, line: Line, entries: Entries, found: Decimal) -> None:
    """Too few units: they were returned already, or those that were not do not stand where they are to leave."""
    legs = list(_legs(line, entries))
    left = sum(_is_meant(case, line, entry, number) for entry, leg in legs for number in leg.serials)
    if case.purpose.flow is Flow.SEND_BACK and left >= line.quantity:
        lack(case, line, line.source or leg_warehouse(case, legs[0][1]), found)
    else:
        _refuse(case, line, entries, found)


def _refuse(case: Case, line: Line, entries: Entries, returnable: Decimal, **facts: object) -> None:
    """Note why a line is not returned: the original has no such line, goods or batch, or not as much of them."""
    item, number = line.item.item, line.requested.against_line
    if any(_legs(line, entries)):
        case.refuse("over_return", line, item=item, **facts, wanted=line.quantity, returnable=returnable)
    elif number is not None and all(leg.line != number for _, leg in entries.legs):
        case.refuse("unknown_original_line", line, item=item, against_line=number)
    else:
        batch = {"batch": line.batch} if line.batch is not None else {}
        case.refuse("not_in_original", line, item=item, **batch)


_MATCHING: Mapping[Tracking, Callable[[Case, Line, Entries], list[Match]]] = {
    Tracking.NONE: _match_quantity,
    Tracking.BATCH: _match_quantity,
    Tracking.SERIAL: _match_serials,
}
