"""Translating recorded scenarios into events."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.desk.conform.scenario import Scenario, load, read_scenario
from services.desk.conform.translate import Step, account_of, source_of, translate
from services.desk.events import read_event
from shared.contracts.codec import write

SCENARIOS = Path(__file__).resolve().parents[1] / "conformance"
AT = "2026-01-05T10:00:00"


def scenario(*movements: dict[str, Any], **sections: Any) -> Scenario:
    raw: dict[str, Any] = {
        "name": "a_day",
        "items": [{"code": "BOLT", "tracking": "none"}],
        "warehouses": [{"code": "STORES"}],
        "movements": list(movements),
        "expected": {"rejected": []},
    }
    return read_scenario(raw | sections)


def line(**fields: Any) -> dict[str, Any]:
    return {"item": "BOLT", "qty": "2", "source": None, "target": "STORES", "rate": "4", "serials": None, **fields}


def step(scenario: Scenario, movement: str = "m1") -> Step:
    found = translate(scenario).steps[movement]
    assert found is not None
    return found


def setup(scenario: Scenario, kind: str) -> dict[str, Any]:
    return dict(next(step.data for step in translate(scenario).setup if step.kind == kind))


def test_a_scenario_has_a_company_and_a_source_of_its_own() -> None:
    play = translate(scenario())
    assert (play.company, play.source) == ("a_day", "a-day")


def test_long_names_that_begin_alike_are_different_sources() -> None:
    names = ["a" * 70 + "1", "a" * 70 + "2"]
    sources = {source_of(name) for name in names}
    assert len(sources) == 2
    assert max(map(len, sources)) == 63


@pytest.mark.parametrize(
    ("recorded", "ours"),
    [
        ("delivery_note", "delivery"),
        ("sales_invoice_update_stock", "sale"),
        ("sales_invoice_return", "sales_return"),
        ("stock_reconciliation", "reconciliation"),
        ("material_issue", "material_issue"),
    ],
)
def test_purposes_get_our_names(recorded: str, ours: str) -> None:
    movement = {"id": "m1", "purpose": recorded, "posting_at": AT, "lines": [line()]}
    assert step(scenario(movement)).data["purpose"] == ours


def test_a_material_receipt_that_opens_is_opening_stock() -> None:
    movement = {"id": "m1", "purpose": "material_receipt", "posting_at": AT, "is_opening": True, "lines": [line()]}
    assert step(scenario(movement)).data["purpose"] == "opening_stock"


def test_a_cancellation_takes_effect_when_what_it_cancels_did_and_is_counted_with_it() -> None:
    receipt = {"id": "m1", "purpose": "material_receipt", "posting_at": AT, "lines": [line()]}
    played = scenario(receipt, {"id": "m2", "cancel": "m1"})
    data = step(played, "m2").data
    assert (data["purpose"], data["against"], data["posting_at"]) == ("cancellation", {"id": "m1"}, f"{AT}Z")
    assert "document" not in data
    assert translate(played).counted_with == {"m2": "m1"}


def test_a_cancellation_of_a_landed_cost_is_counted_with_the_receipt_too() -> None:
    receipt = {"id": "m1", "purpose": "purchase_receipt", "posting_at": AT, "lines": [line()]}
    charged = {"id": "m2", "purpose": "landed_cost", "posting_at": "2026-01-08T10:00:00", "receipt": "m1"}
    played = scenario(receipt, charged, {"id": "m3", "cancel": "m2"}, {"id": "m4", "cancel": "m3"})
    assert translate(played).counted_with == {"m2": "m1", "m3": "m1", "m4": "m1"}
    assert step(played, "m3").data["against"] == {"id": "m2"}
    assert [step(played, each).data["posting_at"] for each in ("m3", "m4")] == ["2026-01-08T10:00:00Z"] * 2


def test_a_landed_cost_names_its_receipt_and_is_counted_with_it() -> None:
    receipt = {"id": "m1", "purpose": "purchase_receipt", "posting_at": AT, "lines": [line()]}
    charged = {
        "id": "m2",
        "purpose": "landed_cost",
        "posting_at": AT,
        "receipt": "m1",
        "distribute": "Qty",
        "charges": [{"amount": "20"}],
    }
    played = scenario(receipt, charged)
    data = step(played, "m2").data
    assert data["against"] == {"id": "m1"}
    assert data["additional_costs"] == [{"amount": "20", "spread": "quantity"}]
    assert translate(played).counted_with == {"m2": "m1"}


def test_a_delivery_without_a_name_goes_to_customer_one_and_a_receipt_comes_from_supplier_one() -> None:
    sent = {"id": "m1", "purpose": "delivery_note", "posting_at": AT, "lines": [line()]}
    came = {"id": "m2", "purpose": "purchase_receipt", "posting_at": AT, "lines": [line()]}
    played = scenario(sent, came, sent | {"id": "m3", "customer": "Somebody"})
    assert step(played, "m1").data["customer"] == "Customer One"
    assert step(played, "m2").data["supplier"] == "Supplier One"
    assert step(played, "m3").data["customer"] == "Somebody"


def test_prices_are_told_where_money_is_booked_and_nowhere_else() -> None:
    priced = [line(price="9", rate=None)]
    sale = {"id": "m1", "purpose": "sales_invoice_update_stock", "posting_at": AT, "lines": priced}
    delivery = {"id": "m2", "purpose": "delivery_note", "posting_at": AT, "lines": priced}
    played = scenario(sale, delivery)
    assert step(played, "m1").data["lines"][0]["price"] == "9"
    assert "price" not in step(played, "m2").data["lines"][0]


@pytest.mark.parametrize(
    ("settings", "pick"),
    [
        ({}, "fifo"),
        ({"pick_by": "Expiry"}, "fefo"),
        ({"pick_by": "LIFO"}, "lifo"),
        ({"auto_pick_outward": False}, "explicit"),
    ],
)
def test_picking_follows_the_settings(settings: dict[str, Any], pick: str) -> None:
    assert setup(scenario(settings=settings), "item.defined.v1")["pick"] == pick


def test_only_untracked_items_may_go_negative() -> None:
    items = [{"code": "BOLT", "tracking": "none"}, {"code": "PHONE", "tracking": "serial"}]
    played = scenario(items=items, settings={"allow_negative_stock": True})
    flags = {s.data["item"]: s.data["allow_negative_stock"] for s in translate(played).setup if "item" in s.data}
    assert flags == {"BOLT": True, "PHONE": False}


def test_an_item_tracked_both_ways_is_tracked_by_serial_alone() -> None:
    items = [{"code": "VIAL", "tracking": "serial_and_batch", "serial_series": "V-.##", "batch_series": "B-.##"}]
    data = setup(scenario(items=items), "item.defined.v1")
    assert (data["tracking"], data["serial_series"], "batch_series" in data) == ("serial", "V-.##", False)


def test_books_are_open_from_the_day_after_they_were_frozen() -> None:
    played = scenario(settings={"frozen_up_to": "2026-01-31"})
    assert setup(played, "company.defined.v1")["open_from"] == "2026-02-01"


def test_each_warehouse_has_a_stock_account_that_shows_its_role() -> None:
    accounts = setup(scenario(), "accounts.defined.v1")
    assert setup(scenario(), "warehouse.defined.v1")["account"] == "stock:STORES"
    assert {"account": "stock:STORES", "kind": "asset"} in accounts["accounts"]
    assert all(role == account for role, account in accounts["roles"].items())


def test_a_changed_item_keeps_earlier_changes_that_are_to_be_accepted() -> None:
    def change(movement: str, **fields: Any) -> dict[str, Any]:
        return {"id": movement, "purpose": "change_item", "posting_at": AT, "item": "BOLT", "set": fields}

    played = scenario(
        change("m1", warranty_days=30),
        change("m2", tracking="batch"),
        change("m3", disabled=True),
        expected={"rejected": [{"movement": "m2", "reason": "stock exists"}]},
    )
    data = step(played, "m3").data
    assert (data["warranty_days"], data["tracking"], data["disabled"]) == (30, "none", True)


def test_what_we_have_no_message_for_has_no_step() -> None:
    deleted = {"id": "m1", "purpose": "delete_serial", "posting_at": AT, "serial": "A1"}
    moved = {"id": "m2", "purpose": "edit_serial", "posting_at": AT, "serial": "A1", "set": {"warehouse": "STORES"}}
    assert translate(scenario(deleted, moved)).steps == {"m1": None, "m2": None}


def test_a_disabled_batch_is_a_held_one() -> None:
    disabled = {"id": "m1", "purpose": "disable_batch", "posting_at": AT, "batch": "B1"}
    played = scenario(disabled, batches=[{"batch": "B1", "item": "MILK"}])
    found = step(played)
    assert (found.kind, found.data) == ("batch.held.v1", {"company": "a_day", "item": "MILK", "batch": "B1"})


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Temporary Opening", "temporary_opening"),
        ("Stock Received But Not Billed", "stock_received_not_billed"),
        ("Cost of Goods Sold", "cost_of_goods_sold"),
        ("Debtors", "receivable"),
        (None, None),
    ],
)
def test_accounts_are_named_by_their_roles(name: str | None, code: str | None) -> None:
    assert account_of(name) == code


def test_every_recorded_scenario_becomes_events_that_are_well_formed() -> None:
    now = datetime(2026, 12, 31, tzinfo=UTC)
    count = 0
    for recorded in load(SCENARIOS):
        play = translate(recorded)
        for each in [*play.setup, *filter(None, play.steps.values())]:
            read_event(write({"type": each.kind, "data": each.data}), play.source, now)
            count += 1
    assert count > 800
