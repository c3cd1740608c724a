"""Each worker killed at each step of its work, under load, in a process of its own; then it is started again.

After each the same must hold (`Plant.check`): nothing lost, one effect each, stamps without a gap, everything in
balance, every queue, outbox and waiting table empty, and every movement told of by every service, always in the same
words.
"""

import random
from collections.abc import Callable, Mapping
from subprocess import Popen
from typing import Any

import pytest

from services.desk.events import Event
from shared.broker.topology import ACCOUNTING, LEDGER, RECEIVING
from tests.faults.plant import BEFORE, Plant, delete_queue, disorder, load
from tests.faults.victim import At, Fault, Plan
from tests.integration.test_pipeline import event, movement, sent

COUNT = 240
STEPS = (At.RECEIVED, At.COMMITTING, At.COMMITTED, At.RELEASING, At.PUBLISHED, At.ACKNOWLEDGING)
QUICK = {(RECEIVING, At.COMMITTED), (LEDGER, At.RELEASING), (ACCOUNTING, At.PUBLISHED)}
"""What `make test` runs of it."""

CASES = [
    pytest.param(service, step, marks=() if (service, step) in QUICK else pytest.mark.slow, id=f"{service} {step}")
    for service in (RECEIVING, LEDGER, ACCOUNTING)
    for step in STEPS
]


@pytest.mark.parametrize(("service", "step"), CASES)
def test_a_worker_killed_at_any_step_loses_nothing_and_doubles_nothing(plant: Plant, service: str, step: At) -> None:
    LOADS[service](plant, step)


def kill_receiving(plant: Plant, step: At) -> None:
    with plant.working(LEDGER, ACCOUNTING):
        victim = plant.start_victim(Plan(RECEIVING, [Fault(step, 1 if step is At.RELEASING else 4)]))
        plant.shop.publish([*map(sent, early()), oil(), *load(COUNT)])
        _killed_and_started_again(plant, victim, RECEIVING)
    plant.check()


def early() -> list[dict[str, Any]]:
    """Movements of an item that nobody knows yet: they wait, and what makes it known releases them."""
    line = {"item": "oil", "quantity": "1", "rate": "2.00", "target": "north"}
    return [movement(f"E{number}", "purchase_receipt", line) for number in range(20)]


def oil() -> Event:
    return event("item.defined.v1", {"company": "shop", "item": "oil"}, id="oil")


def kill_ledger(plant: Plant, step: At) -> None:
    """In any order: most movements come before those that they wait for, and are released later."""
    with plant.working(RECEIVING):
        plant.shop.publish(load(COUNT))
        plant.until(lambda: plant.count("receiving.allocated") >= COUNT + BEFORE, "all is allocated")
    disorder(plant.shop.broker, LEDGER, random.Random(step))
    with plant.working(ACCOUNTING):
        victim = plant.start_victim(Plan(LEDGER, [Fault(step, 2)]))
        _killed_and_started_again(plant, victim, LEDGER)
    plant.check()


def kill_accounting(plant: Plant, step: At) -> None:
    """Accounting releases nothing, but a replay leaves outputs that hang on no message: it is killed before those."""
    with plant.working(RECEIVING, LEDGER):
        plant.shop.publish(load(COUNT))
        if step is not At.RELEASING:
            victim = plant.start_victim(Plan(ACCOUNTING, [Fault(step, 2)]))
            _killed_and_started_again(plant, victim, ACCOUNTING)
        else:
            plant.until(lambda: plant.count("ledger.posted") == COUNT + BEFORE, "all is posted")
            assert delete_queue(plant.shop.broker_url, ACCOUNTING) > 0
            plant.shop.rows("INSERT INTO accounting.replay DEFAULT VALUES RETURNING since")
            victim = plant.start_victim(Plan(ACCOUNTING, [Fault(At.PUBLISHING)]))
            plant.until(lambda: victim.poll() is not None, "the fault")
            assert plant.count("accounting.outbox") == COUNT
            _killed_and_started_again(plant, victim, ACCOUNTING)
    plant.check()


def _killed_and_started_again(plant: Plant, victim: Popen[bytes], service: str) -> None:
    plant.until_killed(victim)
    if not plant.count(f"{service}.outbox"):
        plant.until(lambda: plant.shop.broker.depth(service) > 0, "what it held comes back")
    successor = plant.start(service)
    plant.settle()
    plant.end(successor)


LOADS: Mapping[str, Callable[[Plant, At], None]] = {
    RECEIVING: kill_receiving,
    LEDGER: kill_ledger,
    ACCOUNTING: kill_accounting,
}
