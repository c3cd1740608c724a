"""Recalls: which goods one begins with, and every reason against opening, noting or closing one.

The one idea: whoever takes goods holds a lock on their batch, or on their unit, until that is accepted. A recall takes
the same locks, so each delivery is either before it and found, or behind it and refused.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from services.receiving.decide.case import Limits
from services.receiving.decide.series import TooMany, count_serials, read_serials
from services.receiving.decide.stock import MovementKey
from shared.contracts.recall import RecalledGoods, RecallOpened
from shared.errors import Reason
from shared.purposes import Tracking


class Goods(NamedTuple):
    """A batch, a unit, or an untracked item, which has no number."""

    item: str
    tracking: Tracking
    number: str


class Reached(NamedTuple):
    """Goods that a recall reaches besides those that it names: `made` of those, or units of a batch among them."""

    goods: Goods
    made: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """A recall that was opened, whether it is over, and whether its goods were let go."""

    key: MovementKey
    company: str
    mock: bool
    recorded_at: datetime
    is_closed: bool
    is_released: bool = False


def read_goods(told: RecallOpened, limits: Limits) -> tuple[list[Goods], list[Reason]]:
    """What a recall begins with, each once, and what cannot be read of it."""
    named = sum(count_serials(each.serials) for each in told.goods if each.serials is not None)
    if named > limits.serials:
        return [], [Reason("too_many_serials", None, {"serials": str(named), "limit": str(limits.serials)})]
    found: dict[Goods, None] = {}
    reasons: list[Reason] = []
    for each in told.goods:
        goods = list(_goods(each, limits))
        if not goods:
            reasons.append(Reason("goods_missing", None, {"item": each.item}))
        found |= dict.fromkeys(goods)
    return list(found), reasons


def _goods(told: RecalledGoods, limits: Limits) -> Iterator[Goods]:
    """What names a batch and serials means both: rather too much is stopped than too little."""
    if batch := (told.batch or "").strip():
        yield Goods(told.item, Tracking.BATCH, batch)
    serials = read_serials(told.serials, limits.serials) if told.serials is not None else []
    if not isinstance(serials, TooMany):  # all of them were counted before
        yield from (Goods(told.item, Tracking.SERIAL, number) for number in serials)


def against_opening(goods: Iterable[Goods], items: Collection[str], known: Collection[Goods]) -> list[Reason]:
    """Why a recall of these goods cannot be opened: the items are not known, or the goods are not among the known."""
    goods = list(goods)
    reasons = [
        Reason("unknown_item", None, {"item": item})
        for item in dict.fromkeys(each.item for each in goods)
        if item not in items
    ]
    for each in goods:
        if each.item in items and each not in known:
            what = "serial" if each.tracking is Tracking.SERIAL else "batch"
            reasons.append(Reason(f"unknown_{what}", None, {"item": each.item, what: each.number}))
    return reasons


def against_use(key: MovementKey, standing: Standing | None) -> list[Reason]:
    """Why nothing can be noted of a recall: it is not known, or closed."""
    facts = {"source": key[0], "id": key[1]}
    if standing is None:
        return [Reason("unknown_recall", None, facts)]
    return [Reason("recall_closed", None, facts)] if standing.is_closed else []


def against_closing(key: MovementKey, standing: Standing | None, *, release: bool) -> list[Reason]:
    """Why a recall cannot be closed; one that is closed may still let its goods go, once."""
    if standing is not None and standing.is_closed and release and not (standing.is_released or standing.mock):
        return []
    return against_use(key, standing)


def against_time(standing: Standing, reached_at: datetime | None, now: datetime) -> list[Reason]:
    """Why nobody was reached then: the recall was not open yet, or it has not come to that."""
    if reached_at is None or standing.recorded_at <= reached_at <= now:
        return []
    facts = {"reached_at": reached_at.isoformat(), "after": standing.recorded_at.isoformat(), "until": now.isoformat()}
    return [Reason("reached_at_out_of_range", None, facts)]
