"""The ledger against a slow reference, over random histories of all purposes and all methods, in whatever sets."""

import random
from collections.abc import Sequence
from fractions import Fraction
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from services.ledger.decide.posting import Applied, Key, Posting, State, in_order, post, stamps_of, try_out
from services.ledger.decide.valuation import Stock
from shared.contracts.codec import write
from shared.contracts.movement import MovementAllocated
from shared.contracts.outcome import OutcomeAccepted
from tests.builders import empty_ledger, posted
from tests.properties.allocated_histories import histories
from tests.properties.reference_incoming import Books, Told
from tests.properties.reference_stock import Heap
from tests.properties.reference_valuation import play

OWN = ("entry", "stamp", "arrives_from", "original")
FROM_LEG = ("line", "item", "warehouse", "batch", "serials", "stock_account")
NUMBERS = ("quantity", "value", "quantity_after", "value_after")

Row = dict[str, Any]
"""An entry, or what a bin holds, by the names of its parts."""
Sizes = Sequence[int]

# On a busy machine the thorough profile may take minutes for one of these.
pytestmark = pytest.mark.timeout(600)
many = settings(max_examples=max(settings().max_examples, 120))
sizes = st.lists(st.integers(1, 8), min_size=1, max_size=5)


@many
@given(histories(), sizes)
def test_entries_and_bins_are_those_of_the_slow_reference(history: list[MovementAllocated], cuts: Sizes) -> None:
    _compare_with_reference(history, cuts)


@many
@given(histories(beyond_stock=True), sizes)
def test_issues_beyond_stock_are_valued_like_the_slow_reference(history: list[MovementAllocated], cuts: Sizes) -> None:
    _compare_with_reference(history, cuts)


@many
@given(
    histories(beyond_stock=True, kinds=("receive", "deliver", "return_from_customer", "return_from_customer")), sizes
)
def test_what_customers_bring_back_is_valued_like_the_slow_reference(
    history: list[MovementAllocated], cuts: Sizes
) -> None:
    _compare_with_reference(history, cuts)


@many
@given(histories(kinds=("receive", "land", "return_to_supplier")), sizes)
def test_what_is_landed_and_sent_back_is_valued_like_the_slow_reference(
    history: list[MovementAllocated], cuts: Sizes
) -> None:
    _compare_with_reference(history, cuts)


@given(histories(beyond_stock=True), st.randoms(use_true_random=False))
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


@given(histories(beyond_stock=True))
def test_trying_a_movement_tells_what_posting_it_tells_and_changes_nothing(history: list[MovementAllocated]) -> None:
    state = empty_ledger(history)
    for movement, told in zip(history, posted(history), strict=True):
        answer = OutcomeAccepted(
            source=movement.source, id=movement.id, kind="movement.requested", recorded_at=movement.recorded_at
        )
        tried = try_out(structs.replace(movement, trial=answer), state)
        assert structs.asdict(tried) == structs.asdict(told) | {"trial": answer}
        state = post([movement], state).state


def _compare_with_reference(history: list[MovementAllocated], cuts: Sizes) -> None:
    """Entries and bins are the reference's, whatever the sets; fails where they first differ."""
    applied, state = _post_in_sets(history, cuts)
    expected, books = play(history)
    for each, told in zip(applied, expected, strict=True):
        assert _entries(each) == [_expected_entry(entry, place) for place, entry in enumerate(told)], each.movement
    assert _holdings(state) == _expected_holdings(books, state)


def _post_in_sets(history: list[MovementAllocated], cuts: Sizes) -> tuple[list[Applied], State]:
    state, applied, ahead = empty_ledger(history), list[Applied](), [*history]
    for size in cycle(cuts):
        posting = post(ahead[:size], state)
        state, ahead = posting.state, ahead[size:]
        applied += posting.applied
        if not ahead:
            break
    return applied, state


def _entries(applied: Applied) -> list[Row]:
    return [
        {
            **{name: getattr(entry.posted, name) for name in (*OWN, *FROM_LEG)},
            **{name: Fraction(getattr(entry.posted, name)) for name in NUMBERS},
            "ordinal": entry.ordinal,
            "worth": Fraction(entry.worth),
            "costs": {serial: Fraction(cost) for serial, cost in entry.costs.items()},
            "booked": sorted((part.account, Fraction(part.amount)) for part in entry.posted.booked),
        }
        for entry in applied.entries
    ]


def _expected_entry(told: Told, ordinal: int) -> Row:
    return {
        **{name: getattr(told, name) for name in (*OWN, *NUMBERS)},
        **{name: getattr(told.leg, name) for name in FROM_LEG},
        "ordinal": ordinal,
        "worth": told.worth,
        "costs": told.costs,
        "booked": sorted(told.booked.items()),
    }


def _holdings(state: State) -> dict[tuple[str, ...], Row]:
    """All bins and batches of a state."""
    bins = {
        (item, place): {
            **_amounts(held),
            "rate": Fraction(held.rate or 0),
            "layers": [tuple(map(Fraction, (each.quantity, each.worth, each.rate))) for each in held.layers],
            "shortages": [(Fraction(each.quantity), Fraction(each.worth), each.account) for each in held.shortages],
            "costs": {serial: Fraction(cost) for serial, cost in held.costs.items() if cost is not None},
        }
        for (_, item, place), held in state.bins.items()
    }
    return bins | {(item, place, batch): _amounts(held) for (_, item, place, batch), held in state.batches.items()}


def _expected_holdings(books: Books, state: State) -> dict[tuple[str, ...], Row]:
    """The same of the reference."""
    expected: dict[tuple[str, ...], Row] = {}
    for _, item, place in state.bins:
        here = books.bin(item, place)
        heap = next(iter(here.heaps.values()), Heap()) if item != "batch" else Heap()
        lots = [(lot.quantity, lot.worth, lot.rate) for lot in heap.lots]
        expected[item, place] = {
            **{name: getattr(here, name) for name in ("quantity", "worth", "value", "rate")},
            "layers": lots if item in ("fifo", "lifo") else [],
            "shortages": [(each.quantity, each.worth, each.account) for each in heap.shortages],
            "costs": heap.costs,
        }
    for _, item, place, batch in state.batches:
        heap = books.bin(item, place).heaps[batch]
        value = round(heap.worth, books.digits)
        expected[item, place, batch] = {"quantity": heap.quantity, "worth": heap.worth, "value": value}
    return expected


def _amounts(held: Stock) -> Row:
    return {name: Fraction(getattr(held, name)) for name in ("quantity", "worth", "value")}


def _post_next(waiting: dict[Key, MovementAllocated], state: State) -> Posting:
    order = in_order({key: stamps_of(each) for key, each in waiting.items()}, state.last_stamps)
    return post([waiting[key] for key in order], state)
