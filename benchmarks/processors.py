"""Processor time by process, read from /proc: it drifts less than seconds do where machines are shared.

The idea: a reading before and a reading after, and only what lies between them counts.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

_TICK = os.sysconf("SC_CLK_TCK")
_PARENT, _OWN, _REAPED = 1, slice(11, 13), slice(13, 15)  # places in /proc/<pid>/stat, behind the name


@dataclass(frozen=True, slots=True)
class Reading:
    """Seconds of processor time so far: of each process that is watched, and of the whole machine."""

    seconds: Mapping[str, float]
    machine: float


@dataclass(frozen=True, slots=True)
class Used:
    """What was used between two readings: microseconds a movement, by process; and the share of the machine that
    was busy with anything else."""

    microseconds: Mapping[str, float]
    elsewhere: float


def reading(processes: Mapping[str, int], families: Mapping[str, int]) -> Reading:
    """Read the processor times of `processes`, and of `families`: a process with all of its children."""
    seconds = {name: _own(_stat(pid)) for name, pid in processes.items()}
    seconds |= {name: _family(pid) for name, pid in families.items()}
    return Reading(seconds, _machine())


def used(before: Reading, after: Reading, wall: float, movements: int) -> Used:
    """What was used in `wall` seconds for `movements`."""
    spent = {name: after.seconds[name] - before.seconds[name] for name in before.seconds}
    others = max(0.0, after.machine - before.machine - sum(spent.values()))
    microseconds = {name: round(seconds * 1e6 / movements, 1) for name, seconds in spent.items()}
    return Used(microseconds, others / (wall * (os.cpu_count() or 1)))


def postmaster(url: str) -> int | None:
    """The process id of the PostgreSQL server behind `url`; None where it is on another machine."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        backend = connection.scalar(sa.text("SELECT pg_backend_pid()"))
        try:
            if "postgres" in Path(f"/proc/{backend}/comm").read_text():
                return int(_stat(int(backend or 0))[_PARENT])
        except OSError:
            pass
    return None


def peak_memory(pid: int) -> float:
    """The most memory (MiB) that a process has had resident."""
    return peak(_status(pid))


def resident_memory(pid: int) -> float:
    """The memory (MiB) that a process has resident now."""
    return _mebibytes(_status(pid), "VmRSS")


def peak(status: str) -> float:
    """The most memory (MiB) that a process has had resident, by the text of its /proc/<pid>/status."""
    return _mebibytes(status, "VmHWM")


def _status(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


def _mebibytes(status: str, what: str) -> float:
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith(what))
    return round(int(kilobytes) / 1024, 1)


def _family(pid: int) -> float:
    """A process, its children that live, and those that are gone."""
    while True:
        stat = _stat(pid)
        living = sum(_own(child) for child in _all_stats() if int(child[_PARENT]) == pid)
        # A child that ended meanwhile would be in neither sum: then count anew.
        if _stat(pid)[_REAPED] == stat[_REAPED]:
            return _own(stat) + living + sum(map(int, stat[_REAPED])) / _TICK


def _own(stat: list[str]) -> float:
    return sum(map(int, stat[_OWN])) / _TICK


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _all_stats() -> list[list[str]]:
    stats = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                stats.append(_stat(int(folder.name)))
            except OSError:
                continue  # it ended meanwhile
    return stats


def _machine() -> float:
    """Seconds in which the processors were busy: user, nice, system, irq, softirq, steal."""
    ticks = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(ticks[:3]) + sum(ticks[5:8])) / _TICK
