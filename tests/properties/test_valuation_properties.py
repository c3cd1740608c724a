"""Valuation and posting against a slow reference, over random histories of all methods with transfers."""

import random
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from services.ledger.decide.posting import BinKey, Key, Posting, State, in_order, post, stamps_of
from shared.contracts.codec import write
from shared.contracts.movement import Leg, MovementAllocated
from shared.contracts.stock import PostedEntry
from shared.purposes import Method
from shared.quantities import to_money
from tests.builders import Receiving, empty_ledger, leg, posted, transfer
from tests.properties.reference_valuation import play

PLACES = ("north", "south", "transit")
ITEMS = ("fifo", "lifo", "moving_average", "batch", "serial")
BATCHES = ("B1", "B2")
SMALLEST = Decimal("0.000001")

quantities = st.one_of(
    st.integers(1, 12).map(Decimal),
    st.integers(1, 5_000_000).map(lambda millionths: millionths * SMALLEST),
)
amounts = st.one_of(
    st.none(),
    st.integers(0, 5).map(lambda cents: Decimal(cents) / 100),
    st.integers(0, 100_000).map(lambda cents: Decimal(cents) / 100),
)
rates = st.one_of(st.none(), st.integers(0, 5_000_000).map(lambda millionths: millionths * SMALLEST))


class Shop:
    """Draws what happens next from what is there; it knows quantities, batches and serials, no values."""

    def __init__(self, draw: st.DrawFn, beyond_stock: bool) -> None:
        self._draw = draw
        self._beyond_stock = beyond_stock
        self._receiving = Receiving()
        self._held: dict[tuple[str, str, str], Decimal] = {}
        self._serials: dict[str, list[str]] = {place: [] for place in PLACES}
        self._made = 0

    def step(self) -> MovementAllocated:
        item, place = self._pick(ITEMS), self._pick(PLACES)
        legs = self._leaving(item, place) if self._draw(st.booleans()) else None
        return self._receiving.movement(*(legs or [self._arriving(item, place)]))

    def clear(self) -> list[MovementAllocated]:
        """Movements that take out whatever is there."""
        out = [
            leg(-held, item=item, warehouse=place, batch=batch or None, method=_method(item))
            for (item, place, batch), held in self._held.items()
            if held > 0
        ]
        out += [
            leg(-1, item="serial", warehouse=place, serials=[each])
            for place, standing in self._serials.items()
            for each in standing
        ]
        return [self._receiving.movement(each) for each in out]

    def _arriving(self, item: str, place: str) -> Leg:
        amount, rate = self._draw(amounts), self._draw(rates)
        if item == "serial":
            serials = self._make_serials()
            self._serials[place] += serials
            return leg(len(serials), amount, item=item, warehouse=place, serials=serials, standard_rate=rate)
        batch = self._pick(BATCHES) if item == "batch" else ""
        quantity = self._draw(quantities)
        self._move(item, place, batch, quantity)
        return leg(
            quantity,
            amount,
            item=item,
            warehouse=place,
            batch=batch or None,
            method=_method(item),
            standard_rate=rate,
        )

    def _leaving(self, item: str, place: str) -> list[Leg] | None:
        """An issue or a transfer; None where there is nothing to take."""
        target = self._draw(st.sampled_from([None, *(each for each in PLACES if each != place)]))
        if item == "serial":
            return self._leaving_serials(place, target)
        batch = self._pick(BATCHES) if item == "batch" else ""
        quantity = self._part(item, place, batch)
        if not quantity:
            return None
        self._move(item, place, batch, -quantity)
        if target is None:
            return [leg(-quantity, item=item, warehouse=place, batch=batch or None, method=_method(item))]
        self._move(item, target, batch, quantity)
        return transfer(quantity, place, target, item=item, batch=batch or None, method=_method(item))

    def _leaving_serials(self, place: str, target: str | None) -> list[Leg] | None:
        standing = self._serials[place]
        if not standing:
            return None
        count = self._draw(st.integers(1, len(standing)))
        taken = random.Random(str(self._draw(st.integers(0, 99)))).sample(standing, count)
        self._serials[place] = [each for each in standing if each not in taken]
        if target is None:
            return [leg(-len(taken), item="serial", warehouse=place, serials=taken)]
        self._serials[target] += taken
        return transfer(len(taken), place, target, item="serial", serials=taken)

    def _part(self, item: str, place: str, batch: str) -> Decimal:
        held = self._held.get((item, place, batch), Decimal(0))
        if self._beyond_stock and item != "batch":
            return self._draw(quantities)
        thousandths = self._draw(st.one_of(st.just(1000), st.integers(1, 1000)))
        return (held * thousandths / 1000).quantize(SMALLEST)

    def _make_serials(self) -> list[str]:
        count = self._draw(st.integers(1, 4))
        self._made += count
        return [f"S{self._made - number}" for number in range(count)]

    def _move(self, item: str, place: str, batch: str, quantity: Decimal) -> None:
        self._held[item, place, batch] = self._held.get((item, place, batch), Decimal(0)) + quantity

    def _pick(self, choices: Sequence[str]) -> str:
        return self._draw(st.sampled_from(choices))


@st.composite
def histories(draw: st.DrawFn, beyond_stock: bool = False, cleared: bool = False) -> list[MovementAllocated]:
    """What happened in a shop; `cleared`: in the end nothing is left anywhere."""
    shop = Shop(draw, beyond_stock)
    movements = [shop.step() for _ in range(draw(st.integers(1, 40)))]
    return movements + (shop.clear() if cleared else [])


@given(histories())
def test_entries_and_bins_are_those_of_the_slow_reference(history: list[MovementAllocated]) -> None:
    _compare_with_reference(history)


@given(histories(beyond_stock=True))
def test_issues_beyond_stock_are_valued_like_the_slow_reference(history: list[MovementAllocated]) -> None:
    _compare_with_reference(history)


@given(histories(beyond_stock=True))
def test_no_stock_is_ever_worth_less_than_nothing_and_no_quantity_means_no_value(
    history: list[MovementAllocated],
) -> None:
    for told in posted(history):
        for entry in told.entries:
            assert entry.quantity_after <= 0 or entry.value_after >= 0
            assert entry.quantity_after != 0 or entry.value_after == 0


@given(histories())
def test_every_value_is_the_rounding_of_an_exact_worth_that_its_layers_hold(history: list[MovementAllocated]) -> None:
    state = post(history, empty_ledger(history)).state
    for held in [*state.batches.values(), *(state.bins[key] for key in state.bins if key[1] != "batch")]:
        assert held.value == to_money(held.worth, 2)
        assert held.worth == held.worth.quantize(Decimal(1).scaleb(-9))
    for (_, item, _), held in state.bins.items():
        if item in ("fifo", "lifo"):
            assert sum(layer.worth for layer in held.layers) == held.worth
            assert sum(layer.quantity for layer in held.layers) == held.quantity


@given(histories())
def test_a_bin_holds_the_sum_of_its_entries(history: list[MovementAllocated]) -> None:
    posting = post(history, empty_ledger(history))
    for key, held in posting.state.bins.items():
        entries = [
            entry for each in posting.applied for entry in each.entries if _bin(each.movement, entry.posted) == key
        ]
        assert sum(each.posted.quantity for each in entries) == held.quantity
        assert sum(each.posted.value for each in entries) == held.value
        assert sum(each.worth for each in entries) == held.worth


@given(histories())
def test_what_arrives_by_transfer_is_worth_the_value_that_left(history: list[MovementAllocated]) -> None:
    for each in post(history, empty_ledger(history)).applied:
        for entry in each.entries:
            if entry.posted.arrives_from is not None:
                left = each.entries[entry.posted.arrives_from]
                assert entry.worth == -left.posted.value
                # More or less by a cent only where the exact worth of the arriving bin is half a cent off.
                assert abs(entry.posted.value + left.posted.value) <= Decimal("0.01")
                assert entry.costs == left.costs


@given(histories(cleared=True))
def test_whatever_happened_nothing_is_left_when_all_stock_has_left(history: list[MovementAllocated]) -> None:
    state = post(history, empty_ledger(history)).state
    for held in [*state.bins.values(), *state.batches.values()]:
        assert not any((held.quantity, held.worth, held.value, held.layers))


@given(histories(), st.randoms(use_true_random=False))
def test_any_order_of_arrival_in_any_sets_makes_the_same_entries(
    history: list[MovementAllocated], chance: random.Random
) -> None:
    arriving = [*history]
    chance.shuffle(arriving)
    state, waiting = empty_ledger(history), dict[Key, MovementAllocated]()
    told: dict[str, bytes] = {}
    while arriving:
        size = chance.randint(1, 6)
        arriving, arrived = arriving[size:], arriving[:size]
        waiting |= {(each.source, each.id): each for each in arrived}
        posting = _post_next(waiting, state)
        state = posting.state
        told |= {each.movement.id: write(each.posted) for each in posting.applied}
        waiting = {key: each for key, each in waiting.items() if key[1] not in told}
    assert told == {each.id: write(each) for each in posted(history)}


def _post_next(waiting: dict[Key, MovementAllocated], state: State) -> Posting:
    order = in_order({key: stamps_of(each) for key, each in waiting.items()}, state.last_stamps)
    return post([waiting[key] for key in order], state)


def _compare_with_reference(history: list[MovementAllocated]) -> None:
    """Entries and bins are the reference's; fails where they first differ."""
    posting = post(history, empty_ledger(history))
    expected, bins = play(history)
    for each, rows in zip(posting.applied, expected, strict=True):
        told = [(entry.posted.value, entry.posted.quantity_after, entry.posted.value_after) for entry in each.entries]
        assert [tuple(map(Fraction, row)) for row in told] == rows, each.movement
    for (_, item, warehouse), held in posting.state.bins.items():
        here = bins[item, warehouse]
        assert (Fraction(held.worth), Fraction(held.rate or 0)) == (here.worth, here.rate)


def _bin(movement: MovementAllocated, entry: PostedEntry) -> BinKey:
    return (movement.company, entry.item, entry.warehouse)


def _method(item: str) -> Method:
    return Method(item) if item in list(Method) else Method.FIFO
