"""The table of faults: a line each as soon as it is known, what is wrong below it, and the sum in the last line."""

from collections.abc import Sequence

from tests.faults.run.judging import DOUBLED, LOST, STUCK, UNBALANCED
from tests.faults.run.running import Row

KINDS = (LOST, DOUBLED, UNBALANCED, STUCK)
_WIDTH = 62
HEADER = f"{'fault':<{_WIDTH}} movements  lost doubled unbalanced stuck recovered in"


def line(row: Row) -> str:
    """A row, with what is wrong in it below."""
    if row.left_out:
        return f"{row.name:<{_WIDTH}} left out: {row.left_out}"
    counts = row.verdict.counts
    figures = f"{counts[LOST]:>5} {counts[DOUBLED]:>7} {counts[UNBALANCED]:>10} {counts[STUCK]:>5}"
    told = f"{row.name:<{_WIDTH}} {row.movements:>9} {figures} {row.seconds:>10.1f} s"
    wrong = [row.failure] if row.failure else []
    return "\n    ".join([told, *wrong, *row.verdict.notes])


def total(rows: Sequence[Row]) -> str:
    """The last line."""
    injected = [row for row in rows if not row.left_out]
    sums = ", ".join(f"{kind} {sum(row.verdict.counts[kind] for row in injected)}" for kind in KINDS)
    return f"{len(injected)} faults: {sums}"


def failures(rows: Sequence[Row]) -> list[str]:
    """What the sums do not show: faults that did not happen, and recoveries that took too long."""
    return [
        f"failed: {row.name}: {_first_line(row.failure) or f'{row.seconds:.0f} s'}" for row in rows if _is_hidden(row)
    ]


def notes(rows: Sequence[Row]) -> list[str]:
    """What is to be known of a fault that the table has no room for."""
    return [f"{row.name}: {row.note}" for row in rows if row.note]


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _is_hidden(row: Row) -> bool:
    return not row.left_out and not row.is_good and row.verdict.is_good
