"""Closing books at the gate: what is refused, who meets whom, and what accounting is told of it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import psycopg2
import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from shared.contracts.movement import MovementRequested
from shared.contracts.registry import OUTCOME_ACCEPTED, PERIOD_CLOSED, PERIOD_CLOSING, PERIOD_REOPENED
from shared.db import run, transaction
from tests.builders import COMPANY, Session, until_blocked
from tests.closing_builders import (
    FEBRUARY,
    IN_MARCH,
    MID_FEBRUARY,
    Company,
    allocated_of,
    asking,
    definition,
    handed_on,
    told,
)
from tests.gate_builders import finish
from tests.receiving_builders import Gate, codes, comes, decoded, goes, movement, opened, rows

CLOSING = definition(PERIOD_CLOSED, "C1", {"through": FEBRUARY.isoformat(), "actor": "ann"})


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    with opened(database) as engine:
        yield engine


@pytest.fixture
def company(engine: Engine) -> Company:
    return Company(engine)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def receipt(identifier: str, at: datetime) -> MovementRequested:
    return movement("purchase_receipt", comes("tea", 5), id=identifier, at=at)


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_receipt_back_dated_into_a_closed_month_is_refused_and_one_after_it_is_not(company: Company) -> None:
    company.close()
    february, march = company.gate.ask(receipt("back", MID_FEBRUARY), receipt("now", IN_MARCH))
    assert [codes(february), codes(march)] == [["period_closed"], []]
    assert february.reasons[0].facts == {"day": "2026-02-14", "open_from": "2026-03-01"}  # type: ignore[union-attr]


def test_a_till_that_comes_late_into_a_closed_day_is_refused_though_it_tells_facts(company: Company) -> None:
    company.gate.define("source", source="till-1", mode="fact")
    company.gate.accept(receipt("stock", datetime(2026, 2, 28, 8, tzinfo=UTC)))
    company.gate.now = datetime(2026, 3, 1, 0, 2, tzinfo=UTC)
    company.close()
    late = movement("delivery", goes("tea", 1), id="late", at=datetime(2026, 2, 28, 23, 59, tzinfo=UTC))
    early = movement("delivery", goes("tea", 1), id="first", at=datetime(2026, 3, 1, tzinfo=UTC))
    assert [codes(each) for each in company.gate.ask(late, early, source="till-1")] == [["period_closed"], []]


def test_a_closed_day_ends_by_the_company_s_clock(company: Company) -> None:
    company.gate.define("company", company=COMPANY, currency="EUR", time_zone="America/New_York")
    company.close()
    asked = [receipt(str(hour), datetime(2026, 3, 1, hour, 59, tzinfo=UTC)) for hour in (4, 5)]
    assert [codes(each) for each in company.gate.ask(*asked)] == [["period_closed"], []]


def test_a_company_defined_anew_stays_closed_and_the_later_of_both_days_counts(company: Company) -> None:
    company.close()
    for begins, day in (("2026-01-01", "2026-03-01"), (None, "2026-03-01"), ("2026-03-02", "2026-03-02")):
        assert codes(company.gate.define("company", company=COMPANY, currency="EUR", open_from=begins)) == []
        (refused,) = company.gate.ask(receipt(f"back {begins}", MID_FEBRUARY))
        assert refused.reasons[0].facts["open_from"] == day  # type: ignore[union-attr]


def test_what_is_not_to_be_closed_or_reopened_is_refused_and_changes_nothing(company: Company) -> None:
    company.close()
    changed = rows(company.engine, "SELECT * FROM receiving.company")
    closed = {"through": "2026-02-28", "actor": "ann"}
    assert codes(company.gate.define("period.closed", company=COMPANY, **closed)) == ["already_closed"]
    ahead = {"through": "2026-03-02", "actor": "ann"}
    assert codes(company.gate.define("period.closed", company=COMPANY, **ahead)) == ["day_not_over"]
    opened_ = {"open_from": "2026-03-01", "actor": "ann", "reason": "?"}
    assert codes(company.gate.define("period.reopened", company=COMPANY, **opened_)) == ["day_not_closed"]
    nameless = {"open_from": "2026-02-01", "actor": "ann", "reason": " "}
    assert codes(company.gate.define("period.reopened", company=COMPANY, **nameless)) == ["malformed"]
    assert codes(company.gate.define("period.closed", company="ghost", **closed)) == ["unknown_company"]
    assert rows(company.engine, "SELECT * FROM receiving.company") == changed
    assert rows(company.engine, "SELECT count(*) FROM receiving.period_change") == [(1,)]


def test_reopened_days_are_open_again_and_those_before_them_stay_closed(company: Company) -> None:
    company.close()
    company.reopen(date(2026, 2, 14))
    before = MID_FEBRUARY - timedelta(days=1)
    assert [codes(each) for each in company.gate.ask(receipt("1", MID_FEBRUARY), receipt("2", before))] == [
        [],
        ["period_closed"],
    ]


def test_books_may_be_reopened_to_the_beginning_of_the_calendar(company: Company) -> None:
    company.close()
    (reopening,) = company.reopen(date.min)
    assert told(reopening).open_from == date.min
    assert rows(company.engine, "SELECT closed_through FROM receiving.company") == [(None,)]
    company.close(identifier="C2")


# --- what is kept and told -------------------------------------------------------------------------------------------


def test_an_acceptance_says_from_which_day_the_books_were_open(company: Company) -> None:
    (before,) = company.accept(receipt("1", MID_FEBRUARY))
    company.close()
    (after,) = company.accept(receipt("2", IN_MARCH))
    company.reopen(date(2026, 2, 14))
    (again,) = company.accept(receipt("3", IN_MARCH))
    assert [each.open_from for each in (before, after, again)] == [None, date(2026, 3, 1), date(2026, 2, 14)]


def test_who_closed_and_reopened_books_when_and_why_is_kept_for_ever(company: Company) -> None:
    company.close(reason="the month is done")
    company.reopen(date(2026, 2, 14))
    kept = "SELECT number, through, open_from, actor, reason, recorded_at FROM receiving.period_changes ORDER BY number"
    assert rows(company.engine, kept) == [
        (1, FEBRUARY, None, "ann", "the month is done", company.gate.now),
        (2, None, date(2026, 2, 14), "bob", "an invoice came late", company.gate.now),
    ]
    for change in ("UPDATE receiving.period_change SET actor = 'eve'", "DELETE FROM receiving.period_change"):
        with pytest.raises((DBAPIError, psycopg2.Error), match="append-only"), transaction(company.engine) as c:
            run(c, change)


def test_a_closing_that_comes_again_is_answered_and_told_again_and_changes_nothing(company: Company) -> None:
    first = company.gate.send(CLOSING)
    assert [each.kind for each in first] == [PERIOD_CLOSING, OUTCOME_ACCEPTED]
    company.gate.now += timedelta(days=1)
    assert company.gate.send(CLOSING, CLOSING) == first
    assert rows(company.engine, "SELECT count(*) FROM receiving.period_change") == [(1,)]


def test_a_closing_of_a_company_that_comes_later_waits_for_it_and_is_told_from_the_outbox(engine: Engine) -> None:
    gate = Gate(engine, patience=timedelta(minutes=1))
    assert gate.send(CLOSING) == []
    event = definition("company.defined.v1", "D", {"currency": "EUR"})
    told_of = gate.send(event)
    assert [each.kind for each in told_of] == [OUTCOME_ACCEPTED, PERIOD_CLOSING, OUTCOME_ACCEPTED]
    assert rows(engine, "SELECT count(*) FROM receiving.outbox") == [(0,)]


# --- two at once -----------------------------------------------------------------------------------------------------


def test_a_closing_waits_for_a_movement_that_is_being_accepted_and_counts_it_as_before(
    company: Company, pool: ThreadPoolExecutor
) -> None:
    ahead = Gate(company.engine, now=company.gate.now + timedelta(seconds=30))  # its clock is
    accepting = Session(company.engine, asking(ahead, receipt("back", MID_FEBRUARY)), pool).hold()
    closing = Session(company.engine, company.gate.working_on(CLOSING), pool)
    until_blocked(company.engine)
    (accepted,) = allocated_of(finish(company.gate, accepting.commit()))
    (said,) = handed_on(closing.commit().outputs)
    assert accepted.open_from is None
    assert told(said).recorded_at >= accepted.recorded_at == ahead.now


def test_a_movement_that_comes_while_its_day_is_being_closed_waits_and_is_refused(
    company: Company, pool: ThreadPoolExecutor
) -> None:
    closing = Session(company.engine, company.gate.working_on(CLOSING), pool).hold()
    asked = Session(company.engine, asking(company.gate, receipt("back", MID_FEBRUARY)), pool)
    until_blocked(company.engine)
    closing.commit()
    (refused,) = asked.commit().outputs
    assert codes(decoded(refused)) == ["period_closed"]


def test_two_who_close_and_reopen_at_once_are_numbered_one_after_the_other(
    company: Company, pool: ThreadPoolExecutor
) -> None:
    closing = Session(company.engine, company.gate.working_on(CLOSING), pool).hold()
    reopened = {"open_from": "2026-02-14", "actor": "bob", "reason": "late"}
    step = company.gate.working_on(definition(PERIOD_REOPENED, "R1", reopened))
    reopening = Session(company.engine, step, pool)
    until_blocked(company.engine)
    outputs = [*closing.commit().outputs, *reopening.commit().outputs]
    assert [told(each).number for each in handed_on(outputs)] == [1, 2]


def test_movements_do_not_wait_for_each_other_s_company(company: Company, pool: ThreadPoolExecutor) -> None:
    company.book(receipt("0", IN_MARCH))  # whoever is the first to book to an account is waited for, once
    first = Session(company.engine, asking(company.gate, receipt("1", IN_MARCH)), pool).hold()
    south = movement("purchase_receipt", comes("tea", 1, "south"), id="2", at=IN_MARCH)
    second = Session(company.engine, asking(company.gate, south), pool).hold()
    assert len(allocated_of([*first.commit().outputs, *second.commit().outputs])) == 2
