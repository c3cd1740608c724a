"""The money of a sale: net, tax and price on one side, tenders and rounding on the other; all must add up.

A return gives back its part of it, an exchange owes the difference.
"""

from typing import Any

import pytest

from services.receiving.decide.allocation import Accepted
from services.receiving.decide.stock import Company
from shared.contracts.movement import MoneySides, RequestedLine, Tax, Tender, TicketMoney
from shared.purposes import AccountKind, Role
from shared.quantities import Money, plain
from tests.receiving_builders import Shop, against, comes, facts, goes, item, line, reasons

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


def sides(
    lines: list[RequestedLine], of: Shop | None = None, purpose: str = "sale", **fields: Any
) -> tuple[list[str], list[str]]:
    """What an accepted sale, or another movement with money, debits and credits."""
    booked = (of or shop()).accepted(purpose, *lines, **fields).allocated.money
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


# --- the money of a return --------------------------------------------------------------------------------------------


def sale(of: Shop, *lines: RequestedLine, **fields: Any) -> Accepted:
    return of.accepted("sale", *lines, **fields)


def back(of: Shop, sold_: Accepted | None, *lines: RequestedLine, **fields: Any) -> tuple[list[str], list[str]]:
    """What a return debits and credits."""
    named = {} if sold_ is None else {"against": against(sold_)}
    return sides(list(lines), of, "sales_return", **{"company": "shop", **named, **fields})


def vat(amount: str, code: str = "6", account: str | None = "vat 6") -> Tax:
    return Tax(code=code, account=account, amount=Money(amount))


def test_a_return_of_a_sale_gives_back_its_part_of_net_and_tax_and_the_customer_owes_less() -> None:
    of = shop(roles={Role.INCOME: "4000"})
    sold_ = sale(of, sold("4", net="20", tax=[vat("1.20"), Tax(code="v", amount=Money("2"))]))
    assert back(of, sold_, line("tea", 1)) == (["4000 5", "vat 6 0.3", "tax 0.5"], ["receivable 5.8"])
    assert back(of, sold_, line("tea", 3)) == (["4000 15", "vat 6 0.9", "tax 1.5"], ["receivable 17.4"])


def test_parts_are_rounded_so_that_together_they_are_the_whole() -> None:
    of = shop()
    sold_ = sale(of, sold("3", net="10", tax=[vat("0.10")]))
    assert [back(of, sold_, line("tea", 1)) for _ in range(3)] == [
        (["income 3.33", "vat 6 0.03"], ["receivable 3.36"]),
        (["income 3.34", "vat 6 0.04"], ["receivable 3.38"]),
        (["income 3.33", "vat 6 0.03"], ["receivable 3.36"]),
    ]


def test_two_lines_of_one_return_give_back_the_part_of_both() -> None:
    of = shop()
    sold_ = sale(of, sold("3", net="10"))
    booked = of.accepted("sales_return", line("tea", 1), line("tea", 2), against=against(sold_)).allocated.money
    assert booked is not None
    assert [(each.line, plain(each.amount)) for each in booked.debits] == [(1, "3.33"), (2, "6.67")]


def test_a_line_that_returns_several_lines_of_a_sale_gives_back_the_part_of_each() -> None:
    of = shop()
    sold_ = sale(of, sold("2", net="10", tax=[vat("1")]), goes("phone", 1, net="99"), sold("3", net="30"))
    assert back(of, sold_, line("tea", 3)) == (["income 20", "vat 6 1"], ["receivable 21"])
    assert back(of, sold_, line("phone", 1)) == (["income 99"], ["receivable 99"])
    assert back(of, sold_, line("tea", 2)) == (["income 20"], ["receivable 20"])


def test_a_line_that_left_by_several_legs_comes_back_by_its_quantity_as_a_whole() -> None:
    of = shop()
    of.stock.items["shop", "cream"] = item("cream", tracking="batch", create_batches_on_receipt=True)
    of.accepted("opening_stock", comes("cream", 2, batch="B1"), comes("cream", 9, batch="B2"))
    sold_ = sale(of, goes("cream", 6, net="10"))
    assert back(of, sold_, line("cream", 1, batch="B2"))[0] == ["income 1.67"]
    assert back(of, sold_, line("cream", 2, batch="B1"))[0] == ["income 3.33"]
    assert back(of, sold_, line("cream", 3))[0] == ["income 5"]


def test_a_discount_of_the_sale_is_taken_back_with_the_goods() -> None:
    of = shop()
    sold_ = sale(of, sold("2", net="-3"))
    assert back(of, sold_, line("tea", 1)) == (["income -1.5", "receivable 1.5"], [])


def test_what_is_paid_back_must_be_what_the_lines_come_to() -> None:
    of = shop()
    sold_ = sale(of, sold("3", net="10.01"), money=money(("cash", "10"), rounding="0.01"))
    part = line("tea", 1)
    assert back(of, sold_, part, money=money(("cash", "3.35"), rounding="-0.01")) == (
        ["income 3.34"],
        ["cash 3.35", "cash_rounding -0.01"],
    )
    judged = of.ask("sales_return", line("tea", 2), against=against(sold_), money=money(("cash", "6.66")))
    assert reasons(judged) == [("money_unbalanced", None)]
    assert facts(judged, "money_unbalanced") == {"due": "6.67", "tendered": "6.66", "rounding": "0"}


def test_a_stated_net_is_given_back_as_it_stands_and_what_is_kept_is_income() -> None:
    of = shop()
    sold_ = sale(of, sold("2", net="20", tax=[vat("2")]))
    less_fee = line("tea", 1, net="9", tax=[vat("0.90")])
    assert back(of, sold_, less_fee, money=money(("cash", "9.90"))) == (["income 9", "vat 6 0.9"], ["cash 9.9"])
    assert back(of, sold_, line("tea", 1))[0] == ["income 10", "vat 6 1"]


def test_a_return_may_state_a_price() -> None:
    of = shop()
    sold_ = sale(of, sold("2", price="10"))
    assert back(of, sold_, line("tea", 2, price="9.50")) == (["income 19"], ["receivable 19"])


def test_a_return_of_a_sale_for_nothing_gives_nothing_back() -> None:
    of = shop()
    assert back(of, sale(of, sold(price="0")), line("tea", 1)) == ([], [])


def test_money_goes_back_where_the_books_are_not_perpetual_too() -> None:
    of = shop(perpetual=False)
    assert back(of, sale(of, sold(net="5")), line("tea", 1))[0] == ["income 5"]


def test_what_was_sold_without_stock_is_given_back_at_a_stated_amount() -> None:
    of = shop()
    sold_ = sale(of, sold(net="5"), line(account="services", price="15"))
    lines = [line("tea", 1), line(account="services", net="15")]
    assert back(of, sold_, *lines) == (["income 5", "services 15"], ["receivable 20"])
    assert of.refused("sales_return", line(account="services"), against=against(sold_)) == [("price_missing", 1)]


@pytest.mark.parametrize(
    "said", [{"net": "1"}, {"price": "0"}, {"tax": [Tax(code="v", amount=Money("1"))]}, {"account": "services"}]
)
def test_a_return_of_a_delivery_has_no_money(said: dict[str, Any]) -> None:
    of = shop()
    out = of.accepted("delivery", sold("5", price="3"))
    assert of.accepted("sales_return", line("tea", 1), against=against(out)).allocated.money is None
    named = {**said, **({"quantity": None} if "account" in said else {"what": "tea", "quantity": 1})}
    assert of.refused("sales_return", line(**named), against=against(out)) == [("money_not_allowed", None)]
    assert of.refused("sales_return", line("tea", 1), against=against(out), money=money()) == [
        ("money_not_allowed", None)
    ]


def test_a_return_without_a_sale_has_money_where_it_says_so_and_then_on_every_line() -> None:
    of = shop()
    assert of.accepted("sales_return", line("tea", 1, target="north")).allocated.money is None
    priced = line("tea", 2, target="north", price="4", tax=[vat("1")])
    assert back(of, None, priced) == (["income 8", "vat 6 1"], ["receivable 9"])
    unpriced = line("tea", 1, target="north")
    assert of.refused("sales_return", priced, unpriced) == [("price_missing", 2)]
    assert of.refused("sales_return", unpriced, money=money(("cash", "1"))) == [
        ("money_unbalanced", None),
        ("price_missing", 1),
    ]


def test_what_is_due_is_not_judged_while_it_is_unknown_what_comes_back() -> None:
    of = shop()
    sold_ = sale(of, sold("2", net="20"))
    judged = of.ask("sales_return", line("tea", 3), against=against(sold_), money=money(("ghost", "30")))
    assert reasons(judged) == [("unknown_account", None), ("over_return", 1)]


# --- the money of an exchange -----------------------------------------------------------------------------------------


def exchange(of: Shop, sold_: Accepted, *lines: RequestedLine, **fields: Any) -> tuple[list[str], list[str]]:
    return sides(list(lines), of, against=against(sold_), **fields)


def test_an_exchange_owes_the_difference() -> None:
    of = shop()
    sold_ = sale(of, sold("2", net="20", tax=[vat("2")]))
    taken_back = line("tea", 1, target="north")
    assert exchange(of, sold_, taken_back, goes("phone", 1, net="50"), money=money(("cash", "39"))) == (
        ["income 10", "vat 6 1", "cash 39"],
        ["income 50"],
    )
    assert exchange(of, sold_, taken_back, goes("phone", 1, net="50")) == (
        ["income 10", "vat 6 1", "receivable 39"],
        ["income 50"],
    )


@pytest.mark.parametrize(
    ("paid", "expected"),
    [
        (None, (["income 50"], ["income 20", "receivable 30"])),
        (
            money(("cash", "-30.05"), rounding="0.05"),
            (["income 50", "cash -30.05", "cash_rounding 0.05"], ["income 20"]),
        ),
        (money(rounding="0.05"), (["income 50", "cash_rounding 0.05"], ["income 20", "receivable 30.05"])),
    ],
)
def test_an_exchange_for_less_pays_back(paid: TicketMoney | None, expected: tuple[list[str], list[str]]) -> None:
    of = shop()
    sold_ = sale(of, goes("phone", serials="S1", net="50"))
    lines = [line("phone", 1, target="north"), sold("4", net="20")]
    assert exchange(of, sold_, *lines, money=paid) == expected


def test_an_even_exchange_owes_nothing() -> None:
    of = shop()
    sold_ = sale(of, goes("phone", serials="S1", net="50"))
    lines = [line("phone", target="south", serials="S1", net="50"), goes("phone", 1, price="50")]
    assert exchange(of, sold_, *lines) == (["income 50"], ["income 50"])


def test_an_exchange_of_what_was_only_delivered_has_the_money_that_it_states() -> None:
    of = shop()
    out = of.accepted("delivery", sold("2"))
    assert exchange(of, out, line("tea", 1, target="north"), sold(net="5")) == (["receivable 5"], ["income 5"])
    assert exchange(of, out, line("tea", 1, target="north", net="3"), sold(net="5")) == (
        ["income 3", "receivable 2"],
        ["income 5"],
    )


def test_an_exchange_without_a_sale_states_the_price_of_what_comes_back() -> None:
    of = shop()
    lines = [line("tea", 1, target="north"), sold(net="5")]
    assert of.refused("sale", *lines) == [("price_missing", 1)]


def test_what_came_back_by_an_exchange_is_counted_when_the_rest_does() -> None:
    of = shop()
    sold_ = sale(of, sold("3", net="10"))
    exchange(of, sold_, line("tea", 1, target="north", net="1"), sold(net="5"))
    assert back(of, sold_, line("tea", 2))[0] == ["income 6.67"]


def test_what_came_back_without_its_sale_is_counted_when_the_rest_does() -> None:
    of = shop()
    sold_ = sale(of, goes("phone", serials="S1-S3", net="10"))
    of.accepted("sales_return", line("phone", target="north", serials="S2"))
    assert back(of, sold_, line("phone", 2))[0] == ["income 6.67"]
