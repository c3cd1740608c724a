"""How a fault is run: a shop is opened, its load begins, the fault strikes, and what holds afterwards is judged."""

import time
import traceback
from dataclasses import dataclass, field

from tests.faults.run.fault import Fault, Impossible
from tests.faults.run.judging import Verdict
from tests.faults.run.scene import Scene, opened
from tests.faults.run.sites import Sites

LONGEST_RECOVERY = 60.0
_UNDER_WAY = 1 / 3


@dataclass
class Row:
    """A line of the table. `failure`: the fault could not be seen to happen, or a worker ended badly."""

    name: str
    movements: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    seconds: float = 0.0
    took: float = 0.0
    failure: str = ""
    left_out: str = ""
    note: str = ""

    @property
    def is_good(self) -> bool:
        return self.verdict.is_good and not self.failure and self.seconds <= LONGEST_RECOVERY


def run(fault: Fault, sites: Sites, movements: int, seed: int) -> Row:
    """Inject one fault under a load of so many movements; whatever goes wrong stands in the row."""
    row, began = Row(fault.name, note=fault.note), time.monotonic()
    try:
        with opened(sites, sites.get(fault.site), seed, fault.environment) as scene:
            scene.parkable |= fault.parkable
            _play(fault, scene, movements, row)
    except Impossible as reason:
        row.left_out = str(reason)
    except Exception as failure:  # noqa: BLE001 - the other faults are still to be run
        row.failure = f"{type(failure).__name__}: {failure}"[:700]
        row.verdict.notes += traceback.format_exc().splitlines()[-9:-1]
    row.took = time.monotonic() - began
    return row


def _play(fault: Fault, scene: Scene, movements: int, row: Row) -> None:
    fault.crew(scene)
    scene.until(lambda: all(each.has_started() for each in scene.crew.workers), "all workers have started", 120)
    scene.upstream.begin(fault.load(scene, movements))
    scene.until(lambda: _is_under_way(scene, movements), "the load is under way", 90)
    fault.strike(scene)
    row.seconds = max([*scene.recovered, scene.recovery()])
    scene.upstream.go_on()
    scene.upstream.finish()
    finish(scene, row)


def finish(scene: Scene, row: Row) -> None:
    """Wait until all is at rest, let the workers go, and judge."""
    _end(scene)
    if scene.lies_in_queues():  # a worker gave back what it had worked on before: doubles, all of it
        scene.crew.start_all(1)
        _end(scene)
    row.movements = len(set(scene.upstream.keys))
    row.verdict = scene.verdict()


def _end(scene: Scene) -> None:
    scene.settle()
    scene.crew.end()


def _is_under_way(scene: Scene, movements: int) -> bool:
    """Or the fault has begun by itself, and nothing goes on without its victim."""
    if any(each.is_gone() for each in scene.crew.workers):
        return True
    return scene.upstream.count >= movements * _UNDER_WAY and scene.count("accounting.movement") > 200
