"""What comes in: into a bin, into batches that exist or are made, as serials named or numbered by a series."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

from services.receiving.decide.case import Case, Line, Portion, SerialEvent
from services.receiving.decide.lines import NUMBER_LENGTH, check_room
from services.receiving.decide.series import next_numbers, series_of
from services.receiving.decide.stock import Batch, Item, Serial, Warehouse
from services.receiving.decide.taking import change_batch_stock, next_tie, status_in
from shared.purposes import SerialStatus, Tracking
from shared.quantities import share_of, to_quantity


def bring(case: Case, line: Line, target: Warehouse) -> list[Portion]:
    """Bring a line's quantity into a warehouse from outside, in the draft; nothing where a reason was noted."""
    portion = _BRINGING[line.item.tracking](case, line, target)
    if portion is None:
        return []
    _fill(case, line, target, line.quantity)
    return [portion]


def arrive(case: Case, portion: Portion, target: Warehouse) -> Portion:
    """Bring to a warehouse what left another one in the same movement; its serials have moved already."""
    line = portion.line
    _fill(case, line, target, portion.quantity)
    if line.item.tracking is Tracking.BATCH and portion.batch is not None:
        change_batch_stock(case, line, target, portion.batch, portion.quantity)
    return Portion(line, target, portion.quantity, portion.batch, portion.serials, share=_part_of_share(portion))


def bring_back(case: Case, portion: Portion, place: int = 0) -> None:
    """Bring to its warehouse what went out before, whatever became of its batch; `place` is its first serial's."""
    line, target = portion.line, portion.warehouse
    _fill(case, line, target, portion.quantity)
    if line.item.tracking is Tracking.BATCH and portion.batch is not None:
        batch = case.draft.batches.get(case.batch_key(line.item, portion.batch))
        if batch is None:
            case.refuse("unknown_batch", line, item=line.item.item, batch=portion.batch)
        else:
            join_batch(case, line, target, portion.batch, batch, portion.quantity)
    for at, number in enumerate(portion.serials, place):
        if _is_away(case, line, target, number):
            _serial_comes(case, line, target, number, at)


def _is_away(case: Case, line: Line, target: Warehouse, number: str) -> bool:
    """Whether a unit is known, of the batch that a line names, and stands nowhere, nor did before this movement."""
    key = (case.company.company, line.item.item, number)
    serial, before = case.draft.serials.get(key), case.draft.stock.serials.get(key)
    if case.moved_since(line, number):
        return False
    if serial is None or before is None:
        case.refuse("unknown_serial", line, item=line.item.item, serial=number, warehouse=target.warehouse)
        return False
    standing = serial.warehouse or before.warehouse
    if standing is not None:
        case.refuse("serial_in_stock", line, item=line.item.item, serial=number, warehouse=standing)
    elif line.batch is not None and serial.batch != line.batch:
        case.refuse("serial_of_another_batch", line, serial=number, batch=line.batch, its=serial.batch or "none")
    else:
        return True
    return False


def _part_of_share(portion: Portion) -> Decimal | None:
    """The part of its line's share that a portion has."""
    share, line = portion.line.requested.share, portion.line
    return None if share is None else to_quantity(share_of(share, portion.quantity, line.quantity))


def _fill(case: Case, line: Line, target: Warehouse, quantity: Decimal) -> None:
    """Add to a bin, if it has room."""
    case.add(case.bin_key(line.item, target), quantity)
    check_room(case, line, target)


def _bring_quantity(case: Case, line: Line, target: Warehouse) -> Portion | None:  # noqa: ARG001 - one shape for all
    return Portion(line, target, line.quantity)


def _bring_batch(case: Case, line: Line, target: Warehouse) -> Portion | None:
    number = line.batch or _from_series(case, line)
    if number is None:
        case.refuse("batch_missing", line, item=line.item.item)
        return None
    batch = _batch(case, line, number, made=line.batch is None)
    if batch is None:
        return None
    join_batch(case, line, target, number, batch, line.quantity)
    return Portion(line, target, line.quantity, number, generated=line.batch is None)


def join_batch(case: Case, line: Line, target: Warehouse, number: str, batch: Batch, quantity: Decimal) -> None:
    """Bring goods into a batch; one that was nowhere in stock enters anew, one that comes earlier enters then."""
    key = case.batch_key(line.item, number)
    is_first = batch.entered is None or case.effective_at < batch.entered.at
    if is_first or not case.draft.batch_totals.get(key):
        case.draft.batches[key] = batch._replace(entered=case.entered(line, target))
    change_batch_stock(case, line, target, number, quantity)


def _batch(case: Case, line: Line, number: str, *, made: bool) -> Batch | None:
    """The batch that a line brings goods into: the one that exists, else a new one where that is allowed."""
    batch = case.draft.batches.get(case.batch_key(line.item, number))
    if batch is None and not made and not line.item.create_batches_on_receipt:
        case.refuse("unknown_batch", line, item=line.item.item, batch=number)
        return None
    if batch is None:
        batch = _new_batch(case, line)
        case.draft.batches[case.batch_key(line.item, number)] = batch
    return batch if _may_come(case, line, number, batch) else None


def _new_batch(case: Case, line: Line) -> Batch:
    """A batch made by a receipt: made on that day, and expiring a shelf life later, unless the line knows better."""
    requested = line.requested
    manufactured_on = requested.manufactured_on
    if manufactured_on is None and requested.expires_on is None:
        manufactured_on = case.day
    return Batch(
        expires_on=requested.expires_on or expiry(line.item, manufactured_on),
        manufactured_on=manufactured_on,
        supplier=case.movement.supplier if case.purpose.from_supplier else None,
        supplier_batch=requested.supplier_batch,
        attributes=requested.attributes,
    )


def expiry(item: Item, manufactured_on: date | None) -> date | None:
    """The last usable day of what was made on a day; None where the item keeps for ever."""
    if manufactured_on is None or item.shelf_life_days is None:
        return None
    return manufactured_on + min(timedelta(days=item.shelf_life_days), date.max - manufactured_on)


def _may_come(case: Case, line: Line, number: str, batch: Batch) -> bool:
    """New goods may not come into an expired batch; nor may a line say otherwise than the batch's record."""
    fine = True
    stated = line.requested.expires_on
    if stated is not None and stated != batch.expires_on:
        case.refuse("batch_differs", line, batch=number, expires_on=stated, recorded=batch.expires_on or "none")
        fine = False
    made = line.requested.manufactured_on
    if stated is not None and made is not None and stated < made:
        case.refuse("expires_before_made", line, batch=number, manufactured_on=made, expires_on=stated)
        fine = False
    if not case.purpose.brings_expired and batch.expires_on is not None and batch.expires_on < case.day:
        case.refuse("batch_expired", line, item=line.item.item, batch=number, expires_on=batch.expires_on, at=case.day)
        fine = False
    return fine


def _from_series(case: Case, line: Line) -> str | None:
    if line.item.batch_series is None:
        return None
    number = _made(case, line, line.item.batch_series, 1, _is_batch(case, line))[0]
    if len(number) > NUMBER_LENGTH:
        case.refuse("batch_too_long", line, batch=number, limit=NUMBER_LENGTH)
    return number


def _bring_serials(case: Case, line: Line, target: Warehouse) -> Portion | None:
    batch = _batch(case, line, line.batch, made=False) if line.batch is not None else None
    if line.serials is not None:
        numbers: Sequence[str] = line.serials
    elif line.item.serial_series is not None:
        numbers = _made(case, line, line.item.serial_series, int(line.quantity), _is_serial(case, line))
        if len(numbers[-1]) > NUMBER_LENGTH:
            case.refuse("serial_too_long", line, serial=numbers[-1], limit=NUMBER_LENGTH)
    else:
        case.refuse("serials_missing", line, item=line.item.item, quantity=line.quantity)
        return None
    before = len(case.reasons)
    if line.serials is not None:
        for number in numbers:
            _check_free(case, line, number)
    if len(case.reasons) > before or (line.batch is not None and batch is None):
        return None
    for place, number in enumerate(numbers):
        _serial_comes(case, line, target, number, place)
    return Portion(line, target, line.quantity, line.batch, numbers, generated=line.serials is None)


def _check_free(case: Case, line: Line, number: str) -> None:
    serial = case.draft.serials.get((case.company.company, line.item.item, number))
    if serial is None or case.moved_since(line, number):
        return
    if serial.warehouse is not None:
        case.refuse("serial_in_stock", line, item=line.item.item, serial=number, warehouse=serial.warehouse)
    elif serial.status is not SerialStatus.INACTIVE and not line.item.reuse_serials:
        case.refuse("serial_not_reusable", line, item=line.item.item, serial=number, status=serial.status.value)


def _serial_comes(case: Case, line: Line, target: Warehouse, number: str, place: int) -> None:
    key = (case.company.company, line.item.item, number)
    serial = case.draft.serials.get(key) or Serial()
    tie = next_tie(case, serial)
    came = serial._replace(
        status=status_in(target),
        warehouse=target.warehouse,
        batch=line.batch or serial.batch,
        customer=None,
        customer_document=None,
        entered=case.entered(line, target, place),
        last_at=case.effective_at,
        last_tie=tie,
        attributes=line.requested.attributes or serial.attributes,
    )
    if case.purpose.from_supplier:
        came = came._replace(supplier=case.movement.supplier, supplier_document=case.movement.document)
    case.draft.serials[key] = came
    source, identifier = case.request.source, case.request.id
    case.events.append(
        SerialEvent(key, case.effective_at, tie, source, identifier, left=False, came_to=target.warehouse)
    )


def _made(case: Case, line: Line, pattern: str, count: int, is_taken: Callable[[str], bool]) -> list[str]:
    """Numbers of a series; its counter moves on in the draft, so a rejection gives them back."""
    series = series_of(pattern, case.day, {"item": line.item.item, "unit": line.item.unit})
    key = (case.company.company, series.prefix)
    numbers, last = next_numbers(series, case.draft.series.get(key) or 0, count, is_taken)
    case.draft.series[key] = last
    return numbers


def _is_serial(case: Case, line: Line) -> Callable[[str], bool]:
    company, item = case.company.company, line.item.item
    serials, named = case.draft.serials, case.named
    return lambda number: serials.get((company, item, number)) is not None or (item, number) in named


def _is_batch(case: Case, line: Line) -> Callable[[str], bool]:
    company, item = case.company.company, line.item.item
    batches, named = case.draft.batches, case.named
    return lambda number: batches.get((company, item, number)) is not None or (item, number) in named


_BRINGING: Mapping[Tracking, Callable[[Case, Line, Warehouse], Portion | None]] = {
    Tracking.NONE: _bring_quantity,
    Tracking.BATCH: _bring_batch,
    Tracking.SERIAL: _bring_serials,
}
