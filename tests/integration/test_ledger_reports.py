"""What the ledger's reports tell that takes more than a view: shortages, and who caused them."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from services.ledger.reports.shortages import REPORT
from shared.db import transaction
from shared.purposes import Role
from shared.report import Filters, records
from tests.builders import ACCOUNTS, COMPANY, Receiving, deliver, leg
from tests.receiving_builders import opened


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    with opened(database) as engine:
        yield engine


def shortages(engine: Engine, **filters: Any) -> list[dict[str, Any]]:
    with transaction(engine) as connection:
        return records(REPORT, connection, Filters(**filters))


def test_what_was_issued_beyond_stock_stands_there_until_it_is_covered_the_oldest_first(engine: Engine) -> None:
    receiving = Receiving()
    deliver(engine, receiving.movement(leg(1, 2)))
    issues = [receiving.movement(leg(-3), purpose="delivery"), receiving.movement(leg(-1), purpose="material_issue")]
    deliver(engine, *issues)
    deliver(engine, receiving.movement(leg(-1, item="milk", standard_rate=5), purpose="scrap"))
    found = shortages(engine, item="tea")
    assert [(row["id"], row["quantity"], row["worth"], row["account"]) for row in found] == [
        (issues[0].id, 2, 4, ACCOUNTS[Role.COST_OF_GOODS_SOLD]),
        (issues[1].id, 1, 2, ACCOUNTS[Role.STOCK_ADJUSTMENT]),
    ]
    assert {(row["company"], row["warehouse"], row["purpose"], row["effective_at"]) for row in found[:1]} == {
        (COMPANY, "north", "delivery", issues[0].effective_at)
    }
    deliver(engine, receiving.movement(leg(2, 6)))
    assert [(row["id"], row["quantity"]) for row in shortages(engine, item="tea")] == [(issues[1].id, 1)]
    assert [row["item"] for row in shortages(engine)] == ["milk", "tea"]
