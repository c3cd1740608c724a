"""What receiving's reports tell that takes more than a query: sales whose money nobody booked."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from services.receiving.reports.unposted import REPORT
from services.receiving.store.waiting import retry_rejected
from shared.contracts.envelope import write_event
from shared.contracts.movement import MovementRequested, Reference, RequestedLine, Tax, Tender, TicketMoney
from shared.contracts.outcome import OutcomeAccepted
from shared.contracts.registry import MOVEMENT_REQUESTED
from shared.db import run, transaction
from shared.quantities import Money, plain
from shared.report import Filters, records
from tests.builders import COMPANY, MORNING, SOURCE
from tests.receiving_builders import (
    EVENING,
    Gate,
    after,
    events,
    goes,
    line,
    movement,
    opened,
)


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    with opened(database) as engine:
        yield engine


def sale(*lines: RequestedLine, id: str = "S", purpose: str = "sale", **fields: Any) -> MovementRequested:  # noqa: A002
    return movement(purpose, *lines, id=id, **{"at": after(1), **fields})


def cash(amount: str) -> TicketMoney:
    return TicketMoney(tenders=[Tender(kind="cash", amount=Money(amount))])


def vat(amount: str) -> list[Tax]:
    return [Tax(code="vat", amount=Money(amount))]


def unposted(engine: Engine, **filters: Any) -> list[dict[str, Any]]:
    with transaction(engine) as connection:
        return records(REPORT, connection, Filters(**filters))


def amounts(engine: Engine) -> dict[str, str | None]:
    return {row["id"]: None if row["amount"] is None else plain(row["amount"]) for row in unposted(engine)}


def test_a_rejected_sale_stands_there_with_its_money_and_why(gate: Gate) -> None:
    lines = [goes("tea", 99, price="1.5"), goes("ghost", 1, net="2")]
    gate.ask(sale(*lines, customer="Ada", document="T-17"), movement("delivery", goes("tea", 99), id="D", at=after(1)))
    assert unposted(gate.engine) == [
        {
            "company": COMPANY,
            "source": SOURCE,
            "id": "S",
            "document": "T-17",
            "purpose": "sale",
            "posting_at": after(1),
            "state": "rejected",
            "why": "insufficient_stock, unknown_item",
            "customer": "Ada",
            "amount": Money("150.5"),
            "currency": "EUR",
            "since": EVENING,
        }
    ]


def test_an_accepted_sale_does_not_stand_there_nor_does_one_that_was_only_tried(gate: Gate) -> None:
    gate.ask(sale(goes("tea", 1, price="1")))
    gate.send(*events([sale(goes("tea", 99, price="1"), id="tried", dry_run=True)]))
    assert unposted(gate.engine) == []


def test_a_waiting_sale_and_return_stand_there_with_what_they_lack(gate: Gate) -> None:
    patient = Gate(gate.engine, patience=timedelta(minutes=5))
    money = {"company": COMPANY, "against": Reference(id="S")}
    returned = sale(line("tea", 2, net="4", tax=vat("0.4")), id="R", purpose="sales_return", **money)
    patient.send(*events([sale(goes("tea", 99, price="1"))]))
    patient.send(*events([returned]))
    found = {
        row["id"]: (row["state"], row["why"], row["company"], plain(row["amount"])) for row in unposted(gate.engine)
    }
    assert found == {
        "S": ("waiting", "stock:shop:tea:north", "shop", "99"),
        "R": ("waiting", "movement:till:S", "shop", "-4.4"),
    }


def test_the_money_is_what_was_tendered_else_what_the_lines_come_to(gate: Gate) -> None:
    gate.ask(
        sale(goes("ghost", 1, price="9"), id="tendered", money=cash("10")),
        sale(goes("ghost", "1.5", price="0.33", tax=vat("0.1")), id="rounded"),
        sale(goes("phone", serials="X1-X3", price="2"), id="serials"),
        sale(line(price="3", account="ghost"), goes("ghost", 1, net="2"), id="service"),
        sale(goes("ghost", 1, price="9"), line("tea", 1, target="north", net="4"), id="exchange"),
        sale(line("ghost", 1, target="north", net="4"), id="back", purpose="sales_return"),
        sale(line("ghost", 1, target="north"), id="paid", purpose="sales_return", money=cash("7")),
        sale(line("ghost", 1, target="north"), id="silent", purpose="sales_return"),
    )
    assert amounts(gate.engine) == {
        "tendered": "10",
        "rounded": "0.6",
        "serials": "6",
        "service": "5",
        "exchange": "5",
        "back": "-4",
        "paid": "-7",
        "silent": None,
    }


def test_amounts_are_rounded_to_the_currency_of_the_company(gate: Gate) -> None:
    gate.define("company", company="kyoto", currency="JPY")
    gate.define("warehouse", company="kyoto", warehouse="gion")
    gate.ask(sale(goes("ghost", "1.5", "gion", price="101")))
    assert [(row["company"], row["currency"], plain(row["amount"])) for row in unposted(gate.engine)] == [
        ("kyoto", "JPY", "152")
    ]
    assert len(unposted(gate.engine, company="kyoto")) == 1
    assert unposted(gate.engine, company=COMPANY) == []


def test_a_sale_in_a_warehouse_of_two_companies_stands_there_without_a_company(gate: Gate) -> None:
    gate.define("company", company="twin", currency="USD")
    gate.define("warehouse", company="twin", warehouse="north")
    gate.ask(sale(goes("tea", 1, price="1")), sale(goes("tea", 99, price="1"), id="named", company=COMPANY))
    found = {row["id"]: (row["company"], row["currency"], row["why"]) for row in unposted(gate.engine)}
    assert found == {"S": (None, None, "company_missing"), "named": (COMPANY, "EUR", "insufficient_stock")}


def test_a_retried_sale_stands_there_once_as_one_that_waits(gate: Gate) -> None:
    gate.ask(sale(goes("tea", 99, price="1")))
    with transaction(gate.engine) as connection:
        retry_rejected(connection, [(SOURCE, "S")], EVENING)
    assert [(row["id"], row["state"]) for row in unposted(gate.engine)] == [("S", "waiting")]


def test_a_sale_that_nobody_can_read_stands_there_without_its_money_and_hides_no_other(gate: Gate) -> None:
    spoiled = {
        "id": "X",
        "purpose": "sale",
        "posting_at": "noon",
        "customer": 7,
        "document": "T-18",
        "company": COMPANY,
    }
    gate.send(write_event(MOVEMENT_REQUESTED, SOURCE, "e", msgspec.Raw(msgspec.json.encode(spoiled))))
    gate.ask(sale(goes("tea", 99, price="1")), sale(goes("tea", 99, price="1"), id="lost"))
    with transaction(gate.engine) as connection:
        run(connection, "UPDATE receiving.movement SET request = 'no movement' WHERE id = 'lost'")
    found = [(row["id"], row["document"], row["customer"], row["why"], row["amount"]) for row in unposted(gate.engine)]
    assert sorted(found) == [
        ("S", None, None, "insufficient_stock", 99),
        ("X", "T-18", None, "malformed", None),
        ("lost", None, None, "insufficient_stock", None),
    ]


def test_a_cancellation_that_waits_or_was_refused_stands_there_with_the_money_that_was_given_back(gate: Gate) -> None:
    closed = {"company": COMPANY, "through": MORNING.date(), "actor": "Eve"}
    tea = goes("tea", 2, price="3", tax=vat("0.6"))
    gate.accept(sale(tea, id="S", document="T-1", customer="Ada"), sale(goes("tea", 1, price="1"), id="fine"))
    gate.accept(movement("delivery", goes("tea", 1), id="D", at=after(1)))
    gate.accept(movement("cancellation", id="not fine", at=after(9), against=Reference(id="fine")))
    gate.now = EVENING + timedelta(days=1)
    assert isinstance(gate.define("period.closed", **closed), OutcomeAccepted)
    gate.ask(
        *(
            movement("cancellation", id=f"not {of}", at=after(9), against=Reference(id=of))
            for of in ("S", "D", "lost", "never")
        ),
        movement("cancellation", id="again", at=after(9), against=Reference(id="fine")),
    )
    gate.ask(sale(goes("ghost", 1, net="4"), id="lost", money=cash("4")))
    gate.ask(movement("cancellation", id="not lost either", at=after(9), against=Reference(id="lost")))
    found = {row["id"]: (row["why"], row["document"], row["customer"], row["amount"]) for row in unposted(gate.engine)}
    assert found == {
        "not S": ("period_closed", "T-1", "Ada", Money("-6.6")),
        "lost": ("cancelled_before_acceptance", None, None, Money(4)),
        "not lost": ("unknown_original", None, None, Money(-4)),
        "not lost either": ("original_rejected", None, None, Money(-4)),
    }
    assert {row["company"] for row in unposted(gate.engine)} == {COMPANY}
