"""Random histories that are told out of order, through the gate: quantities over time are what they can have been."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from sqlalchemy import Engine

from shared.contracts.movement import MovementAllocated, MovementRequested
from shared.contracts.outcome import OutcomeRejected
from shared.contracts.registry import MOVEMENT_ALLOCATED, OUTCOME_ACCEPTED, OUTCOME_REJECTED
from shared.service import Output
from tests.builders import SOURCE
from tests.properties.past_histories import History
from tests.properties.reference_past import Place, faults, places, rows_of, steps, would_lack
from tests.receiving_builders import WAREHOUSES, Gate, assert_sound, decoded, define_shop, events, opened, rows

FACTS = "pos"
HISTORIES = 100
SETS = 12


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    with opened(database) as engine:
        yield engine


class Played:
    """Histories through one gate, each of goods of its own, and what was accepted of them in the order accepted."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.gate = Gate(engine)
        define_shop(self.gate)
        self.gate.define("source", source=FACTS, mode="fact", patience=0)
        self.back_dated = self.corrected = self.lacking = 0

    def play(self, seed: int) -> None:
        random = Random(seed)
        history = History(random, seed)
        for each in history.goods():
            self.gate.define("item", company="shop", **each)
        accepted: list[MovementAllocated] = []
        may_be_short = {(f"coal-{seed}", warehouse, "") for warehouse in WAREHOUSES}
        for _ in range(SETS):
            source = FACTS if random.random() < 0.1 else SOURCE
            asked = {each.id: each for each in history.next_set()}
            for output in self.gate.send(*events([*asked.values()], source)):
                told = decoded(output)
                if output.kind == MOVEMENT_ALLOCATED:
                    self._note(told, accepted)
                    accepted.append(told)
                    may_be_short |= _taken(told) if source == FACTS else set()
                elif output.kind == OUTCOME_REJECTED and source == SOURCE:
                    self._check_refusal(asked[output.id], told, accepted)
            assert faults(accepted, may_be_short=may_be_short) == [], (seed, list(asked))
        self._check_store(seed, accepted)

    def _note(self, told: MovementAllocated, accepted: list[MovementAllocated]) -> None:
        bins = {(leg.item, leg.warehouse) for leg in told.legs}
        before = [each for each in accepted if bins & {(leg.item, leg.warehouse) for leg in each.legs}]
        self.back_dated += any(each.effective_at > told.effective_at for each in before)
        self.corrected += any(leg.corrects is not None for leg in told.legs)

    def _check_refusal(
        self, asked: MovementRequested, told: OutcomeRejected, accepted: list[MovementAllocated]
    ) -> None:
        """An issue that is refused for nothing but want of stock would leave less than nothing, then or later."""
        line = asked.lines[0]
        codes = [each.code for each in told.reasons]
        if asked.purpose != "delivery" or len(asked.lines) > 1 or codes != ["insufficient_stock"]:
            return
        if str(line.item).startswith("phone") or (str(line.item).startswith("cream") and not line.batch):
            return
        place = (str(line.item), str(line.source), line.batch or "")
        assert line.quantity is not None
        assert would_lack(accepted, place, asked.posting_at, line.quantity), (asked, told)
        self.lacking += 1

    def _check_store(self, seed: int, accepted: list[MovementAllocated]) -> None:
        """What is kept of the past is what was told, and what stands there today is the end of it."""
        kept = rows(self.engine, _KEPT, of=f"%-{seed}")
        assert sorted(kept) == rows_of(accepted)
        stands = {place: history[-1].after for place in places(accepted) if (history := steps(accepted, place))}
        today = {(item, place, batch): quantity for item, place, batch, quantity in rows(self.engine, _TODAY)}
        assert {place: today.get(place, 0) for place in stands} == stands


_KEPT = """
SELECT item, warehouse, batch, effective_at, stamp, part, quantity FROM receiving.change WHERE item LIKE :of
"""
_TODAY = """
SELECT item, warehouse, '', bin.quantity FROM receiving.bin JOIN receiving.item USING (company, item)
WHERE tracking = 'none'
UNION ALL SELECT item, warehouse, batch, quantity FROM receiving.batch_stock
"""


def _taken(told: MovementAllocated) -> set[Place]:
    """The places of untracked goods from which something was taken, or counted away."""
    return {(leg.item, leg.warehouse, "") for leg in told.legs if leg.batch is None}


def test_no_place_is_ever_below_zero_counts_hold_and_what_is_kept_of_the_past_is_what_was_told(engine: Engine) -> None:
    played = Played(engine)
    for seed in range(HISTORIES):
        played.play(seed)
    assert_sound(engine)
    assert played.back_dated > 5 * HISTORIES
    assert played.corrected > HISTORIES
    assert played.lacking > HISTORIES


def test_workers_that_meet_in_the_past_leave_no_place_below_zero_and_all_counts_holding(engine: Engine) -> None:
    seed = HISTORIES
    history = History(Random(seed), seed)
    played = Played(engine)
    for each in history.goods():
        played.gate.define("item", company="shop", **each)
    sets = [history.next_set() for _ in range(60)]
    gates = [Gate(engine) for _ in range(4)]
    with ThreadPoolExecutor(len(gates)) as pool:
        told = [pool.submit(_send, gate, sets[place :: len(gates)]) for place, gate in enumerate(gates)]
        assert sum(each.result() for each in told) == sum(map(len, sets))
    accepted = [
        decoded(Output(MOVEMENT_ALLOCATED, SOURCE, identifier, bytes(body)))
        for identifier, body in rows(engine, "SELECT id, allocated FROM receiving.movement WHERE allocated IS NOT NULL")
    ]
    may_be_short = {(f"coal-{seed}", warehouse, "") for warehouse in WAREHOUSES}
    assert faults(accepted, may_be_short=may_be_short) == []
    assert sum(any(leg.corrects is not None for leg in each.legs) for each in accepted) > 0
    assert_sound(engine)


def _send(gate: Gate, sets: list[list[MovementRequested]]) -> int:
    """Have one worker work on sets, one after another; how many movements were answered."""
    told = [output for asked in sets for output in gate.send(*events(asked))]
    return sum(each.kind in (OUTCOME_ACCEPTED, OUTCOME_REJECTED) for each in told)
