"""A past of some hundred movements, and what is told late of it: receipts, costs, counts and cancellations.

Goods of each tracking and method wander in a circle of three warehouses, come back to another than they were sold from,
and are made into others: so what is told late of one bin changes what stands in all of them. Enough stands everywhere
at any time that nothing is refused.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from services.desk.events import Event
from tests.integration.test_pipeline import NOW, event, movement

START = NOW - timedelta(days=3)
STEP = timedelta(seconds=10)
GOODS = {"rice": "2.00", "oats": "1.30", "milk": "4.10", "radio": "31.00"}
"""What is bought, and for how much at first; later it costs something else each time."""
CIRCLE = ("north", "south", "east")
AT_FIRST, ONWARDS = 300, (180, 90)
"""How much comes at first; how much of that goes on to the next warehouse, and to the last. Enough for 20 rounds."""
Asked = dict[str, Any]


def goods() -> list[Event]:
    """What must be known before `past`: no movement is moved to a later time because it is only a little late."""
    items: list[dict[str, Any]] = [
        {"item": "rice", "valuation_method": "fifo"},
        {"item": "oats", "valuation_method": "moving_average"},
        {"item": "milk", "tracking": "batch", "create_batches_on_receipt": True},
        {"item": "radio", "tracking": "serial", "serial_series": "R-.#####"},
        {"item": "mix", "valuation_method": "fifo"},
    ]
    return [
        event("company.defined.v1", {"company": "shop", "currency": "EUR", "lateness": 0}, id="punctual"),
        event("warehouse.defined.v1", {"company": "shop", "warehouse": "east"}, id="east"),
        *(event("item.defined.v1", {"company": "shop", **item}, id=item["item"]) for item in items),
    ]


def past(rounds: int) -> list[Asked]:
    """Movements in the order of time: a receipt, so many rounds of ten movements of each item, in turn."""
    return list(_past(rounds))


def told_late(rounds: int) -> list[Asked]:
    """What is told of that past when it is over, in an order in which all of it is accepted."""
    return [_at(each, -360 + place) for place, each in enumerate(_early_receipts())] + [
        *_landed_costs(),
        *_in_the_middle(rounds),
        *_cancellations(rounds),
    ]


# --- what was told in time -------------------------------------------------------------------------------------------


def _past(rounds: int) -> Iterator[Asked]:
    ticks = iter(range(1_000_000))
    standing: Counter[tuple[str, str]] = Counter()
    for item in GOODS:
        yield _at(_receipt(f"{item} first", item, AT_FIRST, 1), next(ticks))
        standing[item, "north"] = AT_FIRST
    for item in GOODS:
        for source, target, quantity in zip(CIRCLE, CIRCLE[1:], ONWARDS, strict=False):
            yield _at(_transfer(f"{item} to {target}", item, quantity, source, target), next(ticks))
            standing.update({(item, source): -quantity, (item, target): quantity})
    for number in range(rounds):
        for step in range(10):
            for item in GOODS:
                asked = _step(f"{item} {number}.{step}", item, number, step, standing)
                yield _at(asked, next(ticks))


def _step(name: str, item: str, number: int, step: int, standing: Counter[tuple[str, str]]) -> Asked:
    """What happens in a step of a round; `standing` follows."""
    before = name.rpartition(".")[0]
    match step:
        case 0:
            standing[item, "north"] += 3
            return _receipt(name, item, 3, number + 2)
        case 2 | 4 | 8:
            source, target = {2: ("north", "south"), 4: ("south", "east"), 8: ("east", "north")}[step]
            standing.update({(item, source): -1, (item, target): 1})
            return _transfer(name, item, 1, source, target)
        case 5 if item in ("rice", "oats"):
            standing.update({(item, "south"): -1, ("mix", "south"): 1})
            made = {"item": "mix", "quantity": "1", "target": "south"}
            return movement(name, "repack", {"item": item, "quantity": "1", "source": "south"}, made)
        case 9 if item in ("rice", "oats") and number % 2:
            standing[item, "south"] -= 1
            return _count(name, item, standing[item, "south"])
        case 7 | 9:
            sold, target = {7: (1, "north"), 9: (6, "south")}[step]
            standing[item, target] += 1
            line = {"item": item, "quantity": "1", "target": target}
            return movement(name, "sales_return", line, against={"id": f"{before}.{sold}"})
        case _:
            warehouse = CIRCLE[step % 3]
            standing[item, warehouse] -= 1
            return _delivery(name, item, 1, warehouse)


# --- what was told late ----------------------------------------------------------------------------------------------


def _early_receipts() -> Iterator[Asked]:
    """Dearer goods that came before all others, and so went first."""
    for item in GOODS:
        yield _receipt(f"{item} early", item, 20, 40)


def _landed_costs() -> Iterator[Asked]:
    for item in GOODS:
        costs = [{"amount": "77.77"}]
        yield _at(
            movement(f"{item} freight", "landed_cost", against={"id": f"{item} first"}, additional_costs=costs), 0
        )


def _in_the_middle(rounds: int) -> Iterator[Asked]:
    """Goods that left before a count, which then found less of them missing; and a count."""
    middle = 12 + rounds // 2 * 40
    for place, item in enumerate(GOODS):
        yield _at(_delivery(f"{item} late", item, 2, "south"), middle + place)
        yield _at(_transfer(f"{item} moved late", item, 2, "north", "east"), middle + place)
    yield _at(_count("rice counted late", "rice", 85), 40)


def _cancellations(rounds: int) -> Iterator[Asked]:
    """Of goods that left for good, that came late, and of a count."""
    for item in GOODS:
        yield _cancellation(f"{item} {0 if item in ('rice', 'oats') else rounds - 1}.3")
        yield _cancellation(f"{item} late")
    yield _cancellation("oats 1.9")


# --- movements -------------------------------------------------------------------------------------------------------


def _at(asked: Asked, tick: int) -> Asked:
    return {**asked, "posting_at": (START + tick * STEP).isoformat()}


def _receipt(name: str, item: str, quantity: int, dearer: int) -> Asked:
    """For a cent and a third more each time: the parts of it are hardly ever whole cents."""
    rate = f"{float(GOODS[item]) + dearer * 0.0133:.4f}"
    line = {"item": item, "quantity": str(quantity), "rate": rate, "target": "north"}
    return movement(name, "purchase_receipt", {**line, "batch": "M1"} if item == "milk" else line)


def _delivery(name: str, item: str, quantity: int, warehouse: str) -> Asked:
    return movement(name, "delivery", {"item": item, "quantity": str(quantity), "source": warehouse})


def _transfer(name: str, item: str, quantity: int, source: str, target: str) -> Asked:
    line = {"item": item, "quantity": str(quantity), "source": source, "target": target}
    return movement(name, "material_transfer", line)


def _count(name: str, item: str, found: int) -> Asked:
    return movement(name, "reconciliation", {"item": item, "quantity": str(found), "target": "south"})


def _cancellation(of: str) -> Asked:
    return movement(f"not {of}", "cancellation", against={"id": of}, reason="rung up twice", actor="mira")
