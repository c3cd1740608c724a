"""`stockbook explain` of what was told late: inserted, cancelled, counted or revalued before what was posted."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import Engine, make_url

from services.desk.conform.playing import clock, play
from services.desk.conform.scenario import load
from services.desk.events import Event
from services.desk.pipeline import Pipeline
from services.ledger.store.explaining import explain, hold_still
from shared.contracts.movement import MovementAllocated
from shared.db import open_engine, transaction
from shared.settings import Settings
from tests import commands, servers
from tests.builders import COMPANY, SOURCE, Receiving, deliver, keep_allocated, leg, revalue_all, rows
from tests.explaining_builders import EVERYTHING, bought, check, event, explained, goods, lines, set_up

pytestmark = pytest.mark.timeout(300)

Asked = tuple[str, str, str, Sequence[Mapping[str, object]], Mapping[str, object]]
"""When it is sent, what names it, its purpose, its lines, and what else it says: `at`, if that is earlier."""

WEEK: Sequence[Asked] = (
    ("02 09:00", "R1", "purchase_receipt", [bought("oil", 10, "4")], {}),
    ("02 10:00", "R2", "purchase_receipt", [bought("oil", 20, "6")], {}),
    ("02 11:00", "D1", "delivery", [goods("oil", 12, source="north")], {}),
    ("02 12:00", "T1", "material_transfer", [goods("oil", 5, source="north", target="south")], {}),
    ("02 13:00", "D2", "delivery", [goods("oil", 2, source="south")], {}),
    ("03 09:00", "R0", "purchase_receipt", [bought("oil", 5, "3")], {"at": "02 08:00"}),
    ("03 10:00", "D3", "delivery", [goods("oil", 4, source="north")], {"at": "02 10:30"}),
    ("03 11:00", "J1", "purchase_receipt", [bought("jar", 10, "0.50")], {}),
    ("03 12:00", "K1", "reconciliation", [goods("jar", 8, target="north")], {}),
    ("03 13:00", "K2", "reconciliation", [goods("jar", 8, target="north")], {}),
    ("03 14:00", "D4", "delivery", [goods("jar", 4, source="north")], {}),
    ("04 09:00", "J2", "purchase_receipt", [bought("jar", 6, "0.90")], {"at": "03 11:30"}),
    ("04 10:00", "D5", "delivery", [goods("jar", 3, source="north")], {"at": "03 12:30"}),
    ("04 11:00", "P1", "purchase_receipt", [bought("phone", 2, "300", serials="P1, P2")], {}),
    ("04 12:00", "D6", "delivery", [{"item": "phone", "serials": "P1", "source": "north"}], {}),
    ("04 13:00", "S1", "sales_return", [{"item": "phone", "serials": "P1"}], {"against": {"id": "D6"}}),
    ("04 14:00", "CS", "cancellation", [], {"against": {"id": "S1"}, "reason": "entered twice"}),
    ("04 15:00", "LP", "landed_cost", [], {"against": {"id": "P1"}, "additional_costs": [{"amount": "30"}]}),
    ("05 09:00", "close", "", [], {}),
    ("05 10:00", "LC", "landed_cost", [], {"against": {"id": "R1"}, "additional_costs": [{"amount": "20"}]}),
)


def moment(day_and_time: str) -> datetime:
    return datetime.strptime(f"2026-03-{day_and_time}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


def asked(sent: str, name: str, purpose: str, moved: Sequence[object], more: Mapping[str, object]) -> Event:
    if not purpose:
        closing = {"id": name, "company": COMPANY, "through": "2026-03-02", "actor": "ann", "reason": "done"}
        return event("period.closed", closing, id=name)
    posting_at = moment(str(more.get("at", sent))).isoformat()
    rest = {key: value for key, value in more.items() if key != "at"}
    data = {"id": name, "purpose": purpose, "posting_at": posting_at, "lines": moved, **rest}
    return event("movement.requested", data)


@pytest.fixture(scope="module")
def shop(postgres: str, empty_database: str) -> Iterator[Engine]:
    """A week of a workshop in which much is told late, in the books; nobody writes to them."""
    now = moment("01 09:00")
    with servers.fresh_database(postgres, template=make_url(empty_database).database) as url:
        with Pipeline(url, clock=lambda: now, settings=Settings(pause=0.01)) as pipeline:
            pipeline.publish(set_up())
            pipeline.settle()
            for each in WEEK:
                now = moment(each[0])
                pipeline.publish([asked(*each)])
                pipeline.settle()
        engine = open_engine(url)
        yield engine
        engine.dispose()


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database)
    yield engine
    engine.dispose()


def test_every_entry_of_the_week_adds_up_at_every_node(shop: Engine) -> None:
    posted = [name for (name,) in rows(shop, "SELECT id FROM ledger.posted")]
    assert len(posted) == len(WEEK) - 1
    assert sum(check(explained(shop, name)) for name in posted) > 60


def test_what_came_before_what_left_is_told_with_how_the_two_came_together(shop: Engine) -> None:
    landed = "landed_cost LC line 1 (2026-03-03): 20.00"
    assert lines(shop, "D1") == [
        "line 1: -12 oil in north: -69.00 EUR",
        "  1 of 5 from purchase_receipt R0 line 1 (2026-03-02) at 3: 3.00",
        f"  10 of 10 from purchase_receipt R1 line 1 (2026-03-02): 60.00 (at 4: 40.00, {landed})",
        "  1 of 20 from purchase_receipt R2 line 1 (2026-03-02) at 6: 6.00",
        "  told in steps",
        "    -52.00 as it was posted (recorded 2026-03-02 11:00)",
        "    +9.00 because of purchase_receipt R0 (recorded 2026-03-03 09:00)",
        "    -6.00 because of delivery D3 (recorded 2026-03-03 10:00)",
        "    -20.00 because of landed_cost LC (recorded 2026-03-05 10:00, dated 2026-03-03)",
    ]


def test_what_changed_in_another_bin_is_told_as_the_reason(shop: Engine) -> None:
    assert lines(shop, "D2") == [
        "line 1: -2 oil in south: -12.00 EUR",
        "  2 of 5 from material_transfer T1 line 1 (2026-03-02): 12.00",
        "    2 of 20 from purchase_receipt R2 line 1 (2026-03-02, north) at 6: 12.00",
        "  told in steps",
        "    -12.00 as it was posted (recorded 2026-03-02 13:00)",
        "    +2.40 because of purchase_receipt R0 (recorded 2026-03-03 09:00)",
        "    -2.40 because of delivery D3 (recorded 2026-03-03 10:00)",
    ]


def test_what_came_late_was_valued_in_its_place_in_time(shop: Engine) -> None:
    assert lines(shop, "D3")[2:] == [
        "  told in steps",
        "    -24.00 as it was posted (recorded 2026-03-03 10:00)",
        "    +12.00 as it was valued in its place in time (recorded 2026-03-03 10:00)",
    ]
    assert lines(shop, "R0") == ["line 1: +5 oil in north: +15.00 EUR (at 3: 15.00)"]


def test_a_count_is_told_with_what_it_found_later_by_which_movement(shop: Engine) -> None:
    assert lines(shop, "K1") == [
        "line 1: -8 jar in north: -5.20 EUR (8 less counted: -5.20)",
        "  told in steps",
        "    -1.00 as it was posted (recorded 2026-03-03 12:00)",
        "    -6, -4.20 because of purchase_receipt J2 (recorded 2026-03-04 09:00)",
    ]
    assert lines(shop, "J2") == [
        "line 1: +6 jar in north: +5.40 EUR (at 0.9: 5.40)",
        "line 1: by it, reconciliation K1 line 1 (2026-03-03) finds 6 jar less in north",
    ]


def test_a_count_that_had_found_no_difference_is_told_by_what_it_found_later(shop: Engine) -> None:
    assert lines(shop, "K2") == [
        "line 1: +3 jar in north: +1.95 EUR (3 more counted: 1.95)",
        "  told in steps",
        "    0.00 as it was posted (recorded 2026-03-03 13:00)",
        "    +3, +1.95 because of delivery D5 (recorded 2026-03-04 10:00)",
    ]
    assert lines(shop, "D4")[:2] == [
        "line 1: -4 jar in north: -2.60 EUR",
        "  4 counted by reconciliation K2 line 1 (2026-03-03): 2.60",
    ]


def test_a_serial_is_told_without_what_was_cancelled_and_with_what_its_receipt_cost_since(shop: Engine) -> None:
    landed = "landed_cost LP line 1 (2026-03-04): 15.00"
    assert lines(shop, "D6")[:2] == [
        "line 1: -1 phone in north: -315.00 EUR",
        f"  1 of 2 from purchase_receipt P1 line 1 (2026-03-04), serials P1: 315.00 (at 300: 300.00, {landed})",
    ]


def test_what_was_cancelled_and_what_cancels_name_each_other_and_came_from_nowhere(shop: Engine) -> None:
    assert lines(shop, "S1") == [
        "cancelled by cancellation CS (recorded 2026-03-04 14:00): entered twice",
        "line 1: +1 phone in north, of delivery D6 line 1 (2026-03-04): +300.00 EUR",
    ]
    assert lines(shop, "CS") == [
        "the mirror of sales_return S1 (2026-03-04), which it cancels: entered twice",
        "line 1: -1 phone in north, of sales_return S1 line 1 (2026-03-04): -300.00 EUR",
    ]


def test_a_landed_cost_on_closed_days_counts_where_it_is_dated(shop: Engine) -> None:
    assert lines(shop, "R1")[1:] == ["  later landed_cost LC line 1 (2026-03-03): +20.00"]


# --- as JSON ---------------------------------------------------------------------------------------------------------


def as_json(engine: Engine, name: str) -> Any:
    url = engine.url.render_as_string(hide_password=False)
    environment = commands.environment(STOCKBOOK_DATABASE_URL=url)
    return json.loads(commands.told("explain", name, "--json", env=environment))


def test_json_has_the_steps_of_each_entry_with_what_they_are_because_of(shop: Engine) -> None:
    (entry,) = as_json(shop, "D1")["entries"]
    assert entry["value"] == "-69"
    assert [each["value"] for each in entry["steps"]] == ["-52", "9", "-6", "-20"]
    assert [each.get("because_of") for each in entry["steps"]] == [
        None,
        [{"source": SOURCE, "id": "R0", "purpose": "purchase_receipt"}],
        [{"source": SOURCE, "id": "D3", "purpose": "delivery"}],
        [{"source": SOURCE, "id": "LC", "purpose": "landed_cost"}],
    ]
    assert [each["posting_date"] for each in entry["steps"]] == ["2026-03-02"] * 3 + ["2026-03-03"]
    assert entry["steps"][1]["recorded_at"] == "2026-03-03T09:00:00+00:00"


def test_json_says_what_was_cancelled_and_which_count_finds_more(shop: Engine) -> None:
    assert as_json(shop, "S1")["cancelled_by"] == {"source": SOURCE, "id": "CS", "purpose": "cancellation"}
    assert as_json(shop, "CS")["mirrors"] == {"source": SOURCE, "id": "S1", "purpose": "sales_return"}
    (found,) = as_json(shop, "D5")["found_later"]
    assert (found["line"], found["quantity"], found["by"]["id"]) == (1, "3", "K2")


# --- while something is still to be valued anew ----------------------------------------------------------------------


def late(movement: MovementAllocated, earlier: timedelta) -> MovementAllocated:
    return structs.replace(movement, effective_at=movement.effective_at - earlier)


def told_late(engine: Engine) -> None:
    """Two receipts, a delivery, and a receipt that came before all of them; nothing is valued anew yet."""
    receiving = Receiving()
    movements = [
        receiving.movement(leg(4, 8)),
        receiving.movement(leg(4, 12)),
        receiving.movement(leg(-5), purpose="delivery"),
        late(receiving.movement(leg(3, 3)), timedelta(minutes=1)),
    ]
    keep_allocated(engine, movements)
    deliver(engine, *movements)


def test_what_is_still_to_be_valued_anew_is_said(engine: Engine) -> None:
    told_late(engine)
    still = "tea in north is still being valued anew from 2026-03-02 08:59 on: what hangs on it may change"
    assert check(explained(engine, "M3")) > 1
    assert lines(engine, "M3") == [
        "line 1: -5 tea in north: -11.00 EUR",
        "  3 of 3 from material_receipt M4 line 1 (2026-03-02) at 1: 3.00",
        "  2 of 4 from material_receipt M1 line 1 (2026-03-02) at 2: 4.00",
        "  still to be valued anew: 4.00",
        still,
    ]
    assert as_json(engine, "M3")["provisional"] == [
        {"item": "tea", "warehouse": "north", "from_at": "2026-03-02T08:59:04+00:00"}
    ]
    revalue_all(engine)
    assert lines(engine, "M3")[0] == "line 1: -5 tea in north: -7.00 EUR"
    assert still not in lines(engine, "M3")
    assert "provisional" not in as_json(engine, "M3")


def test_what_was_told_before_that_is_as_it_will_be(engine: Engine) -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(4, 8)), receiving.movement(leg(-1), purpose="delivery")]
    movements += [receiving.movement(leg(4, 12)), late(receiving.movement(leg(-1)), timedelta(milliseconds=1500))]
    keep_allocated(engine, movements)
    deliver(engine, *movements)
    assert not explained(engine, "M2").provisional
    assert explained(engine, "M3").provisional
    assert explained(engine, "M4").provisional


def test_an_explanation_is_of_one_moment_whatever_is_corrected_meanwhile(engine: Engine) -> None:
    told_late(engine)
    with transaction(engine) as connection:
        hold_still(connection)
        before = explain(connection, (SOURCE, "M3"), EVERYTHING)
        revalue_all(engine)
        again = explain(connection, (SOURCE, "M3"), EVERYTHING)
    assert [each.value for each in again.roots] == [each.value for each in before.roots] == [Decimal(11)]
    assert again.provisional
    assert [each.value for each in explained(engine, "M3").roots] == [Decimal(7)]


# --- what was recorded -----------------------------------------------------------------------------------------------

TOLD_LATE = (
    "backdated_batch_receipt",
    "backdated_issue_fifo",
    "backdated_receipt_fifo",
    "backdated_receipt_moving_average",
    "cancel_delivery_serial",
    "cancel_receipt_serial_unused",
    "landed_cost_after_receipt",
    "landed_cost_through_manufacture",
    "manufacture_revalued_by_backdated_receipt",
    "negative_stock_covered_backdated",
    "negative_stock_covered_fifo",
    "reconcile_then_backdated_receipt",
    "sales_return_after_repost",
    "same_timestamp_order",
)


def test_recorded_scenarios_of_what_is_told_late_are_explained_to_the_cent(postgres: str, empty_database: str) -> None:
    scenarios = [each for each in load(Path(__file__).parents[1] / "conformance") if each.name in TOLD_LATE]
    assert len(scenarios) == len(TOLD_LATE)
    template = make_url(empty_database).database
    with servers.fresh_database(postgres, template=template) as url, Pipeline(url, clock=clock) as pipeline:
        assert [each.scenario.name for each in play(scenarios, pipeline) if each.differences] == []
        keys = rows(pipeline.engine, "SELECT source, id FROM ledger.posted")
        with transaction(pipeline.engine) as connection:
            found = [explain(connection, (source, name), EVERYTHING) for source, name in keys]
    assert sum(map(check, found)) > 2 * len(TOLD_LATE)
    assert sum(len(each.steps) for each in found) > len(TOLD_LATE) / 2
    assert not any(each.provisional for each in found)
    causes = [step.causes for each in found for steps in each.steps.values() for step in steps[1:]]
    assert all(len(each) == 1 for each in causes), causes
