"""The report: `results/latest.json` for machines, `results/latest.md` for people, and what was not measured."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "results"

ROWS = {
    "P1": ("one-line movements, one message each", "0.4 of the ceiling"),
    "P1b": ("one-line movements, 100 in a message", "0.6 of the ceiling"),
    "P3": ("one movement, idle system", "median 15 ms, p99 50 ms"),
    "P6": (
        "a back-dated receipt ahead of 10,000 later entries, until all are valued anew",
        "1 s; 10 s ahead of 100,000",
    ),
    "cascade": (
        "meanwhile, p99 of sales in other bins, by that of an idle system",
        "2 times; 1,000 ms in the bins concerned",
    ),
    "fair": (
        "p99 of a source that sends little while another sends twenty times its share, by that of an idle system",
        "5 times",
    ),
    "P10": ("traces among a million movements, through making in two steps; the longest answer", "100 ms"),
    "import": ("`stockbook import serials` of 100,000 rows, until each is answered", "20 s, 200 MiB"),
    "reserved": ("P1 with 1,000,000 open reservations, by P1 without any in the same turns", "0.95 times"),
    "naive": ("the same stages, one message = one transaction", ""),
    "ceiling": ("the same rows by bare COPY, sets of 500", ""),
}
"""What each row is, and what it is to reach."""

NOT_MEASURED = {
    "P2": "baskets of a grocery chain, in lines/s",
    "P4": "latency at half of P1's load",
    "P5": "10,000 and 100,000 generated serials in one receipt",
    "P7": "P1 with 5 million entries in the ledger",
    "P8": "memory of a worker over an hour (its peak in P1's runs is in latest.json)",
    "P9": "share of decisions, SQL, AMQP and JSON in a worker's time",
    "P11": "verify of a ledger of a million entries",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: the median, the lowest and highest run, the ratio to the ceiling, processor time by process.

    `also`: what the table says beside the value.
    """

    value: float
    unit: str
    spread: tuple[float, float]
    runs: int
    ratio: float | None = None
    ceiling: float | None = None
    cpu_us: Mapping[str, float] | None = None
    details: Mapping[str, object] = field(default_factory=dict)
    also: str = ""

    def document(self) -> dict[str, object]:
        """The figure as it stands in the JSON."""
        stated = {"ratio": self.ratio, "ceiling": self.ceiling, "cpu_us": self.cpu_us}
        return {
            "value": self.value,
            "unit": self.unit,
            **{name: value for name, value in stated.items() if value is not None},
            "spread": list(self.spread),
            "runs": self.runs,
            **self.details,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All figures by row, and how they came about."""

    figures: Mapping[str, Figure]
    about: Mapping[str, object]


def write(report: Report, folder: Path = FOLDER) -> None:
    """Write both files, and show the table."""
    document = {name: figure.document() for name, figure in report.figures.items()}
    full = {**document, "not_measured": NOT_MEASURED, "about": report.about}
    table = _table(report)
    folder.mkdir(exist_ok=True)
    (folder / "latest.json").write_text(json.dumps(full, indent=2) + "\n")
    (folder / "latest.md").write_text(table)
    print(table)


def _table(report: Report) -> str:
    lines = [
        _row("#", "what", "median", "runs", "of the ceiling", "to reach"),
        _row(*["---"] * 6),
        *(_row(name, what, *_cells(report.figures[name]), reach) for name, (what, reach) in ROWS.items()),
        "",
        *_processor_table(report.figures),
        "",
        _circumstances(report.about),
        "",
        "Not measured yet: " + "; ".join(f"{name} ({what})" for name, what in NOT_MEASURED.items()) + ".",
    ]
    return "\n".join(lines) + "\n"


def _cells(figure: Figure) -> tuple[str, str, str]:
    shown = f"{figure.value:,.0f}/s" if figure.unit == "movements/s" else f"{figure.value:g} {figure.unit}"
    if figure.also:
        shown += f", {figure.also}"
    ratio = f"{figure.ratio:.2g}" if figure.ratio is not None else ""
    return shown, f"{figure.spread[0]:,g}–{figure.spread[1]:,g} ({figure.runs})", ratio


def _processor_table(figures: Mapping[str, Figure]) -> list[str]:
    """Processor microseconds a movement: a column for each process."""
    known = {name: figure.cpu_us for name, figure in figures.items() if figure.cpu_us is not None}
    processes = list(dict.fromkeys(process for us in known.values() for process in us))
    return [
        _row("µs of processor a movement", *processes, "all"),
        _row(*["---"] * (len(processes) + 2)),
        *(
            _row(name, *(_shown(us.get(each)) for each in processes), _shown(sum(us.values())))
            for name, us in known.items()
        ),
    ]


def _shown(microseconds: float | None) -> str:
    return "" if microseconds is None else f"{microseconds:.0f}"


def _circumstances(about: Mapping[str, object]) -> str:
    extent = "a quick look, " if about["quick"] else ""
    return (
        f"{about['measured_at']}: {extent}{about['movements']:,} movements a run, {about['cores']} cores, Python "
        f"{about['python']}, PostgreSQL {about['postgresql']}; load average before {about['load_average_before']}, "
        f"and {about['elsewhere']:.0%} of the machine busy with other things meanwhile."
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
