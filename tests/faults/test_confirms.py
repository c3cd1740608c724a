"""Confirms that never come or come too late, messages that come twice: what is told twice has one effect."""

import random

import pytest

from shared.broker import connect
from shared.broker.topology import ACCOUNTING, LEDGER, RECEIVING
from shared.contracts.registry import MOVEMENT_POSTED
from tests.faults.plant import BEFORE, Plant, disorder, load
from tests.faults.wire import Swallowing

NEVER = None
TOO_LATE = 7.0  # seconds; a publisher waits for five


@pytest.mark.slow
@pytest.mark.parametrize("late", [NEVER, TOO_LATE])
def test_outputs_whose_confirms_do_not_come_in_time_are_told_again_and_booked_once(
    plant: Plant, late: float | None
) -> None:
    with Swallowing(plant.shop.broker_url, after=300, late=late) as wire, plant.working(RECEIVING, ACCOUNTING):
        ledger = plant.start(LEDGER, STOCKBOOK_BROKER_URL=wire.url)
        plant.shop.publish(load(240))
        plant.settle()
        plant.end(ledger)
        assert wire.swallowed > 0
    assert "the broker does not confirm" in plant.said()
    plant.check()
    assert plant.ear.doubles(MOVEMENT_POSTED) > 0


def test_every_message_twice_in_any_order_between_all_services_has_one_effect(plant: Plant) -> None:
    chance = random.Random(7)
    broker = connect(plant.shop.broker_url)
    doubled = load(200, doubled=True)
    chance.shuffle(doubled)
    plant.shop.publish(doubled)
    with plant.working(RECEIVING):
        plant.until(lambda: plant.count("receiving.allocated") == 200 + BEFORE, "all is allocated")
        plant.until(lambda: broker.depth(RECEIVING) == 0, "receiving has seen every message")
    assert disorder(broker, LEDGER, chance, copies=2) >= 200
    with plant.working(LEDGER):
        plant.until(lambda: plant.count("ledger.posted") == 200 + BEFORE, "all is posted")
        plant.until(lambda: broker.depth(LEDGER) == 0, "the ledger has seen every message")
    assert disorder(broker, ACCOUNTING, chance, copies=2) >= 200
    with plant.working(RECEIVING, LEDGER, ACCOUNTING):
        plant.settle()
    plant.check()
