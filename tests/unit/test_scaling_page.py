"""The arithmetic on the page of scaling follows from what it assumes, and its pages and files exist."""

import re
from math import ceil
from pathlib import Path

import pytest

from shared.broker.topology import PARTITIONS, SERVICES, partition
from shared.settings import Settings

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "scaling.md").read_text("utf-8")
STORES = (1_000, 100_000)


def rows(name: str) -> dict[str, list[int]]:
    """The rows of the table between two marks: their first cells, and the numbers behind."""
    [table] = re.findall(rf"<!-- {name} -->\n(.+?)\n<!-- end of {name}", PAGE, re.DOTALL)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {
        f"{number} {first}": [int(each.replace(",", "")) for each in others]
        for number, (first, *others) in enumerate(cells)
    }


def test_the_tables_of_stores_follow_from_what_is_assumed() -> None:
    sales, sold, others, brought, share, peak, stored, log, capacity = (value for [value] in rows("assumed").values())
    found = list(rows("stores").values())
    for column, stores in enumerate(STORES):
        movements, lines = stores * (sales + others), stores * (sales * sold + others * brought)
        at_peak = share / 100 / 3600 * peak
        installations = ceil(lines * at_peak / capacity)
        assert [row[column] for row in found] == [
            movements,
            lines,
            round(movements * at_peak),
            round(lines * at_peak),
            installations,
            round(lines * stored / 1e9),
            round(lines * stored * 365 / 1e12),
            round(lines * stored * 365 / 1e12 / installations),
            round(lines * log / 1e9),
        ]


def test_what_it_says_of_partitions_and_frames_is_so() -> None:
    assert f"`p00` to `p{PARTITIONS - 1:02d}`" in PAGE
    assert re.fullmatch(r"p\d\d", partition("any"))
    assert f"frames of up to {Settings().frame_size}" in PAGE
    assert len(SERVICES) == 4
    assert "There are four queues of services" in PAGE


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?://)([^)#]+)", PAGE))))
def test_each_page_that_it_leads_to_exists(link: str) -> None:
    assert (DOCS / link).exists()
