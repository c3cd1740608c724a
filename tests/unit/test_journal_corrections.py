"""What a cancellation books, and what is booked when movements turn out to be worth something else, as tables."""

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec import structs

from services.accounting.decide.journal import book_revaluation
from shared.contracts.journal import JournalPosted
from shared.contracts.stock import MovementPosted, PostedEntry
from shared.errors import InvariantBroken, Unprocessable
from shared.identity import derived_id
from shared.purposes import PURPOSES, Flow, Role
from shared.quantities import ZERO
from tests.accounting_builders import (
    ACCOUNTS,
    NOON,
    Booked,
    booked,
    corrected,
    correction,
    entry,
    posted,
    revaluation,
    sides,
    transfers,
    true_up,
)

CHANGING = [each.name for each in PURPOSES.values() if each.flow not in (Flow.MOVE, Flow.MAKE, Flow.CANCEL)]


def mirrored(booked: list[Booked]) -> list[Booked]:
    return [(credit, debit, amount) for debit, credit, amount in booked]


# --- a cancellation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", CHANGING)
def test_a_cancellation_mirrors_what_the_purpose_of_the_cancelled_movement_booked(purpose: str) -> None:
    done = booked(posted(purpose, entry("-30.00"), entry("12.00", "depot")))
    undone = posted("cancellation", entry("30.00"), entry("-12.00", "depot"), mirrors=purpose)
    assert booked(undone) == mirrored(done)
    assert len(done) == 2


@pytest.mark.parametrize(
    ("left", "arrived"),
    [("-10.00", "10.00"), ("-10.00", "10.01"), ("-10.00", "9.99"), ("0.00", "0.01"), ("-0.01", "0.00")],
)
def test_the_cancellation_of_a_transfer_takes_back_what_was_moved_and_the_gap(left: str, arrived: str) -> None:
    done = booked(posted("material_transfer", entry(left, "depot"), entry(arrived, "shop", arrives_from=0)))
    ends = [entry(_negated(left), "depot"), entry(_negated(arrived), "shop", arrives_from=0, quantity="-1")]
    assert booked(posted("cancellation", *ends, mirrors="material_transfer")) == mirrored(done)


@pytest.mark.parametrize("purpose", ["manufacture", "repack"])
def test_the_cancellation_of_making_gives_back_what_was_consumed_for_what_was_made(purpose: str) -> None:
    values = ["-60.00", "-40.00", "70.00", "33.00"]
    places = ["depot", "van", "shop", "north"]
    done = booked(posted(purpose, *(entry(value, place) for value, place in zip(values, places, strict=True))))
    undoing = [entry(_negated(value), place) for value, place in zip(values, places, strict=True)]
    assert booked(posted("cancellation", *undoing, mirrors=purpose)) == mirrored(done)
    assert ("shop", "depot", "60.00") in done
    assert ("north", "stock_adjustment", "3.00") in done


def test_a_cancellation_gives_back_costs_and_true_ups_to_the_accounts_that_bore_them() -> None:
    undone = entry("-103.00", apart={"freight": "-6.00", "cost_of_goods_sold": "3.00"}, quantity="-1")
    assert booked(posted("cancellation", undone, mirrors="purchase_receipt")) == [
        ("freight", "stock", "6.00"),
        ("stock", "cost_of_goods_sold", "3.00"),
        ("stock_received_not_billed", "stock", "100.00"),
    ]


def test_the_money_of_a_cancelled_sale_goes_back_as_it_came() -> None:
    money = sides([("cash", "119.00", None)], [("income", "100.00", 1), ("vat", "19.00", 1)])
    back = sides([("income", "100.00", 1), ("vat", "19.00", 1)], [("cash", "119.00", None)])
    done = booked(posted("sale", entry("-60.00"), money=money))
    assert booked(posted("cancellation", entry("60.00"), money=back, mirrors="sale")) == mirrored(done)


@pytest.mark.parametrize("mirrors", [None, "cancellation"])
def test_a_cancellation_that_does_not_say_what_it_undoes_is_never_booked(mirrors: str | None) -> None:
    with pytest.raises(InvariantBroken, match="purpose that it mirrors"):
        booked(posted("cancellation", entry("5.00"), mirrors=mirrors))


def test_a_cancellation_of_an_unknown_purpose_is_unprocessable_and_named() -> None:
    with pytest.raises(Unprocessable, match="juggling"):
        booked(posted("cancellation", entry("5.00"), mirrors="juggling"))


# --- what goes along with a movement of another time -----------------------------------------------------------------


def later_count(value: str) -> PostedEntry:
    """What a later count found less, or more, because of the movement."""
    found = "-2" if value.startswith("-") else "2"
    apart = {"stock_adjustment": value} if value != "0.00" else {}
    return entry(value, "shop", line=9, apart=apart, quantity=found, part_of="entry of the count")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("-7.00", [("stock_adjustment", "shop", "7.00")]),
        ("7.00", [("shop", "stock_adjustment", "7.00")]),
        ("0.00", []),
    ],
)
@pytest.mark.parametrize("cancelled", [False, True])
def test_what_a_later_count_finds_is_no_end_of_a_transfer(value: str, expected: list[Booked], cancelled: bool) -> None:
    ends = [entry("-10", "depot", quantity="-1"), entry("10", "shop", arrives_from=0), later_count(value)]
    moved = ("shop", "depot", "10")
    if cancelled:
        ends = [entry("10", "depot"), entry("-10", "shop", arrives_from=0, quantity="-1"), later_count(value)]
        moved = ("depot", "shop", "10")
    movement = posted("cancellation" if cancelled else "material_transfer", *ends)
    movement = structs.replace(movement, mirrors="material_transfer" if cancelled else None)
    assert booked(movement) == [*expected, moved]


def test_what_a_later_count_finds_is_no_part_of_what_is_made() -> None:
    movement = posted("manufacture", entry("-9", "depot"), entry("9", "shop"), later_count("-4.00"))
    assert booked(movement) == [("stock_adjustment", "shop", "4.00"), ("shop", "depot", "9")]


def test_a_later_count_that_books_only_a_part_of_its_value_apart_is_a_loose_end_of_a_transfer() -> None:
    half = entry("-7.00", "shop", apart={"stock_adjustment": "-3.00"}, part_of="entry of the count")
    with pytest.raises(InvariantBroken, match="must arrive once"):
        booked(posted("material_transfer", entry("-1", "depot"), entry("1", "shop", arrives_from=0), half))


@pytest.mark.parametrize("value", ["-7.00", "7.00"])
def test_what_a_later_count_finds_is_told_as_the_count_s_and_booked_to_the_account_of_the_count(value: str) -> None:
    ((debit, credit, amount),) = corrected("reconciliation", later_count(value))
    expected = ("shop", "stock_adjustment") if value == "7.00" else ("stock_adjustment", "shop")
    assert ((debit, credit), amount) == (expected, "7.00")


# --- corrections -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("purpose", "value", "corrects", "expected"),
    [
        ("opening_stock", "1.50", "3", ("stock", "temporary_opening", "1.50")),
        ("material_receipt", "-1.50", "3", ("stock_adjustment", "stock", "1.50")),
        ("material_issue", "-1.50", "-3", ("stock_adjustment", "stock", "1.50")),
        ("material_issue", "1.50", "-3", ("stock", "stock_adjustment", "1.50")),
        ("scrap", "-1.50", "-3", ("write_off", "stock", "1.50")),
        ("delivery", "-1.50", "-3", ("cost_of_goods_sold", "stock", "1.50")),
        ("sale", "1.50", "-3", ("stock", "cost_of_goods_sold", "1.50")),
        ("sales_return", "1.50", "3", ("stock", "cost_of_goods_sold", "1.50")),
        ("purchase_return", "-1.50", "-3", ("stock_received_not_billed", "stock", "1.50")),
        ("reconciliation", "1.50", "-3", ("stock", "stock_adjustment", "1.50")),
        ("write_down", "-1.50", "0", ("write_off", "stock", "1.50")),
        ("landed_cost", "1.50", "0", ("stock", "expenses_in_valuation", "1.50")),
    ],
)
def test_what_an_entry_turned_out_to_be_worth_goes_to_the_accounts_that_it_was_booked_to(
    purpose: str, value: str, corrects: str, expected: Booked
) -> None:
    assert corrected(purpose, correction(value, corrects)) == [expected]


def test_of_a_correction_too_what_is_booked_apart_goes_to_its_accounts() -> None:
    given_back = correction("-5.00", "-2", apart={"cost_of_goods_sold": "-5.00"})
    assert corrected("purchase_return", given_back) == [("cost_of_goods_sold", "stock", "5.00")]
    more = correction("-3.00", "0", apart={"cost_of_goods_sold": "-3.00"})
    assert corrected("purchase_receipt", more) == [("cost_of_goods_sold", "stock", "3.00")]


def test_a_difference_account_takes_the_corrections_of_its_movement_as_well() -> None:
    movement = posted("material_issue", correction("-8", "-1"), accounts=ACCOUNTS | {Role.STOCK_ADJUSTMENT: "samples"})
    (journal,) = book_revaluation(revaluation(movement))
    assert [(each.debit, each.credit) for each in journal.transfers] == [("samples", "stock")]


@pytest.mark.parametrize(
    ("left", "arrived", "expected"),
    [
        ("-2.00", "2.00", [("shop", "depot", "2.00")]),
        ("2.00", "-2.00", [("depot", "shop", "2.00")]),
        ("-2.00", "2.01", [("shop", "depot", "2.00"), ("shop", "stock_adjustment", "0.01")]),
        ("-0.01", "0.00", [("shop", "depot", "0.01"), ("stock_adjustment", "shop", "0.01")]),
        ("0.00", "0.01", [("shop", "stock_adjustment", "0.01")]),
    ],
)
def test_a_corrected_transfer_takes_the_difference_along(left: str, arrived: str, expected: list[Booked]) -> None:
    ends = [correction(left, "-5", "depot"), correction(arrived, "5", "shop", arrives_from=0)]
    assert corrected("material_transfer", *ends) == expected


@pytest.mark.parametrize(("value", "expected"), [("0.01", ("shop", "stock_adjustment", "0.01")), ("0.00", None)])
def test_what_arrived_may_be_rounded_otherwise_though_what_left_is_the_same(
    value: str, expected: Booked | None
) -> None:
    assert corrected("material_transfer", correction(value, "5", "shop")) == ([expected] if expected else [])


def test_each_corrected_end_is_paired_with_its_other_one_and_rounding_stands_alone() -> None:
    found = corrected(
        "material_transfer",
        correction("-1.00", "-4", "a"),
        correction("0.03", "7", "e"),
        correction("-2.00", "-4", "b"),
        correction("2.00", "4", "d", arrives_from=2),
        correction("1.00", "4", "c", arrives_from=0),
    )
    assert found == [("e", "stock_adjustment", "0.03"), ("d", "b", "2.00"), ("c", "a", "1.00")]


@pytest.mark.parametrize(
    "corrections",
    [
        [correction("-2.00", "-5", "depot")],
        [correction("0.00", "-5", "depot")],
        [correction("2.00", "0", "shop")],
        [correction("2.00", "5", "shop", arrives_from=0)],
        [correction("1.00", "5", "depot"), correction("2.00", "5", "shop", arrives_from=0)],
    ],
    ids=["never arrives", "never arrives, worth nothing", "of no quantity", "arrives from itself", "from an arrival"],
)
def test_a_corrected_transfer_with_a_loose_end_is_never_booked(corrections: list[PostedEntry]) -> None:
    with pytest.raises(InvariantBroken, match="must arrive once"):
        corrected("material_transfer", *corrections)


def test_the_correction_of_a_true_up_or_of_what_a_count_found_is_no_end_of_a_transfer() -> None:
    covered = correction("-3.00", "0", "shop", apart={"cost_of_goods_sold": "-3.00"})
    counted = correction("-1.00", "-2", "shop", line=9, apart={"stock_adjustment": "-1.00"})
    assert corrected("material_transfer", covered, counted) == [
        ("cost_of_goods_sold", "shop", "3.00"),
        ("stock_adjustment", "shop", "1.00"),
    ]


@pytest.mark.parametrize(
    ("consumed", "made", "expected"),
    [
        ("-6.00", "6.00", [("shop", "depot", "6.00")]),
        ("6.00", "-6.00", [("depot", "shop", "6.00")]),
        ("-6.00", "5.99", [("shop", "depot", "5.99"), ("stock_adjustment", "depot", "0.01")]),
        ("-6.00", "0.00", [("stock_adjustment", "depot", "6.00")]),
    ],
)
def test_the_corrections_of_making_meet_each_other_and_the_remainder_goes_to_stock_adjustment(
    consumed: str, made: str, expected: list[Booked]
) -> None:
    corrections = [correction(consumed, "-5", "depot"), correction(made, "5", "shop", line=2)]
    assert corrected("manufacture", *corrections) == expected


def test_a_cancellation_is_corrected_in_nothing_but_what_it_changed_of_later_counts() -> None:
    counted = correction("-1.00", "-2", apart={"stock_adjustment": "-1.00"})
    assert corrected("cancellation", counted) == [("stock_adjustment", "stock", "1.00")]
    with pytest.raises(InvariantBroken, match="purpose that it mirrors"):
        corrected("cancellation", correction("-1.00", "-2"))


# --- the journal entries of a revaluation ----------------------------------------------------------------------------


def journal_of(*movements: MovementPosted) -> list[JournalPosted]:
    return book_revaluation(revaluation(*movements))


def test_each_corrected_movement_has_an_entry_of_its_own_that_names_it_and_says_when_it_counts() -> None:
    delivery = posted("delivery", correction("-2.00", "-1"), identifier="D")
    issue = posted("material_issue", correction("-1.00", "-1"), identifier="I")
    issue = structs.replace(issue, posting_date=issue.posting_date + timedelta(days=30))
    first, second = journal_of(delivery, issue)
    for journal, movement in ((first, delivery), (second, issue)):
        for name in ("source", "id", "company", "currency", "purpose", "effective_at", "posting_date", "document"):
            assert getattr(journal, name) == getattr(movement, name), name
    assert [each.entry for each in first.transfers] == ["entry of line 1"]


def test_corrections_are_recorded_with_the_revaluation_and_derive_their_ids_from_both_names() -> None:
    known = revaluation(posted("delivery", correction("-2.00", "-1"), identifier="D"))
    (journal,) = book_revaluation(known)
    assert journal.recorded_at == known.recorded_at != NOON
    expected = derived_id(known.recorded_at, "ledger", "shop/tea/stock/1", "till", "D")
    assert journal.journal_entry == str(expected)
    (again,) = book_revaluation(structs.replace(known, id="shop/tea/stock/2"))
    assert again.journal_entry != journal.journal_entry


def test_a_movement_that_is_corrected_by_nothing_has_no_entry() -> None:
    nothing = posted("delivery", correction("0.00", "-1"), identifier="D")
    ends = [correction("0.00", "-1", "depot"), correction("0.00", "1", "shop", arrives_from=0)]
    assert journal_of(nothing, posted("material_transfer", *ends, identifier="T")) == []


def test_a_company_without_perpetual_accounting_books_no_corrections() -> None:
    assert journal_of(posted("delivery", correction("-2.00", "-1"), perpetual=False)) == []


def test_a_movement_that_is_corrected_twice_by_one_revaluation_is_never_booked() -> None:
    twice = posted("delivery", correction("-2.00", "-1"))
    with pytest.raises(InvariantBroken, match="M1"):
        journal_of(twice, twice)


def test_the_money_of_a_movement_is_never_corrected() -> None:
    money = sides([("cash", "1", None)], [("income", "1", 1)])
    with pytest.raises(InvariantBroken, match="the stock of each movement"):
        journal_of(posted("sale", correction("-2.00", "-1"), money=money))


def test_a_movement_with_its_correction_and_its_cancellation_leaves_nothing_on_any_account() -> None:
    receipt = posted(
        "purchase_receipt", true_up("-3.00", "cost_of_goods_sold"), entry("106.00", apart={"freight": "6.00"})
    )
    less = posted("purchase_receipt", correction("1.00", "0", apart={"cost_of_goods_sold": "1.00"}))
    undone = entry("-104.00", apart={"freight": "-6.00", "cost_of_goods_sold": "2.00"}, quantity="-1")
    cancelled = posted("cancellation", undone, mirrors="purchase_receipt")
    balances: dict[str, Decimal] = {}
    for each in (*transfers(receipt), *journal_of(less)[0].transfers, *transfers(cancelled)):
        balances[each.debit] = balances.get(each.debit, ZERO) + each.amount
        balances[each.credit] = balances.get(each.credit, ZERO) - each.amount
    assert balances == dict.fromkeys(("stock", "freight", "cost_of_goods_sold", "stock_received_not_billed"), ZERO)


def _negated(value: str) -> str:
    return value[1:] if value.startswith("-") else f"-{value}"
