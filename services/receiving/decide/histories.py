"""What a serial's record comes to, going by what happened to it: its stays, and what masters said of it.

A record is never put back from a copy. Where a movement is cancelled, the rest of the unit's history is gone through
again in the order in which it was recorded; a field that the cancelled movement did not set keeps its value.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import accumulate
from operator import itemgetter
from typing import Any, NamedTuple

from services.receiving.decide.originals import entry_id
from services.receiving.decide.stock import Entered, MovementKey, Serial, SerialKey, Warehouse
from services.receiving.decide.taking import status_in
from shared.contracts.movement import BinStamp, Leg, MovementAllocated
from shared.purposes import PURPOSES, Flow, SerialStatus
from shared.quantities import ZERO


class Stay(NamedTuple):
    """A unit's stay in a warehouse, by which movement it came and left; `until_at` None: it stands there.

    `warranty_until` is the warranty that began when it left.
    """

    warehouse: str
    from_at: datetime
    from_tie: int
    came_by: MovementKey
    until_at: datetime | None = None
    until_tie: int = 0
    left_by: MovementKey | None = None
    warranty_until: date | None = None


class Said(NamedTuple):
    """What a definition said of a unit; None where it did not speak of that."""

    recorded_at: datetime
    batch: str | None = None
    supplier: str | None = None
    warranty_until: date | None = None


@dataclass(frozen=True, slots=True)
class History:
    """All that happened to a unit and still counts, in the order in which it did."""

    stays: Sequence[Stay] = ()
    said: Sequence[Said] = ()

    @property
    def stands_in(self) -> str | None:
        """The warehouse where the unit stands."""
        return self.stays[-1].warehouse if self.stays and self.stays[-1].left_by is None else None

    @property
    def last_event(self) -> tuple[datetime, int, MovementKey] | None:
        """The last arrival or departure: when, its number among those of the moment, and by which movement."""
        if not self.stays:
            return None
        last = self.stays[-1]
        if last.until_at is None or last.left_by is None:
            return last.from_at, last.from_tie, last.came_by
        return last.until_at, last.until_tie, last.left_by

    def without(self, key: MovementKey) -> "History":
        """The history as if the movement of its last event had never been."""
        kept = [each for each in self.stays if each.came_by != key]
        stays = [_reopened(each) if each.left_by == key else each for each in kept]
        return History(stays, self.said)


def _reopened(stay: Stay) -> Stay:
    return stay._replace(until_at=None, until_tie=0, left_by=None, warranty_until=None)


@dataclass(frozen=True, slots=True)
class Passage:
    """How one movement took a unit, or brought it: the leg, its place among the legs, and the unit's in its line."""

    movement: MovementAllocated
    leg: Leg
    place: int
    number: int

    @property
    def name(self) -> MovementKey:
        """What names the movement."""
        return (self.movement.source, self.movement.id)

    @property
    def entered(self) -> Entered:
        """When what it brought entered the company."""
        stamps = (each.stamp for each in self.movement.stamps if _bin(each) == _bin(self.leg))
        return Entered(self.movement.effective_at, next(stamps), self.leg.line, self.number)


def _bin(of: Leg | BinStamp) -> tuple[str, str]:
    return (of.item, of.warehouse)


@dataclass(slots=True)
class Passages:
    """The movements of units' histories, and how each unit went by them; each movement is gone through once."""

    movements: Mapping[MovementKey, MovementAllocated]
    _found: dict[MovementKey, dict[tuple[str, str, bool], Passage]] = field(default_factory=dict)

    def of(self, key: MovementKey, serial: SerialKey, *, leaving: bool) -> Passage | None:
        """How a unit left by a movement, or came by it; None where it did not."""
        if key not in self._found:
            self._found[key] = dict(_passages(self.movements[key]))
        return self._found[key].get((serial[1], serial[2], leaving))


def _passages(movement: MovementAllocated) -> Iterator[tuple[tuple[str, str, bool], Passage]]:
    brought: dict[int, int] = defaultdict(int)
    for place, leg in enumerate(movement.legs):
        if not leg.quantity:
            continue
        leaving = leg.quantity < ZERO
        for number in leg.serials:
            yield (leg.item, number, leaving), Passage(movement, leg, place, 0 if leaving else brought[leg.line])
            if not leaving:
                brought[leg.line] += 1


def record_without(
    undone: MovementAllocated,
    key: SerialKey,
    record: Serial,
    history: History,
    passages: Passages,
    warehouses: Mapping[tuple[str, str], Warehouse],
) -> Serial:
    """A unit's record once the movement of its last event is cancelled."""
    remaining = history.without((undone.source, undone.id))
    told = _told(key, remaining, passages)
    fields: dict[str, Any] = {name: told.get(name) for name in _fields_set(undone, key, history, passages)}
    event = remaining.last_event
    at, tie = event[:2] if event is not None else (None, 0)
    return record._replace(
        **fields,
        status=_status(key, remaining, passages, warehouses),
        warehouse=remaining.stands_in,
        last_at=at,
        last_tie=tie,
    )


def _status(
    key: SerialKey, history: History, passages: Passages, warehouses: Mapping[tuple[str, str], Warehouse]
) -> SerialStatus:
    """Derived from the last event: where a unit stands, else by which purpose it left; one that never came is none."""
    if not history.stays:
        return SerialStatus.INACTIVE
    last = history.stays[-1]
    if last.left_by is None:
        return status_in(warehouses.get((key[0], last.warehouse)))
    return PURPOSES[passages.movements[last.left_by].purpose].serial_status


def _fields_set(undone: MovementAllocated, key: SerialKey, history: History, passages: Passages) -> set[str]:
    """The fields of a unit's record that a movement set, beside where it is and since when."""
    name = (undone.source, undone.id)
    stays = [each for each in history.stays if name in (each.came_by, each.left_by)]
    ways = ((stay, way) for stay in stays for way in _ways(stay, key, passages))
    return {each for stay, way in ways if way.name == name for each in _set_by(way, stay)}


def _told(key: SerialKey, history: History, passages: Passages) -> dict[str, Any]:
    """What the fields of a record come to by all that is told of a unit, in the order in which it was recorded."""
    ways = [(stay, way) for stay in history.stays for way in _ways(stay, key, passages)]
    # Clocks differ: what happened to a unit is in order, whatever the times of acceptance say.
    times = accumulate((way.movement.recorded_at for _, way in ways), max)
    events = [(at, _set_by(way, stay)) for at, (stay, way) in zip(times, ways, strict=True)]
    words = [(each.recorded_at, _words(each)) for each in history.said]
    told: dict[str, Any] = {}
    for _, fields in sorted([*events, *words], key=itemgetter(0)):
        told |= fields
    return told


def _ways(stay: Stay, key: SerialKey, passages: Passages) -> Iterator[Passage]:
    """How a unit came to a stay, and how it left."""
    came = passages.of(stay.came_by, key, leaving=False)
    left = passages.of(stay.left_by, key, leaving=True) if stay.left_by is not None else None
    yield from (each for each in (came, left) if each is not None)


def _set_by(passage: Passage, stay: Stay) -> dict[str, Any]:
    """The fields that a unit's coming into the company, or leaving it, sets; within the company it sets none."""
    movement, leg = passage.movement, passage.leg
    purpose = PURPOSES[movement.purpose]
    if purpose.flow is Flow.MOVE:
        return {}
    fields: dict[str, Any] = {}
    if leg.quantity > ZERO:
        fields |= {"customer": None, "customer_document": None, "entered": passage.entered}
        if leg.batch is not None and purpose.flow in (Flow.IN, Flow.MAKE):
            fields["batch"] = leg.batch
        if purpose.from_supplier:
            fields |= {"supplier": movement.supplier, "supplier_document": movement.document}
        return fields
    fields |= {"left_by": entry_id(movement, passage.place), "left_from": leg.warehouse}
    if purpose.to_customer:
        fields |= {"customer": movement.customer, "customer_document": movement.document}
    if stay.warranty_until is not None:
        fields["warranty_until"] = stay.warranty_until
    return fields


def _words(said: Said) -> dict[str, Any]:
    told = {"batch": said.batch, "supplier": said.supplier, "warranty_until": said.warranty_until}
    return {name: value for name, value in told.items() if value is not None}
