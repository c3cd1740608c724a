"""Who has got recalled goods: of what happened to them, the side of those who are outside.

The one idea: what came back counts for whom it had gone to, by the entry that it returns; only a return that names none
counts for whom it names itself. So what is still out with somebody may be too much, and is never too little.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from services.desk.trace.goods import Event, Goods, Key, Kind, Way
from services.desk.trace.tracing import Trace
from shared.quantities import ZERO

Lot = tuple[str, str | None]
"""An item and a batch of it; or none, of units that belong to none."""


class Role(StrEnum):
    """As what somebody got goods: sold or delivered to them, or issued to them (a patient, a ward)."""

    CUSTOMER = "customer"
    RECIPIENT = "recipient"


class Step(NamedTuple):
    """What one movement gave or took back; quantities above zero, with the serials of units."""

    key: Key
    document: str | None
    posting_date: date | None
    quantity: Decimal
    serials: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its document, else its id, and its day."""
        return f"{self.document or self.key[1]} ({self.posting_date})" if self.posting_date else self.key[1]


@dataclass(slots=True)
class Holding:
    """What one of them got of a batch, or of the units of a batch, and what of that came back.

    `name` is None where a movement named nobody. `before`, `since`: what came back before the recall, and after it.
    """

    role: Role
    name: str | None
    item: str
    batch: str | None
    unit: str | None
    taken: list[Step] = field(default_factory=list)
    before: list[Step] = field(default_factory=list)
    since: list[Step] = field(default_factory=list)

    @property
    def still_out(self) -> Decimal:
        """How much they have; below zero where more came back by nobody's name than had gone so."""
        return total(self.taken) - total(self.before) - total(self.since)

    @property
    def serials(self) -> list[str]:
        """The units that they got."""
        return sorted({each for step in self.taken for each in step.serials})

    @property
    def serials_out(self) -> list[str]:
        """The units that they still have; one may have gone to them twice."""
        gone = Counter(each for step in self.taken for each in step.serials)
        gone.subtract(each for step in (*self.before, *self.since) for each in step.serials)
        return sorted(each for each, times in gone.items() if times > 0)


def total(steps: Iterable[Step]) -> Decimal:
    """How much some steps come to."""
    return sum((each.quantity for each in steps), ZERO)


def holdings(down: Trace, recalled_at: datetime) -> list[Holding]:
    """Who has got any of the goods that were followed, by name, item and batch; those whom nobody named come last."""
    found: dict[tuple[_Party, Lot], Holding] = {}
    for (party, lot, part, _), events in _by_movement(down, recalled_at).items():
        holding = found.setdefault((party, lot), Holding(*party, *lot, down.stock_units.get(lot[0])))
        steps: list[Step] = getattr(holding, part)
        steps.append(_step(down, events))
    return sorted(found.values(), key=_in_order)


_Party = tuple[Role, str | None]
_Group = tuple[_Party, Lot, str, Key]


def _by_movement(down: Trace, recalled_at: datetime) -> dict[_Group, list[Event]]:
    """What each movement gave to whom of what, or brought back from them, before the recall or since."""
    happened = [event for own in down.walks[Way.DOWN].events.values() for event in own]
    happened.sort(key=lambda event: (event.effective_at, event.key, event.line, event.goods.serial or ""))
    given = {event.entry: _party(down, event) for event in happened if event.kind in (Kind.DELIVERED, Kind.ISSUED)}
    grouped: dict[_Group, list[Event]] = {}
    for event in happened:
        if event.kind in (Kind.DELIVERED, Kind.ISSUED, Kind.RETURNED):
            party = given.get(event.original or event.entry) or _party(down, event)
            part = "taken" if event.quantity < ZERO else "since" if event.effective_at > recalled_at else "before"
            grouped.setdefault((party, lot_of(down, event.goods), part, event.key), []).append(event)
    return grouped


def _party(down: Trace, event: Event) -> _Party:
    movement = down.movements.get(event.key)
    if event.kind is Kind.ISSUED:
        return Role.RECIPIENT, movement and (movement.recipient or movement.customer)
    return Role.CUSTOMER, movement and (movement.customer or movement.recipient)


def lot_of(down: Trace, goods: Goods) -> Lot:
    """A batch; of a unit the one that it belongs to, if any."""
    unit = down.units.get(goods)
    return goods.item, goods.batch if unit is None else unit.batch


def _step(down: Trace, events: Sequence[Event]) -> Step:
    key = events[0].key
    movement = down.movements.get(key)
    return Step(
        key,
        movement and movement.document,
        movement and movement.posting_date,
        abs(sum((each.quantity for each in events), ZERO)),
        tuple(each.goods.serial for each in events if each.goods.serial is not None),
    )


def _in_order(holding: Holding) -> tuple[bool, str, str, str, str]:
    return holding.name is None, holding.name or "", holding.role, holding.item, holding.batch or ""
