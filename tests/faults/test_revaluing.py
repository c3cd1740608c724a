"""Whoever values anew or books it is killed at each step, or meets another who does: the books come out the same.

What is told late of a past of some hundred movements makes every bin dirty. In the end nothing is, each revaluation was
booked once, and everything comes to what it does where one ledger posts, values anew and books in peace.
"""

import json
import random
import time
from collections.abc import Iterator
from functools import partial
from subprocess import Popen

import pytest
import sqlalchemy as sa

from shared.broker.topology import ACCOUNTING, LEDGER, RECEIVING
from shared.contracts.registry import STOCK_REVALUED
from tests import servers
from tests.faults import late
from tests.faults.plant import Plant
from tests.faults.undisturbed import totals, undisturbed
from tests.faults.victim import At, Fault, Plan
from tests.integration.test_pipeline import sent

ROUNDS = 3
PIECE = 20
"""How many movements a victim values anew at a time: so there are many pieces."""
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"

LEDGER_STEPS = (At.BEGINNING, At.DECIDED, At.COMMITTING, At.COMMITTED, At.PUBLISHING, At.PUBLISHED)
ACCOUNTING_STEPS = (At.INSERTED, At.COMMITTING, At.COMMITTED, At.PUBLISHED, At.ACKNOWLEDGING)
QUICK = {(LEDGER, At.COMMITTED), (ACCOUNTING, At.COMMITTED)}
"""What `make test` runs of it."""

CASES = [
    pytest.param(service, step, marks=() if (service, step) in QUICK else pytest.mark.slow, id=f"{service} {step}")
    for service, steps in ((LEDGER, LEDGER_STEPS), (ACCOUNTING, ACCOUNTING_STEPS))
    for step in steps
]


@pytest.fixture
def peace(postgres: str, empty_database: str) -> Iterator[str]:
    """A second database, in which nobody is killed."""
    with servers.fresh_database(postgres, template=sa.make_url(empty_database).database) as url:
        yield url


@pytest.fixture
def shop(plant: Plant) -> Plant:
    """A plant with a past, all of it booked."""
    past = late.past(ROUNDS)
    plant.prepare([*late.goods(), *(sent(*past[start : start + 50]) for start in range(0, len(past), 50))])
    return plant


@pytest.mark.parametrize(("service", "step"), CASES)
def test_who_values_anew_or_books_it_is_killed_at_any_step_and_nothing_is_lost_or_doubled(
    shop: Plant, peace: str, service: str, step: At
) -> None:
    others = {RECEIVING, LEDGER, ACCOUNTING} - {service}
    with shop.working(*others):
        fault = Fault(step, 3 if service == LEDGER else 1, kind=STOCK_REVALUED)
        victim = shop.start_victim(Plan(service, [fault], piece=PIECE))
        tell_late(shop)
        shop.until_killed(victim)
        shop.until(lambda: is_left(shop, service, step), "what it held comes back")
        with shop.working(service):
            shop.settle()
    check(shop, peace)


@pytest.mark.slow
@pytest.mark.parametrize("spread", [False, True], ids=["told at once", "told while it goes on"])
def test_two_ledgers_that_value_anew_at_once_never_deadlock_and_come_to_what_one_does(
    shop: Plant, peace: str, spread: bool
) -> None:
    with shop.working(RECEIVING, ACCOUNTING):
        ledgers = [shop.start_victim(Plan(LEDGER, piece=3)) for _ in range(2)]
        said = [shop.running[each] for each in ledgers]
        if spread:
            assert tell_one_by_one(shop) > 15, "something was being valued anew nearly each time"
        else:
            tell_late(shop)
        shop.settle()
        shop.end(*ledgers)
    assert all(pieces_done(path.read_text()) > 20 for path in said)
    check(shop, peace)
    assert shop.shop.rows(DEADLOCKS) == [(0,)]


@pytest.mark.slow
def test_two_ledgers_and_accountings_killed_at_random_while_bins_are_valued_anew(shop: Plant, peace: str) -> None:
    chance = random.Random(5)
    with shop.working(RECEIVING):
        workers = {(name, number): start_slow(shop, name) for name in (LEDGER, ACCOUNTING) for number in (1, 2)}
        for each in late.told_late(ROUNDS):
            shop.shop.publish([sent(each)])
            time.sleep(chance.uniform(0.05, 0.5))
            name, number = chance.choice(list(workers))
            workers[name, number].kill()
            workers[name, number].wait(10)
            workers[name, number] = start_slow(shop, name)
        shop.settle()
        shop.end(*workers.values())
    check(shop, peace)


def start_slow(shop: Plant, service: str) -> Popen[bytes]:
    """A worker that values anew in small pieces, so that a fault finds it at one."""
    return shop.start_victim(Plan(service, piece=3))


def tell_late(shop: Plant) -> None:
    shop.shop.publish([sent(each) for each in late.told_late(ROUNDS)])


def tell_one_by_one(shop: Plant) -> int:
    """Tell of each as soon as the one before was accepted; how often something was to be valued anew just then."""
    times = 0
    for each in late.told_late(ROUNDS):
        times += shop.count("ledger.dirty") > 0
        accepted = partial(is_accepted, shop, shop.count("receiving.allocated"))
        shop.shop.publish([sent(each)])
        shop.until(accepted, "it is accepted")
    return times


def is_accepted(shop: Plant, known: int) -> bool:
    return shop.count("receiving.allocated") > known


def pieces_done(said: str) -> int:
    """How many pieces a worker that ended well says it has done."""
    (ended,) = [json.loads(line) for line in said.splitlines() if '"ended"' in line]
    return int(ended["pieces"])


def is_left(shop: Plant, service: str, step: At) -> bool:
    """Whether what it was killed at is there for another: in a table, or in the queue."""
    if service == ACCOUNTING:
        return shop.shop.broker.depth(ACCOUNTING) > 0
    return shop.count("ledger.outbox" if step in (At.COMMITTED, At.PUBLISHING, At.PUBLISHED) else "ledger.dirty") > 0


def check(shop: Plant, peace: str) -> None:
    """All was accepted, the books are sound, and come to what they come to in peace."""
    assert shop.shop.rows("SELECT id, outcome FROM receiving.undone") == []
    assert shop.count("ledger.revaluation") > 30
    shop.check()
    assert totals(shop.shop.engine) == undisturbed(peace, shop.allocated())
