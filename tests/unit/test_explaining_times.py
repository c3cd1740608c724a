"""A leg as it is told now, the legs of a bin in the order of time, and what made a correction necessary.

Here stand the tables that the ledger could have written; that it writes them so is looked at elsewhere.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec import structs

from services.ledger.decide.explaining.bins import Step, retrace
from services.ledger.decide.explaining.causes import causes_of
from services.ledger.decide.explaining.entries import Known, histories, parts_of, related, whole_of
from services.ledger.decide.explaining.parts import Kind, Part, total_of
from services.ledger.decide.explaining.recorded import Addition, Recorded, Row, as_it_is_now
from services.ledger.decide.explaining.serials import SerialRow, retrace_serials, serials_in_time
from services.ledger.decide.explaining.timeline import BinRow, in_time
from services.ledger.decide.explaining.tree import root
from shared.contracts.movement import CorrectedCount, MovementAllocated, MovementName
from shared.purposes import Flow, Method
from tests.builders import MORNING, SOURCE, Receiving, entry_of, leg, transfer

DAY = date(2026, 3, 2)
LATER = MORNING + timedelta(days=1)


def row(entry: str, quantity: str, value: str, **changes: Any) -> Row:
    """An entry of leg E, by default its own: what it changed, and worth exactly that."""
    own = Row(
        leg="E",
        entry=entry,
        source=SOURCE,
        id="M1",
        purpose="purchase_receipt",
        line=1,
        item="tea",
        warehouse="north",
        batch=None,
        effective_at=MORNING,
        stamp=1,
        quantity=Decimal(quantity),
        value=Decimal(value),
        worth=Decimal(value),
        posting_date=DAY,
        recorded_at=MORNING,
        original=None,
        revaluation=0,
        true_up=False,
        booked={},
    )
    return own._replace(**changes)


def correction(number: int, value: str, quantity: str = "0", **changes: Any) -> Row:
    return row(f"C{number}", quantity, value, **{"revaluation": number, "recorded_at": LATER, **changes})


def amounts(recorded: Recorded) -> str:
    return f"{recorded.quantity:f}: {recorded.value:f}, worth {recorded.worth:f}, in all {recorded.total:f}"


def added(recorded: Recorded) -> list[tuple[datetime, str, str]]:
    return [(each.recorded_at, f"{each.quantity:f}", f"{each.value:f}") for each in recorded.additions]


# --- a leg as it is now ----------------------------------------------------------------------------------------------


def test_a_leg_is_the_sum_of_its_entry_and_of_all_that_was_added_to_it() -> None:
    now = as_it_is_now(
        [
            row("E", "10", "106", booked={"freight": Decimal(6)}),
            correction(1, "4", booked={"freight": Decimal(1)}),
            correction(3, "-1", booked={"duty": Decimal(2), "freight": Decimal(-7)}),
        ]
    )
    assert amounts(now) == "10: 109, worth 109, in all 109"
    assert now.booked == (("duty", Decimal(2)),)
    assert (now.entry, now.key, now.place) == ("E", (SOURCE, "M1"), (MORNING, 1))


def test_what_was_trued_up_is_no_part_of_what_the_goods_are_worth() -> None:
    now = as_it_is_now(
        [
            row("T", "0", "-3", true_up=True, booked={"cost": Decimal(-3)}),
            row("E", "10", "30"),
            correction(1, "1", true_up=True, worth=Decimal(0), booked={"cost": Decimal(1)}),
        ]
    )
    assert amounts(now) == "10: 30, worth 30, in all 28"
    assert now.booked == ()
    assert added(now) == [(MORNING, "10", "27"), (LATER, "0", "1")]


def test_what_was_added_at_one_time_is_one_addition_and_what_came_to_nothing_is_none() -> None:
    other = LATER + timedelta(seconds=1)
    now = as_it_is_now(
        [
            row("E", "-5", "-50"),
            correction(1, "4"),
            correction(2, "5", recorded_at=other),
            correction(3, "-6"),
            correction(4, "-5", recorded_at=other),
        ]
    )
    assert added(now) == [(MORNING, "-5", "-50"), (LATER, "0", "-2")]


def test_what_counts_on_different_days_is_told_apart() -> None:
    now = as_it_is_now([row("E", "-5", "-50"), correction(1, "4"), correction(2, "1", posting_date=date(2026, 4, 1))])
    assert [each.posting_date for each in now.additions] == [DAY, DAY, date(2026, 4, 1)]


def test_a_count_finds_more_by_another_movement_and_books_nothing_of_it_apart() -> None:
    found = {"id": "M9", "purpose": "delivery", "booked": {"stock_adjustment": Decimal(6)}}
    now = as_it_is_now([row("E", "-2", "-4", purpose="reconciliation"), correction(1, "6", "3", **found)])
    assert amounts(now) == "1: 2, worth 2, in all 2"
    assert now.booked == ()
    assert now.additions[1] == Addition(LATER, DAY, Decimal(3), Decimal(6), (SOURCE, "M9"))


def test_what_a_count_finds_is_one_addition_with_what_corrects_it_for_the_same_reason() -> None:
    count = row("E", "-2", "-4", purpose="reconciliation")
    found = correction(1, "6", "3", id="M9", purpose="delivery")
    now = as_it_is_now([count, found, correction(2, "-1")])
    assert added(now) == [(MORNING, "-2", "-4"), (LATER, "3", "5")]
    assert [each.by for each in now.additions] == [None, (SOURCE, "M9")]


def known_of(movement: MovementAllocated, *rows_of_legs: Sequence[Row]) -> Known:
    """A movement, with what was recorded of each of its own legs."""
    known = Known()
    known.learn(movement)
    for rows_of_leg in rows_of_legs:
        recorded = as_it_is_now(rows_of_leg)
        known.entries[recorded.entry] = recorded
    return known


def test_all_of_what_arrived_is_told_with_what_it_trued_up_and_what_it_handed_on_without() -> None:
    movement = Receiving().movement(leg(10, 30))
    entry = entry_of(movement)
    trued_up = row("T", "0", "-3", leg=entry, true_up=True)
    known = known_of(movement, [trued_up, row(entry, "10", "30", leg=entry)])
    whole = whole_of(entry, known)
    assert histories(whole, known) == [entry]
    assert [(each.kind, each.worth) for each in parts_of(whole, known)] == [
        (Kind.GIVEN, Decimal(30)),
        (Kind.TRUED_UP, Decimal(-3)),
    ]
    known.told[entry] = [
        Part(Kind.ISSUED_BEFORE, "D", Decimal(3), Decimal(6)),
        Part(Kind.COVERED, None, Decimal(-3), Decimal(-9)),
    ]
    assert [each.kind for each in parts_of(whole, known)] == [Kind.GIVEN, Kind.ISSUED_BEFORE, Kind.COVERED]
    assert root(entry, known).value == 27
    handed_on = Part(Kind.ARRIVED, entry, Decimal(5), Decimal(15))
    assert histories(handed_on, known) == []
    assert [(each.kind, each.worth) for each in parts_of(handed_on, known)] == [(Kind.GIVEN, Decimal(15))]


def test_what_a_movement_lets_a_later_count_find_is_no_leg_of_its_own() -> None:
    corrects = CorrectedCount(account="stock_adjustment", effective_at=LATER, posting_date=DAY, stamp=9)
    found = structs.replace(leg(-4, original="K"), corrects=corrects)
    made = leg(4, item="cream", share=4)
    movement = Receiving().movement(leg(-3), made, found, purpose="manufacture")
    consumed, product = (entry_of(movement, place) for place in (0, 1))
    known = known_of(
        movement,
        [row(consumed, "-3", "-6", leg=consumed, purpose="manufacture")],
        [row(product, "4", "6", leg=product, purpose="manufacture", item="cream")],
    )
    known.told[consumed] = [Part(Kind.ARRIVED, "R", Decimal(3), Decimal(6))]
    whole = whole_of(product, known)
    assert related(whole, known) == [consumed, product]
    assert [(each.entry, each.worth) for each in parts_of(whole, known)] == [("R", Decimal(6))]


# --- the legs of a bin -----------------------------------------------------------------------------------------------


def bin_row(
    stamp: int, entry: str, purpose: str, quantity: str, worth: str, of: str | None = None, **changes: Any
) -> BinRow:
    """What an entry changed, at its stamp; `of` is the entry to whose total it belongs."""
    amount = Decimal(worth)
    own = BinRow(MORNING, stamp, of or entry, of is None, purpose, Decimal(quantity), amount, amount, None, False)
    return own._replace(**changes)


def happened(rows: Sequence[BinRow], void: Sequence[int] = ()) -> list[str]:
    return [f"{each.entry} {each.flow} {each.quantity:f} {each.worth:f}" for each in in_time(rows, void)]


def test_what_belongs_to_a_leg_is_added_to_it_in_its_own_place() -> None:
    found = happened(
        [
            bin_row(1, "R", "purchase_receipt", "10", "40"),
            bin_row(1, "L", "landed_cost", "0", "5", original="R"),
            bin_row(1, "C1", "purchase_receipt", "0", "2", of="R"),
            bin_row(1, "C2", "landed_cost", "0", "-1", of="L"),
            bin_row(2, "D", "delivery", "-4", "-16"),
            bin_row(2, "C3", "delivery", "0", "-2", of="D"),
        ]
    )
    assert found == ["R in 10 42", "L land 0 4", "D out -4 -18"]


def test_what_was_cancelled_is_left_out_with_what_cancelled_it_and_what_corrected_it() -> None:
    found = happened(
        [
            bin_row(1, "R", "purchase_receipt", "10", "40"),
            bin_row(2, "D", "delivery", "-4", "-16", is_cancelled=True),
            bin_row(2, "C1", "delivery", "0", "3", of="D", is_cancelled=True),
            bin_row(3, "X", "cancellation", "4", "13", original="D"),
        ]
    )
    assert found == ["R in 10 40"]


def test_what_a_count_finds_by_what_was_cancelled_since_remains_with_the_count() -> None:
    found = happened(
        [
            bin_row(3, "K", "reconciliation", "-2", "-4"),
            bin_row(3, "F1", "delivery", "3", "6", of="K", is_cancelled=True),
            bin_row(3, "F2", "cancellation", "-3", "-6", of="K"),
        ]
    )
    assert found == ["K count -2 -4"]


def test_a_count_that_made_no_entry_is_told_by_what_it_found_later_unless_it_was_cancelled() -> None:
    rows = [bin_row(3, "F", "delivery", "3", "6", of="K"), bin_row(3, "C", "reconciliation", "0", "1", of="K")]
    assert happened(rows) == ["K count 3 7"]
    assert happened(rows, void=[3]) == []


def test_a_count_and_a_write_down_that_come_to_nothing_left_all_as_it_was() -> None:
    rows = [
        bin_row(1, "R", "purchase_receipt", "10", "0"),
        bin_row(2, "K", "reconciliation", "0", "-4"),
        bin_row(2, "C1", "reconciliation", "0", "4", of="K"),
        bin_row(3, "W", "write_down", "0", "-5"),
        bin_row(3, "C2", "write_down", "0", "5", of="W"),
    ]
    assert happened(rows) == ["R in 10 0"]


def serial_row(stamp: int, entry: str, purpose: str, quantity: int, cost: str, of: str | None = None) -> SerialRow:
    return SerialRow(MORNING, stamp, "A", of or entry, of is None, purpose, Decimal(quantity), Decimal(cost), False)


def test_a_serial_costs_in_each_leg_what_was_told_last_of_it() -> None:
    rows = [
        serial_row(1, "R", "purchase_receipt", 1, "10"),
        serial_row(1, "L", "landed_cost", 0, "12"),
        serial_row(1, "C1", "purchase_receipt", 0, "20", of="R"),
        serial_row(1, "C2", "landed_cost", 0, "22", of="L"),
        serial_row(2, "D", "delivery", -1, "12"),
        serial_row(2, "C3", "delivery", 0, "22", of="D"),
    ]
    (part,) = retrace_serials(serials_in_time(rows, ()), {"D"})["D"]
    assert [f"{each.entry} {each.worth:f}" for each in (part, *part.added)] == ["R 20", "L 2"]
    rows[4:] = [rows[4]._replace(is_cancelled=True), serial_row(3, "X", "cancellation", 1, "12")]
    rows.append(serial_row(4, "D2", "delivery", -1, "22"))
    assert [each.entry for each in serials_in_time(rows, ())] == ["R", "L", "D2"]


# --- while it is to be valued anew -----------------------------------------------------------------------------------


def test_what_is_told_until_it_is_valued_anew_is_told_apart() -> None:
    steps = [
        Step("R1", Flow.IN, Decimal(2), Decimal(4)),
        Step("R2", Flow.IN, Decimal(2), Decimal(8)),
        Step("D1", Flow.OUT, Decimal(-3), Decimal(-10), is_provisional=True),
    ]
    for method, expected in ((Method.FIFO, [4, 4, 2]), (Method.MOVING_AVERAGE, [3, 6, 1])):
        parts = retrace(steps, method, {"D1"})["D1"]
        assert [each.worth for each in parts] == expected
        assert parts[-1].kind is Kind.PENDING
        assert total_of(parts) == 10


def test_what_is_still_to_be_valued_anew_of_a_serial_is_told_with_the_serial() -> None:
    rows = [serial_row(1, "R", "purchase_receipt", 1, "10"), serial_row(2, "D", "delivery", -1, "12")]
    told = retrace_serials(serials_in_time(rows, (), (MORNING, 1)), {"D"})["D"]
    assert [f"{each.kind} {each.worth:f} of {','.join(each.serials)}" for each in told] == [
        "arrived 10 of A",
        "pending 2 of A",
    ]
    (clean,) = retrace_serials(serials_in_time(rows, (), (MORNING, 2)), {"D"})["D"]
    assert clean.worth == 12


# --- why -------------------------------------------------------------------------------------------------------------


def late(movement: MovementAllocated, seconds: int, **changes: Any) -> MovementAllocated:
    """It takes effect so many seconds earlier than it was told."""
    return structs.replace(movement, effective_at=movement.effective_at - timedelta(seconds=seconds), **changes)


def recorded_of(movement: MovementAllocated, warehouse: str = "north") -> Recorded:
    stamps = {each.warehouse: each.stamp for each in movement.stamps}
    place = {"effective_at": movement.effective_at, "stamp": stamps[warehouse], "warehouse": warehouse}
    return as_it_is_now([row("E", "-1", "-1", id=movement.id, **place)])


def why(
    movement: MovementAllocated, at: datetime, accepted: Sequence[MovementAllocated], *around: MovementAllocated
) -> list[str]:
    addition = Addition(at, DAY, Decimal(0), Decimal(1))
    return [each.id for each in causes_of(addition, recorded_of(movement), accepted, [movement, *around])]


def test_the_cause_is_what_was_accepted_then_and_takes_effect_before() -> None:
    gate = Receiving()
    delivery = gate.movement(leg(-1), purpose="delivery")
    receipt, other = (late(gate.movement(leg(5, 5)), 10) for _ in range(2))
    assert why(delivery, receipt.recorded_at, [receipt, other]) == [receipt.id]
    assert why(delivery, other.recorded_at, [receipt, other]) == [other.id]


def test_of_what_was_accepted_at_once_the_cause_came_into_the_same_bin_after_it() -> None:
    gate = Receiving()
    before = gate.movement(leg(1, 1))
    delivery = gate.movement(leg(-1), purpose="delivery")
    at = LATER
    elsewhere = late(gate.movement(leg(5, 5, warehouse="south")), 10, recorded_at=at)
    receipt = late(gate.movement(leg(5, 5)), 10, recorded_at=at)
    afterwards = gate.movement(leg(5, 5))
    told = [structs.replace(each, recorded_at=at) for each in (before, delivery, elsewhere, receipt, afterwards)]
    assert why(delivery, at, told) == [receipt.id]


def test_the_cause_may_lie_where_the_goods_came_from() -> None:
    gate = Receiving()
    moved = gate.movement(*transfer(2, "south", "north"), purpose="material_transfer")
    delivery = gate.movement(leg(-1), purpose="delivery")
    at = LATER
    unrelated = late(gate.movement(leg(5, 5, item="jar")), 10, recorded_at=at)
    receipt = late(gate.movement(leg(5, 5, warehouse="south")), 10, recorded_at=at)
    assert why(delivery, at, [unrelated, receipt], moved) == [receipt.id]


def test_a_landed_cost_and_a_cancellation_stand_where_another_movement_does() -> None:
    gate = Receiving()
    receipt = gate.movement(leg(5, 5))
    at = receipt.effective_at
    delivery = structs.replace(gate.movement(leg(-1), purpose="delivery"), effective_at=at)
    landed = structs.replace(gate.movement(leg(0, original="R"), purpose="landed_cost"), effective_at=at)
    against = MovementName(source=SOURCE, id=receipt.id)
    undone = structs.replace(
        gate.movement(leg(-5), purpose="cancellation"), effective_at=at, mirrors="purchase_receipt", against=against
    )
    same_time = structs.replace(gate.movement(leg(5, 5)), effective_at=at)
    told = [structs.replace(each, recorded_at=LATER) for each in (landed, undone, same_time)]
    assert why(delivery, LATER, told) == [landed.id, undone.id]


def test_what_is_late_itself_is_its_own_cause() -> None:
    gate = Receiving()
    gate.movement(leg(5, 5))
    delivery = late(gate.movement(leg(-1), purpose="delivery"), 10)
    assert why(delivery, delivery.recorded_at, [delivery]) == [delivery.id]


def test_what_a_count_found_later_it_found_by_the_movement_that_says_so() -> None:
    gate = Receiving()
    count = gate.movement(leg(0, counted=4), purpose="reconciliation")
    one, two = (late(gate.movement(leg(5, 5)), 10, recorded_at=LATER) for _ in range(2))
    addition = Addition(LATER, DAY, Decimal(-5), Decimal(-5), (SOURCE, two.id))
    assert causes_of(addition, recorded_of(count), [one, two], [count]) == [two]
