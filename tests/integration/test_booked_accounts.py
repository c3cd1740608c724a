"""To which accounts was booked, in PostgreSQL: what movements leave there, and whom it stops."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from shared.contracts.envelope import write_event
from shared.contracts.movement import AdditionalCost, MovementRequested, Reference, Tender, TicketMoney
from shared.db import transaction
from shared.migrate import migrations
from shared.quantities import Money
from tests.builders import SOURCE, Session, until_blocked
from tests.receiving_builders import (
    Gate,
    after,
    codes,
    comes,
    decoded,
    events,
    goes,
    movement,
    rows,
)

BOOKED = "SELECT account FROM receiving.booked_account WHERE company = 'shop' ORDER BY account"
KINDS = {"1600": "asset", "cellar": "asset", "7000": "expense", "7100": "expense"}


@pytest.fixture
def gate(gate: Gate) -> Gate:
    """The shop, with accounts of its own, one of them for the stock of the cellar."""
    accounts = [{"account": account, "kind": kind} for account, kind in KINDS.items()]
    assert codes(gate.define("accounts", company="shop", accounts=accounts)) == []
    assert codes(gate.define("warehouse", company="shop", warehouse="cellar", account="cellar")) == []
    return gate


def issued(identifier: str, account: str, **fields: Any) -> MovementRequested:
    return movement("material_issue", goes("tea", 1), id=identifier, at=after(5), difference_account=account, **fields)


def booked(gate: Gate) -> list[str]:
    return [account for (account,) in rows(gate.engine, BOOKED)]


def test_the_accounts_of_what_was_accepted_are_kept_and_no_others(gate: Gate) -> None:
    assert booked(gate) == ["stock_adjustment", "temporary_opening"]
    money = TicketMoney(tenders=[Tender(account="1600", amount=Money("3"))])
    sold = movement("sale", goes("tea", 1, net="3"), id="S", at=after(5), money=money)
    bought = movement(
        "purchase_receipt",
        comes("tea", 1, "cellar"),
        id="P",
        at=after(6),
        additional_costs=[AdditionalCost(account="7000", amount=Money("1"))],
    )
    gate.accept(sold, bought)
    gate.send(*events([issued("tried", "7100", dry_run=True), issued("refused", "7100", company="ghost")]))
    assert set(booked(gate)) == {
        *("1600", "7000", "cost_of_goods_sold", "income", "stock_adjustment", "stock_received_not_billed"),
        "temporary_opening",
    }
    gate.accept(movement("cancellation", id="C", at=after(9), against=Reference(id="S")))
    assert "7100" not in booked(gate)


def test_what_a_company_without_journal_names_is_booked_nowhere(gate: Gate) -> None:
    assert codes(gate.define("company", company="quiet", currency="EUR", perpetual=False)) == []
    assert codes(gate.define("warehouse", company="quiet", warehouse="attic")) == []
    assert codes(gate.define("item", company="quiet", item="tea")) == []
    gate.accept(movement("opening_stock", comes("tea", 1, "attic"), id="quiet"))
    assert rows(gate.engine, "SELECT * FROM receiving.booked_account WHERE company = 'quiet'") == []


def test_no_movement_books_beside_stock_where_a_warehouse_keeps_it(gate: Gate) -> None:
    told = gate.ask(issued("a", "cellar"), issued("b", "stock"), issued("c", "1600"))
    assert [codes(each) for each in told] == [["account_holds_stock"], ["account_holds_stock"], []]


def test_where_was_booked_no_warehouse_keeps_its_stock_and_no_kind_changes(gate: Gate) -> None:
    gate.accept(issued("a", "1600"))
    for account, told in (("1600", ["account_not_for_stock"]), ("cellar", [])):
        assert codes(gate.define("warehouse", company="shop", warehouse="new", account=account)) == told
    for account, told in (("1600", ["account_kind_fixed"]), ("7100", ["account_of_wrong_kind"]), ("7000", [])):
        changed = [{"account": account, "kind": "liability"}]
        roles = {"write_off": "7100"}
        assert codes(gate.define("accounts", company="shop", accounts=changed, roles=roles)) == told


def test_a_warehouse_and_a_movement_that_want_one_account_at_once_wait_for_each_other(
    gate: Gate, pool: ThreadPoolExecutor
) -> None:
    first = Session(gate.engine, gate.working_on(*events([issued("a", "1600")])), pool)
    first.hold()
    wanted = {"company": "shop", "warehouse": "new", "account": "1600"}
    event = write_event("warehouse.defined.v1", SOURCE, "W", msgspec.Raw(msgspec.json.encode(wanted)))
    second = Session(gate.engine, gate.working_on(event), pool)
    until_blocked(gate.engine)
    first.commit()
    (told,) = second.commit().outputs
    assert codes(decoded(told)) == ["account_not_for_stock"]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO receiving.booked_account VALUES ('shop', 'cellar')",
        "UPDATE receiving.warehouse SET account = 'stock_adjustment' WHERE warehouse = 'cellar'",
        "INSERT INTO receiving.warehouse VALUES ('shop', 'new', 'New', NULL, 'store', 'stock_adjustment')",
        "DELETE FROM receiving.booked_account",
        "UPDATE receiving.booked_account SET account = 'other'",
    ],
)
def test_who_writes_past_the_gate_is_stopped_by_the_schema(gate: Gate, statement: str) -> None:
    with pytest.raises(sa.exc.DBAPIError), transaction(gate.engine) as connection:
        connection.exec_driver_sql(statement)


def test_what_was_accepted_before_is_filled_in_without_what_holds_stock(gate: Gate) -> None:
    gate.accept(issued("a", "1600"))
    gate.accept(movement("sale", goes("tea", 1, price="2"), id="S", at=after(6)))
    costs = [AdditionalCost(account="7000", amount=Money("1"))]
    gate.accept(movement("purchase_receipt", comes("tea", 1, "cellar"), id="P", at=after(7), additional_costs=costs))
    kept = booked(gate)
    with transaction(gate.engine) as connection:
        connection.exec_driver_sql("DROP TRIGGER of_stock_alone ON receiving.warehouse")
        connection.exec_driver_sql("UPDATE receiving.warehouse SET account = '1600' WHERE warehouse = 'cellar'")
        connection.exec_driver_sql("DROP TABLE receiving.booked_account")
        connection.exec_driver_sql("DROP FUNCTION receiving.refuse_double_use")
        (again,) = [each for each in migrations() if each.name.endswith("booked-accounts.sql")]
        connection.exec_driver_sql(again.text.replace("%", "%%"))
    assert booked(gate) == [account for account in kept if account != "1600"]
