"""A command of `stockbook` as a user starts it: how long it takes from its first instruction to its last line.

Its processor time is what the system tells of a process that has ended. Its memory it writes down itself when it ends:
what the system tells of that is never less than what whoever started it had.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks.processors import peak
from benchmarks.rig import BenchmarkError

_COMMAND = """
import atexit, sys
from pathlib import Path
file = Path(sys.argv.pop(1))
atexit.register(lambda: file.write_text(Path("/proc/self/status").read_text()))
from services.desk.cli import main
main()
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended well: its output, seconds, seconds of processor time, peak memory (MiB)."""

    output: str
    seconds: float
    processor: float
    memory: float


def stockbook(arguments: Sequence[str], database_url: str, broker_url: str | None = None) -> Ran:
    """Run `stockbook` with these arguments. BenchmarkError where it ends otherwise than with 0."""
    environment = {**os.environ, "STOCKBOOK_DATABASE_URL": database_url, "STOCKBOOK_BROKER_URL": broker_url or ""}
    with TemporaryDirectory() as folder:
        status_file = Path(folder) / "status"
        command = [sys.executable, "-c", _COMMAND, f"{status_file}", *arguments]
        started = perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        output = process.stdout.read() if process.stdout is not None else ""
        _, status, resources = os.wait4(process.pid, 0)
        seconds = perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise BenchmarkError(f"stockbook {' '.join(arguments)} ended with {process.returncode}: {output}")
        return Ran(output, seconds, resources.ru_utime + resources.ru_stime, peak(status_file.read_text()))
