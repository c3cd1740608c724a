"""What `stockbook report` understands of its options before it asks a database."""

from datetime import UTC, datetime

import pytest

from services.desk.cli.options import parse_time
from services.desk.reporting import REPORTS
from shared.errors import StockbookError
from tests import commands

PRESENT = {"waiting", "shortages", "unposted", "dirty-bins", "reservations", "cycle-counts"}
"""Reports of what is to be seen to now."""


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31", datetime(2026, 1, 31, 23, 59, 59, 999999, UTC)),
        ("20260131", datetime(2026, 1, 31, 23, 59, 59, 999999, UTC)),
        ("2026-01-31T12:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31 12:00:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00+01:00", datetime(2026, 1, 31, 11, tzinfo=UTC)),
        ("2026-01-31T00:00:00", datetime(2026, 1, 31, tzinfo=UTC)),
    ],
)
def test_a_time_is_in_utc_unless_it_names_a_zone_and_a_day_ends_with_its_last_moment(
    text: str, moment: datetime
) -> None:
    assert parse_time(text) == moment


@pytest.mark.parametrize("option", ["--as-of", "--known-at", "--known-since"])
@pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30"])
def test_what_is_no_time_is_refused_and_never_taken_for_none(option: str, text: str) -> None:
    done = commands.invoke("report", "changes", option, text)
    assert isinstance(done.exception, StockbookError)
    assert "a time looks like" in str(done.exception)


def test_the_list_of_reports_names_the_options_of_each() -> None:
    listed = {line.split()[0]: line for line in commands.told("report").splitlines()}
    assert listed.keys() == REPORTS.keys()
    assert "--as-of --known-at)" in listed["stock-balance"]
    assert "--as-of --known-since --known-at)" in listed["changes"]


@pytest.mark.parametrize("name", sorted(REPORTS.keys() - PRESENT - {"outcomes"}))
def test_every_report_of_stock_and_books_takes_both_times(name: str) -> None:
    assert {"as_of", "known_at"} <= set(REPORTS[name].takes)


@pytest.mark.parametrize("name", sorted(PRESENT))
def test_a_report_of_the_present_takes_no_time(name: str) -> None:
    assert not {"as_of", "known_at", "known_since"} & set(REPORTS[name].takes)
