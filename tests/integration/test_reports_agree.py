"""Reports add up to what stands in the books: on the examples, and on random histories told late and cancelled."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from services.desk.examples import CLOCK, played
from services.desk.reporting import REPORTS
from services.desk.servers import bring_up_to_date
from shared.db import transaction
from shared.purposes import Role
from shared.report import Filters, read_report, records
from tests import servers
from tests.played_histories import play_goods, play_units
from tests.receiving_builders import opened
from tests.reporting_builders import total

DAY = date(2026, 5, 4)
SEEDS = (0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 12)))
TOLD = (
    *("ageing", "batch-balance", "batch-ledger", "expiry", "general-ledger", "gross-margin", "in-warranty"),
    *("received-not-billed", "reorder", "returned-batches", "serial-status", "stock-against-ledger", "trial-balance"),
)
# --- they agree -------------------------------------------------------------------------------------------------------


def assert_they_agree(engine: sa.Engine, **filters: Any) -> None:
    """Every report that tells of all stock, or of all of an account, adds up to the same."""
    stock = {
        key: sums(engine, name, "quantity value", **filters)
        for key, name in {"bins": "stock-balance", "batches": "batch-balance"}.items()
    }
    assert sums(engine, "ageing", "quantity value", **filters) == stock["bins"]
    for name in ("expiry", "batch-ledger"):
        taken = {key: value for key, value in filters.items() if key in REPORTS[name].takes}
        found = sums(engine, name, "quantity value", "company item warehouse batch", **taken)
        assert found == sums(engine, "batch-balance", "quantity value", "company item warehouse batch", **filters), name
    balances = sums(engine, "trial-balance", "balance", "company account", **filters)
    ledger = sums(engine, "general-ledger", "debit credit", "company account", **filters)
    assert {key: (debit - credit,) for key, (debit, credit) in ledger.items() if debit != credit} == balances
    billed = sums(engine, "received-not-billed", "open", "company account", **filters)
    role = Role.STOCK_RECEIVED_NOT_BILLED.value
    assert billed == {key: (-value,) for key, (value,) in balances.items() if key[1] == role}
    assert [row for row in sums(engine, "stock-against-ledger", "difference", **filters).values() if any(row)] == []


def sums(engine: sa.Engine, name: str, of: str, by: str = "company item warehouse", **filters: Any) -> Any:
    """What columns of a report add up to, by others; without what comes to nothing."""
    report = REPORTS[name]
    names = [column.name for column in report.columns]
    keys = [names.index(each) for each in by.split() if each in names]
    values = [names.index(each) for each in of.split()]
    found: dict[tuple[Any, ...], tuple[Decimal, ...]] = {}
    with transaction(engine) as connection:
        for row in read_report(report, connection, Filters(**filters)):
            key = tuple(row[place] for place in keys)
            before = found.get(key, (Decimal(0),) * len(values))
            found[key] = tuple(a + (row[place] or 0) for a, place in zip(before, values, strict=True))
    return {key: value for key, value in found.items() if any(value)}


@pytest.mark.parametrize(
    "moment", [None, datetime(2026, 1, 31, 12, tzinfo=UTC), datetime(2026, 2, 28, 20, tzinfo=UTC), CLOCK], ids=str
)
@pytest.mark.parametrize("known", [None, CLOCK], ids=str)
def test_the_reports_of_the_examples_agree_at_any_time(
    shops: sa.Engine, moment: datetime | None, known: datetime | None
) -> None:
    assert_they_agree(shops, as_of=moment, known_at=known)


@pytest.mark.parametrize("company", ["AMA", "VOLT"])
def test_income_and_cost_of_all_sales_are_what_stands_on_the_accounts(shops: sa.Engine, company: str) -> None:
    with transaction(shops) as connection:
        rows = records(REPORTS["trial-balance"], connection, Filters(company=company))
    balances = {row["account"]: row["balance"] for row in rows}
    income = sum(balances.get(account, Decimal(0)) for account in ("income", "4400 services"))
    assert total(shops, "gross-margin", "income", company=company) == -income
    assert total(shops, "gross-margin", "cost", company=company) == balances["cost_of_goods_sold"]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_reports_of_goods_that_were_told_of_late_agree(database: str, seed: int) -> None:
    with opened(database) as engine:
        play_goods(engine, seed, 8)
        assert_they_agree(engine)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_reports_of_units_some_of_whose_movements_were_cancelled_agree(database: str, seed: int) -> None:
    with opened(database) as engine:
        play_units(engine, seed, 25)
        assert_they_agree(engine)


# --- as of, as known at -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(each for each in TOLD if each not in ("in-warranty", "serial-status")))
def test_before_anything_was_known_or_took_effect_nothing_is_told(shops: sa.Engine, name: str) -> None:
    early = datetime(2025, 1, 1, tzinfo=UTC)
    told = [row for times in ({"known_at": early}, {"as_of": early}) for row in rows_of(shops, name, **times)]
    if name == "reorder":  # nothing is there of what is to be kept
        assert {(row["item"], row["on_hand"]) for row in told} == {("CASE", 0), ("CHARGER", 0), ("JAR-50", 0)}
    else:
        assert told == []


def rows_of(engine: sa.Engine, name: str, **filters: Any) -> list[dict[str, Any]]:
    with transaction(engine) as connection:
        return records(REPORTS[name], connection, Filters(**filters))


def test_as_known_before_the_last_day_the_reports_tell_what_they_told_then(postgres: str, shops: sa.Engine) -> None:
    before: dict[str, Any] = {}
    with servers.fresh_database(postgres) as url:
        bring_up_to_date(url)
        with played(url, last_day=False) as (pipeline, _):
            before = {name: rows_of(pipeline.engine, name, **_at_the_end_of(name)) for name in TOLD}
    now = {name: rows_of(shops, name, **_at_the_end_of(name)) for name in TOLD}
    known = {name: rows_of(shops, name, known_at=CLOCK, **_at_the_end_of(name)) for name in TOLD}
    for name in TOLD:
        assert known[name] == before[name], name
    assert {name for name in TOLD if now[name] != before[name]} >= {"ageing", "batch-ledger", "general-ledger"}


def _at_the_end_of(name: str) -> dict[str, Any]:
    return {"on": DAY} if "on" in REPORTS[name].takes else {}
