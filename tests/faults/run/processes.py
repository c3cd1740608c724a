"""Processes of workers, forked from one that has imported everything already: a worker is there at once.

Each is a process like any other, with its own servers in its environment and its own file for what it says; only its
start costs a tenth of what a new interpreter does. Code from another folder has an interpreter of its own.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

from tests.integration.test_pipeline import ROOT

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["shared.process", "tests.faults.victim", "tests.faults.__main__"])


class Process(Protocol):
    """What is asked of a process."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code, if it has ended; below zero, the signal that ended it."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """The same, when it has ended."""
        ...

    def send_signal(self, number: int) -> None:
        """Nothing happens where it has ended."""
        ...


def forked(service: str, plan: str, environment: Mapping[str, str], said: Path) -> Process:
    """A worker of a service as it is in earnest; with a plan, a victim."""
    process = _FORKS.Process(target=_work, args=(service, plan, dict(environment), str(said)), daemon=True)
    process.start()
    return _Forked(process)


def executed(service: str, folder: Path, environment: Mapping[str, str], said: Path) -> Process:
    """A worker by the code in a folder."""
    with said.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", f"services.{service}"],
            env={**os.environ, **environment, "PYTHONPATH": str(folder)},
            cwd=folder,
            stdout=out,
            stderr=out,
        )


class _Forked:
    """A forked process, asked like any other."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        self.pid = process.pid or 0

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self._process.exitcode is None:
            os.kill(self.pid, number)


def _work(service: str, plan: str, environment: Mapping[str, str], said: str) -> None:
    """In the new process: take its place, and be a worker until it ends."""
    from importlib import import_module

    from shared.process import serve_from_environment
    from tests.faults import victim

    os.environ.update(environment)
    os.chdir(ROOT)
    with Path(said).open("wb") as out:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(out.fileno(), stream.fileno())
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_follow_owner, daemon=True).start()
    if plan:
        victim.run(victim.Plan.read(plan))
    else:
        sys.exit(serve_from_environment(import_module(f"services.{service}.handlers").service()))


def _follow_owner() -> None:
    """Whoever started us may be killed -9: then there is nothing left to work for."""
    owner = multiprocessing.parent_process()
    if owner is not None:
        owner.join()
        os._exit(1)
