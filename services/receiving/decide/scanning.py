"""Scanned codes of lines: which item, batch and serial they mean, put into the fields that hold these.

A code of our own comes before what GS1 would make of the same digits. What a label says beside, and the item does not
keep (a lot number of an untracked item), is left out; what contradicts the line is refused.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from services.receiving.decide.series import TooMany, read_serials
from shared.contracts.codec import changed
from shared.contracts.movement import MovementRequested, RequestedLine
from shared.errors import Reason
from shared.gs1 import Elements, Scan, read_scan
from shared.purposes import PURPOSES, Flow, Tracking
from shared.quantities import Quantity, plain

KILOGRAM = "kg"

Fields = dict[str, Any]
"""Fields of a line, with their values."""


@dataclass(frozen=True, slots=True)
class Scannable:
    """An item as scanning needs it."""

    item: str
    tracking: Tracking
    units: frozenset[str] = frozenset()


@dataclass(slots=True)
class Codes:
    """The codes of one company, of those that were scanned: items by code and by GTIN (fourteen digits), and of which
    items there are batches and serials of a number."""

    company: str
    items: dict[str, Scannable] = field(default_factory=dict)
    gtins: dict[str, list[str]] = field(default_factory=dict)
    batches: dict[str, list[str]] = field(default_factory=dict)
    serials: dict[str, list[str]] = field(default_factory=dict)


def has_scans(movement: MovementRequested) -> bool:
    """Whether a line has a code instead of fields."""
    return any(line.scan is not None for line in movement.lines)


def scans_of(movement: MovementRequested) -> Iterator[Scan]:
    """What the codes of a movement can be."""
    return (read_scan(line.scan) for line in movement.lines if line.scan is not None)


def fill_in(movement: MovementRequested, codes: Codes) -> tuple[MovementRequested, tuple[Reason, ...]]:
    """A movement with the fields that its codes hold, and the reasons against codes that cannot be read."""
    lines: list[RequestedLine] = []
    reasons: list[Reason] = []
    brings = movement.purpose in PURPOSES and PURPOSES[movement.purpose].flow is Flow.IN
    for place, line in enumerate(movement.lines, 1):
        if line.scan is None:
            lines.append(line)
            continue
        filled, found = _fill_in(line, line.line or place, codes, brings=brings)
        lines.append(changed(filled, scan=None))
        reasons += found
    return changed(movement, lines=lines), tuple(reasons)


def _fill_in(line: RequestedLine, number: int, codes: Codes, *, brings: bool) -> tuple[RequestedLine, Sequence[Reason]]:
    code = line.scan or ""
    scan = read_scan(code)
    told = _own(scan.plain, line, number, codes)
    if told is None and scan.elements is not None:
        told = _of_elements(scan.elements, line, number, codes, brings=brings)
    if told is None:
        told = _new(scan, line, number, codes)
    if isinstance(told, Reason):
        return line, [told]
    conflicts = [
        Reason(
            "scan_conflicts", number, {"scan": code, "field": name, "scanned": _shown(value), "given": _shown(given)}
        )
        for name, value in told.items()
        if (given := getattr(line, name)) is not None and not _is_same(name, given, value)
    ]
    return changed(line, **told) if not conflicts else line, conflicts


def _own(code: str | None, line: RequestedLine, number: int, codes: Codes) -> Fields | Reason | None:
    """A code of our own: an item's, else a serial's, else a batch's; where the line names an item, only of that."""
    if code is None:
        return None
    if code in codes.items and line.item in (None, code):
        return {"item": code}
    for name, found, value in (("serials", codes.serials, [code]), ("batch", codes.batches, code)):
        items = [each for each in found.get(code, ()) if line.item in (None, each)]
        if len(items) > 1:
            return Reason("scan_ambiguous", number, {"scan": code, "items": ", ".join(sorted(items))})
        if items:
            return {"item": items[0], name: value}
    return None


def _of_elements(
    elements: Elements, line: RequestedLine, number: int, codes: Codes, *, brings: bool
) -> Fields | Reason:
    code, scan = line.item, line.scan or ""
    if elements.gtin is not None:
        items = codes.gtins.get(elements.gtin, [])
        if len(items) > 1:
            return Reason("scan_ambiguous", number, {"scan": scan, "items": ", ".join(sorted(items))})
        if not items:
            return Reason("unknown_gtin", number, {"scan": scan, "gtin": elements.gtin})
        code = items[0]
    if code is None:
        return Reason("scan_without_item", number, {"scan": scan})
    item = codes.items.get(code)
    return {} if item is None else _fields(elements, item, codes, brings=brings)


def _fields(elements: Elements, item: Scannable, codes: Codes, *, brings: bool) -> Fields:
    """What of a label the item keeps."""
    told: Fields = {"item": item.item}
    if item.tracking is Tracking.SERIAL and elements.serial is not None:
        told["serials"] = [elements.serial]
    if elements.batch is not None and _keeps_batch(item, elements.batch, codes):
        told["batch"] = elements.batch
    if item.tracking is Tracking.BATCH and brings:
        days = {"expires_on": elements.expires_on, "manufactured_on": elements.manufactured_on}
        told |= {name: day for name, day in days.items() if day is not None}
    if elements.count is not None:
        told["quantity"] = Quantity(elements.count)
    elif elements.weight is not None and KILOGRAM in item.units:
        told |= {"quantity": Quantity(elements.weight), "unit": KILOGRAM}
    return told


def _keeps_batch(item: Scannable, batch: str, codes: Codes) -> bool:
    """A batch's number belongs to items of batches, and to serials where it is known as theirs."""
    return item.tracking is Tracking.BATCH or (
        item.tracking is Tracking.SERIAL and item.item in codes.batches.get(batch, ())
    )


def _new(scan: Scan, line: RequestedLine, number: int, codes: Codes) -> Fields | Reason:
    """A code that nobody knows is the number of a unit of the line's item, if that has units with numbers."""
    item = codes.items.get(line.item or "")
    if scan.plain is None:
        return Reason("scan_unreadable", number, {"scan": line.scan or "", "problem": scan.problem or "it is empty"})
    if item is None or item.tracking is Tracking.NONE:
        return Reason("unknown_scan", number, {"scan": line.scan or ""})
    return {"serials": [scan.plain]} if item.tracking is Tracking.SERIAL else {"batch": scan.plain}


def _is_same(name: str, given: Any, value: Any) -> bool:
    if name == "serials":
        numbers: Sequence[str] = given.split(",") if isinstance(given, str) else given
        return [each.strip() for each in numbers] == [str(each) for each in value]
    return bool((given.strip() if name == "batch" else given) == value)


def _shown(value: Any) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    return ", ".join(value) if isinstance(value, list) else str(value)


def note_named(movements: Iterable[MovementRequested], wanted: Collection[str], codes: Codes, limit: int) -> None:
    """Have the codes know of units that movements name, with their items: they may be about to bring them."""
    for line in (line for each in movements for line in each.lines if line.item is not None):
        numbers = read_serials(line.serials or (), limit)
        serials = [] if isinstance(numbers, TooMany) else numbers
        for found, named in ((codes.serials, serials), (codes.batches, [(line.batch or "").strip()])):
            for number in set(wanted) & set(named):
                items = found.setdefault(number, [])
                items += [line.item] if line.item not in items and line.item is not None else []


def wanted(movements: Mapping[Any, MovementRequested]) -> tuple[set[str], set[str]]:
    """The plain codes, and the GTINs, of movements: what there may be of them is to be looked up."""
    plains: set[str] = set()
    gtins: set[str] = set()
    for movement in movements.values():
        plains |= {line.item for line in movement.lines if line.scan is not None and line.item is not None}
        for scan in scans_of(movement):
            plains |= {scan.plain} if scan.plain is not None else set()
            elements = scan.elements or Elements()
            gtins |= {elements.gtin} if elements.gtin is not None else set()
            plains |= {elements.batch} if elements.batch is not None else set()
    return plains, gtins
