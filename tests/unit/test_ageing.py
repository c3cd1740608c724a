"""How old stock is: what is left of which receipts, in which place, against units that are told apart one by one."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.desk.ageing import AGES, Change, Item, Layer, age, by_age

NEW_YEAR = date(2026, 1, 1)
Places = dict[tuple[str, str | None], list[date]]


def day(number: int) -> date:
    return NEW_YEAR + timedelta(days=number)


def change(
    warehouse: str, quantity: int | str, number: int, moved: str | None = None, lot: str | None = None
) -> Change:
    return Change(warehouse, lot, Decimal(quantity), day(number), None if moved is None else ("till", moved, 1))


def held(*changes: Change) -> dict[str, list[tuple[int, str]]]:
    """What stands in each warehouse: the day on which it came, and how much of it."""
    item = Item()
    for each in changes:
        item.take(each)
    return {
        warehouse: [((layer.day - NEW_YEAR).days, str(layer.quantity)) for layer in place.layers]
        for (warehouse, _), place in item.places.items()
    }


@pytest.mark.parametrize(
    ("days", "name"),
    [(0, "0-30"), (30, "0-30"), (31, "31-60"), (90, "61-90"), (91, "91-180"), (365, "181-365"), (366, "over 365")],
)
def test_an_age_ends_with_its_last_day(days: int, name: str) -> None:
    assert age(NEW_YEAR, day(days)) == name


def test_the_ages_are_these() -> None:
    assert AGES == ("0-30", "31-60", "61-90", "91-180", "181-365", "over 365")


def test_the_oldest_leave_first_and_a_part_of_a_receipt_may_stay() -> None:
    assert held(change("a", 5, 0), change("a", 5, 3), change("a", -7, 4)) == {"a": [(3, "3")]}


def test_goods_take_their_days_along_to_another_warehouse_and_back() -> None:
    there = [change("a", 2, 0), change("a", 2, 5), change("a", -3, 6, "T1"), change("b", 3, 6, "T1")]
    assert held(*there) == {"a": [(5, "1")], "b": [(0, "2"), (5, "1")]}
    back = [change("b", -3, 7, "T2"), change("a", 3, 7, "T2")]
    assert held(*there, *back) == {"a": [(0, "2"), (5, "2")], "b": []}


def test_what_is_on_its_way_by_one_movement_does_not_arrive_by_another() -> None:
    changes = [change("a", 2, 0), change("a", -2, 6, "T1"), change("b", 2, 8, "T2")]
    assert held(*changes)["b"] == [(8, "2")]


def test_what_was_issued_beyond_stock_is_paid_by_what_arrives_next() -> None:
    changes = [change("a", 1, 0), change("a", -4, 1), change("a", 2, 2), change("a", 3, 3)]
    assert held(*changes) == {"a": [(3, "2")]}


def test_units_are_as_old_as_they_are_whatever_left_first() -> None:
    item = Item()
    for each in (change("a", 1, 0, lot="S1"), change("a", 1, 5, lot="S2"), change("a", -1, 6, lot="S2")):
        item.take(each)
    assert [layer.day for place in item.places.values() for layer in place.layers] == [day(0)]


def test_layers_of_one_age_stand_together_the_youngest_first() -> None:
    layers = [Layer(day(0), Decimal(1)), Layer(day(40), Decimal(2)), Layer(day(60), Decimal(3))]
    found = [(name, [str(each.quantity) for each in of_age]) for name, of_age in by_age(layers, day(70))]
    assert found == [("0-30", ["2", "3"]), ("61-90", ["1"])]


# --- against single units ---------------------------------------------------------------------------------------------

steps = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(-4, 4), st.booleans(), st.integers(0, 3)), min_size=1, max_size=30
)


def one_by_one(changes: Sequence[Change]) -> tuple[Places, dict[tuple[str, str | None], int]]:
    """The same with a list of days, one a unit, and a count of what is owed."""
    units: Places = {}
    owed: dict[tuple[str, str | None], int] = {}
    taken: list[date] = []
    for place, each in enumerate(changes):
        key = (each.warehouse, each.lot)
        standing = units.setdefault(key, [])
        if each.quantity < 0:
            taken, units[key] = standing[: -int(each.quantity)], standing[-int(each.quantity) :]
            owed[key] = owed.get(key, 0) - int(each.quantity) - len(taken)
            continue
        before = changes[place - 1] if place else None
        is_moved = each.moved is not None and before is not None and before.moved == each.moved
        came = list(taken) if is_moved else []
        came += [each.day] * (int(each.quantity) - len(came))
        paid = min(owed.get(key, 0), len(came))
        owed[key] = owed.get(key, 0) - paid
        units[key] = sorted([*standing, *came[paid:]])
    return units, owed


@given(steps=steps)
def test_layers_tell_what_single_units_tell(steps: list[tuple[str, int, bool, int]]) -> None:
    changes: list[Change] = []
    now = 0
    for number, (warehouse, quantity, moves, later) in enumerate(steps):
        now += later
        if moves and quantity:
            other = "b" if warehouse == "a" else "a"
            changes.append(change(warehouse, -abs(quantity), now, f"T{number}"))
            changes.append(change(other, abs(quantity), now, f"T{number}"))
        elif quantity:
            changes.append(change(warehouse, quantity, now))
    item = Item()
    for each in changes:
        item.take(each)
    units, owed = one_by_one(changes)
    for key, place in item.places.items():
        assert [layer.day for layer in place.layers for _ in range(int(layer.quantity))] == units[key]
        assert place.owed == owed.get(key, 0)
