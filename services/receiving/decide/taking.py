"""What leaves: a quantity, named batches or serials, or what is picked; and why it may not leave."""

from collections.abc import Callable, Mapping, Sequence, Set
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice

from services.receiving.decide.case import Case, Line, Portion, SerialEvent
from services.receiving.decide.lines import check_room
from services.receiving.decide.picking import pickable_serials, spread, why_not
from services.receiving.decide.reserved import (
    available_of,
    free_batch,
    free_batches,
    free_quantity,
    free_serials,
    own_serials,
    pick_rest,
    pickable_own,
    refuse_unknown,
)
from services.receiving.decide.stock import Batch, BatchStock, Serial, Warehouse
from shared.purposes import Flow, Pick, SerialStatus, Tracking
from shared.quantities import ZERO


def take(case: Case, line: Line, source: Warehouse) -> list[Portion]:
    """Take a line's quantity out of a warehouse, in the draft; nothing, with the reasons noted, where it cannot be."""
    refuse_unknown(case, line)
    return _TAKING[line.item.tracking](case, line, source)


def _take_quantity(case: Case, line: Line, source: Warehouse) -> list[Portion]:
    key = case.bin_key(line.item, source)
    freed = free_quantity(case, line, source)
    there = case.bin(key)
    available = max(there.quantity - there.reserved, min(freed, there.quantity))
    if available < line.quantity and not may_be_short(case, line):
        lack(case, line, source, available)
        return []
    beyond = line.quantity - max(there.quantity, ZERO)
    if beyond > ZERO:
        _go_short(case, line, source, beyond)
    case.add(key, -line.quantity)
    check_room(case, line, source)
    return [Portion(line, source, line.quantity)]


def may_be_short(case: Case, line: Line) -> bool:
    """Whether more may be issued than is there: what a source tells as a fact has happened."""
    return line.item.allow_negative_stock or case.request.source in case.draft.stock.telling


def _go_short(case: Case, line: Line, source: Warehouse, beyond: Decimal) -> None:
    """Take what is not there. It needs a rate, the last or the standard one; a fact goes without."""
    if not case.rate_is_known(line.item, source) and case.request.source not in case.draft.stock.telling:
        case.refuse("rate_missing", line, item=line.item.item)
    note_short(case, line, source, line.quantity, beyond)


def note_short(case: Case, line: Line, warehouse: Warehouse, wanted: Decimal, beyond: Decimal) -> None:
    """Note that so much of what is wanted is not there."""
    key = case.bin_key(line.item, warehouse)
    case.draft.bins[key] = case.bin(key)._replace(short=True)
    facts = {"item": line.item.item, "warehouse": warehouse.warehouse, "wanted": wanted, "short": beyond}
    case.remark("shortage", line, **facts)


def _take_batches(case: Case, line: Line, source: Warehouse) -> list[Portion]:
    if line.batch is not None:
        portions = _named_batch(case, line, source, line.batch)
    else:
        portions = _picked_batches(case, line, source)
    for portion in portions:
        case.add(case.bin_key(line.item, source), -portion.quantity)
        change_batch_stock(case, line, source, portion.batch or "", -portion.quantity)
    return portions


def _named_batch(case: Case, line: Line, source: Warehouse, number: str) -> list[Portion]:
    batch = case.draft.batches.get(case.batch_key(line.item, number))
    if batch is None:
        case.refuse("unknown_batch", line, item=line.item.item, batch=number)
        return []
    freed = free_batch(case, line, source, number)
    allowed = _may_leave(case, line, number, batch)
    available = available_of(case, line, source, number, batch, freed)
    if available < line.quantity:
        lack(case, line, source, available, batch=number)
        return []
    return [Portion(line, source, line.quantity, number)] if allowed else []


def _picked_batches(case: Case, line: Line, source: Warehouse) -> list[Portion]:
    taken = free_batches(case, line, source)
    wanted = line.quantity - sum(taken.values(), ZERO)
    if line.item.pick is Pick.EXPLICIT and wanted > ZERO:
        case.refuse("batch_missing", line, item=line.item.item)
        return []
    available, pickable = pick_rest(case, line, source, taken)
    if available < wanted:
        lack(case, line, source, line.quantity - wanted + available)
        return []
    for number, quantity in spread(wanted, pickable):
        taken[number] = taken.get(number, ZERO) + quantity
    return [Portion(line, source, quantity, number) for number, quantity in taken.items() if quantity]


def change_batch_stock(case: Case, line: Line, warehouse: Warehouse, number: str, change: Decimal) -> None:
    """Change how much of a batch stands in a warehouse, and in all of them, in the draft."""
    bin_key = case.bin_key(line.item, warehouse)
    before = case.draft.batch_stock.get((*bin_key, number)) or BatchStock()
    case.draft.batch_stock[*bin_key, number] = before._replace(quantity=before.quantity + change)
    batch = case.batch_key(line.item, number)
    case.draft.batch_totals[batch] = (case.draft.batch_totals.get(batch) or ZERO) + change


def _take_serials(case: Case, line: Line, source: Warehouse) -> list[Portion]:
    own = own_serials(case, line, source)
    if line.serials is not None:
        serials = _named_serials(case, line, source, line.serials, set(own))
    else:
        serials = _picked_serials(case, line, source, own)
    if not serials:
        return []
    available = free_serials(case, line, source, serials, set(own))
    if available < len(serials):
        lack(case, line, source, available)
        return []
    for number in serials:
        serial_leaves(case, line, number)
    case.add(case.bin_key(line.item, source), -Decimal(len(serials)))
    return [Portion(line, source, Decimal(len(serials)), line.batch, serials)]


def _named_serials(case: Case, line: Line, source: Warehouse, named: Sequence[str], own: Set[str]) -> Sequence[str]:
    """The serials that a line names, if every one of them stands in the warehouse and may leave."""
    before = len(case.reasons)
    batches = set()
    for number in named:
        serial = standing(case, line, source, number)
        if serial is not None and serial.reserved_for is not None and number not in own:
            case.refuse("serial_reserved", line, serial=number, order=serial.reserved_for)
        if serial is not None and serial.recalled and not _takes_held(case, line):
            case.refuse("serial_recalled", line, item=line.item.item, serial=number)
        if serial is not None:
            batches.add(serial.batch)
    _check_batches(case, line, sorted(filter(None, batches)))
    return named if len(case.reasons) == before else []


def standing(case: Case, line: Line, source: Warehouse, number: str) -> Serial | None:
    """A serial that a line names, if it stands in the warehouse and is of the line's batch; the reason is noted.

    What only arrives there by this movement does not stand there yet.
    """
    key = (case.company.company, line.item.item, number)
    serial = case.draft.serials.get(key)
    facts = {"item": line.item.item, "serial": number, "warehouse": source.warehouse}
    if case.moved_since(line, number):
        return None
    if serial is None:
        case.refuse("unknown_serial", line, **facts)
        return None
    if serial.warehouse != source.warehouse or key in case.draft.serials.own:
        case.refuse("serial_not_here", line, **facts, stands=serial.warehouse or serial.status.value)
        return None
    if line.batch is not None and serial.batch != line.batch:
        case.refuse("serial_of_another_batch", line, serial=number, batch=line.batch, its=serial.batch or "none")
    return serial


def _check_batches(case: Case, line: Line, numbers: Sequence[str]) -> None:
    for number in numbers:
        batch = case.draft.batches.get(case.batch_key(line.item, number))
        if batch is not None:
            _may_leave(case, line, number, batch)


def _picked_serials(case: Case, line: Line, source: Warehouse, own: Sequence[str]) -> list[str]:
    """Those that are kept back for the line by their names, then others in their order."""
    picked = list(islice(pickable_own(case, line, own), int(line.quantity)))
    if line.item.pick is Pick.EXPLICIT and len(picked) < line.quantity:
        case.refuse("serials_missing", line, item=line.item.item, quantity=line.quantity)
        return []
    picked += islice(pickable_serials(case, line, source), int(line.quantity) - len(picked))
    if len(picked) < line.quantity:
        lack(case, line, source, Decimal(len(picked)))
        return []
    return picked


def serial_leaves(case: Case, line: Line, number: str) -> None:
    """A serial leaves the company's stock, or goes to another warehouse of it: one event of its history."""
    key = (case.company.company, line.item.item, number)
    serial = case.draft.serials.get(key) or Serial()
    tie = next_tie(case, serial)
    moved = case.purpose.flow is Flow.MOVE and line.target is not None
    came_to = line.target.warehouse if moved and line.target is not None else None
    if serial.reserved_for is not None and serial.warehouse is not None:
        case.free((*key[:2], serial.warehouse), Decimal(1))
    after = serial._replace(
        reserved_for=None,
        warehouse=came_to,
        status=status_in(line.target) if moved else case.purpose.serial_status,
        last_at=case.effective_at,
        last_tie=tie,
    )
    warranty_until = _warranty(case, line) if case.purpose.to_customer else None
    case.draft.serials[key] = _to_customer(case, after, warranty_until) if case.purpose.to_customer else after
    name = (case.request.source, case.request.id)
    case.events.append(SerialEvent(key, case.effective_at, tie, *name, True, came_to, warranty_until))


def next_tie(case: Case, serial: Serial) -> int:
    """The number of this event among those of one serial at the same moment."""
    return serial.last_tie + 1 if serial.last_at == case.effective_at else 0


def status_in(warehouse: Warehouse | None) -> SerialStatus:
    """The status of a serial that stands in a warehouse."""
    return SerialStatus.IN_TRANSIT if warehouse is not None and warehouse.kind == "transit" else SerialStatus.ACTIVE


def _warranty(case: Case, line: Line) -> date | None:
    """The last day of a warranty that begins with the movement; None where none begins."""
    days = line.item.warranty_days
    return case.day + timedelta(days=days) if days is not None else None


def _to_customer(case: Case, serial: Serial, warranty_until: date | None) -> Serial:
    """A delivered unit: who holds it, by which document, and the warranty that begins, if one does."""
    return serial._replace(
        customer=case.movement.customer,
        customer_document=case.movement.document,
        warranty_until=warranty_until or serial.warranty_until,
    )


def _may_leave(case: Case, line: Line, number: str, batch: Batch) -> bool:
    """Whether a batch may leave by this purpose, on this day; the reason is noted."""
    code = why_not(batch, case.day)
    if code is None or _excused(case, line, code):
        return True
    facts = {"expires_on": batch.expires_on, "at": case.day} if code == "batch_expired" else {}
    case.refuse(code, line, item=line.item.item, batch=number, **facts)
    return False


def _excused(case: Case, line: Line, code: str) -> bool:
    if code == "batch_expired":
        issued = case.purpose.takes_difference and not case.company.issue_expired
        return case.purpose.takes_expired and not issued
    return _takes_held(case, line)


def _takes_held(case: Case, line: Line) -> bool:
    """Whether a line may take what is held or recalled."""
    to_quarantine = line.target is not None and line.target.kind == "quarantine"
    return case.purpose.takes_held or to_quarantine


def lack(
    case: Case,
    line: Line,
    source: Warehouse,
    available: Decimal,
    *,
    batch: str | None = None,
    wanted: Decimal | None = None,
) -> None:
    """Refuse a line because not as much as it wants may leave a warehouse, at its moment or at a later one."""
    outlook = case.outlook(line, source, batch)
    case.refuse(
        "insufficient_stock",
        line,
        item=line.item.item,
        warehouse=source.warehouse,
        **({"batch": batch} if batch is not None else {}),
        wanted=line.quantity if wanted is None else wanted,
        available=max(available, ZERO),
        at=outlook.least_at if outlook is not None else case.effective_at,
    )


_TAKING: Mapping[Tracking, Callable[[Case, Line, Warehouse], list[Portion]]] = {
    Tracking.NONE: _take_quantity,
    Tracking.BATCH: _take_batches,
    Tracking.SERIAL: _take_serials,
}
