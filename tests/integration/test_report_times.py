"""The books as of a time and as known at a time: what reports tell of movements that were recorded out of order."""

import csv
import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import Engine

from services.accounting.handlers import book_movements
from services.desk.reporting import REPORTS
from shared.contracts.codec import write
from shared.contracts.movement import MovementAllocated
from shared.contracts.registry import MOVEMENT_POSTED
from shared.db import transaction
from shared.quantities import plain
from shared.report import Filters, records
from shared.service import Input
from tests import commands
from tests.builders import COMPANY, MORNING, Receiving, cost, deliver, entry_of, leg, posted
from tests.receiving_builders import opened

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    with opened(database) as engine:
        yield engine


def told(engine: Engine, name: str, **filters: Any) -> list[dict[str, Any]]:
    with transaction(engine) as connection:
        return records(REPORTS[name], connection, Filters(**filters))


def ids(engine: Engine, name: str, **filters: Any) -> list[str]:
    """The movements of a report, each once, in its order."""
    return list(dict.fromkeys(row["id"] for row in told(engine, name, **filters)))


def at(hours: float, each: MovementAllocated, **changes: Any) -> MovementAllocated:
    """A movement that takes effect so many hours after the morning; it is recorded when it was."""
    return structs.replace(each, effective_at=MORNING + hours * HOUR, **changes)


def post(engine: Engine, *movements: MovementAllocated) -> list[MovementAllocated]:
    """Have the ledger post movements, and accounting book them."""
    deliver(engine, *movements)
    inputs = [Input(each.source, MOVEMENT_POSTED, each, write(each)) for each in posted(movements)]
    with transaction(engine) as connection:
        book_movements(inputs, connection)
    return list(movements)


def late_receipt(engine: Engine) -> list[MovementAllocated]:
    """A receipt, a delivery of half of it, and another receipt that came before both and was recorded last."""
    receiving = Receiving()
    return post(
        engine,
        at(-2, receiving.movement(leg(4, 8), purpose="purchase_receipt")),
        at(-1, receiving.movement(leg(-2), purpose="delivery")),
        at(-3, receiving.movement(leg(1, 3), purpose="purchase_receipt")),
    )


# --- the ledger and the journal ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("report", ["stock-ledger", "journal"])
def test_entries_stand_in_the_order_in_which_they_take_effect(engine: Engine, report: str) -> None:
    one, two, late = late_receipt(engine)
    assert ids(engine, report) == [late.id, one.id, two.id]


@pytest.mark.parametrize("report", ["stock-ledger", "journal"])
def test_either_time_leaves_out_what_comes_later_and_both_together_leave_out_either(
    engine: Engine, report: str
) -> None:
    one, two, late = late_receipt(engine)
    assert ids(engine, report, as_of=one.effective_at) == [late.id, one.id]
    assert ids(engine, report, known_at=two.recorded_at) == [one.id, two.id]
    assert ids(engine, report, as_of=one.effective_at, known_at=two.recorded_at) == [one.id]
    assert ids(engine, report, known_at=one.recorded_at - MINUTE) == []


@pytest.mark.parametrize("report", ["stock-ledger", "journal"])
def test_of_what_takes_effect_at_one_time_that_stands_first_which_was_known_first(engine: Engine, report: str) -> None:
    receiving = Receiving()
    before, first, second = (receiving.movement(leg(1, 2, warehouse=place)) for place in "aab")
    first, second = (at(-1, each, id=name) for each, name in ((first, "Z"), (second, "A")))
    post(engine, at(-2, before), first, second)
    assert ids(engine, report) == [before.id, "Z", "A"]


def landed(receiving: Receiving, **times: datetime) -> list[MovementAllocated]:
    """A receipt and what it cost besides, from its own time on; the ids stand in the other order."""
    receipt = structs.replace(receiving.movement(leg(4, 8), purpose="purchase_receipt"), id="R", **times)
    legs = [leg(0, original=entry_of(receipt), share=1)]
    landing = structs.replace(receiving.movement(*legs, purpose="landed_cost", costs=[cost(2)]), id="L", **times)
    return [receipt, structs.replace(landing, effective_at=receipt.effective_at)]


@pytest.mark.parametrize("report", ["stock-ledger", "journal"])
@pytest.mark.parametrize("times", [{}, {"recorded_at": MORNING, "effective_at": MORNING}])
def test_a_landed_cost_stands_behind_its_receipt_even_if_both_were_recorded_at_once(
    engine: Engine, report: str, times: dict[str, datetime]
) -> None:
    post(engine, *landed(Receiving(), **times))
    assert ids(engine, report) == ["R", "L"]


def test_transfers_of_one_movement_stand_in_their_own_order_each_debit_before_its_credit(engine: Engine) -> None:
    receiving = Receiving()
    post(engine, receiving.movement(leg(1, 2, warehouse="b"), leg(1, 2, warehouse="a"), purpose="purchase_receipt"))
    counter = "stock_received_not_billed"
    accounts = [row["account"] for row in told(engine, "journal")]
    assert accounts == ["stock b", counter, "stock a", counter]


# --- balances ---------------------------------------------------------------------------------------------------------


def balance(engine: Engine, **times: datetime) -> list[tuple[str, str, str | None]]:
    return [
        (plain(row["quantity"]), plain(row["value"]), row["rate"] and plain(row["rate"]))
        for row in told(engine, "stock-balance", **times)
    ]


def test_a_balance_as_of_a_time_changes_with_what_is_recorded_later_and_as_known_then_it_does_not(
    engine: Engine,
) -> None:
    one, two, late = late_receipt(engine)
    assert balance(engine) == [("3", "7", "2.333333333")]
    assert balance(engine, as_of=one.effective_at) == [("5", "11", "2.2")]
    assert balance(engine, as_of=one.effective_at, known_at=two.recorded_at) == [("4", "8", "2")]
    assert balance(engine, as_of=late.effective_at) == [("1", "3", "3")]
    assert balance(engine, as_of=late.effective_at, known_at=two.recorded_at) == []


def test_a_bin_that_was_empty_then_has_no_rate(engine: Engine) -> None:
    receiving = Receiving()
    _, emptied, _ = post(
        engine, receiving.movement(leg(1, 2)), receiving.movement(leg(-1)), receiving.movement(leg(1, 4))
    )
    assert balance(engine, as_of=emptied.effective_at) == [("0", "0", None)]


def test_accounts_balance_as_of_and_as_known_at_a_time(engine: Engine) -> None:
    one, two, _ = late_receipt(engine)

    def stock(**times: datetime) -> list[tuple[str, str]]:
        found = told(engine, "trial-balance", account="stock north", **times)
        return [(plain(row["debit"]), plain(row["balance"])) for row in found]

    assert stock() == [("11", "7")]
    assert stock(as_of=one.effective_at) == [("11", "11")]
    assert stock(as_of=one.effective_at, known_at=two.recorded_at) == [("8", "8")]
    assert stock(known_at=two.recorded_at) == [("8", "4")]


def test_the_end_of_a_day_is_its_last_moment_and_a_time_without_a_zone_is_in_utc(engine: Engine, database: str) -> None:
    receiving = Receiving()
    midnight = datetime.combine(MORNING.date() + timedelta(days=1), datetime.min.time(), MORNING.tzinfo)
    moments = (midnight - timedelta(microseconds=1), midnight)
    post(engine, *(structs.replace(receiving.movement(leg(1, 2)), recorded_at=moment) for moment in moments))

    def known(option: str, text: str) -> list[str]:
        env = commands.environment(STOCKBOOK_DATABASE_URL=database)
        name = "changes" if option == "--known-since" else "stock-ledger"
        printed = commands.told("report", name, option, text, "--format", "csv", env=env)
        return [row["id"] for row in csv.DictReader(io.StringIO(printed))]

    assert known("--known-at", "2026-03-02") == ["M1"]
    assert known("--known-at", "2026-03-03T00:00:00") == ["M1", "M2"]
    assert known("--known-at", "2026-03-03T00:00:00+01:00") == []
    assert known("--known-since", "2026-03-02") == ["M2"]
    assert known("--as-of", "2026-03-01") == []


# --- what became known ------------------------------------------------------------------------------------------------


def test_changes_tell_entry_by_entry_why_a_balance_of_one_day_is_another_one_now(engine: Engine) -> None:
    one, two, late = late_receipt(engine)
    span = {"as_of": one.effective_at, "known_since": two.recorded_at}
    assert told(engine, "changes", **span) == [
        {
            "company": COMPANY,
            "item": "tea",
            "warehouse": "north",
            "batch": None,
            "quantity": 1,
            "value": 3,
            "effective_at": late.effective_at,
            "posting_date": late.posting_date,
            "recorded_at": late.recorded_at,
            "source": late.source,
            "id": late.id,
            "purpose": "purchase_receipt",
            "document": None,
            "line": 1,
            "corrects_source": None,
            "corrects_id": None,
        }
    ]
    assert [(row["account"], row["debit"], row["credit"]) for row in told(engine, "account-changes", **span)] == [
        ("stock north", 3, 0),
        ("stock_received_not_billed", 0, 3),
    ]
    assert ids(engine, "changes", **span, known_at=two.recorded_at) == []
    assert ids(engine, "changes", known_since=one.recorded_at, known_at=two.recorded_at) == [two.id]
    assert ids(engine, "changes", as_of=late.effective_at - MINUTE) == []


@pytest.mark.parametrize("report", ["changes", "account-changes"])
def test_what_only_corrects_an_entry_names_the_movement_that_it_corrects(engine: Engine, report: str) -> None:
    receiving = Receiving()
    receipt, _ = landed(receiving)
    post(engine, *landed(Receiving()))
    found = told(engine, report, known_since=receipt.recorded_at)
    assert {(row["id"], row["corrects_source"], row["corrects_id"]) for row in found} == {("L", receipt.source, "R")}


@pytest.mark.parametrize("report", ["changes", "account-changes"])
def test_a_return_corrects_nothing(engine: Engine, report: str) -> None:
    receiving = Receiving()
    receipt, delivery = receiving.movement(leg(2, 4)), receiving.movement(leg(-2), purpose="delivery")
    back = receiving.movement(leg(1, original=entry_of(delivery)), purpose="sales_return")
    post(engine, receipt, delivery, back)
    found = told(engine, report, known_since=delivery.recorded_at)
    assert {(row["id"], row["corrects_id"]) for row in found} == {(back.id, None)}
