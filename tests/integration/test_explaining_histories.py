"""Explanations of random histories of all kinds: at every node of every tree the parts add up."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from random import Random
from typing import TypeVar

import pytest
from hypothesis import strategies as st
from sqlalchemy import Engine

from services.ledger.decide.explaining.parts import Kind
from services.ledger.decide.explaining.tree import Limits
from shared.contracts.movement import MovementAllocated
from shared.db import open_engine
from shared.purposes import Method
from tests.builders import Receiving, leg, transfer
from tests.explaining_builders import check, explained, post
from tests.properties.allocated_histories import STEPS, Shop
from tests.properties.dice import SMALLEST, Dice
from tests.properties.shop_floor import ITEMS

T = TypeVar("T")


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database)
    yield engine
    engine.dispose()


class Rolled(Dice):
    """Dice with a seed, for a history that is long and the same every time."""

    def __init__(self, seed: int, digits: int) -> None:
        super().__init__(None, digits)  # type: ignore[arg-type]  # nothing is drawn from a strategy
        self._random = Random(seed)

    def pick(self, choices: Sequence[T]) -> T:
        return self._random.choice(choices)

    def number(self, least: int, most: int) -> int:
        return self._random.randint(least, most)

    def coin(self) -> bool:
        return self._random.random() < 0.5

    def some(self, things: Sequence[T], most: int | None = None) -> list[T]:
        return self._random.sample(things, self.number(1, min(len(things), most or len(things)))) if things else []

    def quantity(self) -> Decimal:
        return Decimal(self.number(1, 12)) if self.coin() else self.number(1, 5_000_000) * SMALLEST

    def share(self) -> Decimal:
        return Decimal(self.number(0, 4)) if self.coin() else self.quantity()

    def _money(self, _minor_units: st.SearchStrategy[int]) -> Decimal:
        return Decimal(self.number(0, 100_000 if self.coin() else 5)).scaleb(-self._digits)


def history(seed: int, count: int, digits: int) -> list[MovementAllocated]:
    shop = Shop(Rolled(seed, digits), ITEMS, digits, beyond_stock=True)
    return [shop.step(tuple(STEPS)) for _ in range(count)]


@pytest.mark.parametrize(("seed", "digits"), [(1, 2), (2, 2), (3, 0), (4, 3)])
def test_the_parts_of_random_entries_add_up_at_every_node(engine: Engine, seed: int, digits: int) -> None:
    movements = history(seed, 150, digits)
    post(engine, movements)
    found = [explained(engine, each.id) for each in Random(seed).sample(movements, 25)]
    assert sum(len(each.roots) for each in found) >= 50
    assert sum(map(check, found)) > 200
    told = {node.part.kind for each in found for root in each.roots for node in root.walk()}
    assert told >= set(Kind) - {
        Kind.CORRECTED,
        Kind.COUNTED,
        Kind.COVERED,
        Kind.ISSUED_BEFORE,
        Kind.OTHER_PRODUCT,
        Kind.GAP,
    }


def test_goods_averaged_back_and_forth_are_told_within_a_limit(engine: Engine) -> None:
    receiving = Receiving()
    method = Method.MOVING_AVERAGE
    movements = [receiving.movement(leg(50, 100, method=method)), receiving.movement(leg(40, 120, method=method))]
    for n in range(60):
        there, other = ("north", "south") if n % 2 == 0 else ("south", "north")
        movements.append(receiving.movement(*transfer(7, there, other, method=method), purpose="material_transfer"))
    movements.append(receiving.movement(leg(-9, method=method), purpose="delivery"))
    post(engine, movements)
    found = explained(engine, movements[-1].id, Limits(nodes=300))
    nodes = [node for root in found.roots for node in root.walk()]
    assert 300 <= len(nodes) < 400
    assert all(sum(part.value for part in node.parts) == node.value for node in nodes if node.parts)
    assert any(node.closed and node.value for node in nodes)
