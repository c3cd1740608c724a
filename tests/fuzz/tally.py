"""What a run of the fuzzer came to: how many inputs of each result, how fast, how much memory; and what it found."""

import os
import resource
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

PARKED = (
    "malformed",
    "unknown_type",
    "message_too_large",
    "conflicting_duplicate",
    "not_your_source",
    "source_reserved",
)
"""For what an input from outside may be parked; for any other reason it has found a defect."""

GROWTH = 300
"""How many MiB a run may have grown since it was warm."""

SLOW = 120.0
"""How many seconds one step may take: an input, or some hundreds of them on servers; also on a busy machine."""


@dataclass(slots=True)
class Tally:
    """The figures of a run, and its findings."""

    target: str
    seed: int
    inputs: int = 0
    results: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    slowest: float = 0.0
    began: float = field(default_factory=time.monotonic)
    before: int = 0
    after: int = 0

    def warm(self) -> None:
        """From here on memory should not grow."""
        self.before = self.before or resident()

    def end(self) -> None:
        """The last input was worked on."""
        self.after = resident()
        if self.after - self.before > GROWTH:
            self.findings.append(f"memory grew from {self.before} to {self.after} MiB")

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Note how long a step takes; one that takes too long is a finding."""
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        self.slowest = max(self.slowest, took)
        if took > SLOW:
            self.findings.append(f"{took:.0f} s: {what}")

    def lines(self) -> Iterator[str]:
        """The figures in lines of text."""
        took = time.monotonic() - self.began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        yield f"{self.target}: seed {self.seed}, {self.inputs:,} inputs in {took:,.1f} s, {self.inputs / took:,.0f}/s"
        yield f"memory: {self.before} MiB when warm, {self.after} at the end, {peak} at most"
        yield f"slowest step: {self.slowest:.2f} s"
        yield from (f"{count:>12,}  {result}" for result, count in sorted(self.results.items()))
        yield from (f"FOUND: {each}" for each in self.findings)
        yield f"{len(self.findings)} found"


def resident() -> int:
    """How much memory this process holds, in MiB."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20
