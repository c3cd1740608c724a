"""Allocation against a slow reference, over random histories of all purposes and all kinds of items."""

from collections import Counter
from copy import deepcopy
from datetime import timedelta
from decimal import Decimal
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from services.ledger.decide.posting import post
from services.receiving.decide.allocation import Accepted, Rejected, allocate
from services.receiving.decide.case import Limits
from services.receiving.decide.originals import legs_with_entries
from services.receiving.decide.past import Aside
from services.receiving.decide.picking import Pickable, in_order, spread
from services.receiving.decide.stock import Entered
from shared.contracts.movement import MovementRequested
from shared.purposes import BatchState, Pick, Tracking
from tests.builders import COMPANY, MORNING, SOURCE, empty_ledger
from tests.properties.allocation_histories import ITEMS, History
from tests.properties.reference_allocation import Answer, Book, Taken
from tests.properties.reference_book import Part
from tests.receiving_builders import Shop, reasons, request

FAR_AHEAD = MORNING + timedelta(days=1_000)

seeds = st.integers(0, 2**32)
entries = st.builds(
    Entered, st.sampled_from([MORNING, MORNING + timedelta(hours=1)]), st.integers(1, 2), st.integers(1, 2)
)
pickables = st.lists(
    st.builds(
        Pickable,
        st.text("aB1", min_size=1, max_size=3),
        st.integers(1, 9).map(Decimal),
        st.sampled_from([None, MORNING.date(), MORNING.date() + timedelta(days=1)]),
        entries,
    ),
    max_size=8,
    unique_by=lambda each: each.number,
)


class Played:
    """A history played by the gate and by the reference, side by side."""

    def __init__(self, random: Random) -> None:
        self.history = History(random, tells=random.random() < 0.3)
        self.shop = Shop(*ITEMS.values())
        if self.history.book.tells:
            self.shop.stock.telling = frozenset({SOURCE})
        self.judged: list[Accepted | Rejected] = []
        self.entries: dict[str, Part] = {}

    def play(self, movements: int) -> None:
        for _ in range(movements):
            if self.history.random.random() < 0.1:
                self._turn_hold()
            asked = self.history.draw()
            if self.history.book.is_back_dated(asked):
                assert isinstance(self._allocate(asked), Aside), asked
                continue
            expected = self.history.book.ask(asked)
            judged = self.ask(asked)
            assert agrees(judged, expected), (asked, reasons(judged), expected)
            self._compare_originals(judged, expected)

    def ask(self, asked: MovementRequested) -> Accepted | Rejected:
        judged = self._allocate(asked)
        assert not isinstance(judged, Aside), asked
        self.judged.append(judged)
        return judged

    def _allocate(self, asked: MovementRequested) -> Accepted | Rejected | Aside:
        return allocate([request(asked)], self.shop.stock, FAR_AHEAD, Limits())[0]

    def _compare_originals(self, judged: Accepted | Rejected, expected: Answer | None) -> None:
        """Each leg undoes the part of another movement that the reference has for it, and no other."""
        if isinstance(judged, Rejected) or expected is None:
            return
        legs = [leg for leg in judged.allocated.legs if leg.arrives_from is None]
        originals = [None if leg.original is None else self.entries[leg.original] for leg in legs]
        assert originals == [each.original for each in expected.taken], (judged.request, expected)
        for place, (entry, _) in enumerate(legs_with_entries(judged.allocated)):
            left = len(expected.left)
            side = ("left", place) if place < left else ("came", place - left)
            self.entries[entry] = (judged.request.id, *side)

    def _turn_hold(self) -> None:
        batch = self.history.turn_hold()
        if batch is not None:
            self.history.book.held ^= {batch}
            held = batch in self.history.book.held
            self.shop.hold(*batch, BatchState.HELD if held else BatchState.FREE)


def agrees(judged: Accepted | Rejected, expected: Answer | None) -> bool:
    """Whether the gate answered as the reference did."""
    if isinstance(judged, Rejected) or expected is None:
        return isinstance(judged, Rejected) and expected is None
    told = tuple(
        Taken(each.line, each.item, each.warehouse, int(each.quantity), each.batch, tuple(each.serials))
        for each in judged.outcome.allocated
    )
    stamps = {(each.item, each.warehouse): each.stamp for each in judged.allocated.stamps}
    given = (judged.allocated.effective_at, told, stamps, shortages(judged))
    lacking: Counter[int | None] = Counter()
    for number, quantity in expected.short:
        lacking[number] += quantity
    return given == (expected.effective_at, expected.taken, expected.stamps, lacking)


def shortages(judged: Accepted) -> Counter[int | None]:
    """How much each line took that was not there."""
    lacking: Counter[int | None] = Counter()
    for each in judged.outcome.remarks:
        if each.code == "shortage":
            lacking[each.line] += int(each.facts["short"])
    return lacking


def in_bins(book: Book) -> dict[tuple[str, str], int]:
    places = {(each.item, each.place) for each in book.units if each.place is not None} | book.owed.keys()
    return {place: quantity for place in places if (quantity := book.quantity(place))}


@given(seeds, st.integers(1, 60))
def test_the_gate_accepts_picks_and_stamps_as_the_reference_does(seed: int, movements: int) -> None:
    Played(Random(seed)).play(movements)


@given(seeds, st.integers(1, 60))
def test_what_stands_where_is_what_the_reference_counts(seed: int, movements: int) -> None:
    played = Played(Random(seed))
    played.play(movements)
    stock, book = played.shop.stock, played.history.book
    assert {key[1:]: int(each.quantity) for key, each in stock.bins.items() if each.quantity} == in_bins(book)
    batches = Counter((each.item, each.place, each.batch) for each in book.units if each.place and not each.serial)
    assert {key[1:]: int(each.quantity) for key, each in stock.batch_stock.items() if each.quantity} == {
        key: count for key, count in batches.items() if key[2]
    }
    serials = {(each.item, each.serial): (each.place, each.batch) for each in book.units if each.serial}
    assert {key[1:]: (each.warehouse, each.batch) for key, each in stock.serials.items()} == serials


@given(seeds, st.integers(1, 60))
def test_bins_are_the_sum_of_their_legs_and_stamps_have_no_gaps(seed: int, movements: int) -> None:
    played = Played(Random(seed))
    played.play(movements)
    sums: Counter[tuple[str, str, str]] = Counter()
    stamps: dict[tuple[str, str, str], list[int]] = {}
    for judged in played.judged:
        if isinstance(judged, Accepted):
            for leg in judged.allocated.legs:
                sums[COMPANY, leg.item, leg.warehouse] += int(leg.quantity)
            for each in judged.allocated.stamps:
                stamps.setdefault((COMPANY, each.item, each.warehouse), []).append(each.stamp)
    bins = played.shop.stock.bins
    assert {key: int(each.quantity) for key, each in bins.items()} == {key: sums[key] for key in bins}
    assert all((each.quantity < 0) == each.short for each in bins.values())
    assert all(not each.short or ITEMS[key[1]].tracking is Tracking.NONE for key, each in bins.items())
    assert stamps == {key: list(range(1, each.last_stamp + 1)) for key, each in bins.items()}


@given(seeds, st.integers(1, 60))
def test_the_ledger_posts_all_that_the_gate_accepts_and_holds_as_much_of_it(seed: int, movements: int) -> None:
    played = Played(Random(seed))
    played.play(movements)
    accepted = [each.allocated for each in played.judged if isinstance(each, Accepted)]
    books = post(accepted, empty_ledger(accepted)).state
    assert {key: each.quantity for key, each in books.bins.items()} == {
        key: each.quantity for key, each in played.shop.stock.bins.items()
    }
    assert {key: each.quantity for key, each in books.batches.items() if each.quantity} == {
        key: each.quantity for key, each in played.shop.stock.batch_stock.items() if each.quantity
    }


@given(seeds, st.integers(1, 30))
def test_a_movement_that_is_only_tried_changes_nothing_and_is_answered_as_if_it_were_meant(
    seed: int, movements: int
) -> None:
    played = Played(Random(seed))
    played.play(movements)
    before = deepcopy(played.shop.stock)
    asked = played.history.next()
    tried = played.ask(structs.replace(asked, dry_run=True))
    assert played.shop.stock == before
    done = played.ask(asked)
    assert reasons(tried) == reasons(done)
    assert not isinstance(done, Accepted) or tried.outcome == done.outcome


@given(seeds, st.integers(1, 30))
def test_a_refused_movement_changes_nothing_at_all(seed: int, movements: int) -> None:
    played = Played(Random(seed))
    played.play(movements)
    before = deepcopy(played.shop.stock)
    judged = played.ask(played.history.next())
    if isinstance(judged, Rejected):
        assert played.shop.stock == before
    else:
        assert played.shop.stock.bins != before.bins


@given(pickables)
def test_lifo_is_exactly_the_fifo_order_read_backwards(found: list[Pickable]) -> None:
    assert in_order(found, Pick.LIFO) == in_order(found[::-1], Pick.FIFO)[::-1]


@given(pickables, st.integers(1, 60).map(Decimal))
def test_picking_takes_what_is_wanted_and_never_skips_what_it_could_take_whole(
    found: list[Pickable], wanted: Decimal
) -> None:
    ordered = in_order(found, Pick.FEFO)
    taken = spread(wanted, ordered)
    assert sum(part for _, part in taken) == min(wanted, sum(each.quantity for each in ordered))
    assert [number for number, _ in taken] == [each.number for each in ordered[: len(taken)]]
    assert all(part == each.quantity for (_, part), each in zip(taken[:-1], ordered, strict=False))
