"""P5: one receipt of very many units, for which the gate makes the serials, until its journal entry is heard of.

Aftercare runs too, since it hears of every unit; how long until it has taken all of them in is told beside it.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import perf_counter, sleep

import sqlalchemy as sa

from benchmarks import load
from benchmarks.processors import Used, peak_memory, used
from benchmarks.rig import AFTERCARE, PATIENCE, BenchmarkError, Rig, check_books, rig, settle_disk, stage, with_past
from services.desk.events import make_event
from shared.contracts.masters import ItemDefined
from shared.contracts.movement import MovementRequested, RequestedLine
from shared.db import open_engine, transaction
from shared.logs import configure
from shared.purposes import Tracking
from shared.quantities import Quantity, Rate

ITEM = "generated"
SIZES = (10_000, 100_000)
_UNITS = f"""
SELECT (SELECT count(*) FROM receiving.serial WHERE item = '{ITEM}' AND status = 'active') AS gate,
    (SELECT count(*) FROM ledger.serial WHERE item = '{ITEM}') AS ledger,
    (SELECT count(*) FROM aftercare.move WHERE item = '{ITEM}') AS aftercare
"""
_LOOK = 0.01  # seconds between two looks at how far aftercare is


@dataclass(frozen=True, slots=True)
class Received:
    """One run: seconds until the journal entry was heard of, and until aftercare had taken all units in; processor time
    a unit by process, and peak memory (MiB) by service."""

    serials: int
    seconds: float
    cared_for: float
    used: Used
    memory: dict[str, float]


def received(where: Rig, serials: int, runs: int) -> list[Received]:
    """Receive so many units at once, each time where there is none."""
    item = ItemDefined(company=load.COMPANY, item=ITEM, tracking=Tracking.SERIAL, serial_series="UNIT-.########")
    with with_past(where, [make_event("item.defined.v1", load.SOURCE, item, ITEM)], ()) as ready:
        return [_received(ready, serials) for _ in range(runs)]


def _received(ready: Rig, serials: int) -> Received:
    with stage(ready, 100, beside=[AFTERCARE]) as (on, listener):
        messages = load.messages([_receipt(serials)], 1)
        publisher = on.broker.publisher()
        publisher.publish([])  # it connects
        settle_disk(on.url)
        before = on.reading()
        started = perf_counter()
        publisher.publish(messages)
        listener.wait_for(1)
        seconds = perf_counter() - started
        cared_for = _wait_for_aftercare(on.url, serials) - started
        after = on.reading()
        publisher.close()
        check_books(on.url, 1)
        memory = {service: peak_memory(worker) for service, worker in on.workers.items()}
        return Received(serials, seconds, cared_for, used(before, after, cared_for, serials), memory)


def _receipt(serials: int) -> MovementRequested:
    line = RequestedLine(item=ITEM, quantity=Quantity(serials), target=load.WAREHOUSES[0], rate=Rate("9.90"))
    return MovementRequested(
        id=f"{load.TIMED}-0000000",
        company=load.COMPANY,
        purpose="purchase_receipt",
        posting_at=load.OPENED + timedelta(days=2),
        supplier="Units Ltd",
        lines=[line],
    )


def _wait_for_aftercare(url: str, serials: int) -> float:
    """When all units are known in every service. BenchmarkError where that never is so."""
    deadline = perf_counter() + PATIENCE
    engine = open_engine(url)
    try:
        while (known := _known(engine)) != (serials,) * 3:
            if perf_counter() > deadline:
                raise BenchmarkError(f"of {serials} units gate, ledger and aftercare know {known}")
            sleep(_LOOK)
        return perf_counter()
    finally:
        engine.dispose()


def _known(engine: sa.Engine) -> tuple[int, ...]:
    with transaction(engine) as connection:
        return tuple(connection.execute(sa.text(_UNITS)).one())


def main(arguments: Sequence[str]) -> None:
    """Measure this row alone, with receipts of so many units, and print it."""
    configure("warning")
    with rig() as where:
        for serials in map(int, arguments or SIZES):
            run = received(where, serials, 1)[0]
            print(f"{serials:,} serials in {run.seconds:.2f} s, in aftercare after {run.cared_for:.2f} s;")
            print(f"  peak MiB {run.memory}; µs a unit {dict(run.used.microseconds)}")


if __name__ == "__main__":
    main(sys.argv[1:])
