"""Which accounts each kind of movement debits and credits, as tables that an accountant can check."""

from decimal import Decimal

import pytest

from services.accounting.decide.journal import ALGORITHMS, book
from shared.contracts.stock import PostedEntry
from shared.errors import InvariantBroken, Unprocessable
from shared.purposes import PURPOSES, Flow, Role
from tests.accounting_builders import (
    ACCOUNTS,
    JOURNAL_ENTRY,
    Booked,
    booked,
    by_line,
    entry,
    posted,
    sides,
    transfers,
    true_up,
)


def test_every_flow_has_a_way_to_be_booked() -> None:
    assert ALGORITHMS.keys() == set(Flow)


@pytest.mark.parametrize(
    ("purpose", "value", "debit", "credit"),
    [
        ("opening_stock", "100.00", "stock", "temporary_opening"),
        ("material_receipt", "100.00", "stock", "stock_adjustment"),
        ("purchase_receipt", "100.00", "stock", "stock_received_not_billed"),
        ("material_issue", "-100.00", "stock_adjustment", "stock"),
        ("scrap", "-100.00", "write_off", "stock"),
        ("delivery", "-100.00", "cost_of_goods_sold", "stock"),
        ("sale", "-100.00", "cost_of_goods_sold", "stock"),
        ("sales_return", "100.00", "stock", "cost_of_goods_sold"),
        ("purchase_return", "-100.00", "stock_received_not_billed", "stock"),
        ("reconciliation", "100.00", "stock", "stock_adjustment"),
        ("reconciliation", "-100.00", "stock_adjustment", "stock"),
        ("write_down", "-100.00", "write_off", "stock"),
        ("landed_cost", "100.00", "stock", "expenses_in_valuation"),
    ],
)
def test_each_purpose_debits_and_credits_the_accounts_of_its_row(
    purpose: str, value: str, debit: str, credit: str
) -> None:
    assert booked(posted(purpose, entry(value))) == [(debit, credit, "100.00")]


@pytest.mark.parametrize("purpose", [each.name for each in PURPOSES.values() if each.counter is not Role.STOCK])
def test_a_value_of_the_other_sign_swaps_debit_and_credit(purpose: str) -> None:
    ((debit, credit, amount),) = booked(posted(purpose, entry("3.50")))
    assert booked(posted(purpose, entry("-3.50"))) == [(credit, debit, amount)]


def test_a_difference_account_takes_the_place_of_the_stock_adjustment() -> None:
    accounts = ACCOUNTS | {Role.STOCK_ADJUSTMENT: "samples"}
    assert booked(posted("material_issue", entry("-8"), accounts=accounts)) == [("samples", "stock", "8")]


def test_every_entry_has_a_transfer_of_its_own_that_names_it_and_its_line() -> None:
    found = transfers(posted("purchase_receipt", entry("5", line=1), entry("7", line=2), entry("7", line=2)))
    assert [(each.line, each.entry, str(each.amount)) for each in found] == [
        (1, "entry of line 1", "5"),
        (2, "entry of line 2", "7"),
        (2, "entry of line 2", "7"),
    ]


def test_entries_of_opposite_sign_are_not_netted() -> None:
    movement = posted("material_receipt", entry("5"), entry("-5"))
    assert booked(movement) == [("stock", "stock_adjustment", "5"), ("stock_adjustment", "stock", "5")]


def test_one_account_on_both_sides_keeps_its_transfer() -> None:
    accounts = ACCOUNTS | {Role.STOCK_ADJUSTMENT: "stock"}
    assert booked(posted("material_receipt", entry("5"), accounts=accounts)) == [("stock", "stock", "5")]


def test_an_entry_without_value_has_no_transfer_beside_one_that_has() -> None:
    assert booked(posted("delivery", entry("0.00"), entry("-1.00"))) == [("cost_of_goods_sold", "stock", "1.00")]


def test_a_movement_of_value_zero_has_a_journal_entry_without_transfers() -> None:
    journal = book(posted("material_receipt", entry("0")), JOURNAL_ENTRY)
    assert journal is not None
    assert journal.transfers == []


def test_a_company_without_perpetual_accounting_has_no_journal_entry() -> None:
    assert book(posted("purchase_receipt", entry("5"), perpetual=False), JOURNAL_ENTRY) is None


def test_a_journal_entry_says_which_movement_it_books_and_when() -> None:
    movement = posted("purchase_receipt", entry("5"))
    journal = book(movement, JOURNAL_ENTRY)
    assert journal is not None
    assert journal.journal_entry == JOURNAL_ENTRY
    for name in (
        "source",
        "id",
        "company",
        "currency",
        "purpose",
        "effective_at",
        "recorded_at",
        "posting_date",
        "document",
        "trace",
    ):
        assert getattr(journal, name) == getattr(movement, name), name


def test_what_comes_back_within_a_sale_is_booked_beside_what_leaves() -> None:
    exchange = posted("sale", entry("-60.00", line=1), entry("25.00", line=2))
    assert by_line(exchange) == [
        ("cost_of_goods_sold", "stock", "60.00", 1),
        ("stock", "cost_of_goods_sold", "25.00", 2),
    ]


# --- what is booked apart --------------------------------------------------------------------------------------------


def test_a_receipts_additional_costs_are_credited_to_their_accounts_and_the_rest_to_the_supplier() -> None:
    first = entry("106.00", line=1, apart={"freight": "4.00", "duty": "2.00"})
    second = entry("52.00", line=2, apart={"freight": "2.00"})
    assert sorted(by_line(posted("purchase_receipt", first, second))) == [
        ("stock", "duty", "2.00", 1),
        ("stock", "freight", "2.00", 2),
        ("stock", "freight", "4.00", 1),
        ("stock", "stock_received_not_billed", "100.00", 1),
        ("stock", "stock_received_not_billed", "50.00", 2),
    ]


@pytest.mark.parametrize(
    ("value", "lacks", "expected"),
    [
        ("-12.00", "-2.00", ("cost_of_goods_sold", "stock", "2.00")),
        ("-7.00", "3.00", ("stock", "cost_of_goods_sold", "3.00")),
    ],
    ids=["worth more than was paid", "worth less than was paid"],
)
def test_a_purchase_return_takes_off_the_supplier_what_was_paid_whatever_it_is_worth(
    value: str, lacks: str, expected: Booked
) -> None:
    movement = posted("purchase_return", entry(value, apart={"cost_of_goods_sold": lacks}))
    assert sorted(booked(movement)) == sorted([expected, ("stock_received_not_billed", "stock", "10.00")])


def test_truing_up_books_to_the_account_of_the_issue_and_leaves_the_supplier_the_full_receipt() -> None:
    movement = posted("purchase_receipt", true_up("-3.00", "cost_of_goods_sold"), entry("30.00"))
    assert booked(movement) == [
        ("cost_of_goods_sold", "stock", "3.00"),
        ("stock", "stock_received_not_billed", "30.00"),
    ]


def test_a_landed_cost_is_credited_to_the_account_of_each_cost() -> None:
    movement = posted("landed_cost", entry("7.50", apart={"freight": "5.00", "duty": "2.50"}, quantity="0"))
    assert booked(movement) == [("stock", "freight", "5.00"), ("stock", "duty", "2.50")]


def test_what_a_lowered_landed_cost_cannot_take_off_stock_goes_where_the_entry_says() -> None:
    apart = {"stock_received_not_billed": "-5.00", "stock_adjustment": "2.00"}
    assert booked(posted("landed_cost", entry("-3.00", apart=apart, quantity="0"))) == [
        ("stock_received_not_billed", "stock", "5.00"),
        ("stock", "stock_adjustment", "2.00"),
    ]


def test_a_part_without_amount_has_no_transfer() -> None:
    movement = posted("purchase_receipt", entry("5.00", apart={"freight": "0.00"}))
    assert booked(movement) == [("stock", "stock_received_not_billed", "5.00")]


def test_a_part_that_goes_to_the_stock_account_itself_keeps_its_transfer() -> None:
    movement = posted("material_receipt", entry("5.00", apart={"stock": "5.00"}))
    assert booked(movement) == [("stock", "stock", "5.00")]


def test_an_entry_whose_parts_cancel_out_keeps_every_one_of_them() -> None:
    movement = posted("material_receipt", entry("0.00", apart={"freight": "5.00", "duty": "-5.00"}))
    assert booked(movement) == [("stock", "freight", "5.00"), ("duty", "stock", "5.00")]


# --- transfers between warehouses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "arrived", "expected"),
    [
        ("-10.00", "10.00", [("shop", "depot", "10.00")]),
        ("-10.00", "10.01", [("shop", "depot", "10.00"), ("shop", "stock_adjustment", "0.01")]),
        ("-10.00", "9.99", [("shop", "depot", "10.00"), ("stock_adjustment", "shop", "0.01")]),
        ("0.00", "0.01", [("shop", "stock_adjustment", "0.01")]),
        ("-0.01", "0.00", [("shop", "depot", "0.01"), ("stock_adjustment", "shop", "0.01")]),
        ("0.00", "0.00", []),
        ("2.00", "-2.00", [("depot", "shop", "2.00")]),
    ],
)
def test_a_transfer_books_what_left_and_a_gap_goes_to_stock_adjustment(
    left: str, arrived: str, expected: list[Booked]
) -> None:
    assert booked(posted("material_transfer", entry(left, "depot"), entry(arrived, "shop", arrives_from=0))) == expected


def test_the_arriving_entry_carries_the_transfer() -> None:
    left, arrived = entry("-10", "depot", line=7), entry("10.01", "shop", line=8, arrives_from=0)
    assert [each.entry for each in transfers(posted("material_transfer", left, arrived))] == [arrived.entry] * 2


def test_warehouses_that_share_a_stock_account_keep_their_transfer() -> None:
    movement = posted("material_transfer", entry("-10", "stock"), entry("10", "stock", arrives_from=0))
    assert booked(movement) == [("stock", "stock", "10")]


def test_each_arriving_entry_is_paired_with_the_one_that_it_names() -> None:
    movement = posted(
        "material_transfer",
        entry("-1", "a"),
        entry("-2", "b"),
        entry("2", "d", arrives_from=1),
        entry("1", "c", arrives_from=0),
    )
    assert booked(movement) == [("d", "b", "2"), ("c", "a", "1")]


@pytest.mark.parametrize(
    "entries",
    [
        [entry("-1", "a")],
        [entry("1", "b", arrives_from=0)],
        [entry("1", "b", arrives_from=5), entry("-1", "a")],
        [entry("-1", "a"), entry("1", "b", arrives_from=0), entry("1", "b", arrives_from=0)],
    ],
    ids=["never arrives", "arrives from itself", "arrives from nowhere", "arrives twice"],
)
def test_a_transfer_with_a_loose_end_is_never_booked(entries: list[PostedEntry]) -> None:
    with pytest.raises(InvariantBroken, match="must arrive once"):
        book(posted("material_transfer", *entries), JOURNAL_ENTRY)


def test_a_transfers_additional_costs_are_no_part_of_what_was_moved() -> None:
    arrived = entry("12.01", "shop", line=2, arrives_from=0, apart={"freight": "2.00"})
    assert booked(posted("material_transfer", entry("-10.00", "depot"), arrived)) == [
        ("shop", "freight", "2.00"),
        ("shop", "depot", "10.00"),
        ("shop", "stock_adjustment", "0.01"),
    ]


def test_a_transfer_into_a_bin_below_zero_trues_up_beside_what_it_moves() -> None:
    movement = posted(
        "material_transfer",
        entry("-10.00", "depot"),
        true_up("-3.00", "cost_of_goods_sold", "shop"),
        entry("10.00", "shop", arrives_from=0),
    )
    assert booked(movement) == [("cost_of_goods_sold", "shop", "3.00"), ("shop", "depot", "10.00")]


def test_truing_up_that_is_not_booked_apart_as_a_whole_is_a_loose_end() -> None:
    half = entry("-3.00", "shop", apart={"cost_of_goods_sold": "-2.00"}, quantity="0")
    with pytest.raises(InvariantBroken, match="must arrive once"):
        booked(posted("material_transfer", entry("-1", "depot"), half, entry("1", "shop", arrives_from=0)))


# --- making ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("consumed", "made", "expected"),
    [
        (["-60", "-40"], ["100"], [("shop", "depot", "60", 3), ("shop", "depot", "40", 3)]),
        (["-100"], ["70", "30"], [("shop", "depot", "70", 2), ("shop", "depot", "30", 3)]),
        (
            ["-60", "-40"],
            ["50", "50"],
            [("shop", "depot", "50", 3), ("shop", "depot", "10", 4), ("shop", "depot", "40", 4)],
        ),
        (
            ["-10", "-90"],
            ["50", "50"],
            [("shop", "depot", "10", 3), ("shop", "depot", "40", 3), ("shop", "depot", "50", 4)],
        ),
        (["-60"], ["100"], [("shop", "depot", "60", 2), ("shop", "stock_adjustment", "40", 2)]),
        (
            ["-60", "-40"],
            ["70"],
            [("shop", "depot", "60", 3), ("shop", "depot", "10", 3), ("stock_adjustment", "depot", "30", 2)],
        ),
        (["0.00"], ["5"], [("shop", "stock_adjustment", "5", 2)]),
        (["-5"], ["0.00"], [("stock_adjustment", "depot", "5", 1)]),
        ([], ["5", "6"], [("shop", "stock_adjustment", "5", 1), ("shop", "stock_adjustment", "6", 2)]),
    ],
    ids=str,
)
@pytest.mark.parametrize("purpose", ["manufacture", "repack"])
def test_making_books_what_was_consumed_to_what_came_of_it_in_their_order(
    purpose: str, consumed: list[str], made: list[str], expected: list[tuple[str, str, str, int]]
) -> None:
    left = [entry(value, "depot", line) for line, value in enumerate(consumed, 1)]
    arrived = [entry(value, "shop", line) for line, value in enumerate(made, len(consumed) + 1)]
    assert by_line(posted(purpose, *left, *arrived)) == expected


def test_the_costs_of_making_are_no_part_of_what_was_consumed() -> None:
    product = entry("125.00", "shop", line=2, apart={"wages": "20.00", "power": "5.00"})
    assert by_line(posted("manufacture", entry("-100.00", "depot", line=1), product)) == [
        ("shop", "wages", "20.00", 2),
        ("shop", "power", "5.00", 2),
        ("shop", "depot", "100.00", 2),
    ]


def test_a_product_that_costs_more_than_it_is_worth_gives_the_difference_to_the_others() -> None:
    cheap = entry("0.00", "shop", line=2, apart={"wages": "20.00"})
    movement = posted("manufacture", entry("8.00", "van", line=1), cheap, entry("7.00", "van", line=3))
    assert by_line(movement) == [
        ("shop", "wages", "20.00", 2),
        ("van", "shop", "8.00", 2),
        ("van", "shop", "7.00", 3),
        ("stock_adjustment", "shop", "5.00", 2),
    ]


def test_making_in_one_warehouse_keeps_its_transfer() -> None:
    assert booked(posted("repack", entry("-8"), entry("8"))) == [("stock", "stock", "8")]


def test_making_into_a_bin_below_zero_trues_up_beside_what_it_makes() -> None:
    movement = posted(
        "manufacture", entry("-9", "depot"), true_up("2", "cost_of_goods_sold", "shop"), entry("9", "shop")
    )
    assert booked(movement) == [("shop", "cost_of_goods_sold", "2"), ("shop", "depot", "9")]


# --- the money of a sale ---------------------------------------------------------------------------------------------


def test_a_cash_sale_books_its_goods_then_its_tender_against_income_and_tax() -> None:
    money = sides([("cash", "119.00", None)], [("income", "100.00", 1), ("vat", "19.00", 1)])
    found = transfers(posted("sale", entry("-60.00"), money=money))
    assert [(each.debit, each.credit, str(each.amount), each.line, each.entry) for each in found] == [
        ("cost_of_goods_sold", "stock", "60.00", 1, "entry of line 1"),
        ("cash", "income", "100.00", 1, None),
        ("cash", "vat", "19.00", 1, None),
    ]


def test_tenders_and_incomes_are_paired_in_their_order() -> None:
    money = sides([("voucher", "30", None), ("card", "70", None)], [("income", "60", 1), ("services", "40", 2)])
    assert booked(posted("sale", money=money)) == [
        ("voucher", "income", "30"),
        ("card", "income", "30"),
        ("card", "services", "40"),
    ]


def test_a_ticket_of_negative_amounts_is_booked_the_other_way_round() -> None:
    money = sides([("cash", "-119", None)], [("income", "-100", 1), ("vat", "-19", 1)])
    assert booked(posted("sale", money=money)) == [("income", "cash", "100"), ("vat", "cash", "19")]


def test_a_return_line_inside_a_ticket_is_not_netted_with_its_sales() -> None:
    money = sides([("cash", "20", None)], [("income", "50", 1), ("income", "-30", 2)])
    assert booked(posted("sale", money=money)) == [("cash", "income", "20"), ("income", "income", "30")]


def test_a_transfer_between_two_lines_of_a_ticket_names_neither() -> None:
    money = sides([], [("income", "30", 1), ("income", "-30", 2)])
    assert [each.line for each in transfers(posted("sale", money=money))] == [None]


def test_a_transfer_of_money_names_the_line_of_the_debit_where_the_credit_has_none() -> None:
    money = sides([("discounts", "3", 4)], [("cash", "3", None)])
    assert [each.line for each in transfers(posted("sale", money=money))] == [4]


def test_amounts_of_zero_have_no_transfer() -> None:
    money = sides([("cash", "0", None), ("card", "5", None)], [("income", "5", 1), ("vat", "0.00", 1)])
    assert booked(posted("sale", money=money)) == [("card", "income", "5")]


@pytest.mark.parametrize(("debit", "credit"), [("5", "4"), ("4", "5"), ("5", "0"), ("5", "-5")])
def test_money_that_does_not_balance_is_never_booked(debit: str, credit: str) -> None:
    money = sides([("cash", debit, None)], [("income", credit, 1)])
    with pytest.raises(InvariantBroken, match="does not balance"):
        book(posted("sale", money=money), JOURNAL_ENTRY)


# --- what cannot be booked -------------------------------------------------------------------------------------------


def test_an_unknown_purpose_is_unprocessable_and_named() -> None:
    with pytest.raises(Unprocessable, match="juggling"):
        book(posted("juggling", entry("1")), JOURNAL_ENTRY)


def test_a_movement_that_lacks_the_account_of_its_counter_role_is_refused() -> None:
    with pytest.raises(InvariantBroken, match="cost_of_goods_sold"):
        book(posted("delivery", entry("-1"), accounts={Role.STOCK_ADJUSTMENT: "x"}), JOURNAL_ENTRY)


def test_amounts_keep_every_digit() -> None:
    big = "999999999999999.99"
    ((_, _, amount),) = booked(posted("delivery", entry(f"-{big}")))
    assert Decimal(amount) == Decimal(big)
