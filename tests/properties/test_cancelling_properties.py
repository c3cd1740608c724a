"""Cancellations over random histories of all purposes: whatever is cancelled has never been."""

from collections import Counter
from datetime import datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from services.receiving.decide.allocation import Accepted, Rejected
from services.receiving.decide.stock import BatchKey, Entered, SerialKey
from shared.contracts.movement import Leg, MovementAllocated, MovementRequested, Reference
from tests.builders import SOURCE
from tests.properties.allocation_histories import ITEMS, History
from tests.properties.past_histories import History as PastHistory
from tests.properties.past_histories import shop_of as past_shop_of
from tests.properties.reference_past import faults, places, steps
from tests.properties.test_allocation_properties import FAR_AHEAD
from tests.receiving_builders import WAREHOUSES, Shop, movement, reasons, request
from tests.undoing_builders import standing_movements, state, stays_of

pytestmark = pytest.mark.timeout(600)
seeds = st.integers(0, 2**32)


def cancelling(of: str, number: int) -> MovementRequested:
    """The so-manyth cancellation of a movement."""
    return movement("cancellation", id=f"{of} cancelled {number}", at=FAR_AHEAD, against=Reference(id=of))


def shop_of(history: History) -> Shop:
    shop = Shop(*ITEMS.values())
    shop.now = FAR_AHEAD
    if history.book.tells:
        shop.stock.telling = frozenset({SOURCE})
    return shop


@given(seeds, st.integers(1, 60), st.integers(1, 60))
def test_a_history_is_cancelled_backwards_through_every_state_that_it_went_through(
    seed: int, movements: int, cancellations: int
) -> None:
    history = History(Random(seed), tells=seed % 3 == 0)
    shop = shop_of(history)
    states = []
    for _ in range(movements):
        asked = history.next()
        before, entries = state(shop.stock), entered(shop)
        if isinstance(shop.judge(request(asked)), Accepted):
            history.book.ask(asked)
            states.append((asked.id, before, entries))
    for identifier, before, entries in states[::-1][:cancellations]:
        doubtful = told_at_once(shop)
        judged = shop.judge(request(cancelling(identifier, 1)))
        assert reasons(judged) == [], identifier
        assert state(shop.stock) == before, identifier
        assert {key: each for key, each in entered(shop).items() if key not in doubtful} == {
            key: each for key, each in entries.items() if key not in doubtful
        }


def entered(shop: Shop) -> dict[BatchKey, Entered]:
    """When each batch came into the company, if it did."""
    return {key: each.entered for key, each in shop.stock.batches.items() if each.entered is not None}


def told_at_once(shop: Shop) -> set[BatchKey]:
    """The batches of which something happened in two warehouses at once: what of that was first nobody knows."""
    places: dict[tuple[BatchKey, datetime], set[str]] = {}
    for each in shop.timeline.changes:
        company, item_code, warehouse, batch = each.place
        places.setdefault(((company, item_code, batch), each.effective_at), set()).add(warehouse)
    return {key for (key, _), warehouses in places.items() if len(warehouses) > 1}


class Played:
    """A history told out of order, of which some is cancelled now and then, and told once more."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.history = PastHistory(self.random, 0)
        self.shop = past_shop_of(self.history)
        self.shop.now = FAR_AHEAD
        self.refused: Counter[str] = Counter()
        self._count = 0

    def play(self, sets: int) -> None:
        for _ in range(sets):
            for asked in self.history.next_set():
                self._judge(asked)
            if self.random.random() < 0.8:
                self.cancel_one()

    def cancel_one(self) -> None:
        """Cancel any movement that was accepted, also one that was cancelled before, or cancels."""
        if self.shop.log:
            self._count += 1
            of = self.random.choice(self.shop.log).request.id
            self._judge(cancelling(of, self._count))

    def _judge(self, asked: MovementRequested) -> Accepted | Rejected:
        before = state(self.shop.stock)
        judged = self.shop.judge(request(asked))
        if isinstance(judged, Rejected):
            assert state(self.shop.stock) == before
            self.refused.update({code for code, _ in reasons(judged)})
        self.check()
        return judged

    def check(self) -> None:
        """No place was ever below zero, all counts hold, and what stands there today is the end of what is left."""
        accepted = remaining(self.shop.log)
        may_be_short = {("coal-0", warehouse, "") for warehouse in WAREHOUSES}
        assert faults(accepted, may_be_short=may_be_short) == []
        for item_code, warehouse, batch in places(accepted):
            history = steps(accepted, (item_code, warehouse, batch))
            stock = self.shop.stock
            key = ("shop", item_code, warehouse)
            there = stock.batch_stock[*key, batch].quantity if batch else stock.bins[key].quantity
            assert there == (history[-1].after if history else 0)
        self._check_units()

    def _check_units(self) -> None:
        """A unit is where the last movement left it that still stands; one that none moved never was in stock."""
        stays = stays_of(self.shop.log)
        for key, serial in self.shop.stock.serials.items():
            mine = stays.get(key, [])
            assert serial.warehouse == (mine[-1].warehouse if mine and mine[-1].left_by is None else None)
            assert (serial.last_at is None) == (serial.entered is None) == (not mine)
        for key, bin_ in self.shop.stock.bins.items():
            if key[1].startswith("phone"):
                assert bin_.quantity == sum(1 for each in self._standing(key[:2]) if each == key[2])

    def _standing(self, item_key: tuple[str, str]) -> list[str | None]:
        units: dict[SerialKey, str | None] = {
            key: each.warehouse for key, each in self.shop.stock.serials.items() if key[:2] == item_key
        }
        return list(units.values())


def remaining(log: list[Accepted]) -> list[MovementAllocated]:
    """What still counts of what was accepted: all legs of what stands; of the others what counts after them found."""
    standing = standing_movements(log)
    stands = {each.request.id for each in standing}
    counted = {count.entry for each in standing for _, count in each.counts}

    def counts(each: Accepted, leg: Leg) -> bool:
        return leg.original in counted if leg.corrects is not None else each.request.id in stands

    return [
        structs.replace(each.allocated, legs=[leg for leg in each.allocated.legs if counts(each, leg)]) for each in log
    ]


@given(seeds, st.integers(1, 15))
def test_whatever_is_cancelled_the_rest_can_have_happened(seed: int, sets: int) -> None:
    Played(seed).play(sets)


@settings(max_examples=settings().max_examples // 3)
@given(seeds, st.integers(1, 15))
def test_a_history_told_out_of_order_can_be_cancelled_to_nothing_as_it_happened(seed: int, sets: int) -> None:
    played = Played(seed)
    played.play(sets)
    in_time = sorted(standing_movements(played.shop.log), key=lambda each: each.allocated.effective_at)
    for number, each in enumerate(in_time[::-1]):
        judged = played.shop.judge(request(cancelling(each.request.id, number)))
        assert reasons(judged) == [], each.request.id
        played.check()
    left = state(played.shop.stock)
    assert {what: found for what, found in left.items() if found} == {}


def test_random_cancellations_meet_every_reason_that_quantities_and_units_have() -> None:
    refused: Counter[str] = Counter()
    accepted = 0
    for seed in range(60):
        played = Played(seed)
        played.play(12)
        refused += played.refused
        accepted += sum(each.undone is not None for each in played.shop.log)
    assert accepted > 100
    wanted = ("insufficient_stock", "serial_moved_since", "already_cancelled", "cancel_of_cancellation")
    assert [code for code in wanted if not refused[code]] == []
