"""Cycle counts: what is reported is read like the lines of a count; what is taken over is what was found to differ.

The one idea: goods go on moving while they are counted. So what was counted is compared with what stood there at that
moment, and it is the difference that is taken over, on what stands there when it is: whatever moved in between stays.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b

from services.receiving.decide.case import Case, Limits, Line, Request
from services.receiving.decide.lines import read_lines
from services.receiving.decide.moment import business_day
from services.receiving.decide.stock import Company, Draft, MovementKey, Stock
from shared.contracts.counting import CountedLine, CountReported
from shared.contracts.movement import MovementRequested, RequestedLine
from shared.errors import Reason
from shared.purposes import PURPOSES, Tracking
from shared.quantities import Quantity

PURPOSE = "reconciliation"
"""The purpose of the movement by which a count is taken over."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A count that was opened; `items` none: of all that stands there."""

    key: MovementKey
    company: str
    warehouse: str
    items: frozenset[str]
    opened_at: datetime
    state: str
    document: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What one report says of a place; batch '' of what has none."""

    item: str
    batch: str
    quantity: Decimal
    serials: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """What was counted in a place, what stood there then, and what stands there now; of serials which."""

    item: str
    batch: str
    tracking: Tracking
    counted: Decimal
    expected: Decimal
    standing: Decimal = Decimal(0)
    counted_serials: Set[str] = field(default_factory=frozenset)
    expected_serials: Set[str] = field(default_factory=frozenset)
    standing_serials: Set[str] = field(default_factory=frozenset)

    @property
    def is_left(self) -> Decimal:
        """What stands there by the count, now."""
        return self.standing + self.counted - self.expected

    @property
    def are_left(self) -> list[str]:
        """Which units stand there by the count, now."""
        missing = self.expected_serials - self.counted_serials
        found = self.counted_serials - self.expected_serials
        return sorted((self.standing_serials - missing) | found)


def against_use(key: MovementKey, opened: Opened | None) -> list[Reason]:
    """Why nothing can be done with a count: it is not known, or over."""
    facts = {"source": key[0], "id": key[1]}
    if opened is None:
        return [Reason("unknown_count", None, facts)]
    return [] if opened.state == "open" else [Reason("count_ended", None, {**facts, "state": opened.state})]


def against_taking_over(key: MovementKey, places: Sequence[Place]) -> list[Reason]:
    """Why a count cannot be taken over: nothing was counted."""
    return [] if places else [Reason("nothing_counted", None, {"id": key[1]})]


def read_report(
    told: CountReported, opened: Opened, stock: Stock, now: datetime, limits: Limits
) -> tuple[list[Found], list[Reason]]:
    """What a report says of each place, and every reason against it; `stock` has the masters that it names."""
    company = stock.companies[opened.company]
    case = _case(told.lines, opened, stock, company, now, limits)
    lines = read_lines(case)
    _check_time(case, told.counted_at, opened, now)
    seen: set[tuple[str, str]] = set()
    for line in lines:
        place = (line.item.item, line.batch or "")
        if opened.items and line.item.item not in opened.items:
            case.refuse("not_in_count", line, item=line.item.item)
        if place in seen:
            case.refuse("counted_twice", line, item=line.item.item, warehouse=opened.warehouse)
        seen.add(place)
        _check_tracking(case, line)
    found = [Found(line.item.item, line.batch or "", line.quantity, tuple(line.serials or ())) for line in lines]
    return found, case.reasons


def _case(
    told: Iterable[CountedLine], opened: Opened, stock: Stock, company: Company, now: datetime, limits: Limits
) -> Case:
    lines = [
        RequestedLine(
            line=each.line,
            item=each.item,
            quantity=each.quantity,
            unit=each.unit,
            batch=each.batch,
            serials=each.serials,
            target=opened.warehouse,
        )
        for each in told
    ]
    movement = MovementRequested(id=opened.key[1], purpose=PURPOSE, posting_at=now, lines=lines)
    request = Request(*opened.key, b"", movement)
    purpose = PURPOSES[PURPOSE]
    return Case(request, movement, purpose, company, Draft(stock), limits, now, business_day(now, company))


def _check_time(case: Case, counted_at: datetime | None, opened: Opened, now: datetime) -> None:
    if counted_at is not None and not opened.opened_at <= counted_at <= now:
        case.refuse("counted_at_out_of_range", None, counted_at=counted_at, after=opened.opened_at, until=now)


def _check_tracking(case: Case, line: Line) -> None:
    if line.item.tracking is Tracking.BATCH and line.batch is None:
        case.refuse("batch_missing", line, item=line.item.item)
    if line.item.tracking is Tracking.SERIAL and line.batch is not None:
        case.refuse("batch_not_allowed", line, item=line.item.item, batch=line.batch)
    if line.item.tracking is Tracking.SERIAL and line.serials is None and line.quantity:
        case.refuse("serials_missing", line, item=line.item.item, quantity=line.quantity)


def moment_of(opened: Opened, places: Iterable[Place], stock: Stock, now: datetime) -> datetime:
    """When a count is taken over: now, and not before anything that stands there has come, though a clock was fast."""
    at = now
    for place in places:
        there = stock.bins.get((opened.company, place.item, opened.warehouse))
        at = max(at, there.last_at) if there is not None else at
        for number in place.are_left if place.tracking is Tracking.SERIAL else ():
            serial = stock.serials.get((opened.company, place.item, number))
            at = max(at, serial.last_at) if serial is not None and serial.last_at is not None else at
    return at


def taken_over(
    opened: Opened, places: Iterable[Place], at: datetime, actor: str | None, reason: str | None
) -> MovementRequested:
    """The movement by which a count is taken over; its id follows from the count's."""
    return MovementRequested(
        id=movement_id(opened.key),
        company=opened.company,
        purpose=PURPOSE,
        posting_at=at,
        document=opened.document,
        actor=actor,
        reason=reason,
        lines=[_line(each, opened.warehouse) for each in places],
    )


def movement_id(key: MovementKey) -> str:
    """The id of the movement that takes a count over, under the count's own source; no other is called so by chance."""
    return f"count-{blake2b(key[1].encode(), digest_size=16).hexdigest()}"


def _line(place: Place, warehouse: str) -> RequestedLine:
    if place.tracking is Tracking.SERIAL:
        return RequestedLine(item=place.item, target=warehouse, serials=place.are_left)
    return RequestedLine(item=place.item, target=warehouse, quantity=Quantity(place.is_left), batch=place.batch or None)
