"""What reports tell of entries that correct, revalue or cancel earlier ones."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs
from sqlalchemy import Engine

from services.desk.events import Event, make_event
from services.desk.pipeline import Pipeline
from services.desk.reporting import REPORTS
from shared.contracts.movement import MovementAllocated
from shared.contracts.registry import MOVEMENT_REQUESTED
from shared.db import run, transaction
from shared.quantities import plain
from shared.report import Filters, records
from tests.builders import COMPANY, MORNING, Receiving, deliver, entry_of, leg
from tests.receiving_builders import opened

HOUR = timedelta(hours=1)
LATER = MORNING + 5 * HOUR

# What stands at the place of a movement's entry, and changes it.
_ADD = """
INSERT INTO ledger.entry (company, entry_id, item, warehouse, stamp, ordinal, source, id, purpose, line, batch,
    quantity, value, worth, quantity_after, value_after, effective_at, recorded_at, posting_date, document, currency,
    original, revaluation, part_of, dated_at)
SELECT company, :entry, item, warehouse, stamp, ordinal + 1, source, coalesce(:by, id), coalesce(:purpose, purpose),
    line, batch, :quantity, :value, :value, 9, 9, effective_at, :recorded_at, posting_date, document, currency,
    cast(:original AS uuid), :revaluation, cast(:part_of AS uuid), cast(:dated_at AS timestamptz)
FROM ledger.entry WHERE entry_id = :at
"""
_BOOK = """
INSERT INTO accounting.journal_entry
    (company, journal_entry, source, id, purpose, posting_date, effective_at, recorded_at, currency)
VALUES (:company, :journal_entry, 'till', :id, 'delivery', :day, :at, :recorded_at, 'EUR')
"""
_BOOK_ENTRY = """
INSERT INTO accounting.transfer (company, journal_entry, ordinal, debit_account, credit_account, amount, ledger_entry)
VALUES (:company, :journal_entry, 1, 'cost', 'stock', 1, :entry)
"""
_COUNT_NOTHING = """
INSERT INTO ledger.silent (company, item, warehouse, effective_at, stamp, source, id)
VALUES (:company, 'tea', 'north', :at, :stamp, 'till', 'K')
"""


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    with opened(database) as engine:
        yield engine


def told(engine: Engine, name: str, **filters: Any) -> list[dict[str, Any]]:
    with transaction(engine) as connection:
        return records(REPORTS[name], connection, Filters(**filters))


def at(hours: float, each: MovementAllocated) -> MovementAllocated:
    """A movement that takes effect so many hours after the morning; it is recorded when it was."""
    return structs.replace(each, effective_at=MORNING + hours * HOUR)


def add(engine: Engine, of: MovementAllocated, number: int, quantity: int, value: int, **changes: Any) -> UUID:
    """An entry that changes that of a movement: by default one that belongs to it, recorded five hours later."""
    fields = {"by": None, "purpose": None, "original": None, "part_of": entry_of(of), "dated_at": None}
    place = {"entry": UUID(int=number), "at": entry_of(of), "revaluation": 1, "recorded_at": LATER}
    with transaction(engine) as connection:
        run(connection, _ADD, **fields | place | {"quantity": quantity, "value": value} | changes)
    return UUID(int=number)


def late_receipt(engine: Engine) -> list[MovementAllocated]:
    """A receipt, a delivery of half of it, and another receipt that came before both and was recorded last."""
    gate = Receiving()
    history = [
        at(-2, gate.movement(leg(4, 8))),
        at(-1, gate.movement(leg(-2), purpose="delivery")),
        at(-3, gate.movement(leg(1, 3))),
    ]
    deliver(engine, *history)
    return history


# --- the stock ledger -------------------------------------------------------------------------------------------------


def after(row: dict[str, Any], which: str = "after") -> str:
    return f"{plain(row[f'quantity_{which}'])} for {plain(row[f'value_{which}'])}"


def test_what_a_bin_holds_after_an_entry_is_told_in_the_order_of_time_and_as_it_was_thought_when_posted(
    engine: Engine,
) -> None:
    first, sold, late = late_receipt(engine)
    correction = add(engine, sold, 1, 0, -1)
    found = told(engine, "stock-ledger")
    assert [(row["id"], after(row)) for row in found] == [
        (late.id, "1 for 3"),
        (first.id, "5 for 11"),
        (sold.id, "3 for 7"),
        (sold.id, "3 for 6"),
    ]
    assert after(found[1], "when_posted") == "4 for 8"
    assert [row["corrects_id"] for row in found] == [None, None, None, sold.id]
    last = found[-1]
    assert (last["entry"], last["revaluation"], last["part_of"]) == (str(correction), 1, entry_of(sold))


def test_a_correction_stands_behind_what_it_corrects_before_what_takes_effect_at_the_same_time(engine: Engine) -> None:
    gate = Receiving()
    first, second, elsewhere = (gate.movement(leg(1, 2, warehouse=place)) for place in ("north", "north", "south"))
    deliver(engine, *(at(-1, each) for each in (first, second, elsewhere)))
    add(engine, at(-1, first), 1, 0, 1)
    assert [(row["id"], row["revaluation"]) for row in told(engine, "stock-ledger")] == [
        (first.id, 0),
        (first.id, 1),
        (second.id, 0),
        (elsewhere.id, 0),
    ]


def test_the_ledger_of_a_batch_tells_what_the_whole_bin_holds(engine: Engine) -> None:
    gate = Receiving()
    deliver(engine, gate.movement(leg(2, 4, batch="A")), gate.movement(leg(3, 9, batch="B")))
    assert [after(row) for row in told(engine, "stock-ledger", batch="B")] == ["5 for 13"]


# --- closed days ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("report", ["stock-ledger", "stock-balance", "batch-balance"])
def test_a_correction_of_closed_days_counts_from_the_first_open_one(engine: Engine, report: str) -> None:
    gate = Receiving()
    receipt = at(-2, gate.movement(leg(4, 8, batch="A")))
    deliver(engine, receipt)
    add(engine, receipt, 1, 0, 2, dated_at=MORNING)

    def value(**times: datetime) -> int:
        return int(sum(row["value"] for row in told(engine, report, **times)))

    assert value(as_of=MORNING - HOUR) == 8
    assert value(as_of=MORNING) == value(as_of=LATER) == 10
    assert value(as_of=LATER, known_at=LATER - HOUR) == 8


def test_where_a_correction_counts_later_than_it_takes_effect_both_times_are_told(engine: Engine) -> None:
    gate = Receiving()
    receipt = at(-2, gate.movement(leg(4, 8)))
    deliver(engine, receipt, at(-1, gate.movement(leg(-1))))
    add(engine, receipt, 1, 0, 2, dated_at=MORNING)
    correction = told(engine, "stock-ledger")[1]
    assert (correction["takes_effect_at"], correction["effective_at"]) == (receipt.effective_at, MORNING)
    assert told(engine, "stock-ledger", as_of=MORNING - HOUR)[-1]["value_after"] == 6


# --- what became known ------------------------------------------------------------------------------------------------


def corrected(engine: Engine, report: str = "changes") -> list[tuple[str, str | None]]:
    """What was recorded in the afternoon: each movement, and the one that it corrects."""
    return [(row["id"], row["corrects_id"]) for row in told(engine, report, known_since=LATER - HOUR)]


def test_a_correction_names_the_movement_that_it_belongs_to_itself(engine: Engine) -> None:
    sold = late_receipt(engine)[1]
    add(engine, sold, 1, 0, -1)
    assert corrected(engine) == [(sold.id, sold.id)]


def test_what_is_inserted_before_a_count_names_the_count_whose_difference_it_changes(engine: Engine) -> None:
    count = at(-1, Receiving().movement(leg(3, 6), purpose="reconciliation"))
    deliver(engine, count)
    add(engine, count, 1, -2, -4, by="LATE", original=entry_of(count))
    assert corrected(engine) == [("LATE", count.id)]


def test_a_count_that_found_no_difference_before_is_found_by_its_place(engine: Engine) -> None:
    receipt = at(-1, Receiving().movement(leg(3, 6)))
    deliver(engine, receipt)
    with transaction(engine) as connection:
        run(connection, _COUNT_NOTHING, company=COMPANY, at=receipt.effective_at, stamp=1)
    nowhere = str(UUID(int=7))
    add(engine, receipt, 1, -2, -4, by="LATE", original=nowhere, part_of=nowhere)
    assert corrected(engine) == [("LATE", "K")]


def test_a_cancellation_names_what_it_cancels(engine: Engine) -> None:
    sold = late_receipt(engine)[1]
    undone = {"by": "X", "purpose": "cancellation", "original": entry_of(sold), "part_of": None, "revaluation": 0}
    add(engine, sold, 1, 2, 4, **undone)
    assert corrected(engine) == [("X", sold.id)]


def test_a_true_up_corrects_nothing(engine: Engine) -> None:
    receipt = late_receipt(engine)[0]
    add(engine, receipt, 1, 0, 1, revaluation=0, by="T")
    assert corrected(engine) == [("T", None)]


def test_what_books_a_correction_names_the_movement_that_is_corrected(engine: Engine) -> None:
    sold = late_receipt(engine)[1]
    correction = add(engine, sold, 1, 0, -1)
    entry = {"company": COMPANY, "journal_entry": UUID(int=3)}
    day = date(2026, 3, 2)
    with transaction(engine) as connection:
        run(connection, _BOOK, id=sold.id, at=sold.effective_at, day=day, recorded_at=LATER, **entry)
        run(connection, _BOOK_ENTRY, entry=correction, **entry)
    assert corrected(engine, "account-changes") == [(sold.id, sold.id)] * 2


# --- from end to end --------------------------------------------------------------------------------------------------

CLOCK = datetime(2026, 3, 9, 9, tzinfo=UTC)
MASTERS = {
    "company.defined.v1": {"company": COMPANY, "currency": "EUR"},
    "warehouse.defined.v1": {"company": COMPANY, "warehouse": "north"},
    "item.defined.v1": {"company": COMPANY, "item": "tea"},
}


def asked(name: str, purpose: str, day: int, quantity: int, **line: Any) -> Event:
    lines = [{"item": "tea", "quantity": str(quantity), **line}]
    data = {"id": name, "company": COMPANY, "purpose": purpose, "posting_at": f"2026-03-0{day}T09:00:00Z"}
    return make_event(MOVEMENT_REQUESTED, "till", data | {"lines": lines})


def test_a_receipt_that_was_told_after_a_count_changes_what_the_count_found_and_nothing_behind_it(
    engine: Engine, database: str
) -> None:
    history = [
        asked("R1", "purchase_receipt", 1, 4, target="north", rate="2"),
        asked("K", "reconciliation", 3, 4, target="north"),
        asked("D", "delivery", 4, 1, source="north"),
        asked("LATE", "purchase_receipt", 2, 4, target="north", rate="4"),
    ]
    with Pipeline(database, clock=lambda: CLOCK) as pipeline:
        pipeline.publish([make_event(kind, "till", data) for kind, data in MASTERS.items()])
        for event in history:
            pipeline.publish([event])
            pipeline.settle()
    found = told(engine, "stock-ledger")
    assert [(row["id"], plain(row["quantity"]), row["corrects_id"]) for row in found if row["quantity"]] == [
        ("R1", "4", None),
        ("LATE", "4", None),
        ("LATE", "-4", "K"),
        ("D", "-1", None),
    ]
    by_time: dict[int, str] = {row["effective_at"].day: after(row) for row in found}
    assert by_time == {1: "4 for 8", 2: "8 for 24", 3: "4 for 12", 4: "3 for 9"}
