"""Builders for closed books: a company whose three services are worked by hand, message by message, on one database."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Engine

from services.accounting.handlers import HANDLERS, book_movements
from services.accounting.handlers.numbering import number_entries
from services.accounting.handlers.periods import lock_periods
from shared.contracts.codec import decoder, read
from shared.contracts.envelope import frame, read_envelope, write_event
from shared.contracts.movement import MovementAllocated, MovementRequested
from shared.contracts.registry import (
    MOVEMENT_ALLOCATED,
    MOVEMENT_POSTED,
    PERIOD_CLOSED,
    PERIOD_CLOSING,
    PERIOD_REOPENED,
    PERIOD_REOPENING,
    STRUCTS,
)
from shared.service import Handled, Input, Output, Step
from tests.builders import COMPANY, carry_out, deliver, rows
from tests.receiving_builders import Gate, define_shop, events

FEBRUARY = date(2026, 2, 28)
MID_FEBRUARY = datetime(2026, 2, 14, 12, tzinfo=UTC)
IN_MARCH = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Company:
    """The gate of a company with tea, and its ledger and accounting, which work on what they are handed."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.gate = Gate(engine)
        define_shop(self.gate, {"item": "tea"})

    def accept(self, *asked: MovementRequested) -> list[MovementAllocated]:
        """Have the gate accept movements; what goes on to the ledger."""
        allocated = self.gate.accepted(*asked)
        assert len(allocated) == len(asked)
        return allocated

    def post(self, allocated: Iterable[MovementAllocated]) -> list[Output]:
        """Have the ledger post movements; what goes on to accounting."""
        return [each for each in deliver(self.engine, *allocated) if each.kind == MOVEMENT_POSTED]

    def book(self, *asked: MovementRequested) -> None:
        """Accept, post and book movements."""
        self.hand(self.post(self.accept(*asked)))

    def close(self, through: date = FEBRUARY, identifier: str = "C1", **fields: Any) -> list[Output]:
        """Have the gate close the books; what goes on to accounting."""
        return self._change(PERIOD_CLOSED, identifier, {"through": through.isoformat(), "actor": "ann", **fields})

    def reopen(self, open_from: date, identifier: str = "R1") -> list[Output]:
        """Have the gate reopen the books; what goes on to accounting."""
        data = {"open_from": open_from.isoformat(), "actor": "bob", "reason": "an invoice came late"}
        return self._change(PERIOD_REOPENED, identifier, data)

    def hand(self, outputs: Sequence[Output]) -> list[Output]:
        """Hand accounting what the services before it sent, in this order; what it published."""
        return [each for output in outputs for each in carry_out(self.engine, "accounting", hearing(output))]

    def sweep(self) -> list[Output]:
        """Have accounting number what is booked, and lock what may be locked; what it published."""
        steps: tuple[Step, ...] = (number_entries, lock_periods)
        return [each for step in steps for each in carry_out(self.engine, "accounting", step)]

    def locked(self) -> list[tuple[Any, ...]]:
        """How far the books are locked."""
        return rows(self.engine, "SELECT locked_through FROM accounting.books WHERE locked_through IS NOT NULL")

    def _change(self, kind: str, identifier: str, data: dict[str, Any]) -> list[Output]:
        return handed_on(self.gate.send(definition(kind, identifier, data)))


def definition(kind: str, identifier: str, data: dict[str, Any]) -> bytes:
    """A closing or a reopening, as an upstream sends it."""
    struct = STRUCTS[kind](**_dates({"company": COMPANY, **data}))
    return write_event(kind, "office", identifier, struct)


def handed_on(outputs: Iterable[Output]) -> list[Output]:
    """What of the gate's outputs tells accounting of closed books."""
    return [each for each in outputs if each.kind in (PERIOD_CLOSING, PERIOD_REOPENING)]


def hearing(*outputs: Output) -> Step:
    """The step in which accounting works on one message, or on several of one type."""
    kind = outputs[0].kind
    handler = HANDLERS[kind]
    event = write_event(kind, "services", "E1", frame([each.body for each in outputs]))
    inputs: list[Input] = handler.read(read_envelope(event))
    return lambda connection: handler.work(inputs, connection)


def booking(outputs: Sequence[Output]) -> Step:
    """The step in which accounting books posted movements as one set."""
    event = write_event(MOVEMENT_POSTED, "ledger", "E1", frame([each.body for each in outputs]))
    inputs = HANDLERS[MOVEMENT_POSTED].read(read_envelope(event))

    def step(connection: Any) -> Handled:
        return book_movements(inputs, connection)

    return step


def told(output: Output) -> Any:
    """An output as its struct."""
    return read(decoder(STRUCTS[output.kind]), output.body)


def allocated_of(outputs: Iterable[Output]) -> list[MovementAllocated]:
    """The movements that the gate's outputs hand to the ledger."""
    return [told(each) for each in outputs if each.kind == MOVEMENT_ALLOCATED]


def asking(gate: Gate, *asked: MovementRequested) -> Step:
    """The step in which a gate judges movements as one set."""
    return gate.working_on(*events(asked))


def _dates(data: dict[str, Any]) -> dict[str, Any]:
    days = ("through", "open_from")
    return {name: date.fromisoformat(each) if name in days else each for name, each in data.items()}
