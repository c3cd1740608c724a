"""Rows that need no turn with P1 in the same minute: each measured, and told as figures.

Whoever compares does so by itself, in turns of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from benchmarks import grocery, grown, profiled, resident, serials, shapes, steady
from benchmarks.pipeline import Throughput
from benchmarks.plans import Plan
from benchmarks.results import Figure, medians
from benchmarks.rig import Rig

SET = 500
"""The set size of a worker, and of the ceiling that ratios refer to."""

Figures = Mapping[str, Figure]


def baskets(where: Rig, plan: Plan) -> Figures:
    """P2."""
    found = grocery.groceries(where, plan.baskets, plan.runs, SET)
    lines = found.lines / found.sales
    rates = [run.rate * lines for run in found.runs]
    ratios = [run.rate / stored.rate for run, stored in zip(found.runs, found.ceilings, strict=True)]
    _say("P2", f"{', '.join(f'{each:.0f}' for each in rates)} lines/s")
    figure = Figure(
        value=round(median(rates), 1),
        unit="lines/s",
        spread=_spread(rates),
        runs=len(rates),
        ratio=round(median(ratios), 3),
        ceiling=round(median(stored.rate * lines for stored in found.ceilings), 1),
        cpu_us=medians([run.used.microseconds for run in found.runs]),
        details={"baskets": found.sales, "lines": found.lines, "tracked": found.tracked, **_runs(found.runs)},
        also=f"{lines:.1f} lines a basket; aftercare runs too",
    )
    return {"P2": figure}


def half_load(where: Rig, plan: Plan, capacity: float) -> Figures:
    """P4, where P1 comes to `capacity`."""
    runs = [steady.half_load(where, capacity / 2, plan.half) for _ in range(plan.runs)]
    slowest = [run.latency.p99 for run in runs]
    rate, middle = runs[0].rate, round(median(run.latency.p50 for run in runs), 1)
    _say("P4", f"p99 {', '.join(f'{each:g}' for each in slowest)} ms at {rate:.0f} movements/s")
    figure = Figure(
        value=round(median(slowest), 1),
        unit="ms",
        spread=_spread(slowest),
        runs=len(runs),
        cpu_us=medians([run.used.microseconds for run in runs]),
        details={
            "p50": middle,
            "rate": rate,
            "samples": sum(run.latency.samples for run in runs),
            "elsewhere": [round(run.used.elsewhere, 2) for run in runs],
        },
        also=f"median {middle:g} ms, at {rate:,.0f} movements/s",
    )
    return {"P4": figure}


def generated(where: Rig, plan: Plan) -> Figures:
    """P5; the figure is that of the smallest receipt."""
    found = {size: serials.received(where, size, runs) for size, runs in plan.serials.items()}
    for size, runs in found.items():
        _say("P5", f"{size:,} serials in {', '.join(f'{each.seconds:.2f}' for each in runs)} s")
    smallest, *others = found
    seconds = [each.seconds for each in found[smallest]]
    by_size = {size: round(median(each.seconds for each in runs), 2) for size, runs in found.items()}
    memory = {size: medians([each.memory for each in runs]) for size, runs in found.items()}
    most = max(max(each.memory.values()) for runs in found.values() for each in runs)
    later = [f"{by_size[size]:g} s for {size:,}" for size in others]
    figure = Figure(
        value=by_size[smallest],
        unit="s",
        spread=_spread(seconds, 2),
        runs=len(seconds),
        details={
            "seconds": by_size,
            "in_aftercare": {size: round(median(each.cared_for for each in runs), 2) for size, runs in found.items()},
            "cpu_us_a_unit": {size: medians([each.used.microseconds for each in runs]) for size, runs in found.items()},
            "memory_mib": memory,
        },
        also=", ".join([*later, f"a worker has {most:.0f} MiB at most; aftercare runs too"]),
    )
    return {"P5": figure}


def growing(where: Rig, plan: Plan) -> Figures:
    """P7 at the largest size, and P11."""
    rungs = []
    for rung in grown.grown(where, plan.sizes, plan.verified, plan.runs, plan.movements):
        ratios = f"P1 keeps {', '.join(f'{each:.2f}' for each in rung.ratios)}" if rung.full else "P1 not measured"
        _say("P7", f"{rung.entries:,} entries, {rung.size / 2**20:,.0f} MiB, filled in {rung.filled:.0f} s: {ratios}")
        rungs.append(rung)
    return {"P7": _grown([rung for rung in rungs if rung.full]), "P11": _verified(rungs)}


def _grown(rungs: Sequence[grown.Rung]) -> Figure:
    *others, last = rungs
    less = [f"{median(rung.ratios):.2f} with {rung.entries:,}" for rung in others]
    return Figure(
        value=round(median(last.ratios), 3),
        unit="times",
        spread=_spread(last.ratios, 3),
        runs=len(last.ratios),
        cpu_us=medians([run.used.microseconds for run in last.full]),
        details={
            "entries": [rung.entries for rung in rungs],
            "ratios": [[round(each, 3) for each in rung.ratios] for rung in rungs],
            "rates": [[[round(run.rate, 1) for run in runs] for runs in (rung.empty, rung.full)] for rung in rungs],
            "cpu_us_empty": [medians([run.used.microseconds for run in rung.empty]) for rung in rungs],
            "cpu_us_full": [medians([run.used.microseconds for run in rung.full]) for rung in rungs],
            "size_mib": [round(rung.size / 2**20) for rung in rungs],
            "filled_seconds": [round(rung.filled) for rung in rungs],
        },
        also=", ".join([f"with {last.entries:,}", *less]),
    )


def _verified(rungs: Sequence[grown.Rung]) -> Figure:
    found = {rung.entries: rung.verified for rung in rungs if rung.verified is not None}
    (*_, (most, last)) = found.items()
    seconds = [each.seconds for each in last.quick]
    quick, thorough = round(last.seconds, 1), round(last.thorough.seconds, 1)
    _say("P11", f"{most:,} entries verified in {quick:g} s, thoroughly in {thorough:g} s")
    return Figure(
        value=quick,
        unit="s",
        spread=_spread(seconds),
        runs=len(seconds),
        details={
            "entries": list(found),
            "seconds": [round(each.seconds, 1) for each in found.values()],
            "memory_mib": [each.memory for each in found.values()],
            "thorough_seconds": [round(each.thorough.seconds, 1) for each in found.values()],
            "thorough_memory_mib": [each.thorough.memory for each in found.values()],
        },
        also=f"{last.memory:.0f} MiB; thoroughly {thorough:g} s, {last.thorough.memory:.0f} MiB, of {most:,}",
    )


def memory(where: Rig, plan: Plan) -> Figures:
    """P8: the most that a worker had; the spread is from the service that had least to the one that had most."""
    run = resident.resident(where, plan.long)
    _say("P8", f"{run.most:.0f} MiB at most, growth {run.growth}")
    most = {service: max(samples) for service, samples in run.samples.items()}
    grows = max(run.growth.values())
    figure = Figure(
        value=round(run.most, 1),
        unit="MiB",
        spread=(min(most.values()), max(most.values())),
        runs=1,
        cpu_us=run.used.microseconds,
        details={
            "movements": run.movements,
            "elsewhere": [round(run.used.elsewhere, 2)],
            "seconds": round(run.seconds),
            "most": most,
            "growth": run.growth,
            "samples": run.samples,
        },
        also=f"{grows:+g} MiB from the second fifth to the last of {run.movements:,} movements in {run.seconds:,.0f} s",
    )
    return {"P8": figure}


def shares(where: Rig, plan: Plan) -> Figures:
    """P9: of the three workers, the middle share of decisions; the others beside it."""
    found = profiled.profile(where, plan.profiled)
    decisions = [each[profiled.DECISIONS] * 100 for each in found.shares.values()]
    told = "; ".join(f"{service} {_percent(each)}" for service, each in found.shares.items())
    _say("P9", told)
    figure = Figure(
        value=round(median(decisions), 1),
        unit="%",
        spread=_spread(decisions),
        runs=1,
        details={"movements": plan.profiled, "shares": found.shares, "waits": found.waits},
        also=f"decisions / SQL / PostgreSQL / AMQP / JSON / the rest: {told}",
    )
    return {"P9": figure}


def other_shapes(where: Rig, plan: Plan) -> Figures:
    """The hot item and wide movements, each by P1 in the same turns."""
    found = shapes.shapes(where, plan.runs, plan.movements, plan.wide)
    lines = [run.rate * shapes.LINES for run in found.wide]
    _say("hot", f"{', '.join(f'{run.rate:.0f}' for run in found.hot)} movements/s")
    _say("wide", f"{', '.join(f'{each:.0f}' for each in lines)} lines/s")
    hot = Figure(
        value=round(median(run.rate for run in found.hot), 1),
        unit="movements/s",
        spread=_spread([run.rate for run in found.hot]),
        runs=len(found.hot),
        cpu_us=medians([run.used.microseconds for run in found.hot]),
        details={"by_p1": round(found.hot_ratio, 3), **_runs(found.hot)},
        also=f"{found.hot_ratio:.2f} of P1 in the same turns",
    )
    wide = Figure(
        value=round(median(lines), 1),
        unit="lines/s",
        spread=_spread(lines),
        runs=len(lines),
        cpu_us=medians([run.used.microseconds for run in found.wide]),
        details={"by_p1": round(found.wide_ratio, 3), "movements": plan.wide, **_runs(found.wide)},
        also=f"{found.wide_ratio:.2f} of the lines of P1 in the same turns",
    )
    return {"hot": hot, "wide": wide}


def _percent(each: Mapping[str, float]) -> str:
    return " / ".join(f"{share:.0%}" for share in each.values())


def _runs(runs: Sequence[Throughput]) -> dict[str, object]:
    return {
        "movements_a_transaction": medians([run.sets for run in runs]),
        "elsewhere": [round(run.used.elsewhere, 2) for run in runs],
        "memory_mib": medians([run.memory for run in runs]),
    }


def _spread(found: Sequence[float], places: int = 1) -> tuple[float, float]:
    return round(min(found), places), round(max(found), places)


def _say(name: str, text: str) -> None:
    print(f"  {name}: {text}", flush=True)


MEASURES: Mapping[tuple[str, ...], Callable[[Rig, Plan], Figures]] = {
    ("P2",): baskets,
    ("P5",): generated,
    ("P7", "P11"): growing,
    ("P8",): memory,
    ("P9",): shares,
    ("hot", "wide"): other_shapes,
}
"""What measures which rows."""
