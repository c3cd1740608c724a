"""The money of a sale: net, tax and price on one side, tenders and rounding on the other; all must add up."""

from typing import Any

import pytest

from services.receiving.decide.stock import Company
from shared.contracts.movement import MoneySides, RequestedLine, Tax, Tender, TicketMoney
from shared.purposes import AccountKind, Role
from shared.quantities import Money, plain
from tests.receiving_builders import Shop, comes, facts, goes, item, line, reasons

TEA = item("tea")
PHONE = item("phone", tracking="serial")
CASH = {"cash": AccountKind.ASSET, "services": AccountKind.INCOME, "vat 6": AccountKind.LIABILITY}


def shop(**fields: Any) -> Shop:
    stocked = Shop(TEA, PHONE, of=Company("shop", **{"currency": "EUR", "digits": 2, "accounts": CASH, **fields}))
    stocked.accepted("opening_stock", comes("tea", 100), comes("phone", serials="S1-S9"))
    return stocked


def money(*tendered: tuple[str, str], rounding: str | None = None) -> TicketMoney:
    """Tenders, each an account and an amount."""
    tenders = [Tender(account=account, amount=Money(amount)) for account, amount in tendered]
    return TicketMoney(tenders=tenders, rounding=None if rounding is None else Money(rounding))


def sold(quantity: str = "1", **fields: Any) -> RequestedLine:
    return goes("tea", quantity, **fields)


def sides(lines: list[RequestedLine], of: Shop | None = None, **fields: Any) -> tuple[list[str], list[str]]:
    """What an accepted sale debits and credits."""
    booked = (of or shop()).accepted("sale", *lines, **fields).allocated.money
    assert isinstance(booked, MoneySides)
    assert sum(each.amount for each in booked.debits) == sum(each.amount for each in booked.credits)
    return (
        [f"{each.account} {plain(each.amount)}" for each in booked.debits],
        [f"{each.account} {plain(each.amount)}" for each in booked.credits],
    )


def test_given_only_a_price_the_net_is_price_times_quantity_and_the_customer_owes_it() -> None:
    assert sides([sold("3", price="1.115")]) == (["receivable 3.34"], ["income 3.34"])


@pytest.mark.parametrize(("price", "net"), [("0.125", "0.12"), ("0.375", "0.38")])
def test_a_net_made_from_a_price_is_rounded_half_to_even(price: str, net: str) -> None:
    assert sides([sold(price=price)])[1] == [f"income {net}"]


def test_a_stated_net_counts_whatever_the_price_says() -> None:
    assert sides([sold("3", price="1.10", net="3.00")]) == (["receivable 3"], ["income 3"])


def test_tax_is_credited_per_code_to_the_account_that_it_names_or_to_the_companys() -> None:
    taxes = [Tax(code="6", account="vat 6", amount=Money("0.60")), Tax(code="23", amount=Money("2.30"))]
    debits, credits_ = sides([sold(net="20", tax=taxes)], money=money(("cash", "22.90")))
    assert (debits, credits_) == (["cash 22.9"], ["income 20", "vat 6 0.6", "tax 2.3"])


def test_tenders_and_cash_rounding_must_add_up_to_net_and_tax() -> None:
    line_ = sold(net="9.98", tax=[Tax(code="v", amount=Money("1"))])
    assert sides([line_], money=money(("cash", "5"), ("cash", "5.95"), rounding="0.03"))[0] == [
        "cash 5",
        "cash 5.95",
        "cash_rounding 0.03",
    ]
    assert sides([line_], money=money(("cash", "11.00"), rounding="-0.02"))[0] == ["cash 11", "cash_rounding -0.02"]


def test_money_that_does_not_add_up_is_refused_with_the_sums() -> None:
    judged = shop().ask("sale", sold(net="10"), money=money(("cash", "9.98"), rounding="0.01"))
    assert reasons(judged) == [("money_unbalanced", None)]
    assert facts(judged, "money_unbalanced") == {"due": "10", "tendered": "9.98", "rounding": "0.01"}


def test_without_tenders_the_rounding_is_not_owed() -> None:
    assert sides([sold(net="10.02")], money=money(rounding="0.02"))[0] == ["receivable 10", "cash_rounding 0.02"]


def test_a_kind_of_tender_is_the_account_of_that_name() -> None:
    paid = TicketMoney(tenders=[Tender(kind="card", amount=Money("10"))])
    assert sides([sold(net="10")], money=paid)[0] == ["card 10"]


def test_a_service_is_sold_without_stock_to_its_income_account() -> None:
    of = shop()
    debits, credits_ = sides([sold(price="2"), line(account="services", price="15")], of)
    assert (debits, credits_) == (["receivable 17"], ["income 2", "services 15"])
    assert of.quantity("tea") == "99"


def test_a_ticket_of_services_alone_moves_nothing() -> None:
    judged = shop().accepted("sale", line(account="services", quantity=3, price="15"), company="shop")
    assert (judged.allocated.legs, judged.allocated.stamps) == ([], [])
    assert judged.allocated.money is not None


@pytest.mark.parametrize("serials", [["S1", "S2"], "S1,S2", "S1-S2"])
def test_the_price_of_named_serials_is_for_each_of_them(serials: str | list[str]) -> None:
    assert sides([goes("phone", serials=serials, price="100")])[1] == ["income 200"]


def test_a_price_is_for_the_unit_that_was_entered() -> None:
    of = shop()
    of.stock.items["shop", "tea"] = item("tea", units={"box": 12})
    assert sides([sold("2", unit="box", price="24")], of)[1] == ["income 48"]


def test_income_and_receivables_go_to_the_accounts_of_the_company() -> None:
    of = shop(roles={Role.INCOME: "4000", Role.RECEIVABLE: "1200"})
    assert sides([sold(net="5")], of) == (["1200 5"], ["4000 5"])


def test_a_sale_for_nothing_books_no_money() -> None:
    assert sides([sold(price="0")]) == ([], [])


def test_an_amount_finer_than_the_currency_is_refused() -> None:
    yen = shop(currency="JPY", digits=0)
    assert yen.refused("sale", sold(net="100.5")) == [("too_many_places", 1)]
    assert shop().refused("sale", sold(net="1"), money=money(("cash", "1.001"), rounding="-0.001")) == [
        ("too_many_places", None),
        ("too_many_places", None),
    ]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, ("price_missing", 1)),
        ({"price": "-1"}, ("price_negative", 1)),
        ({"net": "1", "tax": [Tax(code="v", account="ghost", amount=Money(0))]}, ("unknown_account", 1)),
        ({"price": "999999999999", "quantity": "90000"}, ("amount_too_large", None)),
    ],
)
def test_a_line_without_sound_money_is_refused(fields: dict[str, Any], reason: tuple[str, int | None]) -> None:
    of = shop()
    of.accepted("opening_stock", comes("tea", "100000"))
    assert reason in of.refused("sale", sold(**fields))


def test_a_tender_needs_an_account_that_exists() -> None:
    nameless = TicketMoney(tenders=[Tender(amount=Money("1"))])
    assert shop().refused("sale", sold(net="1"), money=nameless) == [("tender_without_account", None)]
    assert shop().refused("sale", sold(net="1"), money=money(("ghost", "1"))) == [("unknown_account", None)]


def test_only_a_sale_has_money() -> None:
    assert shop().refused("delivery", sold(), money=money()) == [("money_not_allowed", None)]
    assert shop().accepted("delivery", sold()).allocated.money is None


def test_a_kind_of_tender_that_is_no_account_of_the_company_is_refused() -> None:
    paid = TicketMoney(tenders=[Tender(kind="cahs", amount=Money("10"))])
    assert shop().refused("sale", sold(net="10"), money=paid) == [("unknown_account", None)]


def test_goods_are_not_given_away_on_a_line_that_names_an_account() -> None:
    assert shop().refused("sale", sold(net="10", account="services")) == [("stock_on_account_line", 1)]
