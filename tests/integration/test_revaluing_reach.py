"""How much is read for a piece of valuing anew: as much as was of use in the one before, and twice as much."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, Engine

from services.ledger.decide.revaluing import Position
from services.ledger.decide.state import BinKey
from services.ledger.handlers.revaluing import SHORTEST, Revaluing
from services.ledger.store import revaluing as pieces
from shared.contracts.movement import MovementAllocated
from shared.db import open_engine
from shared.service import Step
from tests.builders import Receiving, carry_out, deliver, keep_allocated, leg, revalue_all, rows, transfer

LARGEST = 3_200
STANDING = "SELECT warehouse, quantity, worth, value FROM ledger.bin ORDER BY warehouse"


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database)
    yield engine
    engine.dispose()


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many movements were read for each piece."""
    found: list[int] = []
    timeline = pieces.timeline

    def noted(connection: Connection, key: BinKey, at: Position, limit: int) -> pieces.Timeline:
        found.append(limit)
        return timeline(connection, key, at, limit)

    monkeypatch.setattr(pieces, "timeline", noted)
    return found


def value_anew(engine: Engine, chore: Callable[[int], Step]) -> None:
    while rows(engine, "SELECT FROM ledger.dirty LIMIT 1"):
        carry_out(engine, "ledger", chore(LARGEST))


def dearer(receiving: Receiving, first: MovementAllocated) -> MovementAllocated:
    """A receipt that comes before all others, at another rate, so that each of them is worth something else."""
    at = first.effective_at - timedelta(milliseconds=1)
    return replace(receiving.movement(leg(1_000, 7_000)), effective_at=at, posting_at=at)


def test_of_a_long_past_in_one_bin_ever_more_is_read(engine: Engine, limits: list[int]) -> None:
    receiving = Receiving()
    past = [receiving.movement(leg(1_000, 1_000))]
    past += [receiving.movement(leg(-1), purpose="delivery") for _ in range(SHORTEST * 5)]
    keep_allocated(engine, movements := [*past, dearer(receiving, past[0])])
    deliver(engine, *movements)
    value_anew(engine, Revaluing())
    assert limits[:3] == [SHORTEST, 2 * (SHORTEST - 1), 4 * (SHORTEST - 1) - 2]
    assert rows(engine, STANDING) == [
        ("north", 2_000 - SHORTEST * 5, 8_000 - 7 * SHORTEST * 5, 8_000 - 7 * SHORTEST * 5)
    ]


def test_where_goods_go_to_and_fro_little_is_read(engine: Engine, limits: list[int]) -> None:
    receiving = Receiving()
    past = [receiving.movement(leg(1_000, 1_000)), receiving.movement(leg(1_000, 1_000, warehouse="south"))]
    for number in range(SHORTEST * 2):
        way = ("north", "south") if number % 4 < 2 else ("south", "north")
        past.append(receiving.movement(*transfer(1, *way), purpose="material_transfer"))
    keep_allocated(engine, movements := [*past, dearer(receiving, past[0])])
    deliver(engine, *movements)
    value_anew(engine, Revaluing())
    assert len(limits) > 10
    assert max(limits) <= 2 * SHORTEST
    assert rows(engine, "SELECT sum(worth), sum(value) FROM ledger.bin") == [(9_000, 9_000)]


def test_a_piece_is_no_longer_than_the_pace_allows(engine: Engine, limits: list[int]) -> None:
    receiving = Receiving()
    past = [receiving.movement(leg(1_000, 1_000))]
    past += [receiving.movement(leg(-1), purpose="delivery") for _ in range(30)]
    keep_allocated(engine, movements := [*past, dearer(receiving, past[0])])
    deliver(engine, *movements)
    carry_out(engine, "ledger", Revaluing()(10))
    assert limits == [10]
    revalue_all(engine)
