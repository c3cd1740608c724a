"""The history of bins, gone through again, over random histories: nothing is told twice, or left out."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from hypothesis import given

from services.ledger.decide.entries import Entry
from services.ledger.decide.explaining.bins import Step, retrace
from services.ledger.decide.explaining.parts import Kind, Part, total_of
from services.ledger.decide.posting import Posting, post
from services.ledger.decide.valuation import Stock
from shared.contracts.movement import Leg, MovementAllocated
from shared.purposes import PURPOSES, Flow, Tracking
from shared.quantities import ZERO, rate_of
from tests.builders import COMPANY, empty_ledger, entry_of
from tests.properties.allocated_histories import histories

END = Step("end", Flow.COUNT, ZERO, ZERO)
"""A count that finds what is there: what stood before it is what stands in the end."""
NANO = Decimal("1e-9")
TOLD_EXACTLY = ("receive", "issue", "deliver", "transfer", "make", "return_from_customer", "return_to_supplier", "land")
"""What makes an entry of every change of worth; a write-down that changes no value makes none."""

Heap = tuple[str, str, str]
"""What is valued as one: item, warehouse, and the batch or nothing."""


@dataclass
class Told:
    """A heap: its entries, its method, what each of its entries took, and what stands there in the end.

    `trued_up` is what arrivals trued up of what had been issued before.
    """

    stock: Stock
    method: str = ""
    steps: list[Step] = field(default_factory=list)
    trued_up: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    taken: dict[str, list[Part]] = field(default_factory=dict)


def retraced(history: Sequence[MovementAllocated]) -> list[Told]:
    """All heaps of a history, serials left out: what they took stands in their own entries."""
    posting = post(history, empty_ledger(history))
    heaps: dict[Heap, Told] = {}
    values: dict[str, tuple[Decimal, Decimal]] = {}
    for movement, leg, entry in _entries(posting):
        posted = entry.posted
        values[posted.entry] = (posted.value, posted.quantity)
        if posted.original is not None and not posted.quantity:
            value, quantity = values[posted.original]
            values[posted.original] = (value + posted.value, quantity)
        if leg.tracking is not Tracking.SERIAL:
            batch = leg.batch or "" if leg.tracking is Tracking.BATCH else ""
            heap = heaps.setdefault(
                (leg.item, leg.warehouse, batch), Told(_stock(posting, leg.item, leg.warehouse, batch))
            )
            heap.method = leg.method if leg.tracking is Tracking.NONE else leg.tracking
            if posted.part_of is not None:
                heap.trued_up[posted.part_of] += entry.worth
            else:
                heap.steps.append(_step(movement, leg, entry, values))
    for heap in heaps.values():
        heap.taken = retrace([*heap.steps, END], heap.method, {END.entry, *(each.entry for each in heap.steps)})
    return list(heaps.values())


def _entries(posting: Posting) -> Iterator[tuple[MovementAllocated, Leg, Entry]]:
    """Every entry with its leg; that of a truing up is the one that arrives behind it."""
    for applied in posting.applied:
        movement = applied.movement
        legs = {entry_of(movement, place): leg for place, leg in enumerate(movement.legs)}
        following: Leg | None = None
        found = []
        for entry in reversed(applied.entries):
            following = legs.get(entry.posted.entry, following)
            assert following is not None
            found.append((movement, following, entry))
        yield from reversed(found)


def _step(movement: MovementAllocated, leg: Leg, entry: Entry, values: dict[str, tuple[Decimal, Decimal]]) -> Step:
    posted, purpose = entry.posted, PURPOSES[movement.purpose]
    rate: Decimal | None = leg.rate
    if posted.quantity < 0 and posted.original is not None:
        value, quantity = values[posted.original]
        rate = rate_of(abs(value), abs(quantity))
    return Step(posted.entry, purpose.flow, posted.quantity, entry.worth, posted.original, rate)


def _stock(posting: Posting, item: str, warehouse: str, batch: str) -> Stock:
    key = (COMPANY, item, warehouse)
    return posting.state.batches[*key, batch] if batch else posting.state.bins[key]


@given(histories(beyond_stock=True))
def test_the_parts_of_whatever_leaves_add_up_to_it(history: list[MovementAllocated]) -> None:
    for heap in retraced(history):
        for step in heap.steps:
            if step.quantity < 0 and step.flow is not Flow.COUNT:
                parts = heap.taken[step.entry]
                assert abs(total_of(parts) + step.worth) < NANO
                assert abs(sum((each.quantity for each in parts), ZERO) + step.quantity) < NANO


@given(histories(beyond_stock=True))
def test_what_an_entry_brought_has_been_taken_or_counted_or_covered_something_or_stands_there(
    history: list[MovementAllocated],
) -> None:
    for heap in retraced(history):
        gone: dict[str, Decimal] = defaultdict(Decimal)
        covered = _covered(heap)
        for part in (part for parts in heap.taken.values() for part in parts):
            if part.entry is not None and part.kind is Kind.ARRIVED:
                gone[part.entry] += part.quantity
        for step in heap.steps:
            if step.quantity > 0 and step.flow is not Flow.COUNT:
                assert abs(gone[step.entry] + covered[step.entry] - step.quantity) < NANO


def _covered(heap: Told) -> dict[str, Decimal]:
    """How much of each arrival covered what had been issued beyond stock."""
    covered: dict[str, Decimal] = defaultdict(Decimal)
    quantity = ZERO
    for step in heap.steps:
        if step.quantity > 0 and step.flow is not Flow.COUNT:
            covered[step.entry] = min(max(-quantity, ZERO), step.quantity)
        quantity += step.quantity
    return covered


@given(histories(beyond_stock=True))
def test_what_stands_in_the_end_is_what_the_bin_holds(history: list[MovementAllocated]) -> None:
    unit = Decimal(1).scaleb(-history[0].digits)
    for heap in retraced(history):
        standing = heap.taken[END.entry]
        assert abs(sum((each.quantity for each in standing), ZERO) - heap.stock.quantity) < NANO
        # Revaluations that change no value make no entry, so the exact worth may differ by what they did.
        assert abs(total_of(standing) - heap.stock.worth) <= unit * len(history) / 2


@given(histories(beyond_stock=True, kinds=TOLD_EXACTLY))
def test_without_such_revaluations_the_worth_is_told_exactly(history: list[MovementAllocated]) -> None:
    for heap in retraced(history):
        if heap.stock.quantity >= 0:
            assert abs(total_of(heap.taken[END.entry]) - heap.stock.worth) < NANO * 100


@given(histories(beyond_stock=True, kinds=TOLD_EXACTLY))
def test_what_is_trued_up_is_the_difference_of_what_was_issued_and_what_came(history: list[MovementAllocated]) -> None:
    unit = Decimal(1).scaleb(-history[0].digits)
    trued_up = 0
    for heap in retraced(history):
        for step in heap.steps:
            parts = heap.taken.get(step.entry, [])
            if step.quantity > 0 and step.flow is not Flow.COUNT:
                # A difference that has no value makes no entry.
                assert abs(total_of(parts) - heap.trued_up.pop(step.entry, ZERO)) <= unit * len(parts)
        trued_up += len(heap.trued_up)
    assert not trued_up, "trued up by what covers nothing"
