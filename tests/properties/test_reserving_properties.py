"""Reservations against a slow reference: what is kept back, what may leave, and what is delivered of which order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.receiving.decide.allocation import Accepted
from services.receiving.decide.case import Limits
from services.receiving.decide.reserving import Kept, asked_for, reserve
from tests.builders import SOURCE
from tests.properties.reference_reserving import (
    Goods,
    Order,
    all_are_met,
    delivered,
    left,
    may_leave,
    may_leave_somehow,
    may_reserve,
)
from tests.receiving_builders import EVENING, Shop, comes, goes, item
from tests.reservation_builders import against, of, reservation

NAMES: Mapping[str, tuple[str, ...]] = {
    "tea": ("",),
    "cream": ("B1", "B2", "B3"),
    "phone": ("P1", "P2", "P3", "P4", "P5"),
}


@dataclass
class World:
    """A shop, and what the reference knows of it: what stands there of each item, and what is kept back for whom."""

    shop: Shop
    there: dict[str, Goods] = field(default_factory=dict)
    orders: dict[str, Mapping[str, Order]] = field(default_factory=lambda: {name: {} for name in NAMES})


def opened(quantities: Mapping[str, int]) -> World:
    shop = Shop(
        item("tea"), item("cream", tracking="batch", create_batches_on_receipt=True), item("phone", tracking="serial")
    )
    world = World(shop)
    lines = [comes("tea", quantities["tea"])]
    lines += [comes("cream", quantities[name], batch=name) for name in NAMES["cream"]]
    lines.append(comes("phone", serials=list(NAMES["phone"])))
    shop.accepted("opening_stock", *lines)
    world.there = {
        "tea": {"": quantities["tea"]},
        "cream": {name: quantities[name] for name in NAMES["cream"]},
        "phone": dict.fromkeys(NAMES["phone"], 1),
    }
    return world


Step = tuple[str, Goods, int, str | None]
"""What happens, by which names, to how much, and against which order."""


@st.composite
def steps(draw: st.DrawFn, name: str) -> Step:
    """What happens to an item: it is reserved or delivered, by name or not, against an order or none."""
    what = draw(st.sampled_from(["reserve", "deliver"]))
    quantity = draw(st.integers(1, 4))
    named: Goods = {}
    if name != "tea" and draw(st.booleans()):
        chosen = draw(st.lists(st.sampled_from(NAMES[name]), min_size=1, max_size=3, unique=True))
        named = {chosen[0]: quantity} if name == "cream" else dict.fromkeys(chosen, 1)
    return what, named, quantity, draw(st.sampled_from(["R1", "R2", "R3", None]))


QUANTITIES = st.fixed_dictionaries({name: st.integers(1, 4) for name in ("tea", "B1", "B2", "B3")})


@pytest.mark.parametrize("name", sorted(NAMES))
@given(quantities=QUANTITIES, data=st.data())
def test_what_is_accepted_leaves_enough_for_every_order_and_what_would_not_is_refused(
    name: str, quantities: Mapping[str, int], data: st.DataObject
) -> None:
    world = opened(quantities)
    history = data.draw(st.lists(steps(name), min_size=2, max_size=10))
    for number, (what, named, quantity, order) in enumerate(history):
        if what == "reserve":
            _reserve(world, f"R{number}" if order is None else order, name, named, quantity)
        else:
            _deliver(world, name, named, quantity, order)
        _compare(world, name)


def _reserve(world: World, identifier: str, name: str, named: Goods, quantity: int) -> None:
    if (SOURCE, identifier) in world.shop.stock.reservations:
        return
    asked = asked_for(SOURCE, identifier, reservation(of(name, **_naming(name, named, quantity))), EVENING)
    wanted = Order(named) if named else Order(any=quantity)
    expected = may_reserve(world.there[name], world.orders[name], wanted)
    judged = reserve(asked, world.shop.stock, EVENING, Limits())
    assert isinstance(judged, Kept) is expected
    if isinstance(judged, Kept):
        world.shop.stock.reservations[SOURCE, identifier] = tuple(judged.lines)
        world.orders[name] = {**world.orders[name], identifier: wanted}


def _deliver(world: World, name: str, named: Goods, quantity: int, order: str | None) -> None:
    there, orders = world.there[name], world.orders[name]
    known = order if (SOURCE, order or "") in world.shop.stock.reservations else None
    own = known if known in orders else None
    fields: Mapping[str, Any] = {} if known is None else against(known)
    judged = world.shop.ask("delivery", goes(name, **_naming(name, named, quantity)), **fields)
    expected = may_leave(there, orders, named, own) if named else may_leave_somehow(there, orders, quantity, own)
    assert isinstance(judged, Accepted) is expected
    if isinstance(judged, Accepted):
        taken = _taken(judged)
        if own is not None and not named:
            _assert_own_first(orders[own], there, taken, quantity)
        world.there[name], world.orders[name] = left(there, taken), delivered(orders, taken, own)


def _assert_own_first(order: Order, there: Goods, taken: Goods, quantity: int) -> None:
    """What is kept back for it by name goes first to who names nothing."""
    own = sum(min(taken.get(name, 0), kept) for name, kept in order.named.items())
    assert own == min(quantity, sum(min(there[name], kept) for name, kept in order.named.items()))


def _naming(name: str, named: Goods, quantity: int) -> dict[str, Any]:
    if name == "phone":
        return {"serials": list(named)} if named else {"quantity": quantity}
    return {"quantity": quantity, **({"batch": next(iter(named))} if named else {})}


def _taken(judged: Accepted) -> Goods:
    taken: dict[str, int] = {}
    for each in judged.outcome.allocated:
        for number in each.serials or [each.batch or ""]:
            taken[number] = taken.get(number, 0) + (1 if each.serials else int(each.quantity))
    return taken


def _compare(world: World, name: str) -> None:
    """All orders can be met, and what is open of each, and reserved in the bin, is what the reference says."""
    orders, stock = world.orders[name], world.shop.stock
    assert all_are_met(world.there[name], orders)
    for identifier, order in orders.items():
        (line,) = stock.reservations[SOURCE, identifier]
        assert line.open == sum(order.named.values()) + order.any
        assert line.open + line.delivered == line.quantity
    by_name = sum(sum(order.named.values()) for order in orders.values())
    in_bin = sum(order.any for order in orders.values()) + (by_name if name == "phone" else 0)
    assert stock.bins["shop", name, "north"].reserved == in_bin
    if name == "cream":
        of_batches = sum((each.reserved for key, each in stock.batch_stock.items() if key[1] == name), Decimal(0))
        assert of_batches == by_name
