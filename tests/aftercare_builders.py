"""Builders for aftercare: units that move and of which something is said, and the service on a PostgreSQL.

`Desk` is one worker's aftercare on a database, with a clock of its own; statements are about the one phone P1 unless
they say otherwise.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import Engine

from services.aftercare import handlers
from services.aftercare.decide.facts import Facts, Move, Said, Unit
from services.aftercare.decide.judging import day_of
from shared.contracts.aftercare import CoverageChanged, Statement
from shared.contracts.codec import decoder, read
from shared.contracts.envelope import read_envelope, write_event
from shared.contracts.movement import BinStamp, Leg, MovementAllocated, MovementName
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.contracts.registry import (
    COVERAGE_CHANGED,
    KIND_OF_STATEMENT,
    OUTCOME_ACCEPTED,
    OUTCOME_REJECTED,
    STRUCTS,
    UNITS_ALLOCATED,
)
from shared.db import run, transaction
from shared.purposes import Tracking
from shared.quantities import Quantity
from shared.service import Input, Output, Step
from tests.builders import ACCOUNTS, COMPANY, carry_out

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PHONE = Unit(COMPANY, "phone", "P1")
_ids = count(1)


def on(day: int, hour: int = 12) -> datetime:
    """A moment so many days after the first one."""
    return NOON.replace(hour=hour) + day * DAY


def day(number: int) -> date:
    """The day so many days after the first one."""
    return on(number).date()


def moved(purpose: str, number: int, *, left: str | None = None, came: str | None = None, **fields: Any) -> Move:
    """A movement of a unit, so many days after the first one, accepted as it happened."""
    at = on(number)
    given = {"party": "Ama" if purpose in ("delivery", "sale") else None, **fields}
    return Move(("shop", f"M{next(_ids)}"), purpose, at, at, at.date(), 1, left, came, **given)


def receipt(number: int) -> Move:
    """A unit comes in."""
    return moved("purchase_receipt", number, came="north")


def delivery(number: int, warranty: int | None = 100, **fields: Any) -> Move:
    """A unit goes to a customer."""
    return moved("delivery", number, left="north", warranty_days=warranty, **fields)


def comes_back(number: int) -> Move:
    """A unit is returned by its customer."""
    return moved("sales_return", number, came="north")


def statement(what: type[Any], at: datetime, unit: Unit = PHONE, **fields: Any) -> Any:
    """A statement about a unit."""
    return what(company=unit.company, item=unit.item, serial=unit.serial, at=at, **fields)


def said(what: Statement, recorded_at: datetime | None = None) -> Said:
    """A statement that was accepted as it was made."""
    unit = Unit(what.company, what.item, what.serial)
    return Said(("office", f"S{next(_ids)}"), unit, what, day_of(what.at, "UTC"), recorded_at or what.at)


def facts(*given: Move | Said, unit: Unit = PHONE) -> Facts:
    """Facts; the movements are of one unit."""
    all_of_it = Facts()
    for each in given:
        if isinstance(each, Move):
            all_of_it.move(unit, each)
        else:
            all_of_it.say(each)
    return all_of_it


def allocated(
    purpose: str,
    at: datetime,
    *legs: tuple[int, str, Sequence[str]],
    warranty: int | None = None,
    against: str | None = None,
    item: str = "phone",
    **fields: Any,
) -> MovementAllocated:
    """What the gate tells of a movement of phones; a leg is a sign, a warehouse and serials."""
    made = [
        Leg(
            line=line,
            item=item,
            warehouse=warehouse,
            quantity=Quantity(sign * len(serials)),
            serials=list(serials),
            tracking=Tracking.SERIAL,
            warranty_days=warranty if sign < 0 else None,
            stock_account="stock",
        )
        for line, (sign, warehouse, serials) in enumerate(legs, 1)
    ]
    stamps = [BinStamp(item=item, warehouse=name, stamp=next(_ids)) for name in sorted({leg[1] for leg in legs})]
    return MovementAllocated(
        **{
            "source": "shop",
            "id": f"M{next(_ids)}",
            "company": COMPANY,
            "currency": "EUR",
            "digits": 2,
            "purpose": purpose,
            "posting_at": at,
            "effective_at": at,
            "recorded_at": at,
            "posting_date": at.date(),
            "against": MovementName(source="shop", id=against) if against else None,
            "stamps": stamps,
            "legs": made,
            "accounts": ACCOUNTS,
            **fields,
        }
    )


def cancellation(of: MovementAllocated, at: datetime) -> MovementAllocated:
    """What the gate tells of the cancellation of a movement, accepted `at`."""
    legs = [(-1 if leg.quantity > 0 else 1, leg.warehouse, leg.serials) for leg in of.legs]
    return allocated("cancellation", of.effective_at, *legs, against=of.id, mirrors=of.purpose, recorded_at=at)


class Desk:
    """One worker's aftercare; `now` is its clock. Without `patience` nothing waits for what may still come."""

    def __init__(self, engine: Engine, now: datetime = NOON + 1000 * DAY, patience: timedelta = timedelta(0)) -> None:
        self.engine = engine
        self.now = now
        self._service = handlers.service(lambda: self.now, patience)

    def hear(self, *movements: MovementAllocated) -> list[Output]:
        """Take in movements as one set; what was told."""
        return carry_out(self.engine, "aftercare", self._hearing(movements))

    def hear_and_die(self, *movements: MovementAllocated) -> None:
        """Take in movements, and die after the first commit: nothing is told."""
        with transaction(self.engine) as connection:
            self._hearing(movements)(connection)

    def _hearing(self, movements: Sequence[MovementAllocated]) -> Step:
        handler = self._service.handlers[UNITS_ALLOCATED]
        inputs = [Input("receiving", UNITS_ALLOCATED, each, b"", None, each.id) for each in movements]
        return lambda connection: handler.work(inputs, connection)

    def send(self, *what: Statement, source: str = "office", name: str | None = None, user: str | None = None) -> Any:
        """Send statements of one kind as one set; what was told."""
        kind = KIND_OF_STATEMENT[type(what[0])]
        handler = self._service.handlers[kind]
        bodies = [write_event(kind, source, name or f"S{next(_ids)}", each) for each in what]
        read_in = [each for body in bodies for each in handler.read(read_envelope(body))]
        inputs = [Input(e.source, e.kind, e.value, e.raw, e.trace, e.id, user) for e in read_in]
        return carry_out(self.engine, "aftercare", lambda connection: handler.work(inputs, connection))

    def say(self, what: Statement, **fields: Any) -> OutcomeAccepted | OutcomeRejected | None:
        """Send one statement; its outcome, None while it waits."""
        return next(iter(outcomes(self.send(what, **fields))), None)

    def sweep(self) -> list[Output]:
        """Carry out every sweep; what was told."""
        return [each for sweep in self._service.sweeps for each in carry_out(self.engine, "aftercare", sweep)]


def outcomes(outputs: Sequence[Output]) -> list[OutcomeAccepted | OutcomeRejected]:
    """The answers among what was told."""
    return [told(each) for each in outputs if each.kind in (OUTCOME_ACCEPTED, OUTCOME_REJECTED)]


def coverages(outputs: Sequence[Output]) -> list[CoverageChanged]:
    """What was told of coverage."""
    return [told(each) for each in outputs if each.kind == COVERAGE_CHANGED]


def told(output: Output) -> Any:
    """A message, decoded."""
    return read(decoder(STRUCTS[output.kind]), output.body)


def codes(outcome: object) -> list[str]:
    """The codes of a rejection's reasons."""
    assert isinstance(outcome, OutcomeRejected)
    return [each.code for each in outcome.reasons]


def a_company(engine: Engine) -> None:
    """The company that the gate knows."""
    with transaction(engine) as connection:
        run(
            connection,
            "INSERT INTO receiving.company (company, name, currency, time_zone, perpetual, lateness, issue_expired) "
            "VALUES (:company, '', 'EUR', 'UTC', true, 300, true)",
            company=COMPANY,
        )
