"""`python -m benchmarks [--quick]`: every figure that can be measured today, into `benchmarks/results/`.

The idea: machines are shared and noisy, so what is compared is measured in turns, within a minute of each other, and
given as a ratio; the figure of a row is the median of its runs.
"""

import os
import platform
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import median
from time import monotonic

import sqlalchemy as sa

from benchmarks import ceiling, fairness, importing, past, pipeline, reserving, revaluing, steady, tracing
from benchmarks.ceiling import Stored
from benchmarks.naive import naive_worker
from benchmarks.pipeline import Throughput
from benchmarks.results import Figure, Report, write
from benchmarks.rig import Rig, rig
from shared.logs import configure

SET = 500
"""The set size of a worker, and of the ceiling that ratios refer to."""
BULK = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured: runs, movements in each, latency samples in each, movements of the naive consumer, and
    movements by set size for the other ceilings; runs by the number of later entries of a back-dated receipt, the
    later entries of the one during which others come, and how many of these a second; movements among which goods are
    traced; seconds of a flood; open reservations."""

    runs: int
    movements: int
    samples: int
    naive: int
    small_sets: dict[int, int]
    pasts: dict[int, int]
    cascade: int
    rate: int
    traced: int
    flood: float
    reservations: int


QUICK = Plan(
    runs=3,
    movements=4_000,
    samples=50,
    naive=100,
    small_sets={1: 100, 100: 2_000},
    pasts={10_000: 1},
    cascade=10_000,
    rate=200,
    traced=100_000,
    flood=6,
    reservations=100_000,
)
FULL = Plan(
    runs=5,
    movements=20_000,
    samples=200,
    naive=1_000,
    small_sets={1: 500, 100: 10_000},
    pasts={10_000: 3, 100_000: 1},
    cascade=100_000,
    rate=200,
    traced=1_000_000,
    flood=30,
    reservations=1_000_000,
)


@dataclass(frozen=True, slots=True)
class Turn:
    """What was measured within one minute."""

    single: Throughput
    bulk: Throughput
    naive: Throughput
    ceilings: dict[int, Stored]
    latencies: list[float]

    @property
    def ceiling(self) -> float:
        """The ceiling that ratios refer to."""
        return self.ceilings[SET].rate


def main(arguments: list[str]) -> None:
    """Measure, and write the report."""
    configure("warning")
    plan = QUICK if "--quick" in arguments else FULL
    begun = monotonic()
    load_average = os.getloadavg()[0]
    with rig() as where:
        turns = [_turn(where, plan, number) for number in range(plan.runs)]
        figures = {**_figures(turns), "P6": _late(where, plan), "cascade": _meanwhile(where, plan)}
        figures["import"] = _imported(where)
        figures["fair"] = _fair(where, plan, median(turn.single.rate for turn in turns))
        figures["P10"] = _traced(where, plan)
        figures["reserved"] = _reserved(where, plan)
        about = _about(where, plan, turns, load_average, monotonic() - begun)
    write(Report(figures, about))


def _turn(where: Rig, plan: Plan, number: int) -> Turn:
    single = _said("P1", number, pipeline.throughput(where, plan.movements, 1))
    # With large sets it takes less than a second, so that one try alone would say little.
    ceilings = ceiling.measure(where, single.rows, {SET: plan.movements}, tries=3)
    ceilings |= ceiling.measure(where, single.rows, plan.small_sets)
    print(f"  ceiling, by size of set: {', '.join(f'{size}: {each.rate:.0f}/s' for size, each in ceilings.items())}")
    bulk = _said("P1b", number, pipeline.throughput(where, plan.movements, BULK))
    naive = _said("naive", number, pipeline.throughput(where, plan.naive, 1, naive_worker, warming=30))
    latencies = pipeline.latencies(where, plan.samples)
    print(f"  P3: median {median(latencies):.1f} ms")
    return Turn(single, bulk, naive, ceilings, latencies)


def _said(name: str, number: int, run: Throughput) -> Throughput:
    busy = f"{run.used.elsewhere:.0%} of the machine busy with other things"
    print(f"  {name} run {number + 1}: {run.rate:.0f} movements/s, {busy}", flush=True)
    return run


def _figures(turns: list[Turn]) -> dict[str, Figure]:
    return {
        "P1": _throughput([each.single for each in turns], turns),
        "P1b": _throughput([each.bulk for each in turns], turns),
        "P3": _latency([each.latencies for each in turns]),
        "naive": _throughput([each.naive for each in turns], turns),
        "ceiling": _ceiling(turns),
    }


def _throughput(runs: list[Throughput], turns: list[Turn]) -> Figure:
    """The medians; each run's ratio is to the ceiling of its own turn."""
    return Figure(
        value=round(median(run.rate for run in runs), 1),
        unit="movements/s",
        spread=(round(min(run.rate for run in runs), 1), round(max(run.rate for run in runs), 1)),
        runs=len(runs),
        ratio=round(median(run.rate / turn.ceiling for run, turn in zip(runs, turns, strict=True)), 3),
        ceiling=round(median(turn.ceiling for turn in turns), 1),
        cpu_us=_medians([dict(run.used.microseconds) for run in runs]),
        details={
            "movements_a_transaction": _medians([run.sets for run in runs]),
            "elsewhere": [round(run.used.elsewhere, 2) for run in runs],
            "memory_mib": _medians([run.memory for run in runs]),
        },
    )


def _latency(runs: list[list[float]]) -> Figure:
    """The median of all samples; the spread is that of the runs' medians."""
    samples = sorted(sample for run in runs for sample in run)
    medians = [median(run) for run in runs]
    return Figure(
        value=round(median(samples), 1),
        unit="ms",
        spread=(round(min(medians), 1), round(max(medians), 1)),
        runs=len(runs),
        details={"p99": (p99 := round(samples[int(len(samples) * 0.99)], 1)), "samples": len(samples)},
        also=f"p99 {p99} ms",
    )


def _late(where: Rig, plan: Plan) -> Figure:
    """What is told late, ahead of pasts of several lengths; the figure is that of the shortest."""
    found: dict[int, list[revaluing.Cascade]] = {}
    for entries, runs in plan.pasts.items():
        with revaluing.furnished(where, past.FIFO, entries) as ready:
            found[entries] = [revaluing.cascade(ready, entries) for _ in range(runs)]
        seconds = ", ".join(f"{each.clean:.1f}" for each in found[entries])
        print(f"  P6: {entries:,} later entries valued anew in {seconds} s", flush=True)
    shortest, *others = found
    clean = [each.clean for each in found[shortest]]
    by_length = {str(entries): round(median(each.clean for each in runs), 2) for entries, runs in found.items()}
    return Figure(
        value=round(median(clean), 2),
        unit="s",
        spread=(round(min(clean), 2), round(max(clean), 2)),
        runs=len(clean),
        cpu_us=_medians([dict(each.used.microseconds) for each in found[shortest]]),
        details={
            "seconds": by_length,
            "booked": {str(entries): round(median(each.booked for each in runs), 2) for entries, runs in found.items()},
            "memory_mib": {str(entries): _medians([each.memory for each in runs]) for entries, runs in found.items()},
        },
        also=", ".join(f"{by_length[str(each)]:g} s ahead of {each:,}" for each in others),
    )


def _meanwhile(where: Rig, plan: Plan) -> Figure:
    """How late others are while a past is valued anew, in other bins and in those of the past."""
    with revaluing.furnished(where, past.FIFO, plan.cascade) as ready:
        run = steady.cascade(ready, past.FIFO, plan.cascade, plan.rate, calm=10)
    times = round(run.during.p99 / run.idle.p99, 2)
    print(f"  cascade: p99 {run.during.p99:g} ms, idle {run.idle.p99:g} ms", flush=True)
    return Figure(
        value=times,
        unit="times",
        spread=(times, times),
        runs=1,
        details={"later_entries": plan.cascade, **asdict(run)},
        also=f"{run.during.p99:g} ms by {run.idle.p99:g} ms; {run.during_touching.p99:g} ms in the bin concerned",
    )


def _fair(where: Rig, plan: Plan, capacity: float) -> Figure:
    """How late a quiet source is while another sends as much as there is capacity: without lanes, and with."""
    runs = {}
    for name in ("without", "with"):
        run = runs[name] = fairness.fairness(where, capacity, plan.flood, plan.flood, lanes=name == "with")
        medians = f"median {run.during.p50:g} ms by {run.idle.p50:g} ms"
        print(f"  fair, {name} lanes: p99 {run.during.p99:g} ms by {run.idle.p99:g} ms, {medians}", flush=True)
    fair, unfair = runs["with"], runs["without"]
    return Figure(
        value=fair.times,
        unit="times",
        spread=(fair.times, fair.times),
        runs=1,
        cpu_us=fair.cpu_us,
        details={name: asdict(run) for name, run in runs.items()},
        also=f"{fair.during.p99:g} ms by {fair.idle.p99:g} ms; without lanes {unfair.times:g} times",
    )


def _reserved(where: Rig, plan: Plan) -> Figure:
    """What is left of the throughput where very many reservations are open."""
    found = reserving.compare(where, plan.reservations, plan.runs, plan.movements)
    ratios = [round(each, 3) for each in found.ratios]
    print(f"  reserved: {', '.join(f'{each:g}' for each in ratios)} of the throughput without any", flush=True)
    spent = {service: found.microseconds(service) for service in ("receiving", "postgresql")}
    return Figure(
        value=round(median(ratios), 3),
        unit="times",
        spread=(min(ratios), max(ratios)),
        runs=len(ratios),
        details={
            "reservations": plan.reservations,
            "rates": [[round(run.rate, 1) for run in runs] for runs in (found.without, found.beside)],
            "cpu_us": {service: {"without": before, "with": after} for service, (before, after) in spent.items()},
        },
    )


def _traced(where: Rig, plan: Plan) -> Figure:
    """Traces among very many movements; the figure is that of the question with the longest answer."""
    with tracing.furnished(where.server, plan.traced) as engine:
        asked = {name: tracing.ask(engine, name, plan.runs * 4) for name in tracing.QUESTIONS}
    medians = {name: round(median(each.milliseconds), 1) for name, each in asked.items()}
    print(f"  P10: {', '.join(f'{name}: {each:g} ms' for name, each in medians.items())}", flush=True)
    slowest = max(medians, key=lambda name: medians[name])
    others = max(each for name, each in medians.items() if name != slowest)
    answer = f"{asked[slowest].goods} goods, {asked[slowest].events:,} events"
    return Figure(
        value=medians[slowest],
        unit="ms",
        spread=(round(min(asked[slowest].milliseconds), 1), round(max(asked[slowest].milliseconds), 1)),
        runs=len(asked[slowest].milliseconds),
        details={
            "movements": plan.traced,
            "milliseconds": medians,
            "goods": {name: each.goods for name, each in asked.items()},
            "events": {name: each.events for name, each in asked.items()},
        },
        also=f"{slowest}: {answer}; all others {others:g} ms at most",
    )


def _imported(where: Rig) -> Figure:
    """How long a table takes until each of its rows is answered."""
    run = importing.imported(where, importing.ROWS)
    print(f"  import: {run.rows:,} serials in {run.seconds:.1f} s", flush=True)
    seconds, memory = round(run.seconds, 1), round(run.memory)
    return Figure(
        value=seconds,
        unit="s",
        spread=(seconds, seconds),
        runs=1,
        cpu_us=dict(run.used.microseconds),
        details={"rows": run.rows, "memory_mib": memory, "elsewhere": round(run.used.elsewhere, 2)},
        also=f"{memory} MiB",
    )


def _ceiling(turns: list[Turn]) -> Figure:
    rates = [turn.ceiling for turn in turns]
    by_set = {str(size): round(median(turn.ceilings[size].rate for turn in turns), 1) for size in turns[0].ceilings}
    return Figure(
        value=round(median(rates), 1),
        unit="movements/s",
        spread=(round(min(rates), 1), round(max(rates), 1)),
        runs=len(rates),
        cpu_us=_medians([dict(turn.ceilings[SET].used.microseconds) for turn in turns]),
        details={"by_set": by_set},
    )


def _medians(found: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(median(each[name] for each in found), 1) for name in found[0]}


def _about(where: Rig, plan: Plan, turns: list[Turn], load_average: float, seconds: float) -> dict[str, object]:
    engine = sa.create_engine(where.server, poolclass=sa.NullPool)
    with engine.connect() as connection:
        postgresql = connection.scalar(sa.text("SHOW server_version"))
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": plan is QUICK,
        "movements": plan.movements,
        "seconds": round(seconds),
        "cores": os.cpu_count(),
        "load_average_before": round(load_average, 2),
        "elsewhere": round(median(turn.single.used.elsewhere for turn in turns), 2),
        "python": platform.python_version(),
        "postgresql": str(postgresql).partition(" ")[0],
    }


if __name__ == "__main__":
    main(sys.argv[1:])
