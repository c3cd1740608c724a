"""Random histories with cancellations through the gate: its tables tell what plain lists tell, and forget nothing.

The same movements are judged by the pure core, whose past is made from lists of what was accepted; the store's is read
from its tables. Whatever differs between the two would show in what goes on to the ledger.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine

from services.receiving.decide.allocation import Accepted
from shared.contracts.codec import decoder, read
from shared.contracts.movement import MovementAllocated, MovementRequested, Reference
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.contracts.registry import MOVEMENT_ALLOCATED
from tests.builders import COMPANY
from tests.properties.past_histories import History as PastHistory
from tests.properties.past_histories import shop_of
from tests.properties.reference_past import faults
from tests.properties.serial_histories import WARRANTY, History
from tests.receiving_builders import (
    GOODS,
    STOCKED,
    Gate,
    Shop,
    after,
    assert_sound,
    codes,
    comes,
    decoded,
    define_shop,
    events,
    goes,
    line,
    movement,
    opened,
    reasons,
    request,
    rows,
)
from tests.undoing_builders import standing_movements, stays_of

pytestmark = pytest.mark.timeout(600)
HISTORIES = 110
# What is known of an item's units and bins, without what only grows.
_RECORDS = """
SELECT serial, status, warehouse, batch, supplier, supplier_document, customer, customer_document, warranty_until,
    end_of_life, cast(attributes AS text), entered_at, entered_stamp, entered_line, entered_place, last_at,
    coalesce(last_tie, 0), left_by, left_from
FROM receiving.serial WHERE item = :item AND last_at IS NOT NULL ORDER BY serial
"""
_BINS = """
SELECT warehouse, trim_scale(quantity), short, nullif(counted_at, '0001-01-01 Z') FROM receiving.bin
WHERE item = :item AND (quantity <> 0 OR counted_at > '0001-01-01 Z') ORDER BY warehouse
"""
_STAYS = """
SELECT serial, warehouse, from_at, from_tie, in_id, CASE WHEN out_id IS NOT NULL THEN until_at END, until_tie, out_id,
    warranty_until
FROM receiving.stay WHERE item = :item ORDER BY serial, from_at, from_tie
"""
_EVENTS = "SELECT serial, effective_at, tie, warehouse, source, id FROM receiving.serial_event WHERE item = :item"


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    with opened(database) as engine:
        yield engine


@pytest.fixture
def gate(engine: Engine) -> Gate:
    gate = Gate(engine)
    define_shop(gate)
    return gate


def same_answer(gate: Gate, shop: Shop, asked: MovementRequested) -> bool:
    """Have a movement judged by both; whether it was accepted. Both say the same of it."""
    judged = shop.judge(request(asked))
    told = {each.kind: decoded(each) for each in gate.send(*events([asked])) if each.id == asked.id}
    if isinstance(judged, Accepted):
        assert told.get(MOVEMENT_ALLOCATED) == judged.allocated, (asked, told)
        return True
    (refused,) = told.values()
    assert isinstance(refused, OutcomeRejected)
    assert sorted(codes(refused)) == sorted(code for code, _ in reasons(judged)), asked
    return False


class Units:
    """A history of units, played through a gate."""

    def __init__(self, gate: Gate, seed: int) -> None:
        self.gate = gate
        self.random = Random(seed)
        self.history = History(self.random, seed)
        self.history.shop.now = gate.now
        gate.define(
            "item",
            company=COMPANY,
            item=self.history.item,
            tracking="serial",
            warranty_days=WARRANTY,
            create_batches_on_receipt=True,
        )

    def play(self) -> None:
        """Two thirds of a history with definitions and cancellations in it; the last one cancelled backwards."""
        for _ in range(10):
            self._step()
            if self.random.random() < 0.3:
                self._cancel_any()
            if self.random.random() < 0.3:
                self._define()
        self.check_stays()
        tail = []
        for _ in range(6):
            before, asked = self.records(), self.history.next()
            if same_answer(self.gate, self.history.shop, asked):
                tail.append((asked.id, before))
        known = self._events()
        for identifier, before in tail[::-1]:
            assert same_answer(self.gate, self.history.shop, self.history.cancellation(identifier))
            assert self.records() == before, identifier
        self.check_stays()
        assert known <= self._events()

    def records(self) -> tuple[Any, ...]:
        """The records of its units, and of its bins."""
        engine, of = self.gate.engine, self.history.item
        return rows(engine, _RECORDS, item=of), rows(engine, _BINS, item=of)

    def check_stays(self) -> None:
        """The stays are those of what stands."""
        expected = [
            (
                key[2],
                stay.warehouse,
                stay.from_at,
                stay.from_tie,
                stay.came_by[1],
                stay.until_at,
                stay.until_tie,
                stay.left_by[1] if stay.left_by is not None else None,
                stay.warranty_until,
            )
            for key, stays in sorted(stays_of(self.history.shop.log).items())
            for stay in stays
        ]
        assert rows(self.gate.engine, _STAYS, item=self.history.item) == expected

    def _step(self) -> None:
        same_answer(self.gate, self.history.shop, self.history.next())

    def _cancel_any(self) -> None:
        if self.history.shop.log:
            of = self.random.choice(self.history.shop.log[-4:]).request.id
            same_answer(self.gate, self.history.shop, self.history.cancellation(of))

    def _define(self) -> None:
        """Say something of a unit that is known."""
        known = [key[2] for key in self.history.shop.stock.serials]
        if known:
            self.gate.now += timedelta(milliseconds=1)
            self.history.shop.now = self.gate.now
            said = self.random.choice(({"supplier": "Old Foundry"}, {"warranty_until": date(2031, 1, 1)}))
            unit = {"item": self.history.item, "serial": self.random.choice(known)}
            self.gate.define("serial", company=COMPANY, **unit, **said)

    def _events(self) -> set[tuple[Any, ...]]:
        return set(rows(self.gate.engine, _EVENTS, item=self.history.item))


def test_units_are_again_what_they_were_whatever_is_cancelled_backwards(gate: Gate) -> None:
    for seed in range(HISTORIES):
        Units(gate, seed).play()
    assert_sound(gate.engine)
    assert rows(gate.engine, "SELECT count(*) FROM receiving.cancelled")[0][0] > 3 * HISTORIES
    purposes = rows(
        gate.engine,
        "SELECT DISTINCT purpose FROM receiving.cancelled JOIN receiving.movement USING (source, id) ORDER BY purpose",
    )
    assert len(purposes) >= 10, purposes


def test_the_store_tells_of_the_past_what_plain_lists_tell(gate: Gate) -> None:
    cancelled = corrected = 0
    for seed in range(30):
        random = Random(seed)
        history = PastHistory(random, seed)
        for each in history.goods():
            assert codes(gate.define("item", company=COMPANY, **each)) == []
        shop = shop_of(history)
        shop.now = gate.now
        for number in range(7):
            for asked in history.next_set():
                same_answer(gate, shop, asked)
            if shop.log:
                of = random.choice(shop.log).request.id
                reference = Reference(id=of)
                at = max(each.allocated.posting_at for each in shop.log)
                cancellation = movement("cancellation", id=f"{seed} not {number}", at=at, against=reference)
                same_answer(gate, shop, cancellation)
        cancelled += len(shop.log) - 2 * len(standing_movements(shop.log)) < len(shop.log)
        corrected += sum(
            leg.corrects is not None for each in shop.log if each.undone is not None for leg in each.allocated.legs
        )
        changes = "SELECT item, warehouse, batch, effective_at, stamp, part, quantity, line FROM receiving.change"
        kept = rows(gate.engine, f"{changes} WHERE item LIKE :of", of=f"%-{seed}")
        assert sorted(kept) == sorted((*each.place[1:], *each[1:]) for each in shop.timeline.changes)
    assert_sound(gate.engine)
    assert cancelled
    assert corrected > 5


# --- several workers --------------------------------------------------------------------------------------------------


def test_workers_that_buy_sell_return_and_cancel_at_once_leave_sound_stock_that_can_have_been(engine: Engine) -> None:
    boss = Gate(engine)
    define_shop(boss, *GOODS)
    boss.accept(STOCKED)
    known = ["stocked"]

    def work(seed: int) -> int:
        worker, random = Gate(engine), Random(seed)
        for count in range(14):
            asked = [_random_movement(random, known, f"{seed} {count} {n}") for n in range(random.randint(1, 3))]
            told = worker.ask(*asked)
            known.extend(each.id for each in told if isinstance(each, OutcomeAccepted))
        return worker.met

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    told = rows(engine, "SELECT allocated FROM receiving.allocated ORDER BY recorded_at")
    accepted = [read(_allocated, bytes(body)) for (body,) in told]
    assert sum(each.mirrors is not None for each in accepted) > 5
    assert faults(left_of(accepted), may_be_short=set()) == []
    assert_sound(engine)
    named = """
        SELECT * FROM receiving.naming JOIN receiving.cancelled USING (source, id)
        UNION ALL SELECT * FROM receiving.naming AS naming JOIN receiving.cancelled AS cancelled
            ON (naming.by_source, naming.by_id) = (cancelled.source, cancelled.id)"""
    assert rows(engine, named.replace("*", "1")) == []


_allocated = decoder(MovementAllocated)


def left_of(accepted: list[MovementAllocated]) -> list[MovementAllocated]:
    """What still counts: neither cancellations nor what they cancelled; nobody counted, so nothing was corrected."""
    gone = {each.against.id for each in accepted if each.mirrors is not None and each.against is not None}
    return [each for each in accepted if each.mirrors is None and each.id not in gone]


def _random_movement(random: Random, known: list[str], identifier: str) -> MovementRequested:
    purpose = random.choice(
        ("purchase_receipt", "delivery", "delivery", "sales_return", "cancellation", "cancellation")
    )
    what = random.choice(("tea", "cream", "phone"))
    reference = Reference(id=random.choice(known[-8:]))
    at = after(random.randrange(1, 60))
    if purpose == "cancellation":
        return movement(purpose, id=identifier, at=after(90), against=reference)
    if purpose == "sales_return":
        return movement(purpose, line(what, 1), id=identifier, at=after(70), against=reference)
    if purpose == "purchase_receipt":
        batch = random.choice(("B1", "B2")) if what == "cream" else None
        return movement(purpose, comes(what, 2, batch=batch), id=identifier, at=at)
    return movement(purpose, goes(what, random.randint(1, 2)), id=identifier, at=at)
