"""Every reason for which a statement is refused: given in its case, told on the page, and waiting if that says so."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.aftercare.decide.facts import Facts, Unit
from services.aftercare.decide.judging import _MAY_WAIT, Verdict, judge, lacks
from services.aftercare.decide.state import Known
from shared.contracts.aftercare import (
    ClaimOpened,
    ClaimState,
    ClaimUpdated,
    CoverageAdded,
    CoverageEnded,
    CoverageKind,
    Interval,
    MaintenanceEnded,
    MaintenancePlanned,
    Replacement,
    Resolution,
    SerialAttributed,
    SerialMoved,
    Statement,
    VisitDone,
)
from shared.contracts.movement import Reference
from tests.aftercare_builders import PHONE, day, delivery, facts, moved, on, receipt, said, statement
from tests.builders import COMPANY

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "aftercare.md").read_text("utf-8")
ROW = re.compile(
    r"^\| `(?P<code>\w+)` \| (?P<meaning>[^|]+) \| (?P<facts>[^|]*) \| (?P<advice>[^|]+) \|$", re.MULTILINE
)
ROWS = {row["code"]: row for row in ROW.finditer(PAGE)}
OTHER = Unit(*PHONE[:2], "P2")
GHOST = Unit(*PHONE[:2], "P9")

OPENED = statement(ClaimOpened, on(2), claim="C1", complaint="dead")
PLANNED = statement(MaintenancePlanned, on(2), schedule="S1", starts_on=day(2), every=1, interval=Interval.MONTHS)
ADDED = statement(CoverageAdded, on(2), reference="E1", kind=CoverageKind.EXTENSION, starts_on=day(9))


def known(*more: Statement, of: Facts | None = None, **fields: Any) -> Known:
    """A delivered phone, another one in stock, and what was said of them before."""
    found = Known(now=on(50), facts=of or facts(receipt(0), delivery(1)), time_zones={COMPANY: "UTC"}, **fields)
    found.units |= {PHONE, OTHER}
    found.facts.move(OTHER, receipt(0))
    for each in more:
        found.accept(said(each))
    return found


def updated(number: int, state: ClaimState, **fields: Any) -> ClaimUpdated:
    made: ClaimUpdated = statement(ClaimUpdated, on(number), claim="C1", state=state, **fields)
    return made


def replaced(number: int, by: str, of: Unit = PHONE) -> ClaimUpdated:
    fields = {"resolution": Resolution.REPLACED, "replacement": Replacement(serial=by)}
    made: ClaimUpdated = statement(ClaimUpdated, on(number), of, claim="C1", state=ClaimState.RESOLVED, **fields)
    return made


def attributed(expires_on: date) -> SerialAttributed:
    made: SerialAttributed = statement(SerialAttributed, on(2), attributes={"a": "b"}, expires_on=expires_on)
    return made


def _elsewhere() -> ClaimOpened:
    made: ClaimOpened = statement(ClaimOpened, on(2), PHONE._replace(company="x"), claim="C", complaint="dead")
    return made


def visit(**fields: Any) -> VisitDone:
    made: VisitDone = statement(VisitDone, on(40), work="cleaned", **fields)
    return made


REFUNDED, REPLACED = Resolution.REFUNDED, Resolution.REPLACED
RESOLVED = updated(5, ClaimState.RESOLVED, resolution=Resolution.REPAIRED)
CASES: list[tuple[str, bool, Callable[[], tuple[Statement, Known]]]] = [
    ("at_in_future", True, lambda: (statement(ClaimOpened, on(51), claim="C", complaint="dead"), known())),
    ("unknown_company", True, lambda: (_elsewhere(), known())),
    ("unknown_serial", True, lambda: (statement(SerialMoved, on(2), GHOST), known())),
    ("unknown_serial", True, lambda: (replaced(5, "P9"), known(OPENED))),
    ("reference_used", False, lambda: (ADDED, known(ADDED))),
    ("ends_before_it_starts", False, lambda: (statement(SerialMoved, on(2), due_back=day(1)), known())),
    ("ends_before_it_starts", False, lambda: (attributed(day(1)), known())),
    ("unknown_coverage", True, lambda: (statement(CoverageEnded, on(2), reference="E1", ends_on=day(9)), known())),
    ("claim_used", False, lambda: (OPENED, known(OPENED))),
    ("unit_in_stock", True, lambda: (statement(ClaimOpened, on(2), OTHER, claim="C2", complaint="dead"), known())),
    ("unit_in_stock", True, lambda: (statement(ClaimOpened, on(-2), claim="C2", complaint="dead"), known())),
    ("unit_in_stock", True, lambda: (statement(SerialMoved, on(2), OTHER), known())),
    ("unit_gone", False, lambda: (statement(SerialMoved, on(2)), known(of=_scrapped()))),
    ("unknown_claim", True, lambda: (updated(3, ClaimState.IN_WORK), known())),
    ("unknown_claim", True, lambda: (visit(claim="C1"), known())),
    ("before_last_update", False, lambda: (updated(1, ClaimState.IN_WORK), known(OPENED))),
    ("claim_state", True, lambda: (updated(6, ClaimState.CLOSED), known(OPENED))),
    ("claim_state", False, lambda: (updated(6, ClaimState.IN_WORK), known(OPENED, RESOLVED))),
    ("resolution_wrong", False, lambda: (updated(6, ClaimState.RESOLVED), known(OPENED))),
    ("resolution_wrong", False, lambda: (updated(6, ClaimState.IN_WORK, resolution=REFUNDED), known(OPENED))),
    ("replacement_wrong", False, lambda: (updated(6, ClaimState.RESOLVED, resolution=REPLACED), known(OPENED))),
    ("replacement_wrong", False, lambda: (replaced(6, PHONE.serial), known(OPENED))),
    ("replacement_used", False, lambda: (replaced(6, "P2"), known(OPENED, replaced(5, "P2")))),
    ("nothing_said", False, lambda: (statement(SerialAttributed, on(2)), known())),
    ("schedule_used", False, lambda: (PLANNED, known(PLANNED))),
    ("unknown_schedule", True, lambda: (statement(MaintenanceEnded, on(3), schedule="S1", ends_on=day(9)), known())),
    ("unknown_schedule", True, lambda: (visit(schedule="S1", planned_on=day(3)), known())),
    ("visit_not_planned", False, lambda: (visit(schedule="S1", planned_on=day(3)), known(PLANNED))),
    ("visit_not_planned", False, lambda: (visit(planned_on=day(3)), known())),
    ("unknown_movement", True, lambda: (visit(parts=Reference(id="M1")), known(movements={("shop", "M1")}))),
]  # fmt: skip


def _scrapped() -> Facts:
    return facts(receipt(0), moved("scrap", 1, left="north"))


def _judged(provoke: Callable[[], tuple[Statement, Known]]) -> tuple[Statement, Verdict]:
    what, of = provoke()
    return what, judge(what, "office", of)


@pytest.mark.parametrize(("code", "waits", "provoke"), CASES, ids=lambda each: each if isinstance(each, str) else "")
def test_a_reason_is_given_in_its_case_with_the_facts_that_its_page_promises(
    code: str, waits: bool, provoke: Callable[[], tuple[Statement, Known]]
) -> None:
    what, verdict = _judged(provoke)
    (reason,) = (each for each in verdict.reasons if each.code == code)
    assert set(reason.facts) <= set(re.findall(r"`(\w+)`", ROWS[code]["facts"]))
    assert (lacks(what, [reason]) is not None) is waits


def test_the_page_tells_every_reason_and_no_other_and_which_may_wait() -> None:
    source = (ROOT / "services" / "aftercare" / "decide" / "judging.py").read_text("utf-8")
    given = set(re.findall(r'_reason\(\s*"(\w+)"', source)) | {"unit_in_stock", "unit_gone", "malformed"}
    assert set(ROWS) == given == {code for code, _, _ in CASES} | {"malformed"}
    assert {code for code, row in ROWS.items() if "*May wait.*" in row["meaning"]} == set(_MAY_WAIT)


def test_what_is_right_is_accepted() -> None:
    right = [
        (OPENED, known()),
        (ADDED, known()),
        (PLANNED, known()),
        (replaced(5, "P2"), known(OPENED)),
        (updated(6, ClaimState.CLOSED), known(OPENED, RESOLVED)),
        (visit(schedule="S1", planned_on=on(33).date()), known(PLANNED)),
        (visit(parts=Reference(source="shop", id="M1")), known(movements={("shop", "M1")})),
        (statement(SerialMoved, on(2), custodian="Kofi"), known()),
        (statement(CoverageEnded, on(3), reference="E1", ends_on=day(20)), known(ADDED)),
    ]
    assert [what for what, of in right if judge(what, "office", of).reasons] == []


def test_a_clock_that_is_a_little_ahead_is_forgiven() -> None:
    ahead = statement(ClaimOpened, on(50) + timedelta(minutes=5), claim="C1", complaint="dead")
    assert not judge(ahead, "office", known()).reasons


def test_a_claim_is_told_what_covers_the_unit_and_for_how_long_or_why_nothing_does() -> None:
    (covered,) = judge(OPENED, "office", known()).remarks
    assert (covered.code, covered.facts["until"]) == ("covered", day(101).isoformat())
    late = judge(OPENED, "office", known(of=facts(receipt(0), delivery(1, 0)))).remarks[0]
    assert (late.code, late.facts["why"], late.facts["until"]) == ("not_covered", "coverage_ended", day(1).isoformat())
    early = judge(OPENED, "office", known(ADDED, of=facts(delivery(1, None)))).remarks[0]
    assert (early.facts["why"], early.facts["from"]) == ("coverage_not_begun", day(9).isoformat())
    never = judge(OPENED, "office", known(of=facts(delivery(1, None)))).remarks[0]
    assert never.facts["why"] == "no_coverage"
