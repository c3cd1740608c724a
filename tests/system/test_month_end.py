"""The last day of the examples: books are closed, and what was before becomes known. The figures are worked by hand."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.quantities import ZERO, Money
from tests import servers
from tests.commands import environment, told

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Shops:
    """Both shops after the last day, what was printed of it, and when it began."""

    env: Mapping[str, str]
    printed: str
    began_at: str

    def rows(self, *arguments: str) -> list[Row]:
        found: list[Row] = json.loads(told("report", *arguments, "--format", "json", env=self.env))
        return found

    def net(self, movements: set[str], account: str) -> Money:
        """What was booked to an account for these movements, corrections included."""
        found = [row for row in self.rows("journal", "--account", account) if row["id"] in movements]
        assert found
        return Money(sum((Money(row["debit"]) - Money(row["credit"]) for row in found), ZERO))


@pytest.fixture(scope="module")
def shops(postgres: str) -> Iterator[Shops]:
    with servers.fresh_database(postgres) as url:
        env = environment(STOCKBOOK_DATABASE_URL=url)
        told("migrate", env=env)
        for file in sorted(EXAMPLES.glob("*/[123]-*.jsonl")):
            told("publish", str(file), env=env)
        began_at = datetime.now(UTC).isoformat()
        printed = "".join(told("publish", str(file), env=env) for file in sorted(EXAMPLES.glob("*/4-*.jsonl")))
        yield Shops(env, printed, began_at)


def test_what_is_dated_on_closed_days_is_refused_even_where_a_till_tells_facts(shops: Shops) -> None:
    assert "rejected ama-office PR-107\n  period_closed: day 2026-03-30, open_from 2026-04-01" in shops.printed
    assert "rejected volt-till-2 T2-000030\n  period_closed: day 2026-01-31, open_from 2026-02-01" in shops.printed
    assert [row["id"] for row in shops.rows("unposted") if row["why"] == "period_closed"] == ["T2-000030"]


def test_a_delivery_of_which_something_came_back_is_not_cancelled(shops: Shops) -> None:
    assert "rejected ama-office DN-405-X\n  named_by: source ama-office, id SR-801" in shops.printed


@pytest.mark.parametrize(
    ("company", "end"), [("AMA", "2026-03-31T22:59:59.999999Z"), ("VOLT", "2026-01-31T22:59:59.999999Z")]
)
@pytest.mark.parametrize("report", ["trial-balance", "stock-balance", "batch-balance"])
def test_closed_books_are_as_they_were(shops: Shops, company: str, end: str, report: str) -> None:
    now = shops.rows(report, "--company", company, "--as-of", end)
    assert now == shops.rows(report, "--company", company, "--as-of", end, "--known-at", shops.began_at)
    assert now or (company, report) == ("VOLT", "batch-balance")


def test_a_cost_of_a_closed_receipt_counts_from_the_first_open_day_as_far_as_the_goods_went_then(shops: Shops) -> None:
    booked = [row for row in shops.rows("journal", "--company", "AMA") if row["posting_date"] == "2026-04-01"]
    assert {(row["id"], row["account"], row["debit"], row["credit"]) for row in booked} == {
        ("PR-104-LC", "1310 ingredients", "20", "0"),
        ("PR-104-LC", "expenses_in_valuation", "0", "20"),
        ("MAKE-2-OUT", "1390 work in progress", "6", "0"),
        ("MAKE-2-OUT", "1310 ingredients", "0", "6"),
    }


def test_what_was_made_is_worth_what_its_ingredients_turned_out_to_cost(shops: Shops) -> None:
    (made,) = shops.rows("batch-balance", "--item", "CREAM-ROSE", "--batch", "ROSE-2026-003")
    consumed = Money("85.00") + Money("157.50") + Money("14.00") + Money("69.30") + Money("140.46")
    assert Money(made["value"]) == consumed + Money("60.00") - Money("3.60") == Money("522.66")
    (jars,) = shops.rows("stock-balance", "--item", "JAR-50")
    assert (jars["quantity"], jars["value"]) == ("220", "154.5")


def test_a_cancelled_count_leaves_nothing_behind(shops: Shops) -> None:
    (cream,) = shops.rows("batch-balance", "--batch", "CAL-2026-001", "--warehouse", "WORKSHOP")
    assert (cream["quantity"], cream["value"]) == ("37", "74.71")
    assert shops.net({"CNT-901", "CNT-901-X"}, "stock_adjustment") == ZERO


def test_each_phone_of_a_dearer_receipt_is_worth_more_wherever_it_is_now(shops: Shops) -> None:
    assert shops.net({"T1-000481"}, "cost_of_goods_sold") == Money("317.25")  # with a case
    assert shops.net({"T1-000485", "T1-000501", "T1-000503"}, "cost_of_goods_sold") == ZERO
    assert shops.net({"MI-2301"}, "stock_adjustment") == Money("313.00")
    assert shops.net({"PR-2001-LC"}, "expenses_in_valuation") == Money("-30.00")


def test_what_came_before_a_shortage_after_all_makes_it_none(shops: Shops) -> None:
    (chargers,) = shops.rows("stock-balance", "--item", "CHARGER")
    assert (chargers["quantity"], chargers["value"]) == ("15", "187.5")
    assert shops.net({"T2-000031", "PR-2005"}, "cost_of_goods_sold") == Money("12.00")


@pytest.mark.parametrize("account", ["cash", "income", "2200 VAT", "cost_of_goods_sold", "1420 shop floor"])
def test_of_a_cancelled_ticket_no_account_keeps_anything(shops: Shops, account: str) -> None:
    assert shops.net({"T1-000505", "T1-000505-X"}, account) == ZERO


def test_the_ledger_ends_with_the_balance_and_nothing_is_left_to_do(shops: Shops) -> None:
    balances = {(row["item"], row["warehouse"]): row["value"] for row in shops.rows("stock-balance")}
    assert {(row["item"], row["warehouse"]): row["value_after"] for row in shops.rows("stock-ledger")} == balances
    assert shops.rows("dirty-bins") == []
    assert "nothing needs a person" in told("status", env=shops.env)


def test_what_became_known_adds_up_to_what_changed(shops: Shops) -> None:
    before = shops.rows("stock-balance", "--known-at", shops.began_at)
    now = shops.rows("stock-balance")
    became = shops.rows("changes", "--known-since", shops.began_at)
    assert _total(before) + _total(became) == _total(now)
    corrected = {row["id"] for row in became if row["corrects_id"] == row["id"]}
    assert {"MAKE-2-OUT", "MAKE-3", "T1-000481", "DN-2201"} <= corrected


def _total(rows: list[Row]) -> Money:
    return Money(sum((Money(row["value"]) for row in rows), ZERO))
