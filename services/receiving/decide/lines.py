"""Reading a movement's lines: names resolved, units converted, quantities checked; every fault noted with its line."""

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum

from services.receiving.decide.case import Case, Line, Portion
from services.receiving.decide.series import TooMany, count_serials, read_serials
from services.receiving.decide.stock import Bin, Item, Warehouse
from shared.contracts.movement import RequestedLine
from shared.purposes import Flow, Tracking
from shared.quantities import ZERO, fits, product, to_quantity

NUMBER_LENGTH = 140
"""The most characters that the number of a serial or a batch may have."""
QUANTITY_LIMIT = Decimal(10) ** 12
"""No bin may hold, or lack, as much: a `Quantity` has 12 digits before its point."""


def read_lines(case: Case) -> list[Line]:
    """The lines that move stock and can be judged further; whatever is wrong with the others is noted."""
    requested = case.movement.lines
    if not requested:
        case.refuse("no_lines", None)
    if not check_lines(case):
        return []
    named = sum(count_serials(each.serials) for each in requested if each.serials is not None)
    if named > case.limits.serials_in_all:
        case.refuse("too_many_serials", None, serials=named, limit=case.limits.serials_in_all)
        return []
    read = [_read(case, number, each) for number, each in numbered(requested) if moves_stock(case, each)]
    lines = [line for line in read if line is not None]
    serials = sum((line.quantity for line in lines if line.item.tracking is Tracking.SERIAL), ZERO)
    if serials > case.limits.serials_in_all:
        case.refuse("too_many_serials", None, serials=serials, limit=case.limits.serials_in_all)
        return []
    return lines


def check_lines(case: Case) -> bool:
    """Whether the lines of a movement are few enough to be read; what is wrong with their numbers is noted."""
    requested = case.movement.lines
    if len(requested) > case.limits.lines:
        case.refuse("too_many_lines", None, lines=len(requested), limit=case.limits.lines)
        return False
    for number, times in Counter(number for number, _ in numbered(requested)).items():
        if times > 1:
            case.refuse("line_repeated", number, times=times)
    return True


def numbered(requested: Sequence[RequestedLine]) -> list[tuple[int, RequestedLine]]:
    """Each line with its number: its own, else its place from 1."""
    return [(each.line or place, each) for place, each in enumerate(requested, 1)]


def moves_stock(case: Case, line: RequestedLine) -> bool:
    """Whether a line moves stock; a sale may hold others (services, bags), which name an account instead."""
    return not (case.purpose.has_money and line.account is not None)


def _read(case: Case, number: int, requested: RequestedLine) -> Line | None:
    before = len(case.reasons)
    item = _item(case, number, requested)
    leaving, coming = _sides(case, requested)
    source = _warehouse(case, number, requested.source, "source", leaving)
    target = _warehouse(case, number, requested.target, "target", coming)
    if source is not None and source is target:
        case.refuse("same_warehouse", number, warehouse=source.warehouse)
    check_share(case, number, requested)
    if item is None:
        if requested.quantity is not None:
            _check_sign(case, number, requested.item, requested.quantity)
        return None
    serials = _serials(case, number, item, requested)
    batch = (requested.batch or "").strip() or None
    if batch is not None:
        _check_batch(case, number, item, batch)
    case.named.update((item.item, each) for each in (*(serials or ()), batch) if each is not None)
    entered, quantity = _quantity(case, number, item, requested, serials)
    if len(case.reasons) > before:
        return None
    return Line(number, requested, item, entered, quantity, source, target, serials, batch)


def check_share(case: Case, number: int, requested: RequestedLine) -> None:
    """Refuse a share below zero."""
    if requested.share is not None and requested.share < ZERO:
        case.refuse("share_negative", number, share=requested.share)


def _item(case: Case, number: int, requested: RequestedLine) -> Item | None:
    if requested.item is None:
        if all(reason.line != number for reason in case.request.unread):
            case.refuse("item_missing", number)
        return None
    item = case.draft.stock.items.get((case.company.company, requested.item))
    if item is None:
        case.refuse("unknown_item", number, item=requested.item)
    elif item.disabled and not comes_back(case, requested) and case.purpose.flow is not Flow.SEND_BACK:
        case.refuse("item_disabled", number, item=item.item)
    return item


class _Side(Enum):
    """Whether a line names a warehouse on one of its sides."""

    NEVER = "never"
    MAY = "may"
    MUST = "must"


def comes_back(case: Case, line: RequestedLine) -> bool:
    """Whether a line brings back what went out before: every line of a return, and those of a sale with a target."""
    exchanged = case.purpose.has_money and line.target is not None and line.source is None
    return case.purpose.flow is Flow.COME_BACK or exchanged


def _sides(case: Case, line: RequestedLine) -> tuple[_Side, _Side]:
    """Which of its warehouses a line names; what is returned knows them from its original."""
    known = _Side.MAY if case.movement.against is not None else _Side.MUST
    if comes_back(case, line):
        return _Side.NEVER, known
    if case.purpose.flow is Flow.SEND_BACK:
        return known, _Side.NEVER
    if case.purpose.flow is Flow.MAKE:
        return (_Side.NEVER, _Side.MUST) if line.source is None else (_Side.MUST, _Side.NEVER)
    return _SIDES[case.purpose.flow]


def _warehouse(case: Case, number: int, code: str | None, side: str, named: _Side) -> Warehouse | None:
    if code is None or named is _Side.NEVER:
        if code is not None:
            case.refuse(f"{side}_not_allowed", number, purpose=case.purpose.name, warehouse=code)
        elif named is _Side.MUST:
            case.refuse(f"{side}_missing", number, purpose=case.purpose.name)
        return None
    stock = case.draft.stock
    found = stock.warehouses.get((case.company.company, code))
    if found is None:
        others = stock.companies_of(code)
        if others:
            case.refuse(
                "companies_mixed", number, warehouse=code, company=case.company.company, others=", ".join(others)
            )
        else:
            case.refuse("unknown_warehouse", number, warehouse=code)
    return found


def _serials(case: Case, number: int, item: Item, requested: RequestedLine) -> list[str] | None:
    """The serials that a line names, None for none; what is wrong with them is noted."""
    if requested.serials is None:
        return None
    serials = read_serials(requested.serials, case.limits.serials)
    if isinstance(serials, TooMany):
        case.refuse("too_many_serials", number, serials=serials.count, limit=case.limits.serials)
        return None
    if serials and item.tracking is not Tracking.SERIAL:
        case.refuse("not_tracked", number, item=item.item, serial=serials[0])
    if len(set(serials)) != len(serials):
        repeated = [serial for serial, times in Counter(serials).items() if times > 1]
        case.refuse("serial_repeated", number, item=item.item, serials=", ".join(repeated))
    too_long = [serial for serial in serials if len(serial) > NUMBER_LENGTH]
    if too_long:
        case.refuse("serial_too_long", number, serial=too_long[0], limit=NUMBER_LENGTH)
    return serials or None


def _check_batch(case: Case, number: int, item: Item, batch: str) -> None:
    if item.tracking is Tracking.NONE:
        case.refuse("not_tracked", number, item=item.item, batch=batch)
    if len(batch) > NUMBER_LENGTH:
        case.refuse("batch_too_long", number, batch=batch, limit=NUMBER_LENGTH)


class _Stated(Enum):
    """The quantity that a line states."""

    ABOVE_ZERO = "above zero"
    FROM_ZERO = "zero or above"
    NONE = "none"


def _quantity(
    case: Case, number: int, item: Item, requested: RequestedLine, serials: Sequence[str] | None
) -> tuple[Decimal, Decimal]:
    """The quantity as entered and in stock units; zero where the line states none or a wrong one."""
    factor = factor_of(item, requested.unit)
    if factor is None:
        known = ", ".join(sorted({item.unit, *item.units}))
        case.refuse("unknown_unit", number, item=item.item, unit=requested.unit, known=known)
    entered = _entered(case, number, item, requested, serials)
    if entered is None or factor is None:
        return ZERO, ZERO
    quantity = to_quantity(product(entered, factor))
    if entered > ZERO and quantity <= ZERO:
        case.refuse("quantity_too_small", number, item=item.item, quantity=entered, unit=requested.unit or item.unit)
    if quantity >= QUANTITY_LIMIT:
        case.refuse("quantity_too_large", number, item=item.item, quantity=quantity, limit=QUANTITY_LIMIT)
    _check_whole(case, number, item, quantity, serials)
    _check_attributes(case, number, item, requested, quantity)
    return entered, quantity


def _entered(
    case: Case, number: int, item: Item, requested: RequestedLine, serials: Sequence[str] | None
) -> Decimal | None:
    """The quantity in the line's own unit; of named serials it is their count where none is given."""
    entered: Decimal | None = requested.quantity
    if entered is None and _stated(case) is not _Stated.NONE:
        entered = _counted(case, requested, serials)
        if entered is None:
            case.refuse("quantity_missing", number, item=item.item)
    if entered is not None:
        _check_sign(case, number, item.item, entered)
    return entered


def _counted(case: Case, requested: RequestedLine, serials: Sequence[str] | None) -> Decimal | None:
    """How many serials a line names, None where it names none; where none may be there, an empty list says so."""
    if serials is not None:
        return Decimal(len(serials))
    return ZERO if requested.serials is not None and _stated(case) is _Stated.FROM_ZERO else None


def _check_sign(case: Case, number: int, item: str | None, entered: Decimal) -> None:
    stated = _stated(case)
    if stated is _Stated.NONE:
        case.refuse("quantity_not_allowed", number, purpose=case.purpose.name, quantity=entered)
    elif stated is _Stated.FROM_ZERO and entered < ZERO:
        case.refuse("quantity_negative", number, item=item or "", quantity=entered)
    elif stated is _Stated.ABOVE_ZERO and entered <= ZERO:
        case.refuse("quantity_not_positive", number, item=item or "", quantity=entered)


def _stated(case: Case) -> _Stated:
    return _QUANTITIES.get(case.purpose.flow, _Stated.ABOVE_ZERO)


def _check_whole(case: Case, number: int, item: Item, quantity: Decimal, serials: Sequence[str] | None) -> None:
    serialized = item.tracking is Tracking.SERIAL
    if (item.whole_units or serialized) and not fits(quantity, 0):
        case.refuse("whole_quantity_required", number, item=item.item, quantity=quantity)
    elif serialized and serials is not None and quantity != len(serials):
        case.refuse("serial_count_mismatch", number, item=item.item, quantity=quantity, serials=len(serials))
    elif serialized and quantity > case.limits.serials:
        case.refuse("too_many_serials", number, serials=quantity, limit=case.limits.serials)


def _check_attributes(case: Case, number: int, item: Item, requested: RequestedLine, quantity: Decimal) -> None:
    """They are kept with each serial."""
    size = sum(len(name) + len(value) for name, value in requested.attributes.items())
    if item.tracking is Tracking.SERIAL and size * quantity > case.limits.attributes:
        facts = {"size": size, "serials": quantity, "limit": case.limits.attributes}
        case.refuse("attributes_too_large", number, item=item.item, **facts)


def check_room(case: Case, line: Line, warehouse: Warehouse) -> None:
    """A bin may not hold more, nor lack more, than a message could tell."""
    key = case.bin_key(line.item, warehouse)
    there = case.bin(key).quantity
    today = there
    if key in case.today:
        today += case.today[key].quantity - (case.draft.stock.bins.get(key) or Bin()).quantity
    if max(abs(there), abs(today)) >= QUANTITY_LIMIT:
        case.refuse("quantity_too_large", line, item=line.item.item, quantity=line.quantity, limit=QUANTITY_LIMIT)


def check_serials(case: Case, portions: Sequence[Portion]) -> None:
    """Refuse more serials than a line or a movement may have, where the lines do not name them all themselves."""
    of_lines: Counter[int] = Counter()
    for portion in portions:
        of_lines[portion.line.number] += len(portion.serials)
    for number, serials in of_lines.items():
        if serials > case.limits.serials:
            case.refuse("too_many_serials", number, serials=serials, limit=case.limits.serials)
    if of_lines.total() > case.limits.serials_in_all:
        case.refuse("too_many_serials", None, serials=of_lines.total(), limit=case.limits.serials_in_all)


def factor_of(item: Item, unit: str | None) -> Decimal | None:
    """How many stock units one of a unit is; None for a unit that the item does not have."""
    factors: Mapping[str, Decimal] = item.units
    return Decimal(1) if unit is None or unit == item.unit else factors.get(unit)


_SIDES: Mapping[Flow, tuple[_Side, _Side]] = {
    Flow.IN: (_Side.NEVER, _Side.MUST),
    Flow.OUT: (_Side.MUST, _Side.NEVER),
    Flow.MOVE: (_Side.MUST, _Side.MUST),
    Flow.COUNT: (_Side.NEVER, _Side.MUST),
    Flow.WRITE_DOWN: (_Side.MUST, _Side.NEVER),
}
_QUANTITIES: Mapping[Flow, _Stated] = {
    Flow.COUNT: _Stated.FROM_ZERO,
    Flow.WRITE_DOWN: _Stated.NONE,
}
"""What a line's quantity may be, where it is not above zero."""
