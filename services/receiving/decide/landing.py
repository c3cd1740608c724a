"""Landed costs: a receipt turns out to have cost more, or less, than its lines said.

Its goods are worth as much more from the receipt on, as long as they still stand where it brought them and nothing was
valued by them since.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from services.receiving.decide.case import Case, Line, Plan, Portion
from services.receiving.decide.lines import check_lines, check_share, numbered
from services.receiving.decide.originals import legs_with_entries
from services.receiving.decide.stock import Serial
from shared.contracts.movement import Leg, RequestedLine
from shared.purposes import Tracking
from shared.quantities import ZERO


@dataclass(frozen=True, slots=True)
class _Landed:
    """What is said of a line of the receipt: by which line of the landed cost (None: by none), and its share."""

    by: int | None = None
    share: Decimal | None = None


@dataclass(frozen=True, slots=True)
class _Goods:
    """What a receipt brought by one leg: its ledger entry, when, and its number in the leg's bin."""

    entry: str
    leg: Leg
    at: datetime
    stamp: int
    landed: _Landed


def land(case: Case) -> Plan:
    """Each line of the receipt, or each that the landed cost names, is valued anew by its part of the costs."""
    named = _named(case) if check_lines(case) else {}
    return Plan(valued=[_revalue(case, goods) for goods in _goods(case, named)])


def _goods(case: Case, named: Mapping[int, _Landed]) -> list[_Goods]:
    """What the receipt brought by the lines named, by all where none is named."""
    receipt = case.original
    if receipt is None:
        return []
    brought = [(entry, leg) for entry, leg in legs_with_entries(receipt) if leg.quantity > ZERO]
    lines = {leg.line for _, leg in brought}
    for number in named.keys() - lines:
        case.refuse("unknown_original_line", named[number].by, against_line=number)
    landed = named or dict.fromkeys(lines, _Landed())
    stamps = {(each.item, each.warehouse): each.stamp for each in receipt.stamps}
    return [
        _Goods(entry, leg, receipt.effective_at, stamps[leg.item, leg.warehouse], landed[leg.line])
        for entry, leg in brought
        if leg.line in landed
    ]


def _named(case: Case) -> dict[int, _Landed]:
    """The lines of the receipt that the landed cost names; it names nothing else."""
    named: dict[int, _Landed] = {}
    for number, requested in numbered(case.movement.lines):
        check_share(case, number, requested)
        said = list(_said(requested))
        if said:
            case.refuse("landed_line_names_goods", number, fields=", ".join(said))
        against = requested.against_line
        if against is None:
            case.refuse("against_line_missing", number)
        elif against in named:
            case.refuse("line_repeated", number, against_line=against)
        else:
            named[against] = _Landed(number, requested.share)
    return named


def _said(requested: RequestedLine) -> Iterator[str]:
    """What a line says beyond the line of the receipt and its share."""
    bare = RequestedLine(line=requested.line, against_line=requested.against_line, share=requested.share)
    return (name for name in requested.__struct_fields__ if getattr(requested, name) != getattr(bare, name))


def _revalue(case: Case, goods: _Goods) -> Portion:
    """The goods of one leg, refused where they do not stand any more as the receipt brought them."""
    leg, stock = goods.leg, case.draft.stock
    item = stock.items[case.company.company, leg.item]
    warehouse = stock.warehouses[case.company.company, leg.warehouse]
    moved_on = _MOVED_ON[leg.tracking](case, goods)
    if moved_on is not None:
        facts = {"item": leg.item, "warehouse": leg.warehouse, "against_line": leg.line, **moved_on}
        case.refuse("revaluation_unsupported", goods.landed.by, **facts)
    line = Line(leg.line, RequestedLine(line=leg.line), item, ZERO, ZERO, None, warehouse)
    return Portion(line, warehouse, ZERO, leg.batch, leg.serials, share=goods.landed.share, original=goods.entry)


# --- whether goods moved on -------------------------------------------------------------------------------------------

_Facts = Mapping[str, str]
"""Which of a leg's goods moved on, or were valued with others; all that stands in a bin needs no name."""


def _quantity_moved_on(case: Case, goods: _Goods) -> _Facts | None:
    drawn = case.bin((case.company.company, goods.leg.item, goods.leg.warehouse)).last_drawn
    return {} if drawn >= goods.stamp else None


def _batch_moved_on(case: Case, goods: _Goods) -> _Facts | None:
    batch = goods.leg.batch or ""
    stock = case.draft.batch_stock.get((case.company.company, goods.leg.item, goods.leg.warehouse, batch))
    if stock is None or stock.last_drawn >= goods.stamp:
        return {"batch": batch}
    return _quantity_moved_on(case, goods)


def _serials_moved_on(case: Case, goods: _Goods) -> _Facts | None:
    for number in goods.leg.serials:
        serial = case.draft.serials.get((case.company.company, goods.leg.item, number)) or Serial()
        came = serial.entered is not None and serial.entered.stamp == goods.stamp and serial.last_at == goods.at
        if not came or serial.warehouse != goods.leg.warehouse:
            return {"serial": number}
    return _quantity_moved_on(case, goods)


_MOVED_ON: Mapping[Tracking, Callable[[Case, _Goods], _Facts | None]] = {
    Tracking.NONE: _quantity_moved_on,
    Tracking.BATCH: _batch_moved_on,
    Tracking.SERIAL: _serials_moved_on,
}
"""None where goods still stand as they came."""
