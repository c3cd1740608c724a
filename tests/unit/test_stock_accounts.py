"""Accounts that hold stock: nothing but stock is booked there, by a name, by a role, or by what was booked before."""

from typing import Any

import pytest

from services.ledger.decide import corrections
from services.receiving.decide.accounts import accounts_named, holds_stock, serves
from services.receiving.decide.masters import Known, judge
from services.receiving.decide.senders import RESERVED
from services.receiving.decide.stock import Company
from shared.contracts import masters
from shared.contracts.movement import AdditionalCost, Tax, Tender, TicketMoney
from shared.migrate import SERVICES
from shared.purposes import AccountKind, Role
from shared.quantities import Money
from tests.receiving_builders import Shop, comes, company, facts, goes, item, line, moves

KINDS = {"1400": AccountKind.ASSET, "1600": AccountKind.ASSET, "7000": AccountKind.EXPENSE, "tax 6": AccountKind.ASSET}
ONE = Money("1")


def held(**fields: Any) -> Company:
    """A company that has stock in the accounts `1400` and `stock`."""
    return company(**{"accounts": KINDS, "stock_accounts": frozenset({"1400", "stock"}), **fields})


def shop(**fields: Any) -> Shop:
    stocked = Shop(item("tea"), of=held(**fields))
    stocked.accepted("opening_stock", comes("tea", 10))
    return stocked


def sale(*tenders: Tender, **fields: Any) -> dict[str, Any]:
    return {"lines": [goes("tea", 1, **{"net": "1", **fields})], "money": TicketMoney(tenders=list(tenders))}


@pytest.mark.parametrize("account", ["1400", "stock"])
@pytest.mark.parametrize(
    ("purpose", "told"),
    [
        ("material_issue", lambda account: {"lines": [goes("tea", 1)], "difference_account": account}),
        ("material_receipt", lambda account: {"lines": [comes("tea", 1)], "difference_account": account}),
        ("reconciliation", lambda account: {"lines": [comes("tea", 1)], "difference_account": account}),
        ("purchase_receipt", lambda account: {"lines": [comes("tea", 1)], "additional_costs": [_cost(account)]}),
        ("material_transfer", lambda account: {"lines": [moves("tea", 1)], "additional_costs": [_cost(account)]}),
        ("sale", lambda account: sale(Tender(account=account, amount=ONE))),
        ("sale", lambda account: sale(Tender(kind=account, amount=ONE))),
        ("sale", lambda account: sale(tax=[Tax(code="A", amount=ONE, account=account)])),
        ("sale", lambda account: {"lines": [line(account=account, net="1"), goes("tea", 1, net="1")]}),
        ("sales_return", lambda account: {"lines": [comes("tea", 1, net="1")], "money": _paid(account)}),
    ],
)
def test_no_movement_names_an_account_that_holds_stock(account: str, purpose: str, told: Any) -> None:
    asked = told(account)
    refused = shop().refused(purpose, *asked.pop("lines"), **asked)
    assert [code for code, _ in refused] == ["account_holds_stock"]
    other = told("7000")
    assert shop().refused(purpose, *other.pop("lines"), **other) == []


def test_an_account_named_on_a_line_is_refused_with_its_line() -> None:
    asked = sale(tax=[Tax(code="A", amount=ONE, account="1400")])
    assert shop().refused("sale", goes("tea", 1, net="1"), *asked["lines"]) == [("account_holds_stock", 2)]


@pytest.mark.parametrize("role", [Role.RECEIVABLE, Role.CASH_ROUNDING, Role.INCOME])
def test_no_money_is_booked_to_an_account_of_stock_that_a_role_was_given(role: Role) -> None:
    of = Shop(item("tea"), of=held(roles={role: "1400"}))
    of.accepted("opening_stock", comes("tea", 10))
    assert of.refused("sale", goes("tea", 1, net="1")) == [("account_holds_stock", 1 if role is Role.INCOME else None)]


def test_a_role_that_was_given_an_account_of_stock_refuses_what_books_to_it() -> None:
    of = Shop(item("tea"), of=held(roles={Role.COST_OF_GOODS_SOLD: "1400"}))
    of.accepted("opening_stock", comes("tea", 10))
    judged = of.ask("delivery", goes("tea", 1))
    assert facts(judged, "account_holds_stock") == {"account": "1400", "role": "cost_of_goods_sold"}


def test_stock_on_both_sides_is_what_a_transfer_and_a_making_are() -> None:
    assert shop().refused("material_transfer", moves("tea", 1)) == []
    assert shop().refused("repack", goes("tea", 1), line("tea", 1, target="south")) == []


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.STOCK}))
def test_no_role_but_stock_is_given_an_account_of_stock(role: Role) -> None:
    assert "account_holds_stock" in defined(roles={role: "1400"})
    assert "account_holds_stock" in defined(roles={role: "stock"})


def test_an_account_that_stock_gives_up_may_play_another_role() -> None:
    roles = {Role.STOCK: "1600", Role.RECEIVABLE: "stock"}
    assert defined(held(stock_accounts=frozenset({"1400"})), roles=roles) == []
    assert defined(held(), roles=roles) == ["account_holds_stock"]


@pytest.mark.parametrize(
    ("account", "served", "fields"),
    [
        ("1600", "receivable", {"roles": {Role.RECEIVABLE: "1600"}}),
        ("receivable", "receivable", {"accounts": {"receivable": AccountKind.ASSET}}),
        ("cash", "cash", {"accounts": {"cash": AccountKind.ASSET}}),
        ("1600", "bookings", {"booked": frozenset({"1600"})}),
    ],
)
def test_no_warehouse_keeps_its_stock_where_something_else_is_booked(
    account: str, served: str, fields: dict[str, Any]
) -> None:
    of = held(**fields)
    assert serves(of, account) == served
    assert warehouse(of, account) == ["account_not_for_stock"]
    assert defined(of, roles={Role.STOCK: account}) == ["account_not_for_stock"]
    of = held(accounts={account: AccountKind.ASSET}, roles={Role.RECEIVABLE: "elsewhere"})
    assert warehouse(of, account) == ([] if account != "cash" else ["account_not_for_stock"])


def test_warehouses_share_an_account_and_one_that_is_defined_again_keeps_its_own() -> None:
    assert warehouse(held(), "1400") == []
    assert warehouse(held(booked=frozenset({"1600"})), "1600", before="1600") == []


def test_the_kind_of_an_account_stays_once_something_is_booked_to_it() -> None:
    of = held(booked=frozenset({"7000", "income"}))
    assert defined(of, kinds={"7000": AccountKind.INCOME}) == ["account_kind_fixed"]
    assert defined(of, kinds={"7000": AccountKind.EXPENSE}) == []
    assert defined(of, kinds={"income": AccountKind.EXPENSE}) == ["account_kind_fixed"]
    assert defined(held(), kinds={"7000": AccountKind.INCOME, "income": AccountKind.EXPENSE}) == []


def test_an_account_booked_to_without_a_kind_is_given_one_once() -> None:
    of = Known(companies={"shop": held(booked=frozenset({"cash"}))})
    asked = [_accounts({"cash": kind}) for kind in (AccountKind.ASSET, AccountKind.EXPENSE)]
    assert [[each.code for each in judge(one, of)] for one in asked] == [[], ["account_kind_fixed"]]


@pytest.mark.parametrize(
    ("account", "kind", "fields"),
    [
        ("1400", AccountKind.LIABILITY, {}),
        ("stock", AccountKind.EXPENSE, {"stock_accounts": frozenset()}),
        ("receivable", AccountKind.INCOME, {}),
        ("7000", AccountKind.EQUITY, {"roles": {Role.WRITE_OFF: "7000"}}),
    ],
)
def test_no_account_gets_a_kind_that_its_role_cannot_have(
    account: str, kind: AccountKind, fields: dict[str, Any]
) -> None:
    assert defined(held(**fields), kinds={account: kind}) == ["account_of_wrong_kind"]


def test_the_accounts_of_a_movement_are_all_that_it_books_to_beside_stock() -> None:
    of = shop(accounts={**KINDS, "till": AccountKind.ASSET})
    sold = of.accepted("sale", goes("tea", 1, net="2"), money=_paid("till", "2"))
    assert set(accounts_named(sold.allocated)) == {"cost_of_goods_sold", "stock_adjustment", "income", "till"}
    bought = of.accepted("purchase_receipt", comes("tea", 1), additional_costs=[_cost("7000")])
    assert {"7000", "stock_received_not_billed"} <= set(accounts_named(bought.allocated))
    assert not any(holds_stock(of.company, each) for each in accounts_named(bought.allocated))


def test_no_source_is_called_as_a_service_that_speaks_itself() -> None:
    assert {*SERVICES, corrections.SOURCE} <= set(RESERVED)
    of = Known(companies={"shop": held()})
    assert [each.code for each in judge(masters.SourceDefined(source="ledger"), of)] == ["source_reserved"]
    assert judge(masters.SourceDefined(source="Ledger 2"), of) == []


def _cost(account: str) -> AdditionalCost:
    return AdditionalCost(account=account, amount=ONE)


def _paid(account: str, amount: str = "1") -> TicketMoney:
    return TicketMoney(tenders=[Tender(account=account, amount=Money(amount))])


def _accounts(kinds: dict[str, AccountKind], roles: dict[Role, str] | None = None) -> masters.AccountsDefined:
    accounts = [masters.Account(account=account, kind=kind) for account, kind in kinds.items()]
    return masters.AccountsDefined(company="shop", accounts=accounts, roles=roles or {})


def defined(
    of: Company | None = None, *, kinds: dict[str, AccountKind] | None = None, roles: dict[Role, str] | None = None
) -> list[str]:
    """The codes against these kinds and roles; `cash` is known, so that a role may want it."""
    return [each.code for each in judge(_accounts(kinds or {}, roles), Known(companies={"shop": of or held()}))]


def warehouse(of: Company, account: str, before: str | None = None) -> list[str]:
    """The codes against a warehouse that keeps its stock in this account."""
    known = Known(companies={"shop": of}, warehouse_accounts={("shop", "n"): before} if before else {})
    told = masters.WarehouseDefined(company="shop", warehouse="n", account=account)
    return [each.code for each in judge(told, known)]
