"""Receiving killed while it takes from lanes: what it held of each comes back there, and nothing is lost or doubled."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest

from services.desk.events import Event
from services.desk.pipeline import Pipeline
from shared.broker import QueueVanished, connect
from shared.broker.lanes import intake_of, lane_of
from shared.broker.topology import ACCOUNTING, LEDGER, RECEIVING
from shared.settings import Settings
from tests.faults.plant import BEFORE, Plant, delete_queue, load
from tests.faults.victim import At, Fault, Plan

SOURCE = "till"
LANES = frozenset({SOURCE, "till-2"})
COUNT = 200
STEPS = (At.RECEIVED, At.COMMITTED, At.ACKNOWLEDGING)
QUICK = At.COMMITTED


@pytest.mark.parametrize(
    "step", [pytest.param(each, marks=() if each is QUICK else pytest.mark.slow) for each in STEPS]
)
def test_receiving_killed_over_lanes_loses_nothing_and_doubles_nothing(plant: Plant, step: At) -> None:
    plant.environment = {**plant.environment, "STOCKBOOK_LANES": " ".join(LANES)}
    with plant.working(LEDGER, ACCOUNTING):
        victim = plant.start_victim(Plan(RECEIVING, [Fault(step, 3)]))
        publish(plant, load(COUNT))
        plant.until_killed(victim)
        plant.until(lambda: waiting(plant) > 0, "what it held comes back")
        successor = plant.start(RECEIVING)
        plant.settle()
        plant.end(successor)
    drain(plant)
    assert plant.count("receiving.allocated") == COUNT + BEFORE
    plant.check()


@pytest.mark.slow
def test_a_lane_deleted_under_its_worker_is_there_again_and_takes_what_is_sent(plant: Plant) -> None:
    plant.environment = {**plant.environment, "STOCKBOOK_LANES": " ".join(LANES)}
    first, second = load(COUNT)[: COUNT // 2], load(COUNT)[COUNT // 2 :]
    with plant.working(RECEIVING, LEDGER, ACCOUNTING):
        publish(plant, first)
        plant.settle()
        assert delete_queue(plant.shop.broker_url, lane_of(SOURCE)) == 0
        plant.until(partial(is_there, plant), "the lane comes back")
        publish(plant, second)
        plant.settle()
    drain(plant)
    assert plant.count("receiving.allocated") == COUNT + BEFORE
    plant.check()


def publish(plant: Plant, events: Sequence[Event]) -> None:
    """Every other one through the lane, the others as a source without one does."""
    broker = connect(plant.shop.broker_url, LANES)
    broker.declare()
    messages = [each.message() for each in events]
    messages[::2] = [replace(each, exchange=intake_of(SOURCE)) for each in messages[::2]]
    publisher = broker.publisher()
    publisher.publish(messages)
    publisher.close()
    plant.shop.keys += [key for each in events for key in each.keys]


def waiting(plant: Plant) -> int:
    return sum(map(plant.shop.broker.depth, (RECEIVING, lane_of(SOURCE))))


def is_there(plant: Plant) -> bool:
    try:
        plant.shop.broker.depth(lane_of(SOURCE))
    except QueueVanished:
        return False
    return True


def drain(plant: Plant) -> None:
    """Work on what the dead held of lanes, and gave back late: doubles, all of it."""
    told = Settings(pause=0.01, lanes=LANES)
    with Pipeline(plant.shop.database_url, plant.shop.broker_url, settings=told) as pipeline:
        plant.until(lambda: not pipeline.turn(0.1) and not waiting(plant), "the lanes are empty")
