"""Which accounts each kind of movement debits and credits, as tables that an accountant can check."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from services.accounting.decide.journal import book
from shared.contracts.journal import JournalTransfer
from shared.contracts.movement import AccountAmount, MoneySides
from shared.contracts.stock import MovementPosted, PostedEntry
from shared.errors import InvariantBroken, Unprocessable
from shared.purposes import PURPOSES, Flow, Role
from shared.quantities import Money, Quantity

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
JOURNAL_ENTRY = UUID("01900000-0000-7000-8000-000000000001")
ACCOUNTS: dict[Role, str] = {role: role.value for role in Role if role is not Role.STOCK}
Booked = tuple[str, str, str]
"""Debit, credit, amount."""


def entry(value: str, account: str = "stock", line: int = 1, arrives_from: int | None = None) -> PostedEntry:
    """A ledger entry of a value; its quantity does not matter to the journal."""
    return PostedEntry(
        entry=f"entry of line {line}",
        line=line,
        item="tea",
        warehouse=account,
        quantity=Quantity("1"),
        value=Money(value),
        stamp=1,
        quantity_after=Quantity("1"),
        value_after=Money("0"),
        arrives_from=arrives_from,
        stock_account=account,
    )


def posted(
    purpose: str,
    *entries: PostedEntry,
    money: MoneySides | None = None,
    accounts: dict[Role, str] = ACCOUNTS,
    perpetual: bool = True,
) -> MovementPosted:
    """A posted movement of a company whose accounts are called like their roles."""
    return MovementPosted(
        source="till",
        id="M1",
        company="shop",
        currency="EUR",
        digits=2,
        perpetual=perpetual,
        purpose=purpose,
        effective_at=NOON,
        recorded_at=NOON,
        posting_date=date(2026, 3, 2),
        document="D-1",
        entries=list(entries),
        accounts=accounts,
        money=money,
        trace="trace",
    )


def sides(debits: list[tuple[str, str, int | None]], credits_: list[tuple[str, str, int | None]]) -> MoneySides:
    """The money of a ticket: (account, amount, line) on each side."""
    return MoneySides(
        debits=[AccountAmount(account=account, amount=Money(amount), line=line) for account, amount, line in debits],
        credits=[AccountAmount(account=account, amount=Money(amount), line=line) for account, amount, line in credits_],
    )


def transfers(movement: MovementPosted) -> list[JournalTransfer]:
    journal = book(movement, JOURNAL_ENTRY)
    assert journal is not None
    return journal.transfers


def booked(movement: MovementPosted) -> list[Booked]:
    return [(each.debit, each.credit, str(each.amount)) for each in transfers(movement)]


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
    ],
)
def test_each_purpose_debits_and_credits_the_accounts_of_its_row(
    purpose: str, value: str, debit: str, credit: str
) -> None:
    assert booked(posted(purpose, entry(value))) == [(debit, credit, "100.00")]


@pytest.mark.parametrize("purpose", [each.name for each in PURPOSES.values() if each.flow is not Flow.MOVE])
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
    assert journal.journal_entry == str(JOURNAL_ENTRY)
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
