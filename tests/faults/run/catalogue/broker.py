"""Brokers that go, block, refuse, forget; and the wires to them."""

import threading
import time
from collections.abc import Callable

from shared.broker.topology import ACCOUNTING, LEDGER, RECEIVING
from tests.faults.plant import delete_queue
from tests.faults.run.fault import WORKERS, Fault
from tests.faults.run.relay import Relay
from tests.faults.run.scene import Scene
from tests.faults.run.sites import Kind
from tests.faults.wire import Swallowing

HELD = 6.0
"""Seconds for which a broker blocks or refuses: longer than a publisher waits for a confirm."""
TOO_LATE = 7.0
SMALL_FRAMES = {"STOCKBOOK_FRAME_SIZE": "5"}
"""Many messages: the first few are still taken by a queue that is full."""
_NOT_CONFIRMED = "the broker does not confirm"


def faults() -> list[Fault]:
    return [
        Fault("RabbitMQ restarted", restart, repeatable=True),
        Fault("RabbitMQ killed -9 and started", kill, repeatable=True),
        Fault("connections closed by RabbitMQ", close_connections, repeatable=True),
        Fault("connections reset", _reset, crew=_behind_relay),
        Fault("a black hole in every connection", _black_hole, crew=_behind_relay),
        Fault("a confirm that never comes", _await_unconfirmed, crew=_behind_wire(None)),
        Fault("a confirm that comes too late", _await_unconfirmed, crew=_behind_wire(TOO_LATE)),
        Fault("queue ledger deleted under its consumers", _delete(LEDGER), repeatable=True),
        Fault("queue accounting deleted under its consumers", _delete(ACCOUNTING), quick=True, repeatable=True),
        Fault(
            "queue receiving deleted under its consumers",
            _delete_intake,
            note="what was in it is published again by its source, which has no outcome of it",
        ),
        Fault("queue ledger full", _fill(LEDGER), environment=SMALL_FRAMES),
        Fault("queue accounting full", _fill(ACCOUNTING), environment=SMALL_FRAMES),
        Fault("queue receiving full", _fill(RECEIVING)),
        Fault("memory alarm", alarm("set_vm_memory_high_watermark", "0", "0.4"), repeatable=True),
        Fault("disk alarm", alarm("set_disk_free_limit", "100000000000000", "50000000"), repeatable=True),
        Fault("a leader's node of three killed -9", _kill_leader, site=Kind.NODES),
    ]


def restart(scene: Scene) -> None:
    scene.node.stop()
    scene.node.start()


def kill(scene: Scene) -> None:
    """Killed within seconds of its declaration, a queue may be one that RabbitMQ cannot open any more: see `_mend`."""
    scene.node.kill()
    scene.node.start()
    _mend(scene)


def _mend(scene: Scene) -> None:
    """What an operator does with a queue that is down for good: delete it, and fetch what was in it."""
    time.sleep(1)
    listed = scene.control("list_queues", "-p", scene.virtual_host, "name", "state", "--no-table-headers")
    for queue in [line.split()[0] for line in listed.splitlines() if line.endswith("\tdown")]:
        delete_queue(scene.broker_url, queue)
        if queue in (LEDGER, ACCOUNTING):
            scene.rows(f"INSERT INTO {queue}.replay DEFAULT VALUES ON CONFLICT DO NOTHING RETURNING since")
        elif queue == RECEIVING:
            scene.upstream.publish(list(scene.upstream.sent))


def close_connections(scene: Scene) -> None:
    for _ in range(3):
        scene.control("close_all_connections", "--vhost", scene.virtual_host, "a fault")
        time.sleep(0.3)


def alarm(command: str, alarmed: str, ordinary: str) -> Callable[[Scene], None]:
    """The broker reads nothing more from whoever publishes, until the alarm is over."""

    def strike(scene: Scene) -> None:
        scene.control(command, alarmed)
        try:
            time.sleep(HELD)
            scene.until_said(_NOT_CONFIRMED)
        finally:
            scene.control(command, ordinary)

    return strike


def _fill(queue: str) -> Callable[[Scene], None]:
    """A few messages are enough to fill it, and nobody takes them."""

    def strike(scene: Scene) -> None:
        policy = ("full", f"^{queue}$", '{"max-length": 3}', "--apply-to", "queues")
        refusals, scene.upstream.ahead = scene.upstream.retries, 1_000_000
        more = threading.Thread(target=scene.publish, args=(scene.receipts("into a full queue", 200), 1))
        # Before its consumers go: a queue that is full already when it gets a limit refuses nobody.
        scene.control("set_policy", "-p", scene.virtual_host, *policy)
        scene.crew.end(*scene.crew.of(queue))
        try:
            if queue == RECEIVING:
                more.start()
                scene.until(lambda: scene.upstream.retries > refusals, "the source is refused")
            else:
                scene.until_said("the broker did not take a message")
        finally:
            scene.control("clear_policy", "-p", scene.virtual_host, "full")
        for _ in range(WORKERS):
            scene.crew.start(queue)
        if queue == RECEIVING:
            more.join()

    return strike


def _delete(queue: str) -> Callable[[Scene], None]:
    """What is in it is gone: its workers take it from the stored outputs of the service before."""

    def strike(scene: Scene) -> None:
        deadline = time.monotonic() + 5
        while not delete_queue(scene.broker_url.split(";")[0], queue) and time.monotonic() < deadline:
            scene.until(lambda: _stands(scene, queue), f"the queue {queue} is declared again")

    return strike


def _delete_intake(scene: Scene) -> None:
    delete_queue(scene.broker_url, RECEIVING)
    scene.until(lambda: _stands(scene, RECEIVING), "the queue receiving is declared again")
    scene.upstream.go_on()
    scene.upstream.finish()
    # What was published while there was no queue is where a person sees it; its source publishes it again all the same.
    scene.control("purge_queue", "-p", scene.virtual_host, "stock.unrouted")
    scene.upstream.publish(list(scene.upstream.sent))


def _stands(scene: Scene, queue: str) -> bool:
    return f"{queue}\n" in scene.control("list_queues", "-p", scene.virtual_host, "name", "--no-table-headers")


def _kill_leader(scene: Scene) -> None:
    """The node on which the ledger's queue has its leader; the others elect another one, and it comes back later."""
    leader = scene.control("list_queues", "-p", scene.virtual_host, "name", "leader", "--no-table-headers")
    address = dict(line.split() for line in leader.splitlines())[LEDGER]
    (node,) = [each for each in scene.site.nodes if each.address == address]
    node.kill()
    scene.recovered.append(scene.recovery())
    node.start()


# --- wires -----------------------------------------------------------------------------------------------------------


def _behind_relay(scene: Scene) -> None:
    """All workers reach the broker through a relay."""
    scene.relay = scene.stack.enter_context(Relay(scene.broker_url))
    for service in (RECEIVING, LEDGER, ACCOUNTING):
        for _ in range(WORKERS):
            scene.crew.start(service, STOCKBOOK_BROKER_URL=scene.relay.url)


def _reset(scene: Scene) -> None:
    for _ in range(3):
        assert scene.relay is not None
        assert scene.relay.reset() > 0
        time.sleep(0.5)


def _black_hole(scene: Scene) -> None:
    """Each connection there is goes dead without a word, on both sides; new ones are well."""
    assert scene.relay is not None
    assert scene.relay.swallow() > 0


def _behind_wire(late: float | None) -> Callable[[Scene], None]:
    """One ledger worker's first publisher hears nothing more after a while, or late."""

    def start(scene: Scene) -> None:
        wire = scene.stack.enter_context(Swallowing(scene.broker_url, after=600, late=late))
        scene.crew.start_all(WORKERS, but=LEDGER)
        scene.crew.start(LEDGER, STOCKBOOK_BROKER_URL=wire.url)
        scene.crew.start(LEDGER)

    return start


def _await_unconfirmed(scene: Scene) -> None:
    scene.until_said(_NOT_CONFIRMED)
