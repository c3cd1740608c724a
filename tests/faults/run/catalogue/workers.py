"""Workers that die, are stopped, or are told to go."""

import signal
import time
from collections.abc import Callable, Sequence

from services.desk.events import Event
from shared.broker.topology import ACCOUNTING, AFTERCARE, LEDGER, RECEIVING
from shared.contracts.registry import STOCK_REVALUED
from tests.faults.plant import delete_queue
from tests.faults.run.catalogue.messages import mix_up
from tests.faults.run.crew import Worker
from tests.faults.run.fault import WORKERS, Fault
from tests.faults.run.scene import Scene
from tests.faults.victim import At, Plan
from tests.faults.victim import Fault as Planned

BOOKING = (RECEIVING, LEDGER, ACCOUNTING)
STEPS = (At.RECEIVED, At.COMMITTING, At.COMMITTED, At.RELEASING, At.PUBLISHED, At.ACKNOWLEDGING)
NTH = 2
TOLD_LATE = 100
"""Movements that make something to be valued anew."""
HEARTBEAT, IDLE = 1, 4
"""Seconds, of a worker that is stopped: after three heartbeats the broker gives it up, then PostgreSQL its session."""


def faults() -> list[Fault]:
    return [
        *(_kill(service, step) for service in BOOKING for step in STEPS),
        *(_kill(AFTERCARE, step) for step in (At.RECEIVED, At.COMMITTING, At.COMMITTED, At.ACKNOWLEDGING)),
        _kill_in_revaluation(At.DECIDED, "inside a piece of revaluation"),
        _kill_in_revaluation(At.COMMITTED, "after the commit of a piece of revaluation"),
        Fault("kill -9 of all workers at once", kill_all, repeatable=True),
        Fault("kill -9 of one worker after the other", kill_in_turn, quick=True, repeatable=True),
        Fault("SIGTERM to all workers under load", terminate_all, repeatable=True),
        *(_stop(service) for service in BOOKING),
    ]


def kill_all(scene: Scene) -> None:
    """Nobody is left; others are started a second later."""
    dead = list(scene.crew.workers)
    for each in dead:
        each.kill()
    time.sleep(1)
    for each in dead:
        scene.crew.replace(each)


def kill_in_turn(scene: Scene) -> None:
    """Six times, whoever chance has it."""
    for _ in range(6):
        scene.crew.replace(scene.chance.choice(scene.crew.workers))
        time.sleep(scene.chance.uniform(0.1, 0.5))


def terminate_all(scene: Scene) -> None:
    """They finish what they began within their grace, and others go on."""
    scene.until(lambda: all(each.has_started() for each in scene.crew.workers), "all workers have started")
    scene.crew.end()
    scene.crew.start_all(WORKERS)


# --- one worker, at a chosen step ------------------------------------------------------------------------------------


def _kill(service: str, step: At) -> Fault:
    name = f"kill -9 {service} {step}"
    if step is At.RELEASING and service != RECEIVING:
        return Fault(name, _kill_accounting_before_outbox if service == ACCOUNTING else _kill_ledger_before_release)
    alone = step is At.RELEASING
    plan = Plan(service, [Planned(step, 1 if alone else NTH)])
    return Fault(name, _await_death(service), crew=_with_victim(plan, alone))


def _kill_in_revaluation(step: At, where: str) -> Fault:
    plan = Plan(LEDGER, [Planned(step, NTH, kind=STOCK_REVALUED)], piece=20)
    crew = _with_victim(plan, alone=True)
    return Fault(f"kill -9 ledger {where}", _await_death(LEDGER), crew=crew, load=_much_back_dated)


def _much_back_dated(scene: Scene, count: int) -> Sequence[Event]:
    movements = [*scene.shopping.draw(count - TOLD_LATE), *scene.shopping.draw_back_dated(TOLD_LATE)]
    scene.chance.shuffle(movements)
    return scene.shopping.events(movements)


def _with_victim(plan: Plan, alone: bool = False) -> Callable[[Scene], None]:
    """Two workers of each service, one of which is the victim; or the only one of its service."""

    def start(scene: Scene) -> None:
        scene.crew.start_all(WORKERS, but=plan.service)
        if not alone:
            scene.crew.start(plan.service)
        scene.crew.start_victim(plan)

    return start


def _await_death(service: str) -> Callable[[Scene], None]:
    def strike(scene: Scene) -> None:
        victim = _victim(scene, service)
        scene.until(victim.is_gone, f"{service} comes to the step at which it is killed")
        assert victim.process.poll() == -signal.SIGKILL, scene.crew.complaints([victim])
        scene.crew.replace(victim)

    return strike


def _victim(scene: Scene, service: str) -> Worker:
    """The one that was started last."""
    return scene.crew.of(service)[-1]


def _kill_ledger_before_release(scene: Scene) -> None:
    """In any order, most movements come before those that they wait for, and are released by these."""
    mix_up(scene)
    victim = scene.crew.start_victim(Plan(LEDGER, [Planned(At.RELEASING)]))
    scene.until(victim.is_gone, "the ledger is about to release what waited")
    scene.crew.replace(victim)
    scene.crew.start(LEDGER)


def _kill_accounting_before_outbox(scene: Scene) -> None:
    """Accounting releases nothing but what a replay lets go on: it is killed before that is published."""
    scene.crew.end(*scene.crew.of(ACCOUNTING))
    scene.until(lambda: scene.broker.depth(ACCOUNTING) > 0, "accounting has something to do")
    delete_queue(scene.broker_url, ACCOUNTING)
    scene.rows("INSERT INTO accounting.replay DEFAULT VALUES RETURNING since")
    victim = scene.crew.start_victim(Plan(ACCOUNTING, [Planned(At.PUBLISHING)]))
    scene.until(victim.is_gone, "accounting publishes what a replay found")
    assert scene.count("accounting.outbox") > 0
    scene.crew.replace(victim)
    scene.crew.start(ACCOUNTING)


# --- one worker that is stopped and goes on --------------------------------------------------------------------------


def _stop(service: str) -> Fault:
    plan = Plan(service, [Planned(At.DECIDED, NTH, signal.SIGSTOP)], heartbeat=HEARTBEAT, idle=IDLE)
    return Fault(
        f"SIGSTOP {service} in its transaction, then SIGCONT", _stop_and_continue(service), crew=_with_victim(plan)
    )


def _stop_and_continue(service: str) -> Callable[[Scene], None]:
    def strike(scene: Scene) -> None:
        zombie = _victim(scene, service)
        scene.until(zombie.is_stopped, f"{service} stops in its transaction")
        time.sleep(IDLE + 2)
        zombie.signal(signal.SIGCONT)
        scene.until_said("the connection to the database was lost")

    return strike
