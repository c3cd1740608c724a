"""What follows from the facts of a unit: coverage, custody, attributes, claims and their states, visits, history."""

from datetime import date
from typing import Any

import pytest

from services.aftercare.decide.claims import claims, may_follow, may_still_follow
from services.aftercare.decide.coverage import coverage
from services.aftercare.decide.custody import attributes, custody, end_of_life
from services.aftercare.decide.facts import Dossier, Dossiers, Move, Said, Unit
from services.aftercare.decide.history import history
from services.aftercare.decide.maintenance import VisitState, planned_days, schedules, visits
from services.aftercare.decide.moving import cancels, moves_of
from shared.contracts.aftercare import (
    ClaimOpened,
    ClaimState,
    ClaimUpdated,
    Completion,
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
    VisitDone,
)
from shared.purposes import SerialStatus
from tests.aftercare_builders import (
    PHONE,
    allocated,
    cancellation,
    comes_back,
    day,
    delivery,
    facts,
    moved,
    on,
    receipt,
    said,
    statement,
)

OTHER = Unit(*PHONE[:2], "P2")


def dossier(*given: Move | Said) -> Dossier:
    return Dossiers(facts(*given)).of(PHONE)


def covered(*given: Move | Said, unit: Unit = PHONE) -> list[tuple[date, date | None]]:
    return [(each.first, each.last) for each in coverage(unit, Dossiers(facts(*given)))]


def replaced(number: int, by: Unit = OTHER, of: Unit = PHONE) -> Said:
    replacement = Replacement(serial=by.serial)
    fields = {"claim": "C1", "state": ClaimState.RESOLVED, "resolution": Resolution.REPLACED}
    return said(statement(ClaimUpdated, on(number), of, replacement=replacement, **fields))


def extension(first: int, last: int | None, reference: str = "E1") -> Said:
    ends_on = None if last is None else day(last)
    kind = CoverageKind.EXTENSION
    return said(statement(CoverageAdded, on(0), reference=reference, kind=kind, starts_on=day(first), ends_on=ends_on))


# --- coverage --------------------------------------------------------------------------------------------------------


def test_a_delivery_covers_from_its_day_to_the_last_day_of_the_warranty() -> None:
    assert covered(receipt(0), delivery(3, 100)) == [(day(3), day(103))]


def test_a_delivery_of_an_item_without_warranty_begins_none() -> None:
    assert covered(delivery(3, None)) == []


def test_a_return_keeps_the_coverage_and_a_resale_begins_another() -> None:
    assert covered(delivery(0, 100), comes_back(10)) == [(day(0), day(100))]
    assert covered(delivery(0, 100), comes_back(10), delivery(20, 100)) == [(day(0), day(19)), (day(20), day(120))]


def test_a_resale_without_warranty_leaves_what_there_was() -> None:
    assert covered(delivery(0, 100), comes_back(10), delivery(20, None)) == [(day(0), day(100))]


def test_a_cancelled_delivery_never_covered_once_that_is_known() -> None:
    gone = delivery(1, 100, cancelled_by=("shop", "X"), cancelled_at=on(5))
    of = facts(gone)
    assert coverage(PHONE, Dossiers(of)) == []
    assert len(coverage(PHONE, Dossiers(of, known_at=on(4)))) == 1


def test_an_end_that_names_what_was_inherited_does_not_end_it() -> None:
    ended = said(statement(CoverageEnded, on(9), OTHER, reference="E1", ends_on=day(9)))
    found = Dossiers(facts(extension(0, 50), replaced(5), ended))
    assert [(each.first, each.last) for each in coverage(OTHER, found)] == [(day(5), day(50))]


def test_two_units_that_replaced_each_other_have_an_end() -> None:
    back = replaced(8, by=PHONE, of=OTHER)
    found = Dossiers(facts(extension(0, 50), replaced(5), back))
    assert [(each.first, each.last) for each in coverage(OTHER, found)] == [(day(5), day(7))]
    assert [(each.first, each.last) for each in coverage(PHONE, found)] == [(day(0), day(4)), (day(8), day(50))]


def test_coverage_without_end_is_inherited_without_end() -> None:
    assert covered(extension(0, None), replaced(5), unit=OTHER) == [(day(5), None)]


def test_a_warranty_may_be_longer_than_the_calendar() -> None:
    assert covered(moved("delivery", 0, left="north", warranty_days=36_500 * 300)) == [(day(0), date.max)]


# --- custody and attributes ------------------------------------------------------------------------------------------


def handed(number: int, custodian: str) -> Said:
    return said(statement(SerialMoved, on(number), custodian=custodian, place="2nd floor", due_back=day(number + 5)))


def test_who_has_a_unit_follows_from_the_last_of_movements_and_hand_overs() -> None:
    assert custody(dossier()).status is SerialStatus.INACTIVE
    assert custody(dossier(receipt(0))).place == "north"
    assert custody(dossier(receipt(0), delivery(1))).custodian == "Ama"
    assert custody(dossier(delivery(1), handed(2, "Kofi"))).custodian == "Kofi"
    assert custody(dossier(delivery(1), handed(2, "Kofi"), comes_back(3))).custodian is None
    assert custody(dossier(handed(1, "Kofi"), delivery(2))).custodian == "Ama"


def test_what_was_issued_is_used_up_until_somebody_has_it() -> None:
    issue = moved("material_issue", 1, left="north")
    assert custody(dossier(issue)).status is SerialStatus.CONSUMED
    assert custody(dossier(issue, handed(2, "Kofi"))).status is SerialStatus.IN_USE
    assert custody(dossier(handed(2, "Kofi"))).status is SerialStatus.IN_USE


def test_attributes_hold_until_their_last_day_and_until_they_are_removed() -> None:
    plan = said(statement(SerialAttributed, on(0), attributes={"plan": "pro", "seat": "7"}, expires_on=day(9)))
    seat = said(statement(SerialAttributed, on(3), attributes={"seat": "8"}, removed=["plan"], end_of_life=day(99)))
    assert {name: each.value for name, each in attributes(dossier(plan), day(9)).items()} == {
        "plan": "pro",
        "seat": "7",
    }
    assert attributes(dossier(plan), day(10)) == {}
    both = dossier(seat, plan)
    assert {name: each.value for name, each in attributes(both, day(10)).items()} == {"seat": "8"}
    assert end_of_life(both) == day(99)


# --- claims ----------------------------------------------------------------------------------------------------------


def test_a_claim_is_what_was_said_of_it_in_the_order_in_which_it_happened() -> None:
    opened = said(statement(ClaimOpened, on(1), claim="C1", complaint="dead"))
    works = said(statement(ClaimUpdated, on(2), claim="C1", state=ClaimState.IN_WORK, note="opened it"))
    found = claims(dossier(replaced(4), works, opened))["C1"]
    assert (found.state, found.resolution, found.replacement) == (ClaimState.RESOLVED, Resolution.REPLACED, OTHER)
    assert (found.resolved_at, found.note) == (on(4), "opened it")


@pytest.mark.parametrize(
    ("state", "then", "at_once", "by_way"),
    [
        ("open", "in_work", True, True),
        ("open", "resolved", True, True),
        ("open", "closed", False, True),
        ("in_work", "open", False, False),
        ("waiting", "in_work", True, True),
        ("resolved", "in_work", False, False),
        ("resolved", "closed", True, True),
        ("closed", "closed", False, False),
    ],
)
def test_a_claim_goes_forward_only(state: str, then: str, at_once: bool, by_way: bool) -> None:
    assert may_follow(ClaimState(state), ClaimState(then)) is at_once
    assert may_still_follow(ClaimState(state), ClaimState(then)) is by_way


# --- maintenance -----------------------------------------------------------------------------------------------------


def plan(every: int, interval: Interval, starts_on: date, ends_on: date | None = None) -> Said:
    fields: dict[str, Any] = {"schedule": "S1", "every": every, "interval": interval, "person": "Abena"}
    return said(statement(MaintenancePlanned, on(0), starts_on=starts_on, ends_on=ends_on, **fields))


def done(number: int, planned_on: date | None = None, completion: Completion = Completion.FULL) -> Said:
    fields: dict[str, Any] = {"schedule": "S1", "planned_on": planned_on, "completion": completion, "work": "cleaned"}
    return said(statement(VisitDone, on(number), **fields))


@pytest.mark.parametrize(
    ("every", "interval", "starts", "ends", "planned"),
    [
        (10, Interval.DAYS, "2026-01-01", "2026-01-31", ["2026-01-11", "2026-01-21", "2026-01-31"]),
        (2, Interval.WEEKS, "2026-01-01", "2026-01-31", ["2026-01-15", "2026-01-29"]),
        (1, Interval.MONTHS, "2026-01-31", "2026-04-30", ["2026-02-28", "2026-03-31", "2026-04-30"]),
        (1, Interval.YEARS, "2024-02-29", "2026-12-31", ["2025-02-28", "2026-02-28"]),
        (1, Interval.MONTHS, "9999-11-30", None, ["9999-12-30"]),
        (9_999, Interval.YEARS, "2026-01-01", None, []),
    ],
)
def test_visits_are_planned_at_each_interval_behind_the_first_day(
    every: int, interval: Interval, starts: str, ends: str | None, planned: list[str]
) -> None:
    last = None if ends is None else date.fromisoformat(ends)
    schedule = schedules(dossier(plan(every, interval, date.fromisoformat(starts), last)))["S1"]
    assert [each.isoformat() for each in planned_days(schedule)] == planned


def states(today: int, *given: Said) -> list[tuple[int | None, str]]:
    found = visits(dossier(plan(10, Interval.DAYS, day(0)), *given), day(today))
    return [(None if each.planned_on is None else (each.planned_on - day(0)).days, each.state) for each in found]


def test_a_visit_is_overdue_from_the_day_behind_the_planned_one_until_it_is_done() -> None:
    assert states(10) == [(10, VisitState.PLANNED)]
    assert states(11) == [(10, VisitState.OVERDUE), (20, VisitState.PLANNED)]
    assert states(11, done(11)) == [(10, VisitState.DONE), (20, VisitState.PLANNED)]


def test_a_partial_visit_leaves_the_planned_one_open_and_the_next_is_for_it() -> None:
    partial = done(10, day(10), Completion.PARTIAL)
    assert states(11, partial) == [(10, VisitState.OVERDUE), (20, VisitState.PLANNED)]
    assert states(13, partial, done(12)) == [(10, VisitState.DONE), (20, VisitState.PLANNED)]


def test_a_visit_ahead_of_its_day_is_told_as_done_and_those_between_as_planned() -> None:
    assert states(1, done(1, day(20))) == [(10, VisitState.PLANNED), (20, VisitState.DONE), (30, VisitState.PLANNED)]


def test_a_schedule_that_ended_plans_nothing_more() -> None:
    ended = said(statement(MaintenanceEnded, on(3), schedule="S1", ends_on=day(15)))
    assert states(40, ended) == [(10, VisitState.OVERDUE)]


# --- history and movements -------------------------------------------------------------------------------------------


def test_the_history_tells_everything_in_order_also_what_was_cancelled() -> None:
    gone = delivery(2, cancelled_by=("shop", "X"), cancelled_at=on(5))
    found = history(dossier(extension(1, 9), gone, receipt(1), handed(4, "Kofi")))
    assert [(each.what, each.cancelled_by) for each in found] == [
        ("coverage.added", None),
        ("purchase_receipt", None),
        ("delivery", ("shop", "X")),
        ("serial.moved", None),
    ]
    assert found[2].told == "from north, Ama"


def test_a_unit_that_replaced_another_has_that_in_its_history() -> None:
    found = history(Dossiers(facts(replaced(5))).of(OTHER))
    assert [(each.what, each.told) for each in found] == [("claim.updated", "in the place of phone P1")]


def test_a_transfer_is_one_move_and_a_cancellation_none() -> None:
    transfer = allocated("material_transfer", on(1), (-1, "north", ["P1", "P2"]), (1, "south", ["P1", "P2"]))
    assert [(unit.serial, each.left, each.came) for unit, each in moves_of(transfer)] == [
        ("P1", "north", "south"),
        ("P2", "north", "south"),
    ]
    assert cancels(transfer) is None
    assert cancels(cancellation(transfer, on(2))) == ("shop", transfer.id)
