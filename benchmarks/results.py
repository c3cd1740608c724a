"""The report: `results/latest.json` for machines, `results/latest.md` for people, and what was not measured."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from statistics import median
from typing import Any

FOLDER = Path(__file__).parent / "results"

ROWS = {
    "P1": ("one-line movements, one message each", "0.4 of the ceiling"),
    "P1b": ("one-line movements, 100 in a message", "0.6 of the ceiling"),
    "P2": ("baskets of a grocery chain, one message each", "0.5 of the ceiling"),
    "P3": ("one movement, idle system", "median 15 ms, p99 50 ms"),
    "P4": ("p99 of one movement at half of P1's load", "250 ms"),
    "P5": ("10,000 generated serials in one receipt", "1 s; 10 s for 100,000; 300 MiB"),
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
    "P7": ("P1 with many entries in the ledger, by P1 with none in the same turns", "0.9 times with 5,000,000"),
    "P8": ("the most memory of a worker under P1, over very many messages", "120 MiB, flat"),
    "P9": ("share of decisions in a worker's time, by a profiler", "to be told"),
    "P10": ("traces among very many movements, through two makings; the longest answer", "100 ms among 1,000,000"),
    "P11": ("`stockbook verify --quick` of a ledger of very many entries", "30 s for 1,000,000, constant memory"),
    "hot": ("one-line movements, all in one bin", ""),
    "wide": ("movements of 500 lines", ""),
    "import": ("`stockbook import serials` of 100,000 rows, until each is answered", "20 s, 200 MiB"),
    "reserved": ("P1 with very many open reservations, by P1 without any in the same turns", "0.95 times"),
    "naive": ("the same stages, one message = one transaction", ""),
    "ceiling": ("the same rows by bare COPY, sets of 500", ""),
}
"""What each row is, and what it is to reach."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: the median, the lowest and highest run, the ratio to the ceiling, processor time by process.

    `also`: what the table says beside the value. `about`: when and how it was measured.
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
    about: Mapping[str, object] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        """The figure as it stands in the JSON."""
        stated = {"ratio": self.ratio, "ceiling": self.ceiling, "cpu_us": self.cpu_us}
        return {
            "value": self.value,
            "unit": self.unit,
            **{name: value for name, value in stated.items() if value is not None},
            "spread": list(self.spread),
            "runs": self.runs,
            "also": self.also,
            "about": self.about,
            **self.details,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Figure":
        """The figure that stands so in the JSON."""
        own = {each.name for each in fields(cls)}
        stated = {name: value for name, value in document.items() if name in own}
        details = {name: value for name, value in document.items() if name not in own}
        return cls(**{**stated, "spread": tuple(document["spread"]), "details": details})


@dataclass(frozen=True, slots=True)
class Report:
    """All figures by row, and why rows are missing."""

    figures: Mapping[str, Figure] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    def with_rows(self, found: "Report") -> "Report":
        """What was found now in the place of what stood here of these rows."""
        figures = {name: each for name, each in self.figures.items() if name not in found.missing}
        missing = {name: each for name, each in self.missing.items() if name not in found.figures}
        return Report({**figures, **found.figures}, {**missing, **found.missing})


def read(folder: Path = FOLDER) -> Report:
    """The report as it was written last."""
    document = json.loads((folder / "latest.json").read_text("utf-8"))
    missing = document.pop("not_measured")
    return Report({name: Figure.of(each) for name, each in document.items()}, missing)


def write(report: Report, folder: Path = FOLDER) -> None:
    """Write both files."""
    document = {name: report.figures[name].document() for name in ROWS if name in report.figures}
    folder.mkdir(exist_ok=True)
    (folder / "latest.json").write_text(json.dumps({**document, "not_measured": report.missing}, indent=2) + "\n")
    (folder / "latest.md").write_text(table(report))


def medians(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The medians of several runs, name by name."""
    return {name: round(median(each[name] for each in found), 1) for name in found[0]}


def table(report: Report) -> str:
    """The report in Markdown."""
    lines = [
        _row("#", "what", "median", "runs", "of the ceiling", "to reach"),
        _row(*["---"] * 6),
        *(
            _row(name, what, *_cells(report.figures[name]), reach)
            for name, (what, reach) in ROWS.items()
            if name in report.figures
        ),
        *_processor_table(report.figures),
        "",
        *_circumstances(report.figures),
    ]
    if report.missing:
        lines += ["", *(f"Not measured here: {name} ({reason})." for name, reason in report.missing.items())]
    return "\n".join(lines) + "\n"


def _cells(figure: Figure) -> tuple[str, str, str]:
    shown = f"{figure.value:g} {figure.unit}"
    if figure.unit.endswith("/s"):
        shown = f"{figure.value:,.0f} {figure.unit}".replace(" movements/s", "/s")
    if figure.also:
        shown += f", {figure.also}"
    ratio = f"{figure.ratio:.2g}" if figure.ratio is not None else ""
    return shown, f"{figure.spread[0]:,g}–{figure.spread[1]:,g} ({figure.runs})", ratio


def _processor_table(figures: Mapping[str, Figure]) -> list[str]:
    """Processor microseconds a movement, below a blank line: a column for each process."""
    known = {name: figure.cpu_us for name, figure in figures.items() if figure.cpu_us is not None}
    if not known:
        return []
    processes = list(dict.fromkeys(process for us in known.values() for process in us))
    return [
        "",
        _row("µs of processor a movement", *processes, "all"),
        _row(*["---"] * (len(processes) + 2)),
        *(
            _row(name, *(_shown(us.get(each)) for each in processes), _shown(sum(us.values())))
            for name, us in known.items()
        ),
    ]


def _shown(microseconds: float | None) -> str:
    return "" if microseconds is None else f"{microseconds:.0f}"


def _circumstances(figures: Mapping[str, Figure]) -> Iterator[str]:
    """When and how rows were measured; where not all at one time, which of them."""
    begun = {str(each.about["measured_at"]): each.about for each in figures.values()}
    for at, about in sorted(begun.items()):
        names = [name for name, each in figures.items() if each.about["measured_at"] == at]
        which = f"{', '.join(names)}: " if len(begun) > 1 else ""
        extent = "a quick look, " if about["quick"] else ""
        yield (
            f"{which}{at}: {extent}{about['movements']:,} movements a run, {about['cores']} cores, Python "
            f"{about['python']}, PostgreSQL {about['postgresql']}; load average before {about['load_average_before']}, "
            f"and {_elsewhere(figures[name] for name in names):.0%} of the machine busy with other things meanwhile."
        )


def _elsewhere(figures: Iterable[Figure]) -> float:
    """The share of the machine that was busy with other things, in the middle one of all runs that know it."""
    told = [each.details.get("elsewhere") for each in figures]
    shares = [float(share) for each in told if isinstance(each, list) for share in each]
    return median(shares) if shares else 0.0


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
