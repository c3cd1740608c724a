"""A recall as rows, a line for each of those to reach, and as a document with all that is known of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from services.desk.recall.finding import Findings
from services.desk.recall.reaching import Holding, Role, Step, total
from services.desk.store.recalls import Recalled
from services.desk.trace.balance import Balance
from services.desk.trace.goods import Goods, Kind
from shared.purposes import Tracking
from shared.quantities import ZERO, plain
from shared.report import Column, Row
from shared.report import Kind as Values

COLUMNS = (
    Column("customer"),
    Column("recipient"),
    Column("item"),
    Column("batch"),
    Column("serials"),
    Column("unit"),
    Column("quantity", Values.QUANTITY),
    Column("documents"),
    Column("first_on", Values.DATE),
    Column("last_on", Values.DATE),
    Column("came_back_before", Values.QUANTITY),
    Column("came_back_since", Values.QUANTITY),
    Column("still_out", Values.QUANTITY),
    Column("serials_out"),
    Column("reached_at", Values.TIME),
    Column("answer"),
)
"""Without customer and recipient: what movements gave out that named nobody."""


def rows(found: Findings) -> Iterator[Row]:
    """Whom to reach, a row for each batch that they have of an item."""
    names = [column.name for column in COLUMNS]
    for holding in found.holdings:
        told = _to_reach(found, holding)
        yield [told[name] for name in names]


def document(found: Findings, seconds: float) -> dict[str, Any]:
    """All of it as JSON has it; `seconds` is how long finding it took."""
    return {
        "recall": _plain(asdict(found.recall)),
        "summary": summary(found) | {"complete": found.is_whole},
        "times": {
            "asked_at": found.recall.since.isoformat(),
            "accepted_at": found.recall.recorded_at.isoformat(),
            "accepted_after_seconds": waited(found),
            "listed_in_seconds": round(seconds, 3),
        },
        "notes": [{"code": note.code, **note.facts} for note in found.notes()],
        "goods": [_goods(found, each) for each in found.goods],
        "made_since": [_names(each) for each in found.made_since],
        "stock": [_plain(each._asdict()) for each in found.places],
        "to_reach": [_holding(found, each) for each in found.holdings],
        "reached": [_plain(each._asdict()) for each in found.contacts],
        "left_since": [_with_key(each._asdict()) for each in found.left],
        "suppliers": [_with_key(each._asdict()) for each in found.supplies],
        "reservations": [_plain(each._asdict()) for each in found.reserved],
        "balances": [_balance(found, *each) for each in found.down.balances.items()],
    }


# --- in short ---------------------------------------------------------------------------------------------------------


def summary(found: Findings) -> dict[str, Any]:
    """How much there is of each; quantities of different units stand beside each other."""
    return {
        "goods": sum(each.goods is not None for each in found.goods) + len(found.made_since),
        "customers": len(found.customers),
        "reached": len(found.reached),
        "delivered": _each_unit((each.unit, total(each.taken)) for each in found.holdings),
        "came_back": _each_unit((each.unit, total([*each.before, *each.since])) for each in found.holdings),
        "still_out": _each_unit((each.unit, each.still_out) for each in found.holdings),
        "on_hand": _each_unit((each.unit, each.quantity) for each in found.places),
    }


def waited(found: Findings) -> float:
    """How many seconds after it was asked for a recall was accepted."""
    return round((found.recall.recorded_at - found.recall.since).total_seconds(), 3)


def _each_unit(measured: Iterable[tuple[str | None, Decimal]]) -> str:
    """`64 pcs, 1.5 kg`: what cannot be added up is not; nothing at all is `0`."""
    sums: dict[str, Decimal] = {}
    for unit, quantity in measured:
        sums[unit or ""] = sums.get(unit or "", ZERO) + quantity
    return ", ".join(f"{plain(quantity)} {unit}".rstrip() for unit, quantity in sorted(sums.items()) if quantity) or "0"


# --- at length --------------------------------------------------------------------------------------------------------


def _to_reach(found: Findings, holding: Holding) -> dict[str, Any]:
    days = [each.posting_date for each in holding.taken if each.posting_date is not None]
    contact = found.last.get(holding.name)
    return {
        **_party(holding),
        "item": holding.item,
        "batch": holding.batch,
        "serials": ", ".join(holding.serials) or None,
        "unit": holding.unit,
        "quantity": total(holding.taken),
        "documents": ", ".join(each.name for each in holding.taken) or None,
        "first_on": min(days, default=None),
        "last_on": max(days, default=None),
        "came_back_before": total(holding.before),
        "came_back_since": total(holding.since),
        "still_out": holding.still_out,
        "serials_out": ", ".join(holding.serials_out) or None,
        "reached_at": contact and contact.reached_at,
        "answer": contact and contact.answer,
    }


def _holding(found: Findings, holding: Holding) -> dict[str, Any]:
    """The same, movement by movement."""
    told = _to_reach(found, holding) | {"serials": holding.serials, "serials_out": holding.serials_out}
    parts = {"movements": holding.taken, "back_before": holding.before, "back_since": holding.since}
    return _plain(told) | {name: [_step(each) for each in steps] for name, steps in parts.items()}


def _party(holding: Holding) -> dict[str, str | None]:
    named = {role.value: holding.name if role is holding.role else None for role in Role}
    return named | {"role": holding.role.value} if holding.name is not None else named


def _step(step: Step) -> dict[str, Any]:
    return _with_key(step._asdict())


def _goods(found: Findings, each: Recalled) -> dict[str, Any]:
    """One of the goods with its record."""
    known = None if each.goods is None else found.down.batches.get(each.goods) or found.down.units.get(each.goods)
    record = {name: value for name, value in known._asdict().items() if name != "batch"} if known is not None else {}
    return _plain(
        {
            "item": each.item,
            "batch": each.batch,
            "serial": each.number if each.tracking is Tracking.SERIAL else None,
            "named": each.named,
            "frozen": each.frozen,
            "unit": found.down.stock_units.get(each.item),
            **record,
        }
    )


def _balance(found: Findings, goods: Goods, balance: Balance) -> dict[str, Any]:
    sums = {kind.value: plain(balance.of(kind)) for kind in Kind if balance.of(kind)}
    return {
        **_names(goods),
        "unit": found.down.stock_units.get(goods.item),
        **sums,
        "on_hand": plain(balance.standing),
        "difference": plain(balance.difference),
        "holds": balance.holds,
    }


def _names(goods: Goods) -> dict[str, Any]:
    return _plain({"item": goods.item, "batch": goods.batch, "serial": goods.serial})


def _with_key(told: Mapping[str, Any]) -> dict[str, Any]:
    source, identifier = told["key"]
    return {"source": source, "id": identifier, **_plain({name: each for name, each in told.items() if name != "key"})}


def _plain(told: Mapping[str, Any]) -> dict[str, Any]:
    """Without what nobody knows; decimals, days and times as texts."""
    return {name: _value(value) for name, value in told.items() if value is not None}


def _value(value: Any) -> Any:
    if isinstance(value, bool | int | str):
        return value if type(value) in (bool, int) else str(value)
    if isinstance(value, Sequence):
        return [_value(each) for each in value]
    return plain(value) if isinstance(value, Decimal) else value.isoformat()
