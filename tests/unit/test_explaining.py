"""What an entry is made of, kind of movement by kind, and how it is shown in money that adds up.

The histories of bins are given here as they would be told: what a movement does with them is what is looked at.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.decide.explaining.entries import Known, histories, parts_of, related, whole_of
from services.ledger.decide.explaining.parts import Kind, Part, portions, scaled_to, total_of
from services.ledger.decide.explaining.recorded import Recorded
from services.ledger.decide.explaining.serials import SerialStep, retrace_serials
from services.ledger.decide.explaining.tree import Limits, Node, grow, root
from shared.contracts.movement import Leg, MovementAllocated
from shared.purposes import Flow
from shared.quantities import plain, to_places
from tests.builders import MORNING, Receiving, entry_of, leg, transfer


def line(part: Part) -> str:
    entry = f" {part.entry}" if part.entry else ""
    about = f" of {','.join(part.serials)}" if part.serials else f" {part.account}" if part.account else ""
    added = "".join(f" + {line(each)}" for each in part.added)
    return f"{part.kind.value} {_number(part.quantity)}{entry}{about}: {_number(part.worth)}{added}"


def _number(value: Decimal) -> str:
    return plain(to_places(value, 6))


def came(entry: str, quantity: str, worth: str, serials: Sequence[str] = (), added: Sequence[Part] = ()) -> Part:
    return Part(Kind.ARRIVED, entry, Decimal(quantity), Decimal(worth), tuple(serials), tuple(added))


class Books:
    """Movements with the worth of each of their entries, and what the history of the bins tells of some."""

    def __init__(self) -> None:
        self.receiving = Receiving()
        self.known = Known()

    def post(self, purpose: str, *legs: tuple[Leg, str], booked: Sequence[tuple[str, str]] = ()) -> list[str]:
        """Record a movement; each leg with the worth of its entry, the last one with what it booked apart."""
        movement = self.receiving.movement(*(each for each, _ in legs), purpose=purpose)
        self.known.learn(movement)
        entries = [entry_of(movement, place) for place in range(len(legs))]
        for place, (each, worth) in enumerate(legs):
            self._record(movement, entries[place], each, worth, booked if place == len(legs) - 1 else ())
        return entries

    def _record(
        self, movement: MovementAllocated, entry: str, each: Leg, worth: str, booked: Sequence[tuple[str, str]]
    ) -> None:
        self.known.entries[entry] = Recorded(
            entry=entry,
            source=movement.source,
            id=movement.id,
            purpose=movement.purpose,
            line=each.line,
            item=each.item,
            warehouse=each.warehouse,
            batch=each.batch,
            effective_at=MORNING,
            stamp=1,
            quantity=each.quantity,
            value=Decimal(worth),
            worth=Decimal(worth),
            posting_date=date(2026, 3, 2),
            recorded_at=MORNING,
            original=each.original,
            booked=tuple((account, Decimal(amount)) for account, amount in booked),
        )

    def tell(self, entry: str, *parts: Part) -> None:
        self.known.told[entry] = parts

    def parts(self, entry: str) -> list[str]:
        """The parts of all that an entry changed."""
        return [line(each) for each in parts_of(whole_of(entry, self.known), self.known)]

    def parts_within(self, part: Part) -> list[str]:
        return [line(each) for each in parts_of(part, self.known)]


# --- what an entry is made of ----------------------------------------------------------------------------------------


def test_a_receipt_is_its_rate_and_its_additional_costs() -> None:
    books = Books()
    (receipt,) = books.post("purchase_receipt", (leg(10, 100), "106"), booked=[("freight", "4"), ("duty", "2")])
    assert books.parts(receipt) == ["given 10: 100", "additional_cost 0 freight: 4", "additional_cost 0 duty: 2"]
    assert books.parts_within(came(receipt, "5", "53")) == [
        "given 5: 50",
        "additional_cost 0 freight: 2",
        "additional_cost 0 duty: 1",
    ]
    (given, *_) = parts_of(came(receipt, "5", "53"), books.known)
    assert given.rate == 10


def test_what_came_without_an_amount_is_told_at_the_last_rate_known() -> None:
    books = Books()
    (receipt,) = books.post("sales_return", (leg(4), "10"))
    assert books.parts(receipt) == ["known_rate 4: 10"]


def test_what_was_added_to_goods_comes_after_what_they_cost() -> None:
    books = Books()
    (receipt,) = books.post("purchase_receipt", (leg(10, 100), "100"))
    added = Part(Kind.CORRECTED, "LC", Decimal(0), Decimal(3))
    assert books.parts_within(came(receipt, "5", "50", added=[added])) == ["given 5: 50", "corrected 0 LC: 3"]


def test_what_leaves_is_told_by_the_history_of_its_bin_without_its_sign() -> None:
    books = Books()
    (issue,) = books.post("delivery", (leg(-3), "-7"))
    assert histories(whole_of(issue, books.known), books.known) == [issue]
    books.tell(issue, came("R1", "1", "3"), came("R2", "2", "4"))
    assert books.parts(issue) == ["arrived 1 R1: 3", "arrived 2 R2: 4"]


def test_what_arrives_from_another_bin_is_what_left_there_and_its_costs() -> None:
    books = Books()
    leaves, arrives = transfer(4, "north", "south")
    left, arrived = books.post("material_transfer", (leaves, "-12"), (arrives, "14"), booked=[("freight", "2")])
    books.tell(left, came("R1", "1", "3"), came("R2", "3", "9"))
    part = came(arrived, "2", "7")
    assert related(part, books.known) == histories(part, books.known) == [left]
    assert books.parts(arrived) == ["arrived 1 R1: 3", "arrived 3 R2: 9", "additional_cost 0 freight: 2"]
    assert books.parts_within(part) == ["arrived 0.5 R1: 1.5", "arrived 1.5 R2: 4.5", "additional_cost 0 freight: 1"]


def test_the_rounding_of_what_left_is_shared_by_what_it_was() -> None:
    books = Books()
    leaves, arrives = transfer(2, "north", "south")
    left, arrived = books.post("material_transfer", (leaves, "-0.008"), (arrives, "0.01"))
    books.tell(left, came("R1", "1", "0.004"), came("R2", "1", "0.004"))
    assert books.parts(arrived) == ["arrived 1 R1: 0.005", "arrived 1 R2: 0.005"]


def making(books: Books, *products: tuple[Leg, str], booked: Sequence[tuple[str, str]] = ()) -> list[str]:
    """Thirty kilograms of oil and forty jars, worth 100, and what was made of them."""
    oil, jars = leg(-30, item="oil"), leg(-40, item="jar")
    entries = books.post("manufacture", (oil, "-60"), (jars, "-40"), *products, booked=booked)
    books.tell(entries[0], came("R1", "30", "60"))
    books.tell(entries[1], came("R2", "10", "12"), came("R3", "30", "28"))
    return entries[2:]


def test_a_product_is_what_was_consumed_and_what_making_cost() -> None:
    books = Books()
    (cream,) = making(books, (leg(40, item="cream", share=40), "105"), booked=[("wages", "5")])
    part = came(cream, "4", "10.5")
    assert len(related(part, books.known)) == 3
    assert [books.known.entries[each].item for each in histories(part, books.known)] == ["oil", "jar"]
    assert books.parts(cream) == [
        "arrived 30 R1: 60",
        "arrived 10 R2: 12",
        "arrived 30 R3: 28",
        "additional_cost 0 wages: 5",
    ]
    assert books.parts_within(part)[:2] == ["arrived 3 R1: 6", "arrived 1 R2: 1.2"]


def test_products_share_what_was_consumed_as_they_are_worth() -> None:
    books = Books()
    cream, soap = making(books, (leg(1, item="cream", share=3), "75"), (leg(1, item="soap", share=1), "25"))
    assert books.parts(cream) == ["arrived 22.5 R1: 45", "arrived 7.5 R2: 9", "arrived 22.5 R3: 21"]
    assert books.parts(soap) == ["arrived 7.5 R1: 15", "arrived 2.5 R2: 3", "arrived 7.5 R3: 7"]


def test_scrap_with_a_rate_of_its_own_is_taken_out_of_the_product() -> None:
    books = Books()
    cream, rest = making(books, (leg(1, item="cream", share=1), "90"), (leg(2, 10, item="rest"), "10"))
    assert books.parts(cream)[-1] == f"other_product -2 {rest}: -10"
    assert total_of(parts_of(whole_of(cream, books.known), books.known)) == 90
    assert books.parts(rest) == ["given 2: 10"]


def test_what_by_products_take_too_much_is_told_as_a_gap() -> None:
    books = Books()
    cream, rest = making(books, (leg(1, item="cream", share=1), "0"), (leg(2, 130, item="rest"), "130"))
    assert books.parts(cream)[-2:] == [f"other_product -2 {rest}: -130", "gap 0: 30"]
    assert total_of(parts_of(whole_of(cream, books.known), books.known)) == 0


def test_products_that_are_worth_nothing_are_told_by_their_shares() -> None:
    books = Books()
    legs = [leg(1, item="cream", share=3), leg(1, item="soap", share=1), leg(2, 130, item="rest")]
    cream, soap, _ = making(books, *zip(legs, ("0", "0", "130"), strict=True))
    assert books.parts(cream)[0] == "arrived 22.5 R1: 45"
    assert books.parts(soap)[0] == "arrived 7.5 R1: 15"
    legs = [leg(1, item="cream", share=0), leg(1, item="soap", share=0), leg(2, 130, item="rest")]
    cream, *_ = making(books, *zip(legs, ("0", "0", "130"), strict=True))
    assert books.parts(cream)[0] == "arrived 15 R1: 30"


def test_what_is_made_without_a_rate_and_a_share_is_told_at_the_last_rate_known() -> None:
    books = Books()
    cream, rest = making(
        books, (leg(1, item="cream", share=1), "94"), (leg(2, item="rest"), "6"), booked=[("wages", "1")]
    )
    assert related(whole_of(rest, books.known), books.known) == []
    assert books.parts(rest) == ["known_rate 2: 6"]
    assert books.parts(cream)[-1] == f"other_product -2 {rest}: -6"


def test_what_comes_back_is_the_part_of_what_went_out() -> None:
    books = Books()
    (delivery,) = books.post("delivery", (leg(-4), "-10"))
    books.tell(delivery, came("R1", "1", "4"), came("R2", "3", "6"))
    (back,) = books.post("sales_return", (leg(2, original=delivery), "5"))
    assert related(whole_of(back, books.known), books.known) == [delivery]
    assert books.parts(back) == ["arrived 0.5 R1: 2", "arrived 1.5 R2: 3"]


def test_only_the_serials_that_come_back_are_told() -> None:
    books = Books()
    (delivery,) = books.post("delivery", (leg(-3, serials=["A", "B", "C"]), "-60"))
    books.tell(delivery, came("R1", "1", "10", "A"), came("R2", "1", "20", "B"), came("R2", "1", "30", "C"))
    (back,) = books.post("sales_return", (leg(2, serials=["B", "C"], original=delivery), "50"))
    assert books.parts(delivery) == ["arrived 1 R1 of A: 10", "arrived 2 R2 of B,C: 50"]
    assert books.parts(back) == ["arrived 2 R2 of B,C: 50"]
    assert books.parts_within(came(back, "1", "30", ["C"])) == ["arrived 1 R2 of C: 30"]


def test_some_serials_of_a_receipt_have_their_share_of_its_costs() -> None:
    books = Books()
    (receipt,) = books.post(
        "purchase_receipt", (leg(4, 80, serials=["A", "B", "C", "D"]), "84"), booked=[("freight", "4")]
    )
    part = came(receipt, "3", "63", ["A", "B", "D"])
    assert books.parts_within(part) == ["given 3: 60", "additional_cost 0 freight: 3"]


def test_a_count_is_the_difference_and_its_goods_are_what_stood_there_and_that() -> None:
    books = Books()
    (count,) = books.post("reconciliation", (leg(-2, counted=8), "-5"))
    assert histories(whole_of(count, books.known), books.known) == []
    assert books.parts(count) == ["difference -2: -5"]
    counted = Part(Kind.COUNTED, count, Decimal(4), Decimal(10))
    assert histories(counted, books.known) == [count]
    books.tell(count, came("R1", "10", "25"))
    assert books.parts_within(counted) == ["arrived 5 R1: 12.5", "difference -1: -2.5"]


def test_a_landed_cost_is_told_by_the_accounts_that_bear_it_and_a_write_down_by_its_rate() -> None:
    books = Books()
    (receipt,) = books.post("purchase_receipt", (leg(10, 100), "100"))
    (landed,) = books.post("landed_cost", (leg(0, original=receipt), "7"), booked=[("freight", "8"), ("adjust", "-1")])
    assert books.parts(landed) == ["additional_cost 0 freight: 8", "additional_cost 0 adjust: -1"]
    (lowered,) = books.post("write_down", (leg(0, rate=9), "-17"))
    (part,) = parts_of(whole_of(lowered, books.known), books.known)
    assert line(part) == "written_down 0: -17"
    assert part.rate == 9


# --- serials ---------------------------------------------------------------------------------------------------------


def serial_steps(*rows: tuple[str, str, str, int, str]) -> list[SerialStep]:
    return [
        SerialStep(serial, entry, Flow(flow), Decimal(quantity), Decimal(cost))
        for serial, entry, flow, quantity, cost in rows
    ]


def test_a_serial_is_told_by_its_last_arrival_and_all_that_changed_its_cost_since() -> None:
    steps = serial_steps(
        ("A", "R1", "in", 2, "10"),
        ("A", "D1", "out", -1, "10"),
        ("A", "S1", "come_back", 1, "9"),
        ("B", "R2", "in", 1, "30"),
        ("A", "L1", "land", 0, "11"),
        ("A", "W1", "write_down", 0, "8"),
        ("A", "C1", "count", 0, "12"),
        ("A", "D2", "out", -1, "12"),
    )
    (part,) = retrace_serials(steps, {"D2"})["D2"]
    assert line(part) == ("arrived 1 S1 of A: 9 + corrected 0 L1: 2 + written_down 0 W1: -3 + difference 0 C1: 4")


def test_serials_that_came_together_are_told_together_with_what_was_added_to_them() -> None:
    books = Books()
    (delivery,) = books.post("delivery", (leg(-4, serials=["A", "B", "C", "D"]), "-50"))
    landed = [("A", "2"), ("B", "3")]
    books.tell(
        delivery,
        *(came("R1", "1", "10", each, added=[came("LC", "0", worth)]) for each, worth in landed),
        *(came("R1", "1", "12.5", each) for each in "CD"),
    )
    assert books.parts(delivery) == ["arrived 2 R1 of A,B: 20 + arrived 0 LC: 5", "arrived 2 R1 of C,D: 25"]


def test_the_last_serial_out_of_a_bin_takes_what_remains_there() -> None:
    steps = serial_steps(("A", "R1", "in", 3, "3.333333333"), ("A", "D1", "out", -1, "3.333333334"))
    assert [line(each) for each in retrace_serials(steps, {"D1"})["D1"]] == ["arrived 1 R1 of A: 3.333333"]
    assert total_of(retrace_serials(steps, {"D1"})["D1"]) == Decimal("3.333333334")


# --- in money --------------------------------------------------------------------------------------------------------


def test_parts_are_rounded_so_that_they_add_up() -> None:
    thirds = portions(Decimal("10.00"), [Decimal(1)] * 3, 2)
    assert thirds == [Decimal("3.33"), Decimal("3.34"), Decimal("3.33")]
    assert portions(Decimal("5.00"), [Decimal("6.009"), Decimal("-1.006")], 2) == [Decimal("6.01"), Decimal("-1.01")]


def test_ten_thousand_parts_of_next_to_nothing_leave_no_rest_for_the_last() -> None:
    shown = portions(Decimal("30.00"), [Decimal("0.003")] * 10_000, 2)
    assert set(shown) == {Decimal("0.00"), Decimal("0.01")}
    assert sum(shown) == 30


amounts = st.decimals(-1000, 1000, places=4)


@given(st.lists(amounts, min_size=1, max_size=20))
def test_portions_add_up_and_each_is_within_a_cent_of_its_part(parts: list[Decimal]) -> None:
    amount = to_places(sum(parts, Decimal(0)), 2)
    shown = portions(amount, parts, 2)
    assert sum(shown) == amount
    assert all(each == to_places(each, 2) for each in shown)
    if sum(parts) == amount:
        assert all(abs(one - exact) <= Decimal("0.01") for one, exact in zip(shown, parts, strict=True))


@given(st.lists(amounts, min_size=1, max_size=8), amounts)
def test_scaled_parts_add_up_to_what_was_asked(worths: list[Decimal], worth: Decimal) -> None:
    parts = scaled_to([came("R", "1", str(each)) for each in worths], worth)
    assert total_of(parts) == pytest.approx(worth, abs=Decimal("1e-18"))


def test_parts_of_both_signs_keep_their_size_and_the_last_takes_what_lacks() -> None:
    parts = scaled_to([came("R1", "1", "100"), came("R2", "1", "-99.99")], Decimal("0.02"))
    assert [each.worth for each in parts] == [100, Decimal("-99.98")]
    assert portions(Decimal("0.02"), [Decimal(100), Decimal("-99.99")], 2) == [100, Decimal("-99.98")]


# --- as a tree -------------------------------------------------------------------------------------------------------


def tree(books: Books, entry: str, limits: Limits) -> Node:
    node = root(entry, books.known)
    grow([node], books.known, 2, limits, lambda _: None)
    return node


def two_steps() -> tuple[Books, str]:
    """A delivery of goods that were transferred, and had been bought in three receipts."""
    books = Books()
    receipts = [books.post("purchase_receipt", (leg(n, 10 * n), str(10 * n)))[0] for n in (1, 2, 3)]
    left, arrived = books.post("material_transfer", *zip(transfer(6, "north", "south"), ("-60", "60"), strict=True))
    books.tell(left, *(came(name, str(n), str(10 * n)) for n, name in enumerate(receipts, start=1)))
    (delivery,) = books.post("delivery", (leg(-3, warehouse="south"), "-30"))
    books.tell(delivery, came(arrived, "3", "30"))
    return books, delivery


def test_a_tree_goes_down_to_where_value_entered() -> None:
    node = tree(*two_steps(), Limits())
    assert [each.value for each in node.walk() if each.part.kind is Kind.GIVEN] == [15, 10, 5]
    assert not any(each.closed for each in node.walk())
    assert node.quantity == 3


def test_a_tree_ends_where_it_is_told_to() -> None:
    books, delivery = two_steps()
    flat = tree(books, delivery, Limits(depth=1))
    assert [each.closed for each in flat.parts] == [True]
    (arrived,) = tree(books, delivery, Limits(parts=2)).parts
    assert [each.value for each in arrived.parts] == [10, 15]
    assert arrived.more == 1
    assert arrived.rest == 5
    small = tree(books, delivery, Limits(nodes=3))
    assert [each.closed for each in small.walk()] == [False, False, True, True, True]


def test_every_entry_is_opened_however_many_there_are() -> None:
    books, _ = two_steps()
    nodes = [root(entry, books.known) for entry in books.known.entries for _ in range(20)]
    grow(nodes, books.known, 2, Limits(nodes=3), lambda _: None)
    assert not any(node.closed for node in nodes)


def test_what_is_worth_most_is_opened_first_and_what_is_worth_nothing_never() -> None:
    books = Books()
    receipts = [books.post("purchase_receipt", (leg(1, n), str(n)))[0] for n in (0, 2, 7)]
    (delivery,) = books.post("delivery", (leg(-3), "-9"))
    books.tell(delivery, *(came(name, "1", str(n)) for n, name in zip((0, 2, 7), receipts, strict=True)))
    assert [each.closed for each in tree(books, delivery, Limits(nodes=4)).parts] == [True, True, False]
    assert [each.closed for each in tree(books, delivery, Limits()).parts] == [True, False, False]
