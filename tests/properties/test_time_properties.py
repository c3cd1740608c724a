"""Random histories that are told in another order than they happened, through the ledger on PostgreSQL and the journal.

However they are cut into sets, and whenever something is valued anew in between: in the end it is all as if it had been
told in time, and the books balance after each transaction.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ledger.store import checkpoints
from shared.contracts.movement import MovementAllocated
from shared.purposes import PURPOSES
from tests.builders import cost, entry_of, leg, transfer
from tests.properties.reference_time import Standing, Total, outcome
from tests.properties.time_builders import Days
from tests.properties.time_histories import History, dated_histories
from tests.properties.time_ledger import Opening, Plan, ledgers

pytestmark = pytest.mark.timeout(3600)
many = settings(max_examples=settings().max_examples * 4)
pieces = st.sampled_from((1, 2, 3, 100))
plans = st.lists(st.tuples(st.integers(1, 6), st.sampled_from((0, 0, 1, 3)), pieces), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def opening(postgres: str, empty_database: str) -> Iterator[Opening]:
    with ledgers(postgres, empty_database) as opening:
        yield opening


@many
@given(history=dated_histories(), plan=plans, piece=pieces, every=st.sampled_from((1, 3, 500)))
def test_in_the_end_all_is_as_if_it_had_been_told_in_time(
    opening: Opening, history: History, plan: Plan, piece: int, every: int
) -> None:
    _play(opening, history, plan, piece, every)


# --- short ones -------------------------------------------------------------------------------------------------------

in_pieces = pytest.mark.parametrize("piece", [1, 100])
noting = pytest.mark.parametrize("every", [1, 3, 500])


@in_pieces
@noting
def test_what_came_at_the_rate_known_then_takes_part_in_a_landed_cost(opening: Opening, piece: int, every: int) -> None:
    days = Days()
    bought = days.tell(1, "purchase_receipt", leg(1, 2))
    found = days.tell(2, "material_receipt", leg(1))
    days.tell(1, "landed_cost", leg(0, original=entry_of(bought)), costs=(cost(1),), against=bought)
    assert days.values(found) == ["3.00"]
    _play(opening, History(days.told), [(1, 0, 1)], piece, every)


@in_pieces
@noting
def test_what_is_sent_back_of_one_entry_from_two_places_is_owed_once(opening: Opening, piece: int, every: int) -> None:
    days = Days()
    bought = days.tell(1, "purchase_receipt", leg(3, 10), leg(3, 3, warehouse="south", line=2))
    first = leg(-1, original=entry_of(bought))
    second = leg(-1, warehouse="south", line=2, original=entry_of(bought))
    days.tell(3, "purchase_return", first, second, against=bought)
    days.tell(1, "landed_cost", leg(0, original=entry_of(bought)), costs=(cost(5),), against=bought)
    days.tell(0, "material_receipt", leg(2, 1), leg(2, 1, warehouse="south", line=2))
    _play(opening, History(days.told), [(1, 0, 1)], piece, every)


@in_pieces
@noting
def test_what_was_cancelled_before_it_was_valued_anew_leaves_nothing_behind(
    opening: Opening, piece: int, every: int
) -> None:
    days = Days()
    days.tell(3, "purchase_receipt", leg(1, 2, batch="B1"))
    inserted = days.tell(1, "purchase_receipt", leg(1, batch="B1"))
    days.cancel(inserted)
    last = days.tell(4, "purchase_receipt", leg(1, 2, batch="B1"), leg(1, 2, batch="B1", line=2))
    days.cancel(last)
    assert days.balance(batch="B1") == "1 worth 2.00"
    _play(opening, History(days.told), [(1, 1, 100)], piece, every)


@in_pieces
@noting
def test_what_a_landed_cost_left_of_a_serial_is_what_it_leaves_with(opening: Opening, piece: int, every: int) -> None:
    days = Days()
    bought = days.tell(
        2, "purchase_receipt", leg(1, serials=["S1"], standard_rate=1), leg(1, 10, serials=["S2"], line=2)
    )
    line = leg(0, serials=["S1"], original=entry_of(bought))
    days.tell(2, "landed_cost", line, costs=(cost(-5),), against=bought)
    used = days.tell(4, "material_issue", leg(-1, serials=["S1"]))
    days.tell(1, "purchase_receipt", leg(1, 2, serials=["S3"]))
    assert (days.values(bought), days.values(used)) == (["2.00", "10.00"], ["0.00"])
    _play(opening, History(days.told), [(1, 0, 1)], piece, every)


@in_pieces
@noting
def test_what_brought_a_rate_along_brings_none_when_that_is_cancelled(opening: Opening, piece: int, every: int) -> None:
    days = Days()
    bought = days.tell(1, "purchase_receipt", leg(1, 2))
    days.tell(2, "material_transfer", *transfer("0.001", "north", "south"))
    issued = days.tell(3, "material_issue", leg(-1, warehouse="south"))
    assert days.values(issued) == ["-2.00"]
    days.cancel(bought)
    assert days.values(issued) == ["0.00"]
    _play(opening, History(days.told), [(1, 0, 1)], piece, every)


# --- playing and comparing --------------------------------------------------------------------------------------------


def _play(opening: Opening, history: History, plan: Plan, piece: int, every: int) -> None:
    """Told as planned, all is valued anew in the end, in pieces of that size, and compared with the reference.

    `every`: how many movements of a bin lie between two places at which it is noted what stands there.
    """
    with opening() as ledger, pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "EVERY", every)
        movements = history.of(ledger.company).movements
        ledger.play(movements, plan)
        ledger.settle(piece)
        assert not ledger.pending()
        expected = outcome(movements)
        assert _compared(ledger.totals(), movements) == expected.totals()
        _compare(ledger.standing(), expected.standing())
        assert ledger.accounts() == expected.accounts()


def _compared(totals: Mapping[str, Total], movements: Sequence[MovementAllocated]) -> dict[str, Total]:
    """What each leg came to with its cancellation; what came to nothing at all is left out.

    What a count finds later on is booked apart, but on the account that it books to anyhow.
    """
    known = {(each.source, each.id): each for each in movements}
    undone: dict[str, str] = {}
    counters: dict[str, str] = {}
    for each in movements:
        for place, own in enumerate(each.legs):
            if each.mirrors is not None and each.against is not None and own.corrects is None:
                undone[entry_of(each, place)] = entry_of(known[each.against.source, each.against.id], place)
            if own.counted is not None:
                counters[entry_of(each, place)] = each.accounts[PURPOSES[each.purpose].counter]
    found: dict[str, Total] = {}
    for entry, total in totals.items():
        name = undone.get(entry, entry)
        booked = {account: amount for account, amount in total.booked.items() if account != counters.get(name)}
        found[name] = found.get(name, Total()) + Total(total.quantity, total.value, booked)
    return {name: total for name, total in found.items() if total != Total()}


def _compare(found: Mapping[datetime, Standing], expected: Mapping[datetime, Standing]) -> None:
    """The same stands everywhere at each moment; where nothing happened, what stood there before."""
    now, then = dict[tuple[str, str, str], object](), dict[tuple[str, str, str], object]()
    for moment in sorted({*found, *expected}):
        now = dict(found.get(moment, now))
        then = dict(expected.get(moment, then))
        assert now == then, moment
