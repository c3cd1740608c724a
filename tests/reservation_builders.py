"""Builders for reservations: what is asked for, what is delivered against it, and what is kept back then."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from services.receiving.reports.reservations import REPORT, STATES, lines
from shared.contracts.envelope import write_event
from shared.contracts.movement import Reference
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.contracts.registry import RESERVATION_RELEASED, RESERVATION_REQUESTED
from shared.contracts.reservation import ReservationReleased, ReservationRequested, ReservedLine
from shared.db import transaction
from shared.quantities import Quantity, plain
from shared.report import Filters
from tests.builders import SOURCE, Number
from tests.receiving_builders import EVENING, Gate, decoded, rows

LATER = EVENING + timedelta(hours=1)
"""When a reservation expires, if a test does not say otherwise."""


def of(item: str, quantity: Number | None = None, warehouse: str = "north", **fields: Any) -> ReservedLine:
    """A line of a reservation."""
    wanted = None if quantity is None else Quantity(str(quantity))
    return ReservedLine(item=item, warehouse=warehouse, quantity=wanted, **fields)


def reservation(*lines: ReservedLine, expires_at: datetime = LATER, **fields: Any) -> ReservationRequested:
    """A reservation for an order."""
    return ReservationRequested(**{"document": "order 7", **fields}, expires_at=expires_at, lines=list(lines))


def asked(identifier: str, *lines: ReservedLine, source: str = SOURCE, **fields: Any) -> bytes:
    """A reservation as an upstream asks for it."""
    return write_event(RESERVATION_REQUESTED, source, identifier, reservation(*lines, **fields))


def given_up(identifier: str, of_: str, source: str = SOURCE) -> bytes:
    """A release as an upstream sends it."""
    return write_event(RESERVATION_RELEASED, source, identifier, ReservationReleased(reservation=Reference(id=of_)))


def reserve(gate: Gate, identifier: str, *lines: ReservedLine, **fields: Any) -> OutcomeAccepted | OutcomeRejected:
    """Ask for a reservation; the answer."""
    return _answer(gate, asked(identifier, *lines, **fields))


def release(gate: Gate, identifier: str, of_: str) -> OutcomeAccepted | OutcomeRejected:
    """Give a reservation up; the answer."""
    return _answer(gate, given_up(identifier, of_))


def _answer(gate: Gate, event: bytes) -> OutcomeAccepted | OutcomeRejected:
    told = decoded(gate.send(event)[0])
    assert isinstance(told, OutcomeAccepted | OutcomeRejected)
    return told


def against(identifier: str) -> Mapping[str, Any]:
    """What a movement, or a line, says that takes goods against a reservation."""
    return {"reservation": Reference(id=identifier)}


def open_lines(engine: Engine) -> dict[tuple[str, int], tuple[str, str]]:
    """What each line of a reservation still keeps back, and what was delivered of it."""
    statement = "SELECT id, line, open, delivered FROM receiving.reservations ORDER BY id, line"
    return {(name, line): (plain(left), plain(gone)) for name, line, left, gone in rows(engine, statement)}


def assert_totals(engine: Engine) -> None:
    """What stands in bins, of batches and of units as reserved is what the lines of reservations keep back."""
    assert rows(engine, _BINS_UNLIKE_LINES) == []
    assert rows(engine, _BATCHES_UNLIKE_LINES) == []
    assert rows(engine, _UNITS_UNLIKE_LINES) == []


def told_short(engine: Engine, at: datetime = EVENING, **filters: Any) -> dict[tuple[str, int], tuple[str, str, str]]:
    """What the report says of each line at a moment: what it keeps back, what of that is short, and how it stands."""
    with transaction(engine) as connection:
        found = [tuple(row) for row in lines(connection, Filters(**filters), STATES, at)]
    names = [column.name for column in REPORT.columns]
    told = [dict(zip(names, row, strict=True)) for row in found]
    return {(row["id"], row["line"]): (plain(row["open"]), plain(row["short"]), row["state"]) for row in told}


_BINS_UNLIKE_LINES = """
SELECT item, warehouse, reserved FROM receiving.bin WHERE reserved <> (
    SELECT coalesce(sum(open), 0) FROM receiving.reservation_line AS line
    WHERE (line.company, line.item, line.warehouse) = (bin.company, bin.item, bin.warehouse)
        AND batch = '' AND serials = '{}'
) + (
    SELECT count(*) FROM receiving.serial
    WHERE (serial.company, serial.item, serial.warehouse) = (bin.company, bin.item, bin.warehouse)
        AND reserved_for IS NOT NULL)
"""
_BATCHES_UNLIKE_LINES = """
SELECT item, warehouse, batch, reserved FROM receiving.batch_stock AS stock WHERE reserved <> (
    SELECT coalesce(sum(open), 0) FROM receiving.reservation_line AS line
    WHERE (line.company, line.item, line.warehouse, line.batch)
        = (stock.company, stock.item, stock.warehouse, stock.batch))
"""
_UNITS_UNLIKE_LINES = """
SELECT serial, reserved_for FROM receiving.serial WHERE reserved_for IS NOT NULL AND NOT EXISTS (
    SELECT FROM receiving.reservation_line AS line
    WHERE (line.company, line.item, line.warehouse) = (serial.company, serial.item, serial.warehouse)
        AND serial.serial = ANY(serials) AND open > 0 AND reserved_for = source || ':' || id)
"""
