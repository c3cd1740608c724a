"""What benchmarks reckon with: loads that leave stock as it is, shares of a profile, the table of figures."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import grown, load, profiled, resident, results, shapes
from benchmarks.__main__ import MEASURES
from benchmarks.processors import Used
from benchmarks.results import Figure, Report
from shared.contracts.movement import MovementRequested

ABOUT = {
    **dict.fromkeys(["measured_at", "python", "postgresql", "load_average_before"], "x"),
    "quick": True,
    "movements": 10,
    "cores": 2,
}
WIDE = Figure(
    1_234.5,
    "lines/s",
    (1_000, 2_000),
    3,
    ratio=0.5,
    cpu_us={"ledger": 7},
    details={"elsewhere": [0.1, 0.2, 0.9]},
    also="beside",
    about=ABOUT,
)


@pytest.mark.parametrize(
    "made",
    [shapes.hot_movements(40), shapes.wide_movements(16), [*grown.earlier(0, 400), *grown.earlier(400, 800)]],
    ids=["hot", "wide", "earlier"],
)
def test_balanced_loads_leave_what_was_there_and_never_take_more(made: list[MovementRequested]) -> None:
    standing: Counter[tuple[str | None, str | None]] = Counter()
    for line in (line for each in made for line in each.lines):
        standing[line.item, line.target or line.source] += int(line.quantity or 0) * (1 if line.target else -1)
        assert standing[line.item, line.target or line.source] >= 0
    assert not +standing
    assert len({each.id for each in made}) == len(made)
    times = [each.posting_at for each in made]
    assert times == sorted(times)


def test_a_ledger_grows_by_as_many_entries_as_was_said() -> None:
    assert sum(len(each.lines) for each in grown.earlier(40, 1_240)) == 1_200


def test_what_was_earlier_ends_before_the_workers_are_warmed() -> None:
    (last,) = grown.earlier(4_999_990, 5_000_000)
    (warming,) = load.movements(load.WARMING, 1)
    assert last.posting_at < warming.posting_at


def test_own_time_goes_to_the_kind_of_a_module_and_that_of_a_builtin_to_who_called_it() -> None:
    decides = ("/src/services/ledger/decide/posting.py", 1, "post")
    writes = ("/src/shared/contracts/codec.py", 1, "write")
    plain = ("/src/shared/quantities.py", 1, "plain")
    sorts = ("~", 0, "<built-in method builtins.sorted>")
    answers = ("~", 0, "<method 'execute' of 'psycopg2.extensions.cursor' objects>")
    waits = ("~", 0, "<method 'recv_into' of '_socket.socket' objects>")
    stats: dict[profiled.Function, Any] = {
        decides: (1, 1, 4.0, 0.0, {}),
        writes: (1, 1, 2.0, 0.0, {}),
        plain: (1, 1, 3.0, 0.0, {decides: (1, 1, 1.0, 0.0), writes: (1, 1, 2.0, 0.0)}),
        sorts: (1, 1, 0.5, 0.0, {plain: (1, 1, 0.5, 0.0)}),
        answers: (1, 1, 5.0, 0.0, {decides: (1, 1, 5.0, 0.0)}),
        waits: (1, 1, 7.0, 0.0, {}),
    }
    found = profiled.by_kind(stats)
    assert found[profiled.DECISIONS] == pytest.approx(4 + 1 + 0.5 / 3)
    assert found[profiled.JSON] == pytest.approx(2 + 2 + 0.5 * 2 / 3)
    assert found[profiled.ANSWERS] == 5
    assert found[profiled.WAITS] == 7
    assert sum(found.values()) == pytest.approx(21.5)


def test_functions_that_call_one_another_in_a_circle_lose_no_time() -> None:
    one, other = ("/lib/one.py", 1, "one"), ("/lib/other.py", 1, "other")
    stats: dict[profiled.Function, Any] = {
        one: (1, 1, 1.0, 0.0, {other: (1, 1, 1.0, 0.0)}),
        other: (1, 1, 2.0, 0.0, {one: (1, 1, 2.0, 0.0)}),
    }
    assert sum(profiled.by_kind(stats).values()) == pytest.approx(3)


def test_memory_that_only_fills_up_in_the_beginning_does_not_grow() -> None:
    samples = {"ledger": [50.0, 60.0, *[70.0] * 8], "receiving": [60.0 + number for number in range(10)]}
    run = resident.Resident(100, 1.0, samples, Used({}, 0.0))
    assert run.growth == {"ledger": 0.0, "receiving": 6.0}
    assert run.most == 70


def test_every_row_of_the_table_is_measured_by_something_and_by_one_thing_alone() -> None:
    measured = [name for names in MEASURES for name in names]
    assert sorted(measured) == sorted(results.ROWS)


def test_the_table_tells_why_a_row_is_missing() -> None:
    report = Report({"wide": WIDE}, {"P2": "no baskets"})
    told = results.table(report)
    assert "| wide | movements of 500 lines | 1,234 lines/s, beside | 1,000–2,000 (3) | 0.5 |" in told
    assert "Not measured here: P2 (no baskets)." in told
    assert "10 movements a run, 2 cores" in told
    assert "20% of the machine" in told


def test_rows_that_are_measured_again_take_the_place_of_what_was_written_and_the_others_stay(tmp_path: Path) -> None:
    hot = replace(WIDE, value=7.0, about={**ABOUT, "measured_at": "later"})
    before = Report({"wide": WIDE, "hot": WIDE}, {"P2": "no baskets", "P3": "no time"})
    after = before.with_rows(Report({"hot": hot, "P2": WIDE}, {"P3": "still none"}))
    results.write(after, tmp_path)
    assert results.read(tmp_path) == after
    assert (after.figures["hot"], after.figures["wide"], after.missing) == (hot, WIDE, {"P3": "still none"})
    told = (tmp_path / "latest.md").read_text()
    assert "\nhot: later: " in told
    assert "\nwide, P2: x: " in told
