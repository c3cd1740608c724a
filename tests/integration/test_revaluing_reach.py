"""How much one worker reads for a piece of valuing anew, and in which bin, where it is alone and where it is not."""

import random
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
from shared.db import open_engine, transaction
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
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Of which item how many movements were read for each piece."""
    found: list[tuple[str, int]] = []
    timeline = pieces.timeline

    def noted(connection: Connection, key: BinKey, at: Position, limit: int) -> pieces.Timeline:
        found.append((key[1], limit))
        return timeline(connection, key, at, limit)

    monkeypatch.setattr(pieces, "timeline", noted)
    return found


def value_anew(engine: Engine, chore: Callable[[int], Step]) -> None:
    while rows(engine, "SELECT FROM ledger.dirty LIMIT 1"):
        carry_out(engine, "ledger", chore(LARGEST))


def dearer(receiving: Receiving, first: MovementAllocated, item: str = "tea") -> MovementAllocated:
    """A receipt that comes before all others, at another rate, so that each of them is worth something else."""
    at = first.effective_at - timedelta(milliseconds=1)
    return replace(receiving.movement(leg(1_000, 7_000, item=item)), effective_at=at, posting_at=at)


def test_of_a_long_past_in_one_bin_ever_more_is_read(engine: Engine, read: list[tuple[str, int]]) -> None:
    receiving = Receiving()
    past = [receiving.movement(leg(1_000, 1_000))]
    past += [receiving.movement(leg(-1), purpose="delivery") for _ in range(SHORTEST * 5)]
    keep_allocated(engine, movements := [*past, dearer(receiving, past[0])])
    deliver(engine, *movements)
    value_anew(engine, Revaluing())
    assert [limit for _, limit in read[:3]] == [SHORTEST, 2 * (SHORTEST - 1), 4 * (SHORTEST - 1) - 2]
    assert rows(engine, STANDING) == [
        ("north", 2_000 - SHORTEST * 5, 8_000 - 7 * SHORTEST * 5, 8_000 - 7 * SHORTEST * 5)
    ]


def test_where_goods_go_to_and_fro_little_is_read(engine: Engine, read: list[tuple[str, int]]) -> None:
    receiving = Receiving()
    past = [receiving.movement(leg(1_000, 1_000)), receiving.movement(leg(1_000, 1_000, warehouse="south"))]
    for number in range(SHORTEST * 2):
        way = ("north", "south") if number % 4 < 2 else ("south", "north")
        past.append(receiving.movement(*transfer(1, *way), purpose="material_transfer"))
    keep_allocated(engine, movements := [*past, dearer(receiving, past[0])])
    deliver(engine, *movements)
    value_anew(engine, Revaluing())
    assert len(read) > 10
    assert max(limit for _, limit in read) <= 2 * SHORTEST
    assert rows(engine, "SELECT sum(worth), sum(value) FROM ledger.bin") == [(9_000, 9_000)]


def test_a_piece_is_no_longer_than_the_pace_allows(engine: Engine, read: list[tuple[str, int]]) -> None:
    receiving = Receiving()
    past = [receiving.movement(leg(1_000, 1_000))]
    past += [receiving.movement(leg(-1), purpose="delivery") for _ in range(30)]
    keep_allocated(engine, movements := [*past, dearer(receiving, past[0])])
    deliver(engine, *movements)
    carry_out(engine, "ledger", Revaluing()(10))
    assert read == [("tea", 10)]
    revalue_all(engine)


def test_whoever_was_outrun_goes_on_with_another_item_until_nothing_of_it_is_left(
    engine: Engine, read: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiving = Receiving()
    past: list[MovementAllocated] = []
    for item in ("ale", "rum", "tea"):
        past.append(receiving.movement(leg(1_000, 1_000, item=item)))
        past += [receiving.movement(leg(-1, item=item), purpose="delivery") for _ in range(SHORTEST + 10)]
    late = [dearer(receiving, each, each.legs[0].item) for each in past if each.legs[0].quantity > 0]
    keep_allocated(engine, movements := [*past, *late])
    deliver(engine, *movements)
    monkeypatch.setattr(random, "choice", max)
    slow, fast = Revaluing(), Revaluing()
    with transaction(engine) as connection:
        looked = slow(LARGEST)(connection)
    for _ in range(2):
        carry_out(engine, "ledger", fast(LARGEST))
    assert {item for item, _ in read} == {"ale"}
    assert looked.then is not None
    carry_out(engine, "ledger", looked.then)
    read.clear()
    for _ in range(3):
        carry_out(engine, "ledger", slow(LARGEST))
    assert [item for item, _ in read] == ["tea", "tea", "rum"]
    value_anew(engine, slow)
    expected = (2_000 - SHORTEST - 10, 8_000 - 7 * (SHORTEST + 10), 8_000 - 7 * (SHORTEST + 10))
    assert rows(engine, STANDING) == [("north", *expected)] * 3
