"""Builders for cycle counts: opened, reported, accepted or cancelled; and how they compare."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Engine

from shared.contracts.codec import write
from shared.contracts.envelope import write_event
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.contracts.registry import COUNT_ACCEPTED, COUNT_CANCELLED, COUNT_OPENED, COUNT_REPORTED
from shared.quantities import plain
from shared.service import Output
from tests.builders import SOURCE
from tests.receiving_builders import Gate, decoded, rows

COUNT = {"count": {"id": "C"}}


def event(kind: str, identifier: str, **data: Any) -> bytes:
    """One event as an upstream sends it."""
    return write_event(kind, SOURCE, identifier, msgspec.Raw(write(data)))


def sent(gate: Gate, kind: str, identifier: str, **data: Any) -> list[Output]:
    """Send one event; what was published."""
    return gate.send(event(kind, identifier, **data))


def answer(gate: Gate, kind: str, identifier: str, **data: Any) -> OutcomeAccepted | OutcomeRejected:
    """Send one event; what its source is told of it."""
    (told,) = [decoded(each) for each in sent(gate, kind, identifier, **data) if each.id == identifier]
    assert isinstance(told, OutcomeAccepted | OutcomeRejected)
    return told


def opened(
    gate: Gate, *items: str, warehouse: str = "north", identifier: str = "C"
) -> OutcomeAccepted | OutcomeRejected:
    """Open a count of a warehouse, or of these items in it."""
    return answer(gate, COUNT_OPENED, identifier, warehouse=warehouse, items=list(items), actor="ann")


def found(item: str, quantity: int | None = None, **fields: Any) -> dict[str, Any]:
    """A line of a report."""
    return {"item": item, **({} if quantity is None else {"quantity": str(quantity)}), **fields}


def reported(
    gate: Gate, identifier: str, *lines: dict[str, Any], at: datetime | None = None, **fields: Any
) -> OutcomeAccepted | OutcomeRejected:
    """Report what was counted."""
    when = {} if at is None else {"counted_at": at.isoformat()}
    return answer(gate, COUNT_REPORTED, identifier, **COUNT, lines=list(lines), actor="bob", **when, **fields)


def accepted(gate: Gate, identifier: str = "A") -> OutcomeAccepted | OutcomeRejected:
    """Have a count taken over."""
    return answer(gate, COUNT_ACCEPTED, identifier, **COUNT, actor="ann")


def cancelled(gate: Gate, identifier: str = "X") -> OutcomeAccepted | OutcomeRejected:
    """Give a count up."""
    return answer(gate, COUNT_CANCELLED, identifier, **COUNT, actor="ann")


def compared(engine: Engine) -> dict[tuple[str, str], tuple[str, str, str | None]]:
    """Of each item and batch: what was set down, what stood there when it was counted, and what was counted."""
    statement = "SELECT item, batch, frozen, expected, counted FROM receiving.cycle_counts"
    return {
        (item, batch): (plain(frozen), plain(expected), None if counted is None else plain(counted))
        for item, batch, frozen, expected, counted in rows(engine, statement)
    }
