"""What the page of procedures names exists."""

import re
from pathlib import Path

import pytest
import typer

from services.desk.cli import app
from services.desk.reporting import REPORTS
from shared.broker.topology import AFTERCARE_TYPES, INTAKE_TYPES

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "procedures.md").read_text("utf-8")
COMMANDS = set(re.findall(r"`stockbook ([a-z-]+)", PAGE))


def test_each_command_exists() -> None:
    there = typer.main.get_group(app).commands.keys()
    assert len(COMMANDS) > 8
    assert there >= COMMANDS


def test_each_report_exists() -> None:
    named = set(re.findall(r"`stockbook report ([a-z-]+)", PAGE))
    assert len(named) > 2
    assert REPORTS.keys() >= named


def test_each_reason_stands_on_the_page_of_reasons() -> None:
    tables = "".join(line for line in PAGE.splitlines(keepends=True) if line.startswith("| `"))
    codes = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", "".join(row.split("|")[1] for row in tables.splitlines())))
    known = set(re.findall(r"^\| `(\w+)` \|", (DOCS / "reasons.md").read_text("utf-8"), re.MULTILINE))
    assert len(codes) > 15
    assert known >= codes


def test_each_message_exists() -> None:
    named = set(re.findall(r"`(\w+\.\w+\.v1)`", PAGE))
    assert named
    assert named <= {*INTAKE_TYPES, *AFTERCARE_TYPES}


@pytest.mark.parametrize("page", sorted(set(re.findall(r"\]\(([\w.-]+\.md)", PAGE))))
def test_each_page_that_it_leads_to_exists(page: str) -> None:
    assert (DOCS / page).exists()
