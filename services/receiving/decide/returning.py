"""What comes back from a customer, and what is sent back to a supplier.

With the original named, each part of a line returns a part of one of the original's legs and is worth what that was.
Without it, a serial comes back by the ledger entry by which it last left; all else at the last rate known.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from services.receiving.decide.bringing import bring_back
from services.receiving.decide.case import Case, Line, Plan, Portion
from services.receiving.decide.lines import read_lines
from services.receiving.decide.matching import Entries, Match, entries_by_item, leg_warehouse, match, note_returned
from services.receiving.decide.rates import take_known_rate
from services.receiving.decide.stock import Serial, Warehouse
from services.receiving.decide.taking import take
from shared.purposes import Tracking
from shared.quantities import ZERO


def come_back(case: Case) -> Plan:
    """What customers return, by the lines of a movement that brings nothing else."""
    return Plan(came=give_back(case, _lines(case)))


def give_back(case: Case, lines: Sequence[Line]) -> list[Portion]:
    """What customers return by these lines, in the draft; nothing where a reason was noted."""
    entries = _entries(case, lines)
    return [portion for line in lines for portion in _give_back(case, line, entries)]


def send_back(case: Case) -> Plan:
    """What is sent back to a supplier."""
    lines = _lines(case)
    entries = _entries(case, lines)
    return Plan(left=[portion for line in lines for portion in _send_back(case, line, entries)])


def _lines(case: Case) -> list[Line]:
    """The lines of a return, read; while its original is lacking there is nothing to judge them further by."""
    lines = read_lines(case)
    return [] if case.original is None and case.movement.against is not None else lines


def _entries(case: Case, lines: Sequence[Line]) -> Mapping[str, Entries]:
    if case.original is None:
        return {}
    return entries_by_item(case.original, case.purpose.flow, {line.item.item for line in lines})


def _give_back(case: Case, line: Line, entries: Mapping[str, Entries]) -> list[Portion]:
    if case.original is None:
        return _give_back_unreferenced(case, line)
    portions = [
        Portion(
            line,
            line.target or leg_warehouse(case, each.leg),
            each.quantity,
            _batch(line, each),
            each.serials,
            original=each.entry,
        )
        for each in match(case, line, entries[line.item.item])
    ]
    return _brought_back(case, portions)


def _batch(line: Line, matched: Match) -> str | None:
    """The batch of what is returned; with serials it is only what the line says of them."""
    return line.batch if line.item.tracking is Tracking.SERIAL else matched.leg.batch


def _brought_back(case: Case, portions: list[Portion]) -> list[Portion]:
    place = 0
    for portion in portions:
        bring_back(case, portion, place)
        place += len(portion.serials)
    return portions


def _send_back(case: Case, line: Line, entries: Mapping[str, Entries]) -> list[Portion]:
    """What leaves for the supplier: of one warehouse and batch at once, told by the entries by which it came."""
    if case.original is None:
        return _send_back_unreferenced(case, line)
    together: dict[tuple[str, str | None], list[Match]] = {}
    for each in match(case, line, entries[line.item.item]):
        source = line.source or leg_warehouse(case, each.leg)
        together.setdefault((source.warehouse, _batch(line, each)), []).append(each)
    return [portion for matches in together.values() for portion in _take_back(case, line, matches)]


def _take_back(case: Case, line: Line, matches: Sequence[Match]) -> list[Portion]:
    taken = take(
        case,
        replace(
            line,
            quantity=sum((each.quantity for each in matches), ZERO),
            batch=_batch(line, matches[0]),
            serials=[number for each in matches for number in each.serials] or None,
        ),
        line.source or leg_warehouse(case, matches[0].leg),
    )
    return [
        Portion(line, portion.warehouse, each.quantity, portion.batch, each.serials, original=each.entry)
        for portion in taken
        for each in matches
    ]


# --- without an original ----------------------------------------------------------------------------------------------


def _give_back_unreferenced(case: Case, line: Line) -> list[Portion]:
    if line.target is None or case.movement.against is not None:
        return []  # the reason was noted
    _refuse_against_line(case, line)
    before = len(case.reasons)
    portions = _brought_back(case, _UNREFERENCED[line.item.tracking](case, line, line.target))
    if len(case.reasons) == before:
        for portion in portions:
            _value(case, portion)
    case.remark("unreferenced", line, item=line.item.item)
    return portions


def _send_back_unreferenced(case: Case, line: Line) -> list[Portion]:
    _refuse_against_line(case, line)
    case.remark("unreferenced", line, item=line.item.item)
    return take(case, line, line.source) if line.source is not None else []


def _refuse_against_line(case: Case, line: Line) -> None:
    """A line of another movement is named, but no movement."""
    number = line.requested.against_line
    if number is not None:
        case.refuse("unknown_original_line", line, item=line.item.item, against_line=number)


def _quantity(case: Case, line: Line, target: Warehouse) -> list[Portion]:  # noqa: ARG001 - one shape for all
    return [Portion(line, target, line.quantity)]


def _batch_named(case: Case, line: Line, target: Warehouse) -> list[Portion]:
    if line.batch is None:
        case.refuse("batch_missing", line, item=line.item.item)
        return []
    return [Portion(line, target, line.quantity, line.batch)]


def _serials_by_exit(case: Case, line: Line, target: Warehouse) -> list[Portion]:
    """The named serials by the ledger entry by which each last left; none where it never did."""
    if line.serials is None:
        case.refuse("serials_missing", line, item=line.item.item, quantity=line.quantity)
        return []
    by_exit: dict[str | None, list[str]] = {}
    for number in line.serials:
        serial = case.draft.serials.get((case.company.company, line.item.item, number)) or Serial()
        by_exit.setdefault(serial.left_by, []).append(number)
        if serial.left_from is not None:
            case.also.add((case.company.company, line.item.item, serial.left_from))
    return [
        Portion(line, target, Decimal(len(numbers)), line.batch, numbers, original=entry)
        for entry, numbers in by_exit.items()
    ]


def _value(case: Case, portion: Portion) -> None:
    """What comes back without an original is worth what it was when it last left, else the last rate known there."""
    if portion.original is None:
        take_known_rate(case, portion.line, portion.warehouse)
    else:
        note_returned(case, portion.original, portion.quantity, portion.serials)


_UNREFERENCED: Mapping[Tracking, Callable[[Case, Line, Warehouse], list[Portion]]] = {
    Tracking.NONE: _quantity,
    Tracking.BATCH: _batch_named,
    Tracking.SERIAL: _serials_by_exit,
}
