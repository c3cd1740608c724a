"""Reports of the books on a small shop: cases that can be checked by hand."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Engine

from services.desk.reporting import REPORTS
from services.desk.servers import bring_up_to_date
from shared.report import Filters, records
from tests import servers
from tests.reporting_builders import Books, books_on, comes, goes, line, lines, told

LATER = datetime(2026, 3, 20, 12, tzinfo=UTC)
FEBRUARY = date(2026, 2, 1)
VAT = {"code": "vat", "account": "tax"}


@pytest.fixture(scope="module")
def engine(postgres: str) -> Iterator[Engine]:
    """Two receipts and what became of them, a ticket, an exchange; at last freight that became known late."""
    with servers.fresh_database(postgres) as url:
        bring_up_to_date(url)
        with books_on(url) as books:
            _play(books)
            yield books.engine


def _play(books: Books) -> None:
    books.define("accounts", accounts=[{"account": "repairs", "kind": "income"}, {"account": "card", "kind": "asset"}])
    books.define("item", item="tea")
    books.define("item", item="cup")
    receipt = [comes("tea", 10, 2), comes("cup", 4, 5)]
    books.book("R1", "purchase_receipt", "2026-01-10", *receipt, supplier="Leaf", document="L-1")
    books.book("R2", "purchase_receipt", "2026-01-20", comes("tea", 5, 3), supplier="Bush")
    books.book("P1", "purchase_return", "2026-01-25", goes("cup", 1), against={"id": "R1"}, supplier="Leaf")
    lower = [{"amount": "-3", "account": "stock_received_not_billed"}]
    books.book("R2-LC", "landed_cost", "2026-01-26", against={"id": "R2"}, additional_costs=lower)
    sold = [
        goes("tea", 4, net="20.00", tax=[{**VAT, "amount": "3.80"}]),
        goes("cup", 1, net="9.00", tax=[{**VAT, "amount": "1.71"}]),
        {"account": "repairs", "quantity": "1", "net": "5.00", "tax": [{**VAT, "amount": "0.95"}]},
    ]
    books.book("S1", "sale", "2026-02-02", *sold, money={"tenders": [{"kind": "card", "amount": "40.46"}]})
    swapped = [
        line("cup", 1, target="north"),
        goes("tea", 2, net="10.00", tax=[{**VAT, "amount": "1.90"}]),
    ]
    exchanged = {"against": {"id": "S1"}, "money": {"tenders": [{"kind": "card", "amount": "1.19"}]}}
    books.book("S2", "sale", "2026-02-03", *swapped, **exchanged)
    books.book("D1", "delivery", "2026-02-04", goes("tea", 1))
    books.book("R3", "purchase_receipt", "2026-02-05", comes("cup", 1, 7), supplier="Leaf")
    books.book("R3-X", "cancellation", "2026-02-06", against={"id": "R3"})
    books.clock.now = LATER
    books.book("R1-LC", "landed_cost", "2026-03-20", against={"id": "R1"}, additional_costs=[{"amount": "4.00"}])


def test_of_each_line_of_a_receipt_it_is_told_what_is_left_to_be_billed(engine: Engine) -> None:
    columns = "supplier id line item quantity open_quantity amount open"
    assert told(engine, "received-not-billed", columns) == lines("""
        Bush R2 1 tea 5  5  15 12
        Leaf R1 1 tea 10 10 20 20
        Leaf R1 2 cup 4  3  20 15
    """)


def test_what_is_to_be_billed_is_told_as_of_any_day(engine: Engine) -> None:
    columns = "id line open_quantity open"
    # A landed cost takes effect with its receipt, a return when it happens.
    assert told(engine, "received-not-billed", columns, on=date(2026, 1, 24)) == [
        "R2 1 5 12",
        "R1 1 10 20",
        "R1 2 4 20",
    ]
    assert told(engine, "received-not-billed", columns, on=date(2026, 1, 25), item="cup") == ["R1 2 3 15"]
    assert told(engine, "received-not-billed", columns, on=date(2026, 1, 9)) == []


def test_another_account_than_that_of_the_role_may_be_asked_for(engine: Engine) -> None:
    found = told(engine, "received-not-billed", "account id line open", account="expenses_in_valuation")
    assert found == ["expenses_in_valuation R1 1 2", "expenses_in_valuation R1 2 2"]


def test_a_line_of_a_ticket_has_its_own_income_cost_and_margin(engine: Engine) -> None:
    columns = "id line item quantity income cost margin margin_percent"
    before_the_freight = datetime(2026, 3, 15, tzinfo=UTC)
    assert told(engine, "gross-margin", columns, from_day=FEBRUARY, known_at=before_the_freight) == lines("""
        S1 1 tea  4 20  8 12 60
        S1 2 cup  1  9  5  4 44.44
        S1 3 -    -  5  0  5 100
        S2 1 cup -1 -9 -5 -4 44.44
        S2 2 tea  2 10  4  6 60
        D1 1 tea  1  0  2 -2 -
    """)


def test_a_cost_that_becomes_known_late_lessens_the_margin_of_what_was_sold(engine: Engine) -> None:
    # Half of the freight is for ten bags of tea, so each has cost 0.20 more, on the day on which it was sold.
    assert told(engine, "gross-margin", "posting_date id line quantity income cost", item="tea") == lines("""
        2026-02-02 S1 1 4 20 8.8
        2026-02-03 S2 2 2 10 4.4
        2026-02-04 D1 1 1 0  2.2
    """)


def test_an_account_begins_with_what_it_came_to_before_and_ends_with_its_balance(engine: Engine) -> None:
    columns = "posting_date id purpose line against debit credit balance"
    days = {"from_day": date(2026, 1, 20), "to_day": date(2026, 1, 26)}
    assert told(engine, "general-ledger", columns, account="stock_received_not_billed", **days) == lines("""
        2026-01-20 -     opening_balance  - -           - -  -40
        2026-01-20 R2    purchase_receipt 1 stock_north 0 15 -55
        2026-01-20 R2-LC landed_cost      1 stock_north 3 0  -52
        2026-01-25 P1    purchase_return  1 stock_north 5 0  -47
    """)


def test_stock_and_its_accounts_agree_account_by_account(engine: Engine) -> None:
    columns = "account warehouses stock_value account_balance difference"
    known = datetime(2026, 3, 15, tzinfo=UTC)
    assert told(engine, "stock-against-ledger", columns, on=date(2026, 1, 20), known_at=known) == lines("""
        stock_north north 52 52 0
    """)
    assert told(engine, "stock-against-ledger", columns, on=date(2026, 1, 20)) == ["stock_north north 56 56 0"]


def test_what_is_on_its_way_to_the_journal_is_told_as_a_difference(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin() as undone:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql("DELETE FROM accounting.journal_entry WHERE id = 'R2'")
        connection.exec_driver_sql(
            "DELETE FROM accounting.transfer AS t WHERE NOT EXISTS (SELECT FROM accounting.journal_entry AS e"
            " WHERE (e.company, e.journal_entry) = (t.company, t.journal_entry))"
        )
        (row,) = records(REPORTS["stock-against-ledger"], connection, Filters())
        undone.rollback()
    assert row["difference"] == 15
    assert told(engine, "stock-against-ledger", "difference") == ["0"]
