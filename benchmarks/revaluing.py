"""P6: a receipt that is told late, ahead of everything else in a bin, and how long it takes until all of that is right.

The clock runs from the publish of the receipt until nothing is to be valued anew any more; until all of it is booked is
told beside it. Whatever stands behind the receipt is worth something else afterwards, or the run has failed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, sleep

import sqlalchemy as sa

from benchmarks import load, past
from benchmarks.processors import Used, peak_memory, used
from benchmarks.rig import PATIENCE, BenchmarkError, Rig, Stage, settle_disk, stage, with_past
from services.desk.store import is_revaluing, stock_values
from shared.db import open_engine, query, transaction

_LOOK = 0.01  # seconds between two looks
_POSTED = f"SELECT FROM ledger.posted WHERE id LIKE '{past.LATE}-%'"
_DIRTY = "SELECT FROM ledger.dirty LIMIT 1"
_CORRECTED = f"""
SELECT count(DISTINCT part_of) AS corrected FROM ledger.entry
WHERE revaluation > 0 AND value <> 0 AND id LIKE '{past.BEFORE}-%'
"""
_PENDING = "SELECT FROM ledger.bin WHERE pending <> 0"


@dataclass(frozen=True, slots=True)
class Cascade:
    """One run: seconds until nothing was to be valued anew, and until all was booked; processor time an entry, by
    process, and peak memory (MiB) by service."""

    entries: int
    clean: float
    booked: float
    used: Used
    memory: dict[str, float]


@contextmanager
def furnished(rig: Rig, kind: str, entries: int) -> Iterator[Rig]:
    """A rig whose runs begin with a past of this kind and length."""
    with with_past(rig, past.definitions(kind), past.movements(kind, entries)) as ready:
        yield ready


def cascade(rig: Rig, entries: int) -> Cascade:
    """Tell the late receipt to a rig with a past of so many entries, and nothing else meanwhile."""
    with stage(rig, 100) as (on, listener):
        settle_disk(on.url)
        watch = Watch(on)
        publisher = on.broker.publisher()
        publisher.publish([])  # it connects
        before = on.reading()
        started = perf_counter()
        publisher.publish(load.messages([past.late(entries)], 1))
        clean = watch.wait_until_clean() - started
        booked = watch.wait_until_booked() - started
        after = on.reading()
        publisher.close()
        listener.wait_for(1)
        watch.check(entries)
        memory = {service: peak_memory(worker) for service, worker in on.workers.items()}
        return Cascade(entries, clean, booked, used(before, after, booked, entries), memory)


class Watch:
    """Looks into a run's database for how far it is."""

    def __init__(self, on: Stage) -> None:
        self._engine = open_engine(on.url)

    def is_clean(self) -> bool:
        """Whether the late receipt is posted, and nothing is to be valued anew."""
        return self._finds(_POSTED) and not self._finds(_DIRTY)

    def wait_until_clean(self) -> float:
        """When that was so. BenchmarkError where it takes too long."""
        return self._wait(self.is_clean, "valued anew")

    def wait_until_booked(self) -> float:
        """When all that came of it was booked."""

        def is_booked() -> bool:
            with transaction(self._engine) as connection:
                return not is_revaluing(connection)

        return self._wait(is_booked, "booked")

    def check(self, entries: int) -> None:
        """See that every entry behind the receipt was corrected and the accounts agree. BenchmarkError otherwise."""
        with transaction(self._engine) as connection:
            corrected = query(connection, _CORRECTED)[0].corrected
            if corrected < 0.99 * entries - 1:
                raise BenchmarkError(f"{corrected} of {entries} entries were corrected")
            for value in stock_values(connection):
                if value.stock != value.accounts:
                    raise BenchmarkError(f"stock is worth {value.stock}, its accounts say {value.accounts}")
        if self._finds(_PENDING):
            raise BenchmarkError("something is pending in a bin that is clean")
        self._engine.dispose()

    def _finds(self, statement: str) -> bool:
        with transaction(self._engine) as connection:
            return connection.execute(sa.text(statement)).first() is not None

    @staticmethod
    def _wait(holds: Callable[[], bool], what: str) -> float:
        deadline = perf_counter() + PATIENCE
        while not holds():
            if perf_counter() > deadline:
                raise BenchmarkError(f"not {what} within {PATIENCE:g} s")
            sleep(_LOOK)
        return perf_counter()
