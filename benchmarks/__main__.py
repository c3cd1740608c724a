"""`python -m benchmarks [--quick] [--keep] [ROW ...]`: every figure that can be measured, into `benchmarks/results/`.

The idea: machines are shared and noisy, so what is compared is measured in turns, within a minute of each other, and
given as a ratio; the figure of a row is the median of its runs. Rows that are named are measured alone, and only shown;
with `--keep` they take the place of what was written of them before, and all others stay.
"""

import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from statistics import median

import sqlalchemy as sa

from benchmarks import ceiling, fairness, importing, past, pipeline, reserving, revaluing, rows, steady, tracing
from benchmarks.ceiling import Stored
from benchmarks.naive import naive_worker
from benchmarks.pipeline import Throughput
from benchmarks.plans import FULL, QUICK, Plan
from benchmarks.results import ROWS, Figure, Report, medians, read, table, write
from benchmarks.rig import BenchmarkError, NotHereError, Rig, rig
from benchmarks.rows import SET, Figures
from shared.logs import configure

BULK = 100

Measure = Callable[[Rig, Plan, Figures], Figures]
"""Measures one row or some that belong together; it is given what was measured before."""


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
    """Measure all rows, or those that are named, and write the report as it grows.

    A row that fails does not take the others with it: the report says why it is missing, and the exit code is 1.
    """
    configure("warning")
    plan = QUICK if "--quick" in arguments else FULL
    named = [each for each in arguments if not each.startswith("--")]
    if unknown := set(named) - set(ROWS):
        sys.exit(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    is_kept = "--keep" in arguments
    report, shown = read() if is_kept else Report(), Report()
    failed = False
    load_average = round(os.getloadavg()[0], 2)
    with rig() as where:
        about = _about(where, plan) | {"load_average_before": load_average}
        for names, measure in MEASURES.items():
            if named and not set(names) & set(named):
                continue
            found = Report()
            try:
                figures = measure(where, plan, shown.figures)
                found = Report({name: replace(each, about=about) for name, each in figures.items()})
            except (NotHereError, BenchmarkError) as reason:
                print(f"  {', '.join(names)}: {reason}", flush=True)
                found = Report(missing=dict.fromkeys(names, str(reason)))
                failed = failed or isinstance(reason, BenchmarkError)
            report, shown = report.with_rows(found), shown.with_rows(found)
            if is_kept or not named:
                write(report)
    print(table(shown))
    sys.exit(1 if failed else 0)


def _turns(where: Rig, plan: Plan, _: Figures) -> Figures:
    turns = [_turn(where, plan, number) for number in range(plan.runs)]
    return {
        "P1": _throughput([each.single for each in turns], turns),
        "P1b": _throughput([each.bulk for each in turns], turns),
        "P3": _latency([each.latencies for each in turns]),
        "naive": _throughput([each.naive for each in turns], turns),
        "ceiling": _ceiling(turns),
    }


def _turn(where: Rig, plan: Plan, number: int) -> Turn:
    single = _said("P1", number, pipeline.throughput(where, plan.movements, 1, keeping=True))
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


def _throughput(runs: list[Throughput], turns: list[Turn]) -> Figure:
    """The medians; each run's ratio is to the ceiling of its own turn."""
    return Figure(
        value=round(median(run.rate for run in runs), 1),
        unit="movements/s",
        spread=(round(min(run.rate for run in runs), 1), round(max(run.rate for run in runs), 1)),
        runs=len(runs),
        ratio=round(median(run.rate / turn.ceiling for run, turn in zip(runs, turns, strict=True)), 3),
        ceiling=round(median(turn.ceiling for turn in turns), 1),
        cpu_us=medians([run.used.microseconds for run in runs]),
        details={
            "movements_a_transaction": medians([run.sets for run in runs]),
            "elsewhere": [round(run.used.elsewhere, 2) for run in runs],
            "memory_mib": medians([run.memory for run in runs]),
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


def _late(where: Rig, plan: Plan, _: Figures) -> Figures:
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
    figure = Figure(
        value=round(median(clean), 2),
        unit="s",
        spread=(round(min(clean), 2), round(max(clean), 2)),
        runs=len(clean),
        cpu_us=medians([dict(each.used.microseconds) for each in found[shortest]]),
        details={
            "seconds": by_length,
            "booked": {str(entries): round(median(each.booked for each in runs), 2) for entries, runs in found.items()},
            "memory_mib": {str(entries): medians([each.memory for each in runs]) for entries, runs in found.items()},
        },
        also=", ".join(f"{by_length[str(each)]:g} s ahead of {each:,}" for each in others),
    )
    return {"P6": figure}


def _meanwhile(where: Rig, plan: Plan, _: Figures) -> Figures:
    """How late others are while a past is valued anew, in other bins and in those of the past."""
    with revaluing.furnished(where, past.FIFO, plan.cascade) as ready:
        run = steady.cascade(ready, past.FIFO, plan.cascade, plan.rate, calm=10)
    times = round(run.during.p99 / run.idle.p99, 2)
    print(f"  cascade: p99 {run.during.p99:g} ms, idle {run.idle.p99:g} ms", flush=True)
    figure = Figure(
        value=times,
        unit="times",
        spread=(times, times),
        runs=1,
        details={"later_entries": plan.cascade, **asdict(run)},
        also=f"{run.during.p99:g} ms by {run.idle.p99:g} ms; {run.during_touching.p99:g} ms in the bin concerned",
    )
    return {"cascade": figure}


def _half(where: Rig, plan: Plan, found: Figures) -> Figures:
    return rows.half_load(where, plan, _capacity(where, plan, found))


def _capacity(where: Rig, plan: Plan, found: Figures) -> float:
    """Movements a second that P1 comes to; where it is not among what is measured, that of one run."""
    return found["P1"].value if "P1" in found else pipeline.throughput(where, plan.movements, 1).rate


def _fair(where: Rig, plan: Plan, found: Figures) -> Figures:
    """How late a quiet source is while another sends as much as there is capacity: without lanes, and with."""
    runs, capacity = {}, _capacity(where, plan, found)
    for name in ("without", "with"):
        run = runs[name] = fairness.fairness(where, capacity, plan.flood, plan.flood, lanes=name == "with")
        medians = f"median {run.during.p50:g} ms by {run.idle.p50:g} ms"
        print(f"  fair, {name} lanes: p99 {run.during.p99:g} ms by {run.idle.p99:g} ms, {medians}", flush=True)
    fair, unfair = runs["with"], runs["without"]
    figure = Figure(
        value=fair.times,
        unit="times",
        spread=(fair.times, fair.times),
        runs=1,
        cpu_us=fair.cpu_us,
        details={name: asdict(run) for name, run in runs.items()},
        also=f"{fair.during.p99:g} ms by {fair.idle.p99:g} ms; without lanes {unfair.times:g} times",
    )
    return {"fair": figure}


def _reserved(where: Rig, plan: Plan, _: Figures) -> Figures:
    """What is left of the throughput where very many reservations are open."""
    found = reserving.compare(where, plan.reservations, plan.runs, plan.movements)
    ratios = [round(each, 3) for each in found.ratios]
    print(f"  reserved: {', '.join(f'{each:g}' for each in ratios)} of the throughput without any", flush=True)
    spent = {service: found.microseconds(service) for service in ("receiving", "postgresql")}
    figure = Figure(
        value=round(median(ratios), 3),
        unit="times",
        spread=(min(ratios), max(ratios)),
        runs=len(ratios),
        details={
            "reservations": plan.reservations,
            "rates": [[round(run.rate, 1) for run in runs] for runs in (found.without, found.beside)],
            "cpu_us_in_turns": {
                service: {"without": before, "with": after} for service, (before, after) in spent.items()
            },
        },
        also=f"with {plan.reservations:,}",
    )
    return {"reserved": figure}


def _traced(where: Rig, plan: Plan, _: Figures) -> Figures:
    """Traces among very many movements; the figure is that of the question with the longest answer."""
    with tracing.furnished(where.server, plan.traced) as engine:
        asked = {name: tracing.ask(engine, name, plan.runs * 4) for name in tracing.QUESTIONS}
    medians = {name: round(median(each.milliseconds), 1) for name, each in asked.items()}
    print(f"  P10: {', '.join(f'{name}: {each:g} ms' for name, each in medians.items())}", flush=True)
    slowest = max(medians, key=lambda name: medians[name])
    others = max(each for name, each in medians.items() if name != slowest)
    answer = f"{asked[slowest].goods} goods, {asked[slowest].events:,} events"
    figure = Figure(
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
        also=f"{slowest}: {answer}; all others {others:g} ms at most; among {plan.traced:,}",
    )
    return {"P10": figure}


def _imported(where: Rig, _: Plan, __: Figures) -> Figures:
    """How long a table takes until each of its rows is answered."""
    run = importing.imported(where, importing.ROWS)
    print(f"  import: {run.rows:,} serials in {run.seconds:.1f} s", flush=True)
    seconds, memory = round(run.seconds, 1), round(run.memory)
    figure = Figure(
        value=seconds,
        unit="s",
        spread=(seconds, seconds),
        runs=1,
        cpu_us=dict(run.used.microseconds),
        details={"rows": run.rows, "memory_mib": memory, "elsewhere": round(run.used.elsewhere, 2)},
        also=f"{memory} MiB",
    )
    return {"import": figure}


def _ceiling(turns: list[Turn]) -> Figure:
    rates = [turn.ceiling for turn in turns]
    by_set = {str(size): round(median(turn.ceilings[size].rate for turn in turns), 1) for size in turns[0].ceilings}
    return Figure(
        value=round(median(rates), 1),
        unit="movements/s",
        spread=(round(min(rates), 1), round(max(rates), 1)),
        runs=len(rates),
        cpu_us=medians([dict(turn.ceilings[SET].used.microseconds) for turn in turns]),
        details={"by_set": by_set},
    )


def _about(where: Rig, plan: Plan) -> dict[str, object]:
    engine = sa.create_engine(where.server, poolclass=sa.NullPool)
    with engine.connect() as connection:
        postgresql = connection.scalar(sa.text("SHOW server_version"))
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": plan is QUICK,
        "movements": plan.movements,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "postgresql": str(postgresql).partition(" ")[0],
    }


def _alone(measure: Callable[[Rig, Plan], Figures]) -> Measure:
    return lambda where, plan, _: measure(where, plan)


MEASURES: Mapping[tuple[str, ...], Measure] = {
    ("P1", "P1b", "P3", "naive", "ceiling"): _turns,
    ("P4",): _half,
    ("P6",): _late,
    ("cascade",): _meanwhile,
    ("import",): _imported,
    ("fair",): _fair,
    ("P10",): _traced,
    ("reserved",): _reserved,
    **{names: _alone(measure) for names, measure in rows.MEASURES.items()},
}
"""What measures which rows, in this order."""


if __name__ == "__main__":
    main(sys.argv[1:])
