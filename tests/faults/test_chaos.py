"""Two workers of each service, killed at random moments under load.

The seed chooses who, and when; it stands in the name of the test, and STOCKBOOK_TEST_SEED has it again.
"""

import os
import random
import time

import pytest

from shared.broker.topology import ACCOUNTING, LEDGER, RECEIVING
from tests.faults.plant import Plant, load

ROUNDS = 15
SHARE = 30
SEED = int(os.environ.get("STOCKBOOK_TEST_SEED", random.SystemRandom().randrange(10_000)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [SEED])
def test_workers_killed_at_random_under_load_post_and_book_what_one_worker_would(plant: Plant, seed: int) -> None:
    chance = random.Random(seed)
    workers = {(name, number): plant.start(name) for name in (RECEIVING, LEDGER, ACCOUNTING) for number in (1, 2)}
    movements = load(ROUNDS * SHARE)
    chance.shuffle(movements)
    for start in range(0, len(movements), SHARE):
        plant.shop.publish(movements[start : start + SHARE])
        time.sleep(chance.uniform(0.1, 0.6))
        victim = chance.choice(list(workers))
        workers[victim].kill()
        workers[victim].wait(10)
        workers[victim] = plant.start(victim[0])
    plant.settle()
    plant.end(*workers.values())
    plant.check()
