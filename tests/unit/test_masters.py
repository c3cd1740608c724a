"""What a definition may say: given what is known, and what its history forbids."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.receiving.decide.masters import Known, judge
from services.receiving.decide.periods import Books
from shared.contracts import masters
from shared.purposes import AccountKind, BatchState, Method, Role, Tracking
from shared.quantities import Quantity, Rate
from tests.receiving_builders import company, item

KEY = ("shop", "tea")


def known(**fields: Any) -> Known:
    """A company with one item that never moved."""
    return Known(**{"companies": {"shop": company()}, "items": {KEY: item("tea")}, **fields})


def codes(definition: masters.Master, of: Known | None = None) -> list[str]:
    return [each.code for each in judge(definition, of or known())]


def tea(**fields: Any) -> masters.ItemDefined:
    return masters.ItemDefined(**{"company": "shop", "item": "tea", **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"tracking": Tracking.BATCH, "serial_series": "S.##"},
        {"tracking": Tracking.SERIAL, "batch_series": "B.##"},
        {"serial_series": "S.##"},
        {"batch_series": "B.##"},
    ],
)
def test_an_item_is_tracked_in_one_way_and_has_no_series_of_another(fields: dict[str, Any]) -> None:
    assert codes(tea(**fields)) == ["one_tracking_only"]


def test_an_item_may_have_the_series_of_its_own_tracking() -> None:
    assert codes(tea(tracking=Tracking.SERIAL, serial_series="S.##")) == []
    assert codes(tea(tracking=Tracking.BATCH, batch_series="B.##")) == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"tracking": Tracking.BATCH}, "tracking_fixed"),
        ({"unit": "kg"}, "unit_fixed"),
        ({"valuation_method": Method.LIFO}, "valuation_method_fixed"),
    ],
)
def test_tracking_unit_and_method_are_fixed_once_there_are_entries(fields: dict[str, Any], code: str) -> None:
    assert codes(tea(**fields), known(items_moved={KEY})) == [code]
    assert codes(tea(**fields), known()) == []


def test_all_else_about_an_item_may_change_after_its_entries() -> None:
    changed = tea(name="Tea", pick="lifo", standard_rate=Rate("2"), disabled=True, units={"box": Quantity("6")})
    assert codes(changed, known(items_moved={KEY})) == []


def test_every_fault_of_an_item_is_told_at_once() -> None:
    faulty = tea(
        tracking=Tracking.BATCH,
        serial_series="S" * 101,
        allow_negative_stock=True,
        units={"box": Quantity("0")},
        standard_rate=Rate("-1"),
        reorder_level=Quantity("-1"),
        reorder_quantity=Quantity("0"),
        unit="kg",
    )
    assert codes(faulty, known(items_moved={KEY})) == [
        "one_tracking_only",
        "series_too_long",
        "negative_stock_of_tracked",
        "unit_factor_not_positive",
        "rate_negative",
        "reorder_out_of_range",
        "tracking_fixed",
        "unit_fixed",
    ]


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe"])
def test_a_company_needs_a_time_zone_that_exists(zone: str) -> None:
    assert codes(masters.CompanyDefined(company="shop", currency="EUR", time_zone=zone)) == ["unknown_time_zone"]


def test_the_currency_is_fixed_once_there_are_entries() -> None:
    dollars = masters.CompanyDefined(company="shop", currency="USD")
    assert codes(dollars, known(items_moved={KEY})) == ["currency_fixed"]
    assert codes(dollars) == []


def accounts(*names: str, kind: AccountKind = AccountKind.ASSET, **roles: str) -> masters.AccountsDefined:
    given = [masters.Account(account=name, kind=kind) for name in names]
    return masters.AccountsDefined(company="shop", accounts=given, roles={Role(r): a for r, a in roles.items()})


def test_a_role_is_played_by_an_account_that_exists() -> None:
    assert codes(accounts(stock="1400")) == ["unknown_account"]
    assert codes(accounts("1400", stock="1400")) == []
    assert codes(accounts("1500", stock="receivable", receivable="1500")) == []


def test_accounts_are_known_to_the_definitions_after_them_in_the_same_set() -> None:
    of = known()
    assert [codes(accounts("1400"), of), codes(accounts(stock="1400"), of)] == [[], []]
    assert codes(masters.WarehouseDefined(company="shop", warehouse="north"), of) == []


def test_refused_accounts_are_not_known_to_those_after_them() -> None:
    of = known()
    assert codes(accounts("1400", stock="ghost"), of) == ["unknown_account"]
    assert codes(accounts(stock="1400"), of) == ["unknown_account"]


def test_a_warehouse_keeps_its_stock_in_an_asset_that_exists() -> None:
    of = known(companies={"shop": company(accounts={"1400": AccountKind.ASSET, "7000": AccountKind.EXPENSE})})
    for account, told in (
        ("1400", []),
        (None, []),
        ("7000", ["account_of_wrong_kind"]),
        ("ghost", ["unknown_account"]),
    ):
        assert codes(masters.WarehouseDefined(company="shop", warehouse="north", account=account), of) == told


def test_the_stock_account_of_a_warehouse_is_fixed_once_there_are_entries() -> None:
    of = known(
        companies={"shop": company(accounts={"1400": AccountKind.ASSET})},
        warehouse_accounts={("shop", "north"): "stock"},
        warehouses_moved={("shop", "north")},
    )
    assert codes(masters.WarehouseDefined(company="shop", warehouse="north", account="1400"), of) == ["account_fixed"]
    assert codes(masters.WarehouseDefined(company="shop", warehouse="north", name="North"), of) == []


def test_a_serial_registered_directly_has_no_warehouse() -> None:
    of = known(items={KEY: item("tea", tracking="serial")}, batches={("shop", "tea", "B1"): BatchState.FREE})
    defined = masters.SerialDefined(company="shop", item="tea", serial="S1", batch="B1", warehouse="north")
    assert codes(defined, of) == ["warehouse_not_allowed"]
    assert codes(masters.SerialDefined(company="shop", item="tea", serial="S1", batch=" B1 "), of) == []
    assert codes(masters.SerialDefined(company="shop", item="tea", serial="S1", batch=" "), of) == []
    assert codes(masters.SerialDefined(company="shop", item="tea", serial="S1", batch="B2"), of) == ["unknown_batch"]
    assert codes(masters.SerialDefined(company="shop", item="tea", serial=" "), of) == ["serials_missing"]


def test_only_a_serialized_item_has_serials_and_an_untracked_one_no_batches() -> None:
    assert codes(masters.SerialDefined(company="shop", item="tea", serial="S1")) == ["not_tracked"]
    assert codes(masters.BatchDefined(company="shop", item="tea", batch="B1")) == ["not_tracked"]


def test_a_batch_expires_no_earlier_than_it_was_made_and_has_a_number() -> None:
    of = known(items={KEY: item("tea", tracking="batch")})
    first, second = date(2026, 3, 1), date(2026, 3, 2)
    backwards = masters.BatchDefined(company="shop", item="tea", batch=" ", manufactured_on=second, expires_on=first)
    assert codes(backwards, of) == ["expires_before_made", "batch_missing"]
    same_day = masters.BatchDefined(company="shop", item="tea", batch="B1", manufactured_on=first, expires_on=first)
    assert codes(same_day, of) == []


def test_only_a_known_batch_is_held_or_released_and_a_recalled_one_stays_recalled() -> None:
    batches = {("shop", "tea", "B1"): BatchState.HELD, ("shop", "tea", "B2"): BatchState.RECALLED}
    of = known(batches=batches)
    for kind in (masters.BatchHeld, masters.BatchReleased):
        told = [codes(kind(company="shop", item="tea", batch=number), of) for number in ("B1", " B1", "B2", "B3")]
        assert told == [[], [], ["batch_recalled"], ["unknown_batch"]]


@pytest.mark.parametrize(
    "definition",
    [
        tea(),
        masters.AccountsDefined(company="shop"),
        masters.WarehouseDefined(company="shop", warehouse="north"),
        masters.BatchDefined(company="shop", item="tea", batch="B1"),
        masters.SerialDefined(company="shop", item="tea", serial="S1"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_nothing_is_defined_in_an_unknown_company(definition: masters.Master) -> None:
    assert codes(definition, Known()) == ["unknown_company"]


def test_batches_and_serials_are_of_a_known_item() -> None:
    of = known(items={})
    assert codes(masters.BatchDefined(company="shop", item="tea", batch="B1"), of) == ["unknown_item"]
    assert codes(masters.SerialDefined(company="shop", item="tea", serial="S1"), of) == ["unknown_item"]


def test_nothing_speaks_against_a_source() -> None:
    assert codes(masters.SourceDefined(source="till", mode="fact")) == []


def test_a_role_is_played_by_an_account_of_its_kind() -> None:
    assert codes(accounts("4000", kind=AccountKind.INCOME, stock="4000")) == ["account_of_wrong_kind"]
    assert codes(accounts("1400", cost_of_goods_sold="1400")) == ["account_of_wrong_kind"]
    assert codes(accounts("1990", temporary_opening="1990")) == []
    assert codes(accounts("4900", kind=AccountKind.INCOME, stock_adjustment="4900")) == []


# --- closed books ----------------------------------------------------------------------------------------------------

NOW = datetime(2026, 3, 2, 18, tzinfo=UTC)


def closed(through: date | None = None, *, begin: date | None = None, zone: str = "UTC") -> Known:
    """A company whose books begin on a day and are closed through another."""
    days = [day for day in (begin, through and through + timedelta(days=1)) if day is not None]
    of = company(open_from=max(days, default=None), time_zone=zone)
    return Known(companies={"shop": of}, books={"shop": Books(begin, 0, NOW)}, now=NOW)


def close(through: date) -> masters.PeriodClosed:
    return masters.PeriodClosed(company="shop", through=through, actor="ann")


def reopen(open_from: date) -> masters.PeriodReopened:
    return masters.PeriodReopened(company="shop", open_from=open_from, actor="ann", reason="a late invoice")


def test_a_day_is_closed_only_when_it_has_ended_where_the_company_is() -> None:
    yesterday, today = date(2026, 3, 1), date(2026, 3, 2)
    assert [codes(close(day), closed()) for day in (yesterday, today)] == [[], ["day_not_over"]]
    assert codes(close(today), closed(zone="Pacific/Kiritimati")) == []  # there it is the third already
    assert codes(close(yesterday), closed(zone="Pacific/Niue")) == []
    early = closed(zone="Pacific/Niue")
    early.now = datetime(2026, 3, 2, 10, 59, tzinfo=UTC)  # there it is still the first
    assert codes(close(yesterday), early) == ["day_not_over"]


def test_books_are_only_closed_further() -> None:
    of = closed(date(2026, 1, 31))
    assert [codes(close(date(2026, 1, day)), of) for day in (30, 31)] == [["already_closed"]] * 2
    assert codes(close(date(2026, 2, 1)), of) == []
    assert codes(close(date(2025, 12, 31)), closed(begin=date(2026, 1, 1))) == ["already_closed"]


def test_only_closed_days_are_reopened_and_none_before_the_books_begin() -> None:
    def of() -> Known:
        return closed(date(2026, 1, 31), begin=date(2026, 1, 10))

    told = [codes(reopen(date(2026, *day)), of()) for day in ((2, 1), (1, 31), (1, 10), (1, 9))]
    assert told == [["day_not_closed"], [], [], ["before_the_books"]]
    assert codes(reopen(date(2026, 1, 1)), closed()) == ["day_not_closed"]


def test_books_that_were_closed_and_reopened_are_known_to_those_after_them_in_the_same_set() -> None:
    of = closed()
    days: list[masters.Master] = [
        close(date(2026, 1, 31)),
        close(date(2026, 1, 31)),
        reopen(date(2026, 1, 15)),
        close(date(2026, 1, 14)),
    ]
    assert [codes(each, of) for each in days] == [[], ["already_closed"], [], ["already_closed"]]
    assert [codes(each, of) for each in (close(date(2026, 1, 15)), reopen(date(2026, 1, 16)))] == [
        [],
        ["day_not_closed"],
    ]


def test_a_refused_closing_closes_nothing_for_those_after_it() -> None:
    of = closed()
    assert [codes(each, of) for each in (close(date(2026, 3, 2)), close(date(2026, 1, 31)))] == [["day_not_over"], []]


def test_no_books_of_an_unknown_company_are_closed_or_reopened() -> None:
    for each in (close(date(2026, 1, 31)), reopen(date(2026, 1, 31))):
        assert codes(each, Known(now=NOW)) == ["unknown_company"]
