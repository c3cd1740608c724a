"""Translating a scenario into the events that play it.

The idea: a scenario has a company and a source of its own, named like it, so that scenarios do not meet. Its accounts
are named by their roles and its warehouses' stock accounts `stock:<WAREHOUSE>`, so that a journal line shows its role.
What we have no message for counts as refused.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from typing import Any

from services.desk.conform.scenario import Scenario
from shared.contracts.registry import MOVEMENT_REQUESTED
from shared.purposes import ROLE_KINDS, AccountKind, Role

CUSTOMER = "Customer One"
SUPPLIER = "Supplier One"
CURRENCY = "EUR"

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One event: its type, its id and its data."""

    kind: str
    id: str
    data: Data


@dataclass(frozen=True, slots=True)
class Play:
    """A scenario as events: `setup` in order, then each movement's, None where there is no message for it.

    `counted_with` names the movement with which another one's entries are counted: a cancellation with what it
    cancels, a landed cost with its receipt.
    """

    company: str
    source: str
    setup: Sequence[Step]
    steps: Mapping[str, Step | None]
    counted_with: Mapping[str, str]


def translate(scenario: Scenario) -> Play:
    """The events that play a scenario."""
    return Play(
        company=scenario.name,
        source=source_of(scenario.name),
        setup=list(_setup(scenario)),
        steps={movement["id"]: _step(scenario, place) for place, movement in enumerate(scenario.movements)},
        counted_with=dict(_counted_with(scenario)),
    )


def source_of(name: str) -> str:
    """The name of a scenario as that of an upstream: lower case, digits and hyphens, 63 characters at most."""
    source = re.sub(r"[^a-z0-9-]", "-", name.lower()).lstrip("-")
    if len(source) <= _LONGEST_SOURCE:
        return source
    return f"{source[:54]}-{sha256(name.encode()).hexdigest()[:8]}"


def account_of(name: str | None) -> str | None:
    """Our code for one of ERPNext's account names: the role that it plays."""
    if name is None:
        return None
    return _ACCOUNTS.get(name) or re.sub(r"\W+", "_", name.strip()).lower()


def item_data(scenario: Scenario, item: Data) -> dict[str, Any]:
    """The definition of an item. One that is tracked both ways is tracked by serial."""
    settings = scenario.settings
    tracking = item.get("tracking", "none")
    unit = item.get("uom") or "Nos"
    data = {
        "company": scenario.name,
        "item": item["code"],
        "unit": unit,
        "whole_units": unit == "Nos",
        "tracking": "serial" if tracking == "serial_and_batch" else tracking,
        "serial_series": item.get("serial_series"),
        "batch_series": item.get("batch_series") if tracking == "batch" else None,
        "valuation_method": _METHODS[item.get("valuation_method") or "FIFO"],
        "standard_rate": item.get("standard_cost"),
        "shelf_life_days": item.get("shelf_life_days"),
        "warranty_days": item.get("warranty_days"),
        "pick": _PICKS[settings.get("pick_by", "FIFO")] if settings.get("auto_pick_outward", True) else "explicit",
        "allow_negative_stock": tracking == "none" and settings.get("allow_negative_stock", False),
        "reuse_serials": settings.get("allow_reused_serial", True),
        "disabled": item.get("disabled", False),
    }
    return _told(data)


def _setup(scenario: Scenario) -> Iterator[Step]:
    company = scenario.name
    yield Step("company.defined.v1", "company", _company(scenario))
    yield Step("accounts.defined.v1", "accounts", _accounts(scenario))
    yield Step("source.defined.v1", "source", {"source": source_of(company), "mode": "request", "patience": 0})
    for warehouse in scenario.warehouses:
        code = warehouse["code"]
        data = {"company": company, "warehouse": code, "account": f"stock:{code}"}
        yield Step("warehouse.defined.v1", f"warehouse {code}", data)
    for item in scenario.items:
        yield Step("item.defined.v1", f"item {item['code']}", item_data(scenario, item))
    for batch in scenario.batches:
        yield Step("batch.defined.v1", f"batch {batch['item']} {batch['batch']}", _batch(company, batch))


def _company(scenario: Scenario) -> Data:
    """A company whose books are open from the day after `frozen_up_to`."""
    frozen = scenario.settings.get("frozen_up_to")
    open_from = (date.fromisoformat(frozen) + timedelta(days=1)).isoformat() if frozen else None
    perpetual = scenario.settings.get("perpetual", True)
    data = {"company": scenario.name, "currency": CURRENCY, "perpetual": perpetual, "lateness": 0}
    return _told(data | {"open_from": open_from})


def _accounts(scenario: Scenario) -> Data:
    """An account for each role, named by it, and one for each warehouse."""
    accounts: list[dict[str, str]] = [{"account": role, "kind": kind} for role, kind in ROLE_KINDS.items()]
    accounts += [{"account": f"stock:{each['code']}", "kind": AccountKind.ASSET} for each in scenario.warehouses]
    return {"company": scenario.name, "accounts": accounts, "roles": {role: role.value for role in ROLE_KINDS}}


def _batch(company: str, batch: Data) -> Data:
    dates = {"manufactured_on": batch.get("manufactured"), "expires_on": batch.get("expiry")}
    return _told({"company": company, "item": batch["item"], "batch": batch["batch"], **dates})


def _step(scenario: Scenario, place: int) -> Step | None:
    movement = scenario.movements[place]
    master = _MASTERS.get(movement.get("purpose", ""))
    if master is not None:
        return master(scenario, place)
    return Step(MOVEMENT_REQUESTED, movement["id"], _movement(scenario, movement))


def _movement(scenario: Scenario, movement: Data) -> Data:
    """A movement; a cancellation says nothing of its own but what it cancels."""
    purpose = _purpose(movement)
    original = _original(movement) or movement.get("return_against")
    data = {
        "id": movement["id"],
        "company": scenario.name,
        "purpose": purpose,
        "posting_at": _posting_at(scenario, movement),
        "document": None if "cancel" in movement else movement["id"],
        "customer": movement.get("customer") or (CUSTOMER if purpose in _TO_CUSTOMER else None),
        "supplier": movement.get("supplier") or (SUPPLIER if purpose in _WITH_SUPPLIER else None),
        "against": {"id": original} if original else None,
        "opening": movement.get("is_opening", False) and purpose == "reconciliation",
        "difference_account": account_of(movement.get("difference_account")),
        "additional_costs": [_cost(movement, charge) for charge in movement.get("charges") or ()],
        "lines": [_line(purpose, movement["purpose"] in _WITH_MONEY, line) for line in movement.get("lines") or ()],
    }
    return _told(data)


def _purpose(movement: Data) -> str:
    if "cancel" in movement:
        return "cancellation"
    purpose = str(movement["purpose"])
    if purpose == "material_receipt" and movement.get("is_opening"):
        return "opening_stock"
    return _PURPOSES.get(purpose, purpose)


def _counted_with(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Each movement that counts with another one; a cancelled landed cost and its cancellation with the receipt."""
    originals = {each["id"]: target for each in scenario.movements if (target := _original(each))}
    for movement, target in originals.items():
        last = target
        while last in originals:
            last = originals[last]
        yield movement, last


def _original(movement: Data) -> str | None:
    """The movement that this one revalues or cancels, and with which its entries are counted."""
    if movement.get("purpose") == "landed_cost":
        return str(movement["receipt"])
    return movement.get("cancel")


def _posting_at(scenario: Scenario, movement: Data) -> str:
    """Recorded times are local ones; a cancellation takes effect when what it cancels did, also that of another one."""
    by_id = {each["id"]: each for each in scenario.movements}
    while not movement.get("posting_at"):
        movement = by_id[movement["cancel"]]
    return f"{movement['posting_at']}Z"


def _cost(movement: Data, charge: Data) -> Data:
    return {"amount": charge["amount"], "spread": _SPREADS[movement.get("distribute", "Amount")]}


def _line(purpose: str, with_money: bool, line: Data) -> Data:
    """A line. Prices are told where money is booked; what is made takes no rate but one that was given by hand."""
    made = purpose in ("manufacture", "repack")
    rate = line.get("rate") if not made or line.get("rate_is_manual") or line.get("scrap") else None
    data = {
        "item": line["item"],
        "quantity": line.get("qty"),
        "source": line.get("source"),
        "target": line.get("target"),
        "rate": rate,
        "price": line.get("price") if with_money else None,
        "serials": line.get("serials"),
        "batch": line.get("batch"),
        "allow_zero_rate": line.get("allow_zero_rate", False),
        "scrap": line.get("scrap", False),
    }
    return _told(data)


def _created_serial(scenario: Scenario, place: int) -> Step | None:
    movement = scenario.movements[place]
    data = {
        "company": scenario.name,
        "item": movement["item"],
        "serial": movement["serial"],
        "warehouse": movement.get("warehouse"),
    }
    return Step("serial.defined.v1", movement["id"], _told(data))


def _edited_serial(scenario: Scenario, place: int) -> Step | None:
    """An edit of a serial's record; there is no message that gives it another item or moves it by hand."""
    movement = scenario.movements[place]
    changes = movement.get("set", {})
    if not changes.keys() <= _SERIAL_FIELDS.keys():
        return None
    item = movement.get("item") or _item_of(scenario, movement["serial"])
    data = {"company": scenario.name, "item": item, "serial": movement["serial"]}
    return Step(
        "serial.defined.v1", movement["id"], data | {_SERIAL_FIELDS[name]: value for name, value in changes.items()}
    )


def _no_message(_scenario: Scenario, _place: int) -> Step | None:
    return None


def _changed_item(scenario: Scenario, place: int) -> Step | None:
    """The item defined anew: as it was, with the earlier changes that are to be accepted, and with this one."""
    movement = scenario.movements[place]
    code = movement["item"]
    refused = {each["movement"] for each in scenario.expected.get("rejected", ())}
    item = next((dict(each) for each in scenario.items if each["code"] == code), {"code": code})
    for earlier in scenario.movements[:place]:
        if earlier.get("purpose") == "change_item" and earlier["item"] == code and earlier["id"] not in refused:
            item |= earlier["set"]
    return Step("item.defined.v1", movement["id"], item_data(scenario, item | movement["set"]))


def _held_batch(scenario: Scenario, place: int) -> Step | None:
    movement = scenario.movements[place]
    batch = movement["batch"]
    item = movement.get("item") or next(
        (each["item"] for each in scenario.batches if each["batch"] == batch), scenario.items[0]["code"]
    )
    return Step("batch.held.v1", movement["id"], {"company": scenario.name, "item": item, "batch": batch})


def _item_of(scenario: Scenario, serial: str) -> str:
    """The item of the first movement that names the serial."""
    for movement in scenario.movements:
        if movement.get("serial") == serial and "item" in movement:
            return str(movement["item"])
        for line in movement.get("lines") or ():
            if serial in (line.get("serials") or ()):
                return str(line["item"])
    return str(scenario.items[0]["code"])


def _told(data: Data) -> dict[str, Any]:
    """Without what says nothing: a missing field is its default."""
    return {name: value for name, value in data.items() if value is not None}


_LONGEST_SOURCE = 63
_METHODS = {"FIFO": "fifo", "LIFO": "lifo", "Moving Average": "moving_average"}
_PICKS = {"FIFO": "fifo", "LIFO": "lifo", "Expiry": "fefo"}
_SPREADS = {"Amount": "amount", "Qty": "quantity"}
_PURPOSES = {
    "delivery_note": "delivery",
    "sales_invoice_update_stock": "sale",
    "sales_invoice_return": "sales_return",
    "stock_reconciliation": "reconciliation",
}
_TO_CUSTOMER = ("delivery", "sale")
_WITH_SUPPLIER = ("purchase_receipt",)
_WITH_MONEY = ("sales_invoice_update_stock", "sales_invoice_return")
_SERIAL_FIELDS = {"batch": "batch", "warranty_expiry": "warranty_until", "supplier": "supplier"}
_ACCOUNTS: dict[str, str] = {
    "Stock Received But Not Billed": Role.STOCK_RECEIVED_NOT_BILLED,
    "Expenses Included In Valuation": Role.EXPENSES_IN_VALUATION,
    "Debtors": Role.RECEIVABLE,
    "Sales": Role.INCOME,
}
_MASTERS: dict[str, Callable[[Scenario, int], Step | None]] = {
    "create_serial": _created_serial,
    "edit_serial": _edited_serial,
    "delete_serial": _no_message,
    "change_item": _changed_item,
    "disable_batch": _held_batch,
}
