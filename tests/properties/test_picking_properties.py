"""Picking of batches, kept up from line to line: the same is picked as when everything is looked up anew each time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.receiving.decide import picking
from services.receiving.decide.allocation import Accepted, Rejected
from services.receiving.decide.shelf import Shelf
from services.receiving.decide.stock import Item
from shared.contracts.movement import RequestedLine
from shared.purposes import BatchState, Pick
from shared.quantities import ZERO
from tests.builders import MORNING
from tests.receiving_builders import Shop, comes, goes, item, moves, reasons

BATCHES = [f"B{number}" for number in range(6)]
NUMBERS = st.sampled_from(BATCHES)
FEW = st.integers(1, 5)


class Anew:
    """What a shelf is, by looking at everything each time."""

    def __init__(self, order: Sequence[str], free: Callable[[str], Decimal], changed: Sequence[str]) -> None:  # noqa: ARG002 - the shape of a shelf
        self._order, self._free = order, free

    def total(self) -> Decimal:
        return sum((quantity for _, quantity in self), ZERO)

    def __iter__(self) -> Iterator[tuple[str, Decimal]]:
        return ((number, left) for number in self._order if (left := self._free(number)) > ZERO)


class Forgetful(dict[object, object]):
    """Orders that nobody keeps."""

    def __setitem__(self, key: object, value: object) -> None:
        pass


# --- a shelf ----------------------------------------------------------------------------------------------------------


@given(
    stock=st.lists(st.integers(0, 3), max_size=8),
    steps=st.lists(st.tuples(st.integers(0, 9), st.integers(-1, 4), st.booleans()), max_size=30),
)
def test_a_shelf_follows_what_changes_up_or_down(stock: list[int], steps: list[tuple[int, int, bool]]) -> None:
    quantities = {str(place): Decimal(quantity) for place, quantity in enumerate(stock)}
    changed: list[str] = []
    shelf = Shelf(list(quantities), lambda number: quantities[number], changed)
    anew = Anew(list(quantities), lambda number: quantities[number], changed)
    for place, quantity, is_looked_at in steps:
        changed.append(str(place))  # now and then one that does not lie there
        if str(place) in quantities:
            quantities[str(place)] = Decimal(quantity)
        if is_looked_at:
            assert list(shelf) == list(anew)
            assert shelf.total() == anew.total()
    assert (shelf.total(), list(shelf)) == (anew.total(), list(anew))


# --- whole histories --------------------------------------------------------------------------------------------------

RECEIVED = st.builds(
    lambda batch, quantity, to: comes("cream", quantity, to, batch=batch), NUMBERS, FEW, st.just("north")
)
PICKED = st.builds(lambda quantity: goes("cream", quantity), FEW)
NAMED = st.builds(lambda batch, quantity: goes("cream", quantity, batch=batch), NUMBERS, FEW)
MOVED = st.builds(lambda quantity, ways: moves("cream", quantity, *ways), FEW, st.permutations(["north", "south"]))
MOVEMENTS = st.one_of(
    st.tuples(st.just("opening_stock"), st.lists(RECEIVED, min_size=1, max_size=3)),
    st.tuples(st.just("delivery"), st.lists(st.one_of(PICKED, NAMED), min_size=1, max_size=6)),
    st.tuples(st.just("scrap"), st.lists(st.one_of(PICKED, NAMED), min_size=1, max_size=3)),
    st.tuples(st.just("material_transfer"), st.lists(MOVED, min_size=1, max_size=6)),
)
STATES = st.dictionaries(NUMBERS, st.sampled_from(list(BatchState)), max_size=3)


@pytest.mark.parametrize("pick", [Pick.FEFO, Pick.FIFO, Pick.LIFO])
@given(
    movements=st.lists(MOVEMENTS, min_size=3, max_size=12),
    expiries=st.lists(st.integers(-1, 3), min_size=6, max_size=6),
    states=STATES,
)
def test_histories_are_decided_as_when_everything_is_looked_up_anew(
    pick: Pick, movements: list[tuple[str, list[RequestedLine]]], expiries: list[int], states: dict[str, BatchState]
) -> None:
    now = _history(Shop(_cream(pick)), movements, expiries, states)
    with _anew():
        shop = Shop(_cream(pick))
        shop.stock.pick_orders = Forgetful()  # type: ignore[assignment]
        assert _history(shop, movements, expiries, states) == now


def test_a_thousand_lines_look_at_each_of_a_thousand_batches_a_few_times_only() -> None:
    shop = Shop(_cream(Pick.FIFO))
    shop.accepted("opening_stock", *[comes("cream", 2, batch=f"B{number:04}") for number in range(1_000)])
    looked = 0
    before = picking.why_not

    def why_not(*given: object) -> str | None:
        nonlocal looked
        looked += 1
        return before(*given)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(picking, "why_not", why_not)
        judged = shop.accepted("delivery", *[goes("cream", 2) for _ in range(1_000)])
    assert [each.batch for each in judged.allocated.legs] == [f"B{number:04}" for number in range(1_000)]
    assert 0 < looked <= 2_000
    assert reasons(shop.ask("delivery", goes("cream", 1))) == [("insufficient_stock", 1)]


@contextmanager
def _anew() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(picking, "Shelf", Anew)
        yield


def _cream(pick: Pick) -> Item:
    return item("cream", tracking="batch", create_batches_on_receipt=True, pick=pick)


def _history(
    shop: Shop, movements: list[tuple[str, list[RequestedLine]]], expiries: list[int], states: dict[str, BatchState]
) -> list[Accepted | Rejected]:
    """What becomes of goods received with these expiries, in days from now, then of these movements."""
    days = [MORNING.date() + timedelta(days=days) for days in expiries]
    lines = [comes("cream", 3, batch=batch, expires_on=day) for batch, day in zip(BATCHES, days, strict=True)]
    shop.accepted("opening_stock", *lines[::2], *lines[1::2])
    for batch, state in states.items():
        shop.hold("cream", batch, state)
    return [shop.ask(purpose, *lines) for purpose, lines in movements]
