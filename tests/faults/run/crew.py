"""The worker processes of a scene: started, told to stop, killed, stopped and continued; what they say is kept."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.broker.topology import SERVICES
from tests.faults.run.processes import Process, executed, forked
from tests.faults.victim import Plan
from tests.integration.test_pipeline import ROOT

GRACE = 30.0
"""Seconds that a worker has to finish what it began."""


@dataclass(eq=False)
class Worker:
    """A process, whose it is, and where what it says is kept."""

    service: str
    process: Process
    said: Path

    def is_gone(self) -> bool:
        return self.process.poll() is not None

    def is_stopped(self) -> bool:
        """Whether it was stopped by SIGSTOP."""
        return "State:\tT" in Path(f"/proc/{self.process.pid}/status").read_text()

    def has_started(self) -> bool:
        return '"started"' in self.said.read_text()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


@dataclass
class Crew:
    """All workers of a scene."""

    environment: Mapping[str, str]
    folder: Path
    workers: list[Worker] = field(default_factory=list)
    _started: int = 0

    def start(self, service: str, *, folder: Path = ROOT, **environment: str) -> Worker:
        """A worker as it is in earnest, by the code in a folder."""
        told, said = {**self.environment, **environment}, self._next(service)
        forks = folder == ROOT
        return self._add(
            service, forked(service, "", told, said) if forks else executed(service, folder, told, said), said
        )

    def start_victim(self, plan: Plan, **environment: str) -> Worker:
        """A worker to which happens what is planned."""
        said = self._next(plan.service)
        told = {**self.environment, **environment}
        return self._add(plan.service, forked(plan.service, plan.written(), told, said), said)

    def start_all(self, each: int, but: str = "") -> None:
        """So many workers of each service, but of one."""
        for service in SERVICES:
            for _ in range(each if service != but else 0):
                self.start(service)

    def of(self, service: str) -> list[Worker]:
        return [each for each in self.workers if each.service == service]

    def replace(self, worker: Worker) -> Worker:
        """Kill a worker, if it still lives, and start another one in its place."""
        worker.kill()
        self.workers.remove(worker)
        return self.start(worker.service)

    def end(self, *workers: Worker) -> None:
        """Have workers (none named: all) stop; AssertionError for one that does not end well in time."""
        ending = workers or tuple(self.workers)
        for each in ending:
            each.signal(signal.SIGTERM)
        codes = [each.process.wait(GRACE) for each in ending]
        for each in ending:
            self.workers.remove(each)
        assert codes == [0] * len(codes), f"workers ended with {codes}: {self.complaints(ending)}"

    def kill_all(self) -> None:
        for each in self.workers:
            each.kill()
        self.workers.clear()

    def said(self) -> str:
        """All that was said in this scene, by one worker after the other."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("said-*")))

    def complaints(self, workers: Sequence[Worker]) -> str:
        return "".join(each.said.read_text()[-1_000:] for each in workers if each.process.poll())

    def _next(self, service: str) -> Path:
        """Where the next worker says what it says."""
        self._started += 1
        return self.folder / f"said-{self._started:03}-{service}"

    def _add(self, service: str, process: Process, said: Path) -> Worker:
        said.touch()
        self.workers.append(Worker(service, process, said))
        return self.workers[-1]
