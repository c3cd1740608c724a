"""Aftercare on PostgreSQL: what is heard and said is kept, answered once, and what follows from it is told."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine

from services.aftercare.handlers import covering, movements
from services.desk.reporting import REPORTS
from services.desk.verify import chosen, hold_still, verify
from shared.contracts.aftercare import (
    ClaimOpened,
    ClaimState,
    ClaimUpdated,
    CoverageAdded,
    CoverageKind,
    Interval,
    MaintenancePlanned,
    Replacement,
    Resolution,
    SerialAttributed,
    SerialMoved,
    VisitDone,
)
from shared.contracts.codec import write
from shared.contracts.movement import MovementAllocated
from shared.contracts.outcome import OutcomeAccepted
from shared.db import Contended, query, run, transaction
from shared.report import Filters, records
from tests.aftercare_builders import (
    DAY,
    PHONE,
    Desk,
    a_company,
    allocated,
    cancellation,
    codes,
    coverages,
    day,
    on,
    outcomes,
    statement,
)
from tests.receiving_builders import opened


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    with opened(database) as engine:
        a_company(engine)
        yield engine


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return Desk(engine)


RECEIPT = allocated("purchase_receipt", on(0), (1, "north", ["P1", "P2"]))
DELIVERY = allocated("delivery", on(1), (-1, "north", ["P1"]), warranty=365, customer="Ama")


def claim(name: str = "C1", number: int = 2) -> ClaimOpened:
    made: ClaimOpened = statement(ClaimOpened, on(number), claim=name, complaint="dead")
    return made


def rows(engine: Engine, statement: str) -> list[tuple[object, ...]]:
    with transaction(engine) as connection:
        return [tuple(row) for row in query(connection, statement)]


def test_a_delivery_is_told_as_coverage_once_however_often_it_comes(desk: Desk) -> None:
    desk.hear(RECEIPT)
    (told,) = coverages(desk.hear(DELIVERY))
    assert (told.serial, told.number, told.coverage[0].kind) == ("P1", 1, CoverageKind.SELLER)
    assert (told.coverage[0].starts_on, told.coverage[0].ends_on) == (day(1), day(366))
    assert desk.hear(DELIVERY) == []
    assert rows(desk.engine, "SELECT * FROM aftercare.outbox") == []


def test_a_cancellation_that_comes_first_leaves_no_coverage(desk: Desk) -> None:
    desk.hear(RECEIPT)
    assert desk.hear(cancellation(DELIVERY, on(3))) == []
    assert desk.hear(DELIVERY) == []
    assert rows(desk.engine, "SELECT count(*) FROM aftercare.coverage") == [(0,)]


def test_a_claim_is_answered_with_what_covers_the_unit(desk: Desk) -> None:
    desk.hear(RECEIPT, DELIVERY)
    outcome = desk.say(claim())
    assert isinstance(outcome, OutcomeAccepted)
    assert [(each.code, each.facts["kind"]) for each in outcome.remarks] == [("covered", "seller")]
    late = desk.say(claim("C2", 400))
    assert isinstance(late, OutcomeAccepted)
    assert [(each.code, each.facts["why"]) for each in late.remarks] == [("not_covered", "coverage_ended")]


def test_the_same_statement_again_has_the_same_answer_and_another_content_is_parked(desk: Desk) -> None:
    desk.hear(RECEIPT, DELIVERY)
    first = desk.say(claim(), name="one")
    assert desk.say(claim(), name="one") == first
    assert desk.send(claim("C2"), name="one") == desk.send(claim(), name="one")
    assert rows(desk.engine, "SELECT reason, times FROM aftercare.parked") == [("conflicting_duplicate", 1)]
    assert rows(desk.engine, "SELECT count(*) FROM aftercare.statement") == [(1,)]


def test_a_claim_that_is_faster_than_the_delivery_waits_for_it(engine: Engine) -> None:
    desk = Desk(engine, patience=timedelta(minutes=1))
    assert desk.say(claim(), name="early") is None
    assert rows(engine, "SELECT lacks FROM aftercare.waiters") == [([f"unit:{':'.join(PHONE)}"],)]
    assert outcomes(desk.hear(RECEIPT)) == []
    (outcome,) = outcomes(desk.hear(DELIVERY))
    assert isinstance(outcome, OutcomeAccepted)
    assert (outcome.id, outcome.remarks[0].code) == ("early", "covered")
    assert rows(engine, "SELECT * FROM aftercare.waiters") == rows(engine, "SELECT * FROM aftercare.outbox") == []


def test_a_claim_whose_delivery_never_comes_is_refused_when_patience_ends(engine: Engine) -> None:
    desk = Desk(engine, patience=timedelta(minutes=1))
    assert desk.say(claim()) is None
    assert outcomes(desk.sweep()) == []
    desk.now += timedelta(minutes=2)
    (outcome,) = outcomes(desk.sweep())
    assert codes(outcome) == ["unknown_serial"]


def test_a_unit_that_was_only_registered_is_known(desk: Desk) -> None:
    with transaction(desk.engine) as connection:
        run(
            connection,
            "INSERT INTO receiving.serial (company, item, serial, status) "
            "VALUES (:company, :item, :serial, 'inactive')",
            **PHONE._asdict(),
        )
    outcome = desk.say(statement(SerialAttributed, on(1), attributes={"plan": "trial"}))
    assert isinstance(outcome, OutcomeAccepted)


def test_a_replacement_has_what_is_left_and_follows_when_the_first_delivery_is_cancelled(desk: Desk) -> None:
    other = allocated("delivery", on(9), (-1, "north", ["P2"]))
    desk.hear(RECEIPT, DELIVERY, other)
    desk.say(claim())
    told = coverages(
        desk.send(
            statement(
                ClaimUpdated,
                on(9),
                claim="C1",
                state=ClaimState.RESOLVED,
                resolution=Resolution.REPLACED,
                replacement=Replacement(serial="P2"),
            )
        )
    )
    assert {each.serial: [(c.starts_on, c.ends_on) for c in each.coverage] for each in told} == {
        "P1": [(day(1), day(8))],
        "P2": [(day(9), day(366))],
    }
    again = coverages(desk.hear(cancellation(DELIVERY, on(20))))
    assert {each.serial: each.coverage for each in again} == {"P1": [], "P2": []}


def test_two_statements_of_one_reference_in_one_set_are_not_both_accepted(desk: Desk) -> None:
    desk.hear(RECEIPT)
    extension = statement(
        CoverageAdded, on(1), reference="E1", kind=CoverageKind.EXTENSION, starts_on=day(1), ends_on=day(9)
    )
    first, second = outcomes([*desk.send(extension, name="a"), *desk.send(extension, name="b")])
    assert isinstance(first, OutcomeAccepted)
    assert codes(second) == ["reference_used"]


def test_what_another_account_says_is_parked(desk: Desk) -> None:
    with transaction(desk.engine) as connection:
        run(connection, "INSERT INTO receiving.source VALUES ('office', 'request', 60, 'office-user')")
    desk.hear(RECEIPT, DELIVERY)
    assert desk.send(claim(), user="somebody") == []
    assert rows(desk.engine, "SELECT reason FROM aftercare.parked") == [("not_your_source",)]
    assert isinstance(desk.say(claim(), user="office-user"), OutcomeAccepted)


@pytest.mark.parametrize("table", ["move", "cancelled", "statement"])
def test_facts_are_never_changed(engine: Engine, table: str) -> None:
    with pytest.raises(Exception, match="append-only"), transaction(engine) as connection:
        run(connection, f"DELETE FROM aftercare.{table}")


def test_what_is_dated_in_the_future_is_refused(desk: Desk) -> None:
    desk.hear(RECEIPT, DELIVERY)
    assert codes(desk.say(claim(number=(desk.now - on(0)) // DAY + 2))) == ["at_in_future"]


def test_verify_names_a_unit_whose_coverage_does_not_follow_and_a_fact_from_nowhere(desk: Desk) -> None:
    accept_at_the_gate(desk.engine, RECEIPT, DELIVERY)
    desk.hear(RECEIPT, DELIVERY)
    desk.say(claim(), name="one")
    assert findings(desk.engine) == []
    with transaction(desk.engine) as connection:
        run(connection, "UPDATE aftercare.cover SET last_day = last_day + 1")
        run(connection, "UPDATE aftercare.answer SET accepted = false")
        run(connection, "DELETE FROM receiving.movement WHERE id = :id", id=RECEIPT.id)
    assert findings(desk.engine) == ["aftercare.cover", "aftercare.move", "aftercare.move", "aftercare.statement"]


def findings(engine: Engine) -> list[str]:
    with transaction(engine) as connection:
        scope = hold_still(connection, None, 100, timedelta(0))
        (looked,) = verify(connection, scope, chosen(["units"], quick=False))
        return sorted(each.table for each in looked.findings)


def accept_at_the_gate(engine: Engine, *movements: MovementAllocated) -> None:
    with transaction(engine) as connection:
        for each in movements:
            run(
                connection,
                "INSERT INTO receiving.movement (source, id, digest, recorded_at, effective_at, allocated, outcome) "
                "VALUES (:source, :id, '', :at, :at, :told, '')",
                source=each.source,
                id=each.id,
                at=each.recorded_at,
                told=write(each),
            )


@pytest.mark.parametrize("seed", range(3))
def test_workers_that_hear_frames_in_any_order_and_twice_tell_the_same_in_the_end(engine: Engine, seed: int) -> None:
    chance = Random(seed)
    history = a_history(chance)
    desk = Desk(engine)
    for each in history:
        desk.hear(each)
    expected = rows(engine, COVERS)
    assert len({serial for serial, *_ in expected}) > 3
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for table in ("movement", "unit", "move", "cancelled", "cover"):
            connection.exec_driver_sql(f"DELETE FROM aftercare.{table}")
    shuffled = history * 2
    chance.shuffle(shuffled)
    frames = [shuffled[start : start + 7] for start in range(0, len(shuffled), 7)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda frame: insisting(desk, frame), frames))
    assert rows(engine, COVERS) == expected
    assert rows(engine, "SELECT * FROM aftercare.outbox") == []


COVERS = "SELECT serial, kind, first_day, last_day, source, id FROM aftercare.coverage ORDER BY 1, 3, 4, 6"


def insisting(desk: Desk, frame: Sequence[MovementAllocated]) -> None:
    """As a worker does: whoever meets another one tries again."""
    for _ in range(50):
        try:
            desk.hear(*frame)
        except Contended:
            continue
        return
    raise AssertionError("other workers stood in the way each time")


def a_history(chance: Random) -> list[MovementAllocated]:
    """Twelve units that are received, delivered, returned and delivered again, some of it cancelled."""
    serials = [f"P{number}" for number in range(12)]
    told = [allocated("purchase_receipt", on(0), (1, "north", serials))]
    out: list[str] = []
    for number in range(1, 40):
        here = [each for each in serials if each not in out]
        if out and (chance.random() < 0.5 or not here):
            back = chance.sample(out, chance.randint(1, min(3, len(out))))
            told.append(allocated("sales_return", on(number), (1, "north", back)))
            out = [each for each in out if each not in back]
        else:
            gone = chance.sample(here, chance.randint(1, min(3, len(here))))
            told.append(allocated("delivery", on(number), (-1, "north", gone), warranty=chance.choice([None, 30, 90])))
            if chance.random() < 0.3:
                told.append(cancellation(told[-1], on(number, 13)))
            else:
                out += gone
    return told


def test_coverage_of_very_many_units_is_told_portion_by_portion_also_after_a_crash(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(covering, "AT_ONCE", 2)
    monkeypatch.setattr(movements, "AT_ONCE", 2)
    serials = [f"P{number}" for number in range(7)]
    told = desk.hear(allocated("delivery", on(1), (-1, "north", serials[:5]), warranty=9))
    assert [each.serial for each in coverages(told)] == serials[:5]
    desk.hear_and_die(allocated("delivery", on(1), (-1, "north", [*serials[2:], "P9"]), warranty=99))
    assert rows(desk.engine, "SELECT serial FROM aftercare.untold ORDER BY 1") == [("P4",), ("P5",), ("P6",), ("P9",)]
    assert findings(desk.engine)[0] == "aftercare.move"  # no gate here has accepted them; nothing is said of coverage
    assert "aftercare.cover" not in findings(desk.engine)
    assert sorted(each.serial for each in coverages(desk.sweep())) == ["P2", "P3", "P4", "P5", "P6", "P9"]
    assert rows(desk.engine, "SELECT * FROM aftercare.untold") == []


def test_reports_tell_what_is_overdue_on_a_day_and_as_it_was_known(desk: Desk) -> None:
    desk.hear(RECEIPT, DELIVERY)
    desk.now = on(5)
    loan = statement(SerialMoved, on(3), custodian="Ward 4", place="2nd floor", due_back=day(10))
    assert isinstance(desk.say(loan), OutcomeAccepted)
    fields: dict[str, Any] = {"schedule": "S1", "starts_on": day(0), "every": 10, "interval": Interval.DAYS}
    assert isinstance(desk.say(statement(MaintenancePlanned, on(2), **fields)), OutcomeAccepted)
    plan = statement(SerialAttributed, on(2, 13), attributes={"plan": "pro"}, expires_on=day(12))
    assert isinstance(desk.say(plan), OutcomeAccepted)
    desk.now = on(16)
    assert isinstance(desk.say(statement(VisitDone, on(15), schedule="S1", work="cleaned")), OutcomeAccepted)

    def told(report: str, *names: str, **filters: Any) -> list[tuple[Any, ...]]:
        with transaction(desk.engine) as connection:
            found = records(REPORTS[report], connection, Filters(**filters))
        return [tuple(each[name] for name in names) for each in found if each["serial"] == "P1"]

    assert told("custody", "status", "custodian", "overdue_days", on=day(10)) == [("delivered", "Ward 4", None)]
    assert told("custody", "custodian", "overdue_days", on=day(14)) == [("Ward 4", 4)]
    assert told("custody", "custodian", on=day(14), known_at=on(4)) == [("Ama",)]
    assert told("custody", "custodian", on=day(0)) == []
    assert told("maintenance", "planned_on", "state", "overdue_days", on=day(14)) == [
        (day(10), "overdue", 4),
        (day(20), "planned", None),
    ]
    assert told("maintenance", "planned_on", "state", on=day(16)) == [(day(10), "done"), (day(20), "planned")]
    assert told("maintenance", "state", on=day(16), known_at=on(5)) == [("overdue",), ("planned",)]
    assert told("attributes", "attribute", "value", "days_left", on=day(12)) == [("plan", "pro", 0)]
    assert told("attributes", "attribute", on=day(13)) == []
    assert [what for (what,) in told("unit-history", "what", on=day(3))] == [
        "purchase_receipt",
        "delivery",
        "maintenance.planned",
        "serial.attributed",
        "serial.moved",
    ]
