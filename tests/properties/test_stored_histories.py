"""Random histories through the ledger's handler and its tables: they hold and tell what the pure core says.

Each movement reads what it needs from the tables, be it written a moment ago or by another set. Nothing may get lost
on that way: no layer, no shortage, no serial's cost, nothing of what came back of an entry.
"""

import random

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ledger.decide.posting import post
from shared.contracts.movement import MovementAllocated
from tests import servers
from tests.builders import bodies, deliver, rows, stored_ledger, told
from tests.properties.allocated_histories import histories

pytestmark = pytest.mark.timeout(600)
few = settings(max_examples=settings().max_examples // 6)

BALANCES = "SELECT company, item, warehouse, quantity, value, coalesce(rate, 0) FROM ledger.stock_balance"


@few
@given(histories(beyond_stock=True), st.randoms(use_true_random=False))
def test_a_history_is_stored_and_told_as_the_core_posts_it_in_whatever_order_and_sets_it_comes(
    postgres: str, empty_database: str, history: list[MovementAllocated], chance: random.Random
) -> None:
    with servers.fresh_database(postgres, template=sa.make_url(empty_database).database) as url:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        published, arriving = [], _nearly_in_order(history, chance)
        while arriving:
            size = chance.randint(1, 6)
            published += deliver(engine, *arriving[:size])
            arriving = arriving[size:]
        assert bodies(published) == told(history)
        state = post(history, stored_ledger(history)).state
        expected = {
            (*key, held.quantity, held.value + held.pending, held.rate or 0) for key, held in state.bins.items()
        }
        assert set(rows(engine, BALANCES)) == expected


def _nearly_in_order(history: list[MovementAllocated], chance: random.Random) -> list[MovementAllocated]:
    """Some movements arrive a little late, so that what waits for them is released behind them."""
    return [each for _, each in sorted(enumerate(history), key=lambda pair: pair[0] + chance.choice((0, 0, 0, 3)))]
