"""Builders for reports: a small shop whose three services work in one thread, and reports as lines for people to check.

A line has the values of some columns, in the order asked for: `-` is nothing, and a text has no spaces.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from services.desk.events import Event, read_event
from services.desk.pipeline import Pipeline
from services.desk.reporting import REPORTS
from services.desk.store import outcomes
from shared.contracts.outcome import OutcomeRejected
from shared.db import transaction
from shared.quantities import plain
from shared.report import Filters, read_report
from shared.settings import Settings
from tests.verifying_builders import Clock

SHOP = "shop"
FIRST = datetime(2026, 3, 10, 12, tzinfo=UTC)
"""When all is recorded, until the clock is set."""


@dataclass
class Books:
    """A shop in Berlin and its services, whose clock stands still until it is set."""

    pipeline: Pipeline
    clock: Clock

    @property
    def engine(self) -> Engine:
        return self.pipeline.engine

    def define(self, noun: str, /, **data: Any) -> None:
        """Define something of the shop."""
        self._play(self._event(f"{noun}.defined.v1", {"company": SHOP, **data}))

    def book(self, identifier: str, purpose: str, at: str, *lines: Mapping[str, Any], **fields: Any) -> None:
        """Have a movement accepted, posted and booked; `at` is a day, whose noon it is, or a time."""
        moment = at if "T" in at else f"{at}T12:00:00+01:00"
        data = {"id": identifier, "company": SHOP, "purpose": purpose, "posting_at": moment, "lines": lines, **fields}
        self._play(self._event("movement.requested.v1", data))

    def _event(self, kind: str, data: Mapping[str, Any]) -> Event:
        return read_event(json.dumps({"type": kind, "data": data}).encode(), "till", self.clock.now)

    def _play(self, event: Event) -> None:
        self.pipeline.publish([event])
        self.pipeline.settle()
        with transaction(self.engine) as connection:
            told = outcomes(connection, event.keys)
        refused = [each.reasons for each in told.values() if isinstance(each, OutcomeRejected)]
        assert told, "nobody answered"
        assert refused == []


@contextmanager
def books_on(url: str) -> Iterator[Books]:
    """The shop, with its warehouses, on an empty database."""
    clock = Clock(FIRST)
    with Pipeline(url, clock=clock, settings=Settings(sweep_every=0.0)) as pipeline:
        books = Books(pipeline, clock)
        books.define("company", currency="EUR", time_zone="Europe/Berlin")
        kinds = {"north": "store", "south": "store", "van": "transit", "locked": "quarantine"}
        books.define("accounts", accounts=[{"account": f"stock {name}", "kind": "asset"} for name in kinds])
        for name, kind in kinds.items():
            books.define("warehouse", warehouse=name, kind=kind, account=f"stock {name}")
        yield books


def line(item: str | None, quantity: object, **fields: Any) -> dict[str, Any]:
    """A line of a movement."""
    return {"item": item, "quantity": str(quantity), **fields}


def comes(item: str, quantity: object, rate: object, target: str = "north", **fields: Any) -> dict[str, Any]:
    """A line that comes in."""
    return line(item, quantity, rate=str(rate), target=target, **fields)


def goes(item: str, quantity: object, source: str = "north", **fields: Any) -> dict[str, Any]:
    """A line that leaves."""
    return line(item, quantity, source=source, **fields)


def told(engine: Engine, name: str, columns: str, **filters: Any) -> list[str]:
    """The rows of a report as lines of these columns."""
    report = REPORTS[name]
    places = [[column.name for column in report.columns].index(each) for each in columns.split()]
    with transaction(engine) as connection:
        rows = read_report(report, connection, Filters(**filters))
    return [" ".join(_text(row[place]) for place in places) for row in rows]


def lines(text: str) -> list[str]:
    """The lines of a table that a person wrote: spaces count for one, `-` for nothing."""
    return [" ".join(each.split()) for each in text.strip().splitlines()]


def total(engine: Engine, name: str, column: str, **filters: Any) -> Decimal:
    """What a column of a report adds up to."""
    report = REPORTS[name]
    place = [each.name for each in report.columns].index(column)
    with transaction(engine) as connection:
        return sum(
            (row[place] or Decimal(0) for row in read_report(report, connection, Filters(**filters))), Decimal(0)
        )


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.isoformat() if isinstance(value, date) else str(value).replace(" ", "_") or "-"
