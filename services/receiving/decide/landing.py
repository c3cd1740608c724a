"""Landed costs: a receipt turns out to have cost more, or less, than its lines said.

Its goods are worth as much more from the receipt on, and so is whatever they went into since; the ledger finds that.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from services.receiving.decide.case import Case, Line, Plan, Portion
from services.receiving.decide.lines import check_lines, check_share, numbered
from services.receiving.decide.originals import legs_with_entries
from shared.contracts.movement import Leg, RequestedLine
from shared.quantities import ZERO


@dataclass(frozen=True, slots=True)
class _Landed:
    """What is said of a line of the receipt: by which line of the landed cost (None: by none), and its share."""

    by: int | None = None
    share: Decimal | None = None


@dataclass(frozen=True, slots=True)
class _Goods:
    """What a receipt brought by one leg, and its ledger entry."""

    entry: str
    leg: Leg
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
    return [_Goods(entry, leg, landed[leg.line]) for entry, leg in brought if leg.line in landed]


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
    """The goods of one leg, valued anew; nothing of them moves."""
    leg, stock = goods.leg, case.draft.stock
    item = stock.items[case.company.company, leg.item]
    warehouse = stock.warehouses[case.company.company, leg.warehouse]
    line = Line(leg.line, RequestedLine(line=leg.line), item, ZERO, ZERO, None, warehouse)
    return Portion(line, warehouse, ZERO, leg.batch, leg.serials, share=goods.landed.share, original=goods.entry)
