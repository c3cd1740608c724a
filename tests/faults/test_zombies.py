"""A worker that stops inside its transaction, is given up by the broker, and goes on when another has its messages."""

import random
import signal

import pytest

from shared.broker.topology import ACCOUNTING, LEDGER, RECEIVING
from shared.contracts.registry import MOVEMENT_ALLOCATED
from tests.faults.plant import BEFORE, Plant, disorder, load
from tests.faults.victim import At, Fault, Plan

pytestmark = pytest.mark.slow

COUNT = 120
LOST = "the connection to the database was lost"
HEARTBEAT = 1  # seconds; after two or three of them without a word the broker gives a connection up
BLOCKED = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.mark.parametrize("service", [RECEIVING, LEDGER, ACCOUNTING])
def test_a_worker_stopped_for_long_is_replaced_and_changes_nothing_when_it_goes_on(plant: Plant, service: str) -> None:
    others = {RECEIVING, LEDGER, ACCOUNTING} - {service}
    with plant.working(*others):
        stopped = Fault(At.DECIDED, 2, signal.SIGSTOP)
        zombie = plant.start_victim(Plan(service, [stopped], heartbeat=HEARTBEAT, idle=4))
        plant.shop.publish(load(COUNT))
        plant.until_stopped(zombie)
        assert plant.shop.open_ends() > 0
        with plant.working(service):
            plant.settle()
            entries = plant.count("ledger.entry")
            zombie.send_signal(signal.SIGCONT)
            plant.until(lambda: LOST in plant.said(), "the zombie finds its session ended")
            plant.until(lambda: plant.shop.broker.depth(service) == 0, "nothing is left")
            plant.end(zombie)
    assert plant.count("ledger.entry") == entries
    plant.check()


def test_a_zombie_that_commits_and_dies_before_it_publishes_has_its_outputs_told_by_the_other(plant: Plant) -> None:
    with plant.working(RECEIVING, ACCOUNTING):
        plant.shop.publish(load(COUNT))
        plant.until(lambda: plant.count("receiving.allocated") == COUNT + BEFORE, "all is allocated")
        faults = [Fault(At.INSERTED, 2, signal.SIGSTOP), Fault(At.PUBLISHING, 2, kind=MOVEMENT_ALLOCATED)]
        zombie = plant.start_victim(Plan(LEDGER, faults, heartbeat=HEARTBEAT))
        plant.until_stopped(zombie)
        with plant.working(LEDGER):
            # The other has the same messages now, and waits for the zombie's keys.
            plant.until(lambda: bool(plant.shop.rows(BLOCKED)), "the other worker is blocked")
            posted = plant.count("ledger.posted")
            zombie.send_signal(signal.SIGCONT)
            plant.until_killed(zombie)
            plant.until(lambda: plant.count("ledger.posted") > posted, "the zombie has committed")
            plant.settle()
    plant.check()


def test_of_a_ledger_killed_between_the_commit_of_a_release_and_its_publication_the_outbox_tells(plant: Plant) -> None:
    with plant.working(RECEIVING, ACCOUNTING):
        plant.shop.publish(load(COUNT))
        plant.until(lambda: plant.count("receiving.allocated") == COUNT + BEFORE, "all is allocated")
        disorder(plant.shop.broker, LEDGER, random.Random(3))
        plant.until_killed(plant.start_victim(Plan(LEDGER, [Fault(At.RELEASED)])))
        assert plant.count("ledger.outbox") > 0
        with plant.working(LEDGER):
            plant.settle()
    plant.check()
