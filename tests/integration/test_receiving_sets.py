"""The store against the core: sets on a database are answered as the core answers that has everything at hand.

One and the same history is asked twice: of the gate, in sets of random size, each of which reads no more than it needs;
and of the pure core, movement after movement, on one stock that is never read anew.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine

from services.receiving.decide.allocation import Accepted, Rejected
from services.receiving.decide.case import Request
from services.receiving.decide.past import Aside
from services.receiving.decide.stock import Item
from shared.contracts.movement import AdditionalCost, Leg, MovementAllocated, Reference, RequestedLine
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.contracts.registry import MOVEMENT_ALLOCATED, TRIAL_ALLOCATED, UNITS_ALLOCATED
from shared.purposes import PURPOSES, Flow, Purpose, Tracking
from shared.quantities import Money, Rate
from shared.service import Output
from tests.builders import SOURCE
from tests.receiving_builders import (
    Gate,
    Shop,
    after,
    assert_sound,
    decoded,
    define_shop,
    events,
    item,
    line,
    movement,
    opened,
    request,
    rows,
)
from tests.timeline_builders import Timeline

NAMED: dict[str, dict[str, Any]] = {
    "tea": {},
    "nails": {"allow_negative_stock": True, "standard_rate": Rate(2), "valuation_method": "moving_average"},
    "cream": {"tracking": "batch", "create_batches_on_receipt": True, "pick": "fefo"},
    "soap": {"tracking": "batch", "batch_series": "B-.##", "pick": "lifo"},
    "phone": {"tracking": "serial", "serial_series": "S-.##"},
    "watch": {"tracking": "serial", "create_batches_on_receipt": True, "pick": "lifo"},
}
ITEMS: dict[str, Item] = {name: item(name, **fields) for name, fields in NAMED.items()}
PLACES = ("north", "north", "south", "quarantine")
BATCHES = ("B1", "B2", "B-01", "B-02")
SERIALS = ("H1", "H2", "H3", "H4", "S-01", "S-02", "S-05")
FACTS = "pos"
_PURPOSES = [each for each in PURPOSES.values() if each.flow is not Flow.CANCEL]
_OFTEN = ("opening_stock", *["purchase_receipt"] * 2, "delivery", *["sale"] * 2, "sales_return", "landed_cost")
_Answer = tuple[MovementAllocated | None, OutcomeAccepted | OutcomeRejected | None]


class History:
    """Draws movements of all purposes from what the core's stock holds, and has the core judge them.

    Most can be had. Some name what is not there, too much of it, or an original that is none.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.shop = Shop(*ITEMS.values())
        self.shop.stock.telling = frozenset([FACTS])
        self.accepted: set[str] = set()
        self.set_aside = 0
        self._count = 60

    def next_set(self) -> tuple[list[bytes], dict[str, _Answer]]:
        """Movements as they are sent, and how each is answered: in their order, dry runs behind all others."""
        bodies: list[bytes] = []
        answers: dict[str, _Answer] = {}
        tried: list[Request] = []
        for _ in range(self.random.randint(1, 8)):
            asked = self._next()
            bodies += events([asked.movement] if asked.movement is not None else [], asked.source)
            if asked.movement is not None and asked.movement.dry_run:
                tried.append(asked)
                continue
            judged = self.shop.judge_first(asked)
            if isinstance(judged, Aside):
                self.set_aside += 1
                judged = self.shop.judge(asked)
            answers[asked.id] = self._answer(judged)
        answers |= {each.id: self._answer(self.shop.judge(each)) for each in tried}
        for identifier, (allocated, outcome) in answers.items():
            if allocated is None and isinstance(outcome, OutcomeRejected) and not outcome.dry_run:
                self.shop.stock.originals[outcome.source, identifier] = None
        return bodies, answers

    def _answer(self, judged: Accepted | Rejected) -> _Answer:
        if isinstance(judged, Accepted):
            self.accepted.add(judged.allocated.purpose)
            return judged.allocated, judged.outcome
        return None, judged.outcome

    def _next(self) -> Request:
        self._count += 1
        purpose = self.random.choice([*_PURPOSES, *(PURPOSES[name] for name in _OFTEN)])
        back = self.random.randint(6, 60) if self._perhaps(0.25) else 0
        against = self._original(purpose) if purpose.against and not self._perhaps(0.2) else None
        lines = self._lines(purpose, against)
        often = 0.95 if purpose.flow is Flow.LAND else 0.4
        costs = [AdditionalCost(amount=Money(2))] if purpose.takes_costs and self._perhaps(often) else []
        asked = movement(
            purpose.name,
            *lines,
            id=f"M{self._count}",
            at=after(self._count - back),
            against=None if against is None else Reference(id=against.id, source=against.source),
            dry_run=self._perhaps(0.1),
            company="shop" if self._perhaps(0.5) else None,
            additional_costs=costs,
        )
        return request(asked, FACTS if self._perhaps(0.1) else SOURCE)

    def _original(self, purpose: Purpose) -> MovementAllocated | None:
        known = [each for each in self.shop.stock.originals.values() if each is not None]
        fitting = [each for each in known if each.purpose in purpose.against and not self._perhaps(0.05)]
        last = 3 if purpose.flow is Flow.LAND else 8
        return self.random.choice(fitting[-last:] or known or [None])

    def _lines(self, purpose: Purpose, against: MovementAllocated | None) -> list[RequestedLine]:
        draw = {
            Flow.IN: self._comes,
            Flow.COUNT: self._counted,
            Flow.WRITE_DOWN: self._leaves,
            Flow.OUT: self._leaves,
            Flow.MOVE: self._leaves,
            Flow.COME_BACK: self._comes_back,
            Flow.SEND_BACK: self._leaves,
        }
        count = self.random.choice((1, 1, 2, 3))
        if purpose.flow is Flow.LAND:
            return []
        if purpose.flow is Flow.MAKE:
            return [*(self._leaves(purpose) for _ in range(count)), self._comes(purpose)]
        legs = [leg for leg in against.legs if leg.item in ITEMS] if against is not None else []
        if legs and purpose.flow in (Flow.COME_BACK, Flow.SEND_BACK) and not self._perhaps(0.1):
            return [self._returned(purpose, leg) for leg in self.random.sample(legs, min(count, len(legs)))]
        exchanged = [self._comes_back(purpose)] if purpose.has_money and self._perhaps(0.3) else []
        return [*(draw[purpose.flow](purpose) for _ in range(count)), *exchanged]

    def _returned(self, purpose: Purpose, leg: Leg) -> RequestedLine:
        """A part of a leg of the original; it may say which, or leave that to the original."""
        fields: dict[str, Any] = {}
        if self._perhaps(0.3):
            fields = {"target" if purpose.flow is Flow.COME_BACK else "source": self._place()}
        if self._perhaps(0.3):
            fields["against_line"] = leg.line
        if leg.batch is not None and leg.tracking is Tracking.BATCH and self._perhaps(0.5):
            fields["batch"] = leg.batch
        if leg.serials and self._perhaps(0.5):
            return line(leg.item, serials=self._some(leg.serials), **fields)
        return line(leg.item, self.random.randint(1, max(1, int(abs(leg.quantity)))), **fields)

    def _comes(self, purpose: Purpose) -> RequestedLine:
        name, fields = self._name(), {"target": self._place(), "rate": self.random.choice(["1", "2.5"])}
        if purpose.flow is Flow.MAKE:
            del fields["rate"]
        tracking = ITEMS[name].tracking
        if tracking is Tracking.BATCH and not self._perhaps(0.2):
            fields["batch"] = self.random.choice(BATCHES)
        if tracking is Tracking.SERIAL and (name == "watch" or self._perhaps(0.5)):
            return line(name, serials=self._some(SERIALS), **fields)
        return line(name, self.random.randint(2, 6), **fields)

    def _leaves(self, purpose: Purpose) -> RequestedLine:
        name, place = self._standing()
        fields: dict[str, Any] = {"source": place}
        if purpose.flow is Flow.MOVE:
            fields["target"] = self._place()
        if purpose.flow is Flow.WRITE_DOWN:
            fields["rate"] = self.random.choice(["0.5", "2"])
        if purpose.has_money:
            fields["price"] = "1"
        key = ("shop", name, place)
        numbers = sorted(self.shop.stock.serials_in.get(key, ()))
        batches = sorted(self.shop.stock.batches_in.get(key, ()))
        if batches and (purpose.flow is Flow.WRITE_DOWN or self._perhaps(0.5)):
            fields["batch"] = self.random.choice(batches)
        if numbers and self._perhaps(0.5):
            return line(name, serials=self._some(numbers), **fields)
        return line(name, None if purpose.flow is Flow.WRITE_DOWN else self.random.randint(1, 3), **fields)

    def _comes_back(self, purpose: Purpose) -> RequestedLine:
        """What comes back without a word of its original."""
        name, fields = self._name(), {"target": self._place()}
        if purpose.flow is Flow.OUT:
            fields["price"] = "1"
        if ITEMS[name].tracking is Tracking.BATCH:
            fields["batch"] = self.random.choice(BATCHES)
        away = [key[2] for key, each in self.shop.stock.serials.items() if key[1] == name and each.warehouse is None]
        if away and not self._perhaps(0.1):
            return line(name, serials=self._some(sorted(away)), **fields)
        return line(name, self.random.randint(1, 3), **fields)

    def _counted(self, _: Purpose) -> RequestedLine:
        name, place = self._standing()
        fields: dict[str, Any] = {"target": place, "rate": "2" if self._perhaps(0.5) else None}
        key = ("shop", name, place)
        if ITEMS[name].tracking is Tracking.BATCH:
            fields["batch"] = self.random.choice(sorted(self.shop.stock.batches_in.get(key, ())) or BATCHES)
        if ITEMS[name].tracking is not Tracking.SERIAL:
            return line(name, self.random.randint(0, 6), **fields)
        stands = sorted(self.shop.stock.serials_in.get(key, ()))
        kept = [number for number in stands if not self._perhaps(0.3)]
        away = [key[2] for key, each in self.shop.stock.serials.items() if key[1] == name and each.warehouse is None]
        found = self._some(sorted(away)) if away and self._perhaps(0.5) else []
        return line(name, serials=[*kept, *found], quantity=len(kept) + len(found), **fields)

    def _standing(self) -> tuple[str, str]:
        """An item, and a warehouse where some of it stands; or anywhere."""
        found = [(key[1], key[2]) for key, each in sorted(self.shop.stock.bins.items()) if each.quantity > 0]
        return self.random.choice(found) if found and not self._perhaps(0.05) else (self._name(), self._place())

    def _some(self, numbers: Sequence[str]) -> list[str]:
        return self.random.sample(list(numbers), self.random.randint(1, min(3, len(numbers))))

    def _name(self) -> str:
        return self.random.choice(list(ITEMS))

    def _place(self) -> str:
        return self.random.choice(PLACES)

    def _perhaps(self, chance: float) -> bool:
        return self.random.random() < chance


@pytest.mark.parametrize("seed", range(5))
def test_movements_of_all_purposes_in_sets_are_answered_as_if_all_were_at_hand(database: str, seed: int) -> None:
    history = History(Random(seed))
    with opened(database) as engine:
        gate = Gate(engine)
        define_shop(gate, *({"item": name, **fields} for name, fields in NAMED.items()))
        gate.define("source", source=FACTS, mode="fact", patience=0)
        for _ in range(50):
            bodies, expected = history.next_set()
            assert answers(gate.send(*bodies)) == expected
        assert_sound(engine)
        assert_over_time(engine, history.shop.timeline)
    assert history.accepted == {each.name for each in _PURPOSES}
    assert history.set_aside > 10


def assert_over_time(engine: Engine, timeline: Timeline) -> None:
    """What the database tells of the past is what was accepted."""
    changes = "SELECT item, warehouse, batch, effective_at, stamp, part, quantity, line FROM receiving.change"
    assert sorted(rows(engine, changes)) == sorted((*each.place[1:], *each[1:]) for each in timeline.changes)
    counts = """
        SELECT item, warehouse, batch, effective_at, stamp, source, id, line, cast(entry AS text), account, posting_date
        FROM receiving.count
    """
    assert sorted(rows(engine, counts)) == sorted((*place[1:], *count) for place, count in timeline.counts)


def answers(outputs: Sequence[Output]) -> dict[str, _Answer]:
    """What was told of each movement: what goes on to the ledger, and what its source hears."""
    found: dict[str, _Answer] = {}
    for output in outputs:
        told = decoded(output)
        if output.kind == TRIAL_ALLOCATED:
            found[output.id] = (told, told.trial)
        elif output.kind == MOVEMENT_ALLOCATED:
            found[output.id] = (told, None)
        elif output.kind == UNITS_ALLOCATED:
            assert told == found[output.id][0]
        else:
            found[output.id] = (found.get(output.id, (None,))[0], told)
    return found
