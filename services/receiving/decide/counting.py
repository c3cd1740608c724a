"""Counts: what was found in a bin, of a batch there, or as the whole set of serials there.

A count says what is there, not what changed: the difference follows from what should have been there. It brings nothing
new into being; what never was in stock comes in by `opening_stock`.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from services.receiving.decide.bringing import bring_back, join_batch
from services.receiving.decide.case import Case, Line, Plan, Portion
from services.receiving.decide.lines import QUANTITY_LIMIT, check_room, check_serials, read_lines
from services.receiving.decide.money import check_size
from services.receiving.decide.rates import stated_amount, stated_rate, take_known_rate
from services.receiving.decide.stock import Batch, BatchStock, BinKey, Serial, Warehouse
from services.receiving.decide.taking import change_batch_stock, lack, may_be_short, note_short, serial_leaves
from shared.purposes import SerialStatus, Tracking
from shared.quantities import ZERO, amount_of

OPENING = "opening_stock"
"""The purpose by which goods come into stock that never were there."""


def count(case: Case) -> Plan:
    """What was counted is there from then on, at its counted rate or as it was valued before."""
    plans = []
    counted: set[tuple[BinKey, str | None]] = set()
    for line in read_lines(case):
        if line.target is None:
            continue
        what = (case.bin_key(line.item, line.target), line.batch)
        if what in counted:
            case.refuse("counted_twice", line, **_where(line, line.target))
            continue
        counted.add(what)
        if case.movement.opening and line.item.tracking is not Tracking.NONE:
            case.refuse("opening_tracked", line, item=line.item.item, use=OPENING)
        plans.append(_COUNTING[line.item.tracking](case, line, line.target))
        _note_count(case, line, line.target)
    left = [portion for plan in plans for portion in plan.left]
    came = [portion for plan in plans for portion in plan.came]
    valued = [portion for plan in plans for portion in plan.valued]
    check_serials(case, [*left, *came, *valued])
    return Plan(left, came=came, valued=valued)


def _where(line: Line, target: Warehouse) -> dict[str, str]:
    facts = {"item": line.item.item, "warehouse": target.warehouse}
    return facts if line.batch is None else {**facts, "batch": line.batch}


def _note_count(case: Case, line: Line, target: Warehouse) -> None:
    """The count takes a stamp in its bin, with a difference or without; nothing passes it only for being late."""
    key = case.bin_key(line.item, target)
    case.also.add(key)
    there = case.bin(key)
    case.draft.bins[key] = there._replace(
        counted_at=max(there.counted_at, case.effective_at), last_at=max(there.last_at, case.effective_at)
    )
    batch = line.batch if line.item.tracking is Tracking.BATCH else None
    case.counted.append(((*key, batch or ""), line.number))


# --- quantities -------------------------------------------------------------------------------------------------------


def _count_quantity(case: Case, line: Line, target: Warehouse) -> Plan:
    key = case.bin_key(line.item, target)
    there = case.bin(key).quantity
    amount = _amount(case, line, target, there)
    case.add(key, line.quantity - there)
    _check_later(case, line, target, line.quantity - there)
    return Plan(valued=[_counted(case, line, target, line.quantity - there, amount)])


def _count_batch(case: Case, line: Line, target: Warehouse) -> Plan:
    batch = _batch(case, line)
    if batch is None or line.batch is None:
        return Plan()
    bin_key = case.bin_key(line.item, target)
    key = (*bin_key, line.batch)
    there = (case.draft.batch_stock.get(key) or BatchStock()).quantity
    if there <= ZERO < line.quantity and batch.entered is not None and batch.entered.at > case.effective_at:
        case.refuse("count_cannot_open", line, item=line.item.item, batch=line.batch, use=OPENING)
    amount = _amount(case, line, target, there)
    difference = line.quantity - there
    if difference > ZERO:
        join_batch(case, line, target, line.batch, batch, difference)
    else:
        change_batch_stock(case, line, target, line.batch, difference)
    case.add(bin_key, difference)
    _check_later(case, line, target, difference)
    check_room(case, line, target)
    return Plan(valued=[_counted(case, line, target, difference, amount)])


def _check_later(case: Case, line: Line, target: Warehouse, difference: Decimal) -> None:
    """What was not there when it was counted cannot have left since; unless more may leave than is there."""
    outlook = case.outlook(line, target, line.batch)
    if outlook is None or difference >= ZERO or outlook.least + difference >= ZERO:
        return
    if line.item.tracking is not Tracking.NONE or not may_be_short(case, line):
        lack(case, line, target, outlook.least, batch=line.batch, wanted=-difference)
        return
    beyond = min(-difference, -outlook.least - difference)
    note_short(case, line, target, -difference, beyond)


def _batch(case: Case, line: Line) -> Batch | None:
    """The batch that was counted; it was in stock before."""
    if line.batch is None:
        case.refuse("batch_missing", line, item=line.item.item)
        return None
    batch = case.draft.batches.get(case.batch_key(line.item, line.batch))
    if batch is None:
        case.refuse("unknown_batch", line, item=line.item.item, batch=line.batch, use=OPENING)
    elif batch.entered is None:
        case.refuse("count_cannot_open", line, item=line.item.item, batch=line.batch, use=OPENING)
    else:
        return batch
    return None


def _amount(case: Case, line: Line, target: Warehouse, there: Decimal) -> Decimal | None:
    """What was counted is worth by its own rate. Without one it keeps its average, or takes the last rate if new."""
    amount = stated_amount(case, line)
    if amount is None and there <= ZERO < line.quantity:
        take_known_rate(case, line, target)
    return amount


def _counted(case: Case, line: Line, target: Warehouse, difference: Decimal, amount: Decimal | None) -> Portion:
    if abs(difference) >= QUANTITY_LIMIT:
        facts = {"item": line.item.item, "quantity": difference, "limit": QUANTITY_LIMIT}
        case.refuse("quantity_too_large", line, **facts)
    return Portion(line, target, difference, line.batch, counted=line.quantity, amount=amount)


# --- serials ----------------------------------------------------------------------------------------------------------


def _count_serials(case: Case, line: Line, target: Warehouse) -> Plan:
    """Who stands there and was not counted is missing; who was counted and stood nowhere is found."""
    _check_list(case, line)
    key = case.bin_key(line.item, target)
    standing = case.draft.stock.serials_in.get(key, set())
    named = line.serials or ()
    rate = stated_rate(case, line)
    missing = sorted(standing.difference(named))
    came = _found(case, line, target, [number for number in named if number not in standing], rate)
    for number in missing:
        serial_leaves(case, line, number)
    case.add(key, -Decimal(len(missing)))
    left = [Portion(line, target, Decimal(len(missing)), serials=missing)] if missing else []
    return Plan(left, came=came, valued=_staying(case, line, target, rate))


def _check_list(case: Case, line: Line) -> None:
    """A line lists the serials that it counted, of all that stand in the bin, whatever their batch."""
    if line.serials is None and line.quantity:
        case.refuse("serials_missing", line, item=line.item.item, quantity=line.quantity)
    if line.batch is not None:
        case.refuse("batch_not_allowed", line, item=line.item.item, batch=line.batch)


def _found(case: Case, line: Line, target: Warehouse, numbers: Sequence[str], rate: Decimal | None) -> list[Portion]:
    """Units that come in again: at the counted rate, or worth what they were when they left."""
    lost = [(number, serial) for number in numbers if (serial := _lost(case, line, number)) is not None]
    groups: dict[str | None, list[str]] = {}
    for number, serial in lost:
        groups.setdefault(serial.left_by, []).append(number)
        if serial.left_from is not None:
            case.also.add((case.company.company, line.item.item, serial.left_from))
    if None in groups and rate is None:
        take_known_rate(case, line, target)
    portions: list[Portion] = []
    place = 0
    for entry, group in groups.items():
        amount = _part(case, line, rate, group)
        portion = Portion(line, target, Decimal(len(group)), serials=group, original=entry, amount=amount)
        bring_back(case, portion, place)
        portions.append(portion)
        place += len(group)
    return portions


def _lost(case: Case, line: Line, number: str) -> Serial | None:
    """A unit that was in stock once and stands nowhere, nor did before this movement."""
    key = (case.company.company, line.item.item, number)
    serial = case.draft.serials.get(key)
    facts = {"item": line.item.item, "serial": number}
    if case.moved_since(line, number):
        return None
    if serial is None:
        case.refuse("count_cannot_open", line, **facts, use=OPENING)
        return None
    before = case.draft.stock.serials.get(key) or serial
    elsewhere = before.warehouse or serial.warehouse
    if elsewhere is not None:
        case.refuse("serial_elsewhere", line, **facts, warehouse=elsewhere)
    elif serial.left_by is None and serial.status is SerialStatus.INACTIVE:
        case.refuse("count_cannot_open", line, **facts, use=OPENING)
    else:
        return serial
    return None


def _staying(case: Case, line: Line, target: Warehouse, rate: Decimal | None) -> list[Portion]:
    """Units that stood there and were counted, valued anew where the line has a rate."""
    standing = case.draft.stock.serials_in.get(case.bin_key(line.item, target), set())
    stay = [number for number in line.serials or () if number in standing]
    amount = _part(case, line, rate, stay)
    if amount is None or not stay:
        return []
    return [Portion(line, target, ZERO, serials=stay, counted=Decimal(len(stay)), amount=amount)]


def _part(case: Case, line: Line, rate: Decimal | None, serials: Sequence[str]) -> Decimal | None:
    """What some of the counted serials are worth at the counted rate."""
    if rate is None:
        return None
    amount = amount_of(Decimal(len(serials)), rate, case.company.digits)
    check_size(case, line.number, amount)
    return amount


_COUNTING: Mapping[Tracking, Callable[[Case, Line, Warehouse], Plan]] = {
    Tracking.NONE: _count_quantity,
    Tracking.BATCH: _count_batch,
    Tracking.SERIAL: _count_serials,
}
