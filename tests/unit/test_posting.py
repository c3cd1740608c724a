"""Which movements are next, what one turn of posting makes of them, and what must never happen."""

from collections import deque
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from services.ledger.decide.posting import BinKey, in_order, post, try_out
from services.ledger.decide.state import bins_of
from services.ledger.decide.valuation import METHODS, Layer, Stock
from shared.contracts.movement import Leg, MovementAllocated
from shared.contracts.outcome import OutcomeAccepted
from shared.contracts.stock import PostedEntry
from shared.errors import InvariantBroken, Unprocessable
from shared.identity import derived_id
from shared.purposes import Method
from shared.quantities import plain
from tests.builders import COMPANY, MORNING, Receiving, cost, empty_ledger, entry_of, leg, posted, transfer

A, B, C = ((COMPANY, "tea", place) for place in ("a", "b", "c"))


def keys(*names: str) -> list[tuple[str, str]]:
    return [("till", name) for name in names]


def test_movements_of_a_bin_are_applied_by_stamp_whatever_their_order() -> None:
    stamps = {("till", str(stamp)): {A: stamp} for stamp in (3, 1, 4, 2)}
    assert in_order(stamps, {A: 0}) == keys("1", "2", "3", "4")


def test_what_comes_behind_a_gap_is_not_in_order() -> None:
    stamps = {("till", str(stamp)): {A: stamp} for stamp in (1, 2, 4, 5)}
    assert in_order(stamps, {A: 0}) == keys("1", "2")


def test_a_movement_of_two_bins_waits_for_both() -> None:
    stamps = {("till", "join"): {A: 2, B: 2}, ("till", "a"): {A: 1}}
    assert in_order(stamps, {A: 0, B: 0}) == keys("a")
    assert in_order(stamps | {("till", "b"): {B: 1}}, {A: 0, B: 0}) == keys("a", "b", "join")


def test_a_diamond_is_applied_in_one_turn() -> None:
    stamps = {
        ("till", "last"): {A: 3, B: 3},
        ("till", "left"): {A: 2},
        ("till", "right"): {B: 2},
        ("till", "first"): {A: 1, B: 1},
    }
    assert in_order(stamps, {A: 0, B: 0}) == keys("first", "left", "right", "last")


def test_a_chain_over_bins_is_applied_in_one_turn() -> None:
    stamps = {("till", "3"): {B: 2, C: 1}, ("till", "2"): {A: 2, B: 1}, ("till", "1"): {A: 1}}
    assert in_order(stamps, {A: 0, B: 0, C: 0}) == keys("1", "2", "3")


def test_a_movement_without_bins_is_always_next() -> None:
    assert in_order({("till", "services"): {}}, {}) == keys("services")


@pytest.mark.parametrize("stamp", [1, 4, 5])
def test_a_stamp_that_was_taken_before_is_a_broken_invariant(stamp: int) -> None:
    with pytest.raises(InvariantBroken, match="taken before"):
        in_order({("till", "late"): {A: stamp}}, {A: 5})


def test_two_movements_with_one_stamp_are_a_broken_invariant() -> None:
    with pytest.raises(InvariantBroken, match="one stamp"):
        in_order({("till", "1"): {A: 7}, ("till", "2"): {A: 7, B: 1}}, {A: 0, B: 0})


def test_a_movement_that_is_not_next_is_never_applied() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(1, 1)) for _ in range(3)]
    with pytest.raises(InvariantBroken, match="out of order"):
        post([movements[0], movements[2]], empty_ledger(movements))


def test_a_leg_in_a_bin_without_a_stamp_is_a_broken_invariant() -> None:
    movement = msgspec.structs.replace(Receiving().movement(leg(1, 1)), stamps=[])
    with pytest.raises(InvariantBroken, match="no stamp"):
        post([movement], empty_ledger([movement]))


def test_a_stamp_without_a_leg_only_advances_its_bin() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(1, 5)), receiving.movement(leg(1, 3, item="salt"), also=[("tea", "north")])]
    posting = post(movements, empty_ledger(movements))
    tea = (COMPANY, "tea", "north")
    assert posting.state.last_stamps[tea] == 2
    assert posting.state.bins[tea].quantity == 1
    assert [entry.item for entry in posting.applied[1].posted.entries] == ["salt"]


def test_posting_leaves_the_state_that_it_was_given_as_it_was() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(2, 5)), receiving.movement(leg(1, 9)), receiving.movement(leg(-2))]
    state = empty_ledger(movements)
    first, second = post(movements, state), post(movements, state)
    assert [each.posted for each in first.applied] == [each.posted for each in second.applied]
    assert state.last_stamps == {(COMPANY, "tea", "north"): 0}
    assert not state.bins[COMPANY, "tea", "north"].layers


def test_only_bins_that_advanced_are_told_to_have_advanced() -> None:
    receiving = Receiving()
    moved, other = receiving.movement(leg(1, 1)), receiving.movement(leg(1, 1, item="salt"))
    assert post([moved], empty_ledger([moved, other])).advanced == [(COMPANY, "tea", "north")]


def test_an_entry_tells_its_bin_and_what_stands_there_after_it() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(4, 10)), receiving.movement(*transfer(3, "north", "south"))]
    leaves, arrives = posted(movements)[1].entries
    told = [(each.stamp, *map(plain, _numbers(each)), each.arrives_from) for each in (leaves, arrives)]
    assert told == [(2, "-3", "-7.5", "1", "2.5", None), (1, "3", "7.5", "3", "7.5", 0)]
    assert arrives.stock_account == "stock south"


def test_what_is_told_names_the_movement_and_what_to_book() -> None:
    movement = Receiving().movement(leg(1, 1), purpose="purchase_receipt")
    told = posted([movement])[0]
    same = [name for name in told.__struct_fields__ if name != "entries"]
    assert {name: getattr(told, name) for name in same} == {name: getattr(movement, name) for name in same}


def test_an_entrys_id_derives_from_its_movement_and_its_place() -> None:
    movement = Receiving().movement(leg(1, 1), leg(1, 1, line=2))
    ids = [entry.entry for entry in posted([movement])[0].entries]
    expected = [derived_id(movement.recorded_at, movement.source, movement.id, place) for place in ("0", "1")]
    assert ids == expected
    assert posted([movement])[0].entries[0].entry == ids[0]


def test_a_derived_id_is_a_uuid_of_version_7_and_sorts_by_time() -> None:
    early, late = derived_id(MORNING, "till", "M1"), derived_id(MORNING + timedelta(milliseconds=1), "till", "M1")
    assert str(UUID(early)) == early
    assert UUID(early).version == 7
    assert UUID(early).variant == "specified in RFC 4122"
    assert early < late
    assert derived_id(MORNING, "till", "M1", "2") != derived_id(MORNING, "till", "M12")


def test_putting_a_set_in_order_looks_at_each_movement_a_fixed_number_of_times() -> None:
    looks = 0

    class Watched(dict[BinKey, int]):
        def items(self) -> Any:
            nonlocal looks
            looks += 1
            return super().items()

    count = 500
    stamps = {("till", str(stamp)): Watched({A: stamp, B: stamp}) for stamp in range(count, 0, -1)}
    assert len(in_order(stamps, {A: 0, B: 0})) == count
    assert looks <= 3 * count


def test_a_set_copies_the_layers_of_a_bin_once(monkeypatch: pytest.MonkeyPatch) -> None:
    copies = 0
    copy = Stock.copy

    def counted(stock: Stock) -> Stock:
        nonlocal copies
        copies += 1
        return copy(stock)

    monkeypatch.setattr(Stock, "copy", counted)
    receiving = Receiving()
    posted([receiving.movement(leg(1, place)) for place in range(100)])
    assert copies == 1


# --- what is named ---------------------------------------------------------------------------------------------------


def test_posting_leaves_what_is_known_of_named_entries_as_it_was() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(3, 10)), receiving.movement(leg(-3), purpose="delivery")]
    sold = entry_of(movements[1])
    returns = [receiving.movement(leg(1, original=sold), purpose="sales_return") for _ in range(2)]
    before = post(movements, empty_ledger([*movements, *returns])).state
    values = [[str(each.posted.entries[0].value) for each in post(returns, before).applied] for _ in range(2)]
    assert values == [["3.33", "3.34"], ["3.33", "3.34"]]
    assert before.originals[sold] is not None


def test_a_landed_cost_leaves_the_arrivals_that_it_was_given_as_they_were() -> None:
    receiving = Receiving()
    receipt = receiving.movement(leg(2, 4))
    landed = receiving.movement(leg(0, original=entry_of(receipt)), purpose="landed_cost", costs=[cost(2)])
    before = post([receipt], empty_ledger([receipt, landed])).state
    post([landed], before)
    (arrival,) = before.arrivals[COMPANY, "tea", "north"]
    assert (arrival.entry, str(arrival.worth)) == (entry_of(receipt), "4")


def test_a_purpose_that_is_not_in_the_table_is_unprocessable() -> None:
    movement = Receiving().movement(leg(1, 1), purpose="gift")
    with pytest.raises(Unprocessable, match="purpose"):
        post([movement], empty_ledger([movement]))


# --- dry runs --------------------------------------------------------------------------------------------------------

ACCEPTED = OutcomeAccepted(source="till", id="M9", kind="movement.requested", recorded_at=MORNING)


def tried(movement: MovementAllocated) -> MovementAllocated:
    """The same as a dry run, which has no stamps."""
    return msgspec.structs.replace(movement, trial=ACCEPTED, stamps=[])


def test_a_dry_run_tells_what_would_be_posted_now_and_changes_nothing() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(4, 8)), receiving.movement(leg(-1))]
    issue = tried(receiving.movement(leg(-2)))
    before = post(movements, empty_ledger(movements)).state
    told = [try_out(issue, before) for _ in range(2)]
    assert told[0] == told[1]
    assert told[0].trial == ACCEPTED
    (entry,) = told[0].entries
    assert (entry.stamp, *map(plain, _numbers(entry))) == (3, "-2", "-4", "1", "2")


def test_a_dry_run_counts_whatever_stands_there() -> None:
    receiving = Receiving()
    receipt = receiving.movement(leg(4, 8))
    count = tried(receiving.movement(leg(1, counted=10), purpose="reconciliation"))
    (entry,) = try_out(count, post([receipt], empty_ledger([receipt])).state).entries
    assert tuple(map(plain, _numbers(entry))) == ("6", "12", "10", "20")


def test_a_dry_run_counts_no_serials_where_none_stands() -> None:
    receiving = Receiving()
    receipt = receiving.movement(leg(1, 50, serials=["A"]))
    gone = receiving.movement(leg(-1, serials=["A"]))
    count = tried(receiving.movement(leg(0, 60, serials=["A"], counted=1), purpose="reconciliation"))
    assert try_out(count, post([receipt, gone], empty_ledger([receipt, gone])).state).entries == []


@pytest.mark.parametrize("method", [Method.FIFO, Method.LIFO])
def test_worth_that_lands_on_nobody_knows_what_makes_one_layer(method: Method) -> None:
    stock = Stock(Decimal(3), Decimal(6), layers=deque([Layer(Decimal(3), Decimal(6), Decimal(2))]))
    METHODS[method].land(stock, Decimal(3), [], [])
    assert list(stock.layers) == [Layer(Decimal(3), Decimal(9), Decimal(3))]


@pytest.mark.parametrize(
    ("one", "purpose", "value"),
    [
        (leg(2, original="unknown"), "sales_return", "4"),
        (leg(2, item="salt", standard_rate=3, original="unknown"), "sales_return", "6"),
        (leg(2, item="drill", serials=["A", "B"], standard_rate=7, original="unknown"), "sales_return", "14"),
        (leg(-1, original="unknown"), "purchase_return", "-2"),
        (leg(0, original="unknown"), "landed_cost", "5"),
        (leg(0, item="salt", original="unknown"), "landed_cost", "0"),
    ],
)
def test_a_dry_run_may_name_an_entry_that_is_not_posted_yet(one: Leg, purpose: str, value: str) -> None:
    receiving = Receiving()
    receipt = receiving.movement(leg(4, 8))
    costs = [cost(5)] if purpose == "landed_cost" else []
    trial = tried(receiving.movement(one, purpose=purpose, costs=costs))
    state = post([receipt], empty_ledger([receipt, trial])).state
    for key in bins_of(trial):
        state.bins.setdefault(key, Stock())
        state.last_stamps.setdefault(key, 0)
    (entry,) = try_out(trial, state).entries
    assert plain(entry.value) == value


def _numbers(entry: PostedEntry) -> tuple[Decimal, ...]:
    return (entry.quantity, entry.value, entry.quantity_after, entry.value_after)
