"""Keeping goods back for an order: all that a reservation asks for, by what there is at this moment, or nothing.

What it asks for is read as the lines of an issue, so whatever speaks against those speaks against it. What is kept
back is noted where the goods stand, as totals: so nobody who takes goods reads reservations.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from services.receiving.decide.allocation import rejected
from services.receiving.decide.case import Case, Limits, Line, Request
from services.receiving.decide.lines import read_lines
from services.receiving.decide.opening import company_of, open_case
from services.receiving.decide.picking import shelf_of, why_not
from services.receiving.decide.reserved import available_of, tag
from services.receiving.decide.stock import BatchStock, Company, MovementKey, Reserved, Serial, Stock, Warehouse
from services.receiving.decide.taking import lack, standing
from shared.contracts.codec import changed
from shared.contracts.movement import MovementRequested, RequestedLine
from shared.contracts.outcome import Allocated, OutcomeAccepted, OutcomeRejected
from shared.contracts.reservation import ReservationRequested
from shared.errors import Reason
from shared.purposes import PURPOSES, Tracking
from shared.quantities import ZERO, Quantity

KIND = "reservation.requested"
LONGEST = timedelta(days=366)
"""How long a reservation may keep anything back."""

_ISSUE = PURPOSES["material_issue"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A reservation as it came in; `request` asks for the same goods as an issue would."""

    request: Request
    reservation: ReservationRequested


@dataclass(frozen=True, slots=True)
class Standing:
    """How a reservation stands: whether it still keeps anything back, was delivered as a whole, or was given up."""

    company: str
    is_open: bool
    is_delivered: bool
    is_released: bool

    def as_released(self) -> "Standing":
        """The same when it has been given up."""
        return replace(self, is_open=False, is_released=True)


@dataclass(frozen=True, slots=True)
class Kept:
    """A reservation that was accepted, with its lines, and what its source is told."""

    asked: Asked
    company: str
    lines: Sequence[Reserved]
    outcome: OutcomeAccepted


def asked_for(
    source: str, identifier: str, reservation: ReservationRequested, now: datetime, attempt: int = 1
) -> Asked:
    """A reservation that is to be judged now."""
    lines = [
        RequestedLine(
            line=each.line,
            item=each.item,
            quantity=each.quantity,
            unit=each.unit,
            source=each.warehouse,
            serials=each.serials,
            batch=each.batch,
        )
        for each in reservation.lines
    ]
    movement = MovementRequested(
        id=identifier, company=reservation.company, purpose=_ISSUE.name, posting_at=now, lines=lines
    )
    return Asked(Request(source, identifier, b"", movement, attempt=attempt), reservation)


def reserve(asked: Asked, stock: Stock, now: datetime, limits: Limits) -> Kept | OutcomeRejected:
    """Keep back all that a reservation asks for; `stock` takes it over."""
    movement = asked.request.movement
    company, reason = company_of(asked.request.source, movement, stock) if movement is not None else (None, None)
    if movement is None or company is None:
        return _refused(asked, None, now, [reason] if reason is not None else [])
    case = open_case(asked.request, movement, _ISSUE, company, stock, now, limits)
    _check_expiry(case, asked.reservation.expires_at, now)
    lines = [each for line in read_lines(case) if line.source is not None for each in _keep(case, line, line.source)]
    if case.reasons:
        return _refused(asked, company, now, case.reasons)
    stock.absorb(case.draft)
    return Kept(asked, company.company, lines, _told(asked, company, lines, now))


def against_release(key: MovementKey, standing: Standing | None) -> list[Reason]:
    """Why a reservation cannot be given up: it is not known, or keeps nothing back any more."""
    facts = {"source": key[0], "id": key[1]}
    if standing is None:
        return [Reason("unknown_reservation", None, facts)]
    if standing.is_open:
        return []
    state = "released" if standing.is_released else "delivered" if standing.is_delivered else "expired"
    return [Reason("reservation_ended", None, {**facts, "state": state})]


def _check_expiry(case: Case, expires_at: datetime, now: datetime) -> None:
    if not now < expires_at <= now + LONGEST:
        case.refuse("expiry_out_of_range", None, expires_at=expires_at, after=now, until=now + LONGEST)


def _keep(case: Case, line: Line, warehouse: Warehouse) -> list[Reserved]:
    kept = _KEEPING[line.item.tracking](case, line, warehouse)
    return [] if kept is None else [kept]


def _keep_quantity(case: Case, line: Line, warehouse: Warehouse) -> Reserved | None:
    there = case.bin(case.bin_key(line.item, warehouse))
    return _keep_back(case, line, warehouse, there.quantity - there.reserved)


def _keep_back(case: Case, line: Line, warehouse: Warehouse, available: Decimal) -> Reserved | None:
    """Keep back a line's quantity in a bin, of no batch or unit in particular."""
    key = case.bin_key(line.item, warehouse)
    if available < line.quantity:
        lack(case, line, warehouse, available)
        return None
    before = case.bin(key)
    case.draft.bins[key] = before._replace(reserved=before.reserved + line.quantity)
    return Reserved(line.number, key, line.quantity, line.quantity)


def _keep_batch(case: Case, line: Line, warehouse: Warehouse) -> Reserved | None:
    key = case.bin_key(line.item, warehouse)
    if line.batch is None:
        available = shelf_of(case, line, warehouse).total() - case.bin(key).reserved
        return _keep_back(case, line, warehouse, available)
    batch = case.draft.batches.get(case.batch_key(line.item, line.batch))
    if batch is None:
        case.refuse("unknown_batch", line, item=line.item.item, batch=line.batch)
        return None
    if not _is_sound(case, line, line.batch):
        return None
    available = available_of(case, line, warehouse, line.batch, batch, (ZERO, ZERO))
    if available < line.quantity:
        lack(case, line, warehouse, available, batch=line.batch)
        return None
    before = case.draft.batch_stock.get((*key, line.batch)) or BatchStock()
    case.draft.batch_stock[*key, line.batch] = before._replace(reserved=before.reserved + line.quantity)
    return Reserved(line.number, key, line.quantity, line.quantity, batch=line.batch)


def _keep_serials(case: Case, line: Line, warehouse: Warehouse) -> Reserved | None:
    if line.batch is not None and line.serials is None:
        case.refuse("batch_not_allowed", line, item=line.item.item, batch=line.batch)
        return None
    there = case.bin(case.bin_key(line.item, warehouse))
    available = there.quantity - there.reserved
    if line.serials is None:
        return _keep_back(case, line, warehouse, available)
    faulty = [number for number in line.serials if not _may_be_kept(case, line, warehouse, number)]
    if faulty:
        return None
    kept = _keep_back(case, line, warehouse, available)
    for number in line.serials if kept is not None else ():
        key = (case.company.company, line.item.item, number)
        serial = case.draft.serials.get(key) or Serial()
        case.draft.serials[key] = serial._replace(reserved_for=tag((case.request.source, case.request.id)))
    return None if kept is None else kept._replace(serials=tuple(line.serials))


def _may_be_kept(case: Case, line: Line, warehouse: Warehouse, number: str) -> bool:
    """Whether a unit stands there, is reserved for nobody, and may be picked; the reason is noted."""
    before = len(case.reasons)
    own = case.draft.serials.own.get((case.company.company, line.item.item, number))
    serial = own if own is not None else standing(case, line, warehouse, number)
    if serial is not None and serial.reserved_for is not None:
        case.refuse("serial_reserved", line, serial=number, order=serial.reserved_for)
    if serial is not None and serial.recalled:
        case.refuse("serial_recalled", line, item=line.item.item, serial=number)
    if serial is not None and serial.batch is not None:
        _is_sound(case, line, serial.batch)
    return len(case.reasons) == before


def _is_sound(case: Case, line: Line, number: str) -> bool:
    """Whether what is of a batch may be picked today; the reason is noted."""
    batch = case.draft.batches.get(case.batch_key(line.item, number))
    code = why_not(batch, case.day) if batch is not None else None
    if batch is not None and code is not None:
        facts = {"expires_on": batch.expires_on, "at": case.day} if code == "batch_expired" else {}
        case.refuse(code, line, item=line.item.item, batch=number, **facts)
    return code is None


def _told(asked: Asked, company: Company, lines: Sequence[Reserved], now: datetime) -> OutcomeAccepted:
    return OutcomeAccepted(
        source=asked.request.source,
        id=asked.request.id,
        kind=KIND,
        company=company.company,
        recorded_at=now,
        allocated=[
            Allocated(
                line=each.line,
                item=each.bin[1],
                warehouse=each.bin[2],
                quantity=Quantity(each.quantity),
                batch=each.batch,
                serials=list(each.serials),
            )
            for each in lines
        ],
        attempt=asked.request.attempt,
    )


def _refused(asked: Asked, company: Company | None, now: datetime, reasons: Sequence[Reason]) -> OutcomeRejected:
    return changed(rejected(asked.request, company, now, reasons).outcome, kind=KIND)


_KEEPING: Mapping[Tracking, Callable[[Case, Line, Warehouse], Reserved | None]] = {
    Tracking.NONE: _keep_quantity,
    Tracking.BATCH: _keep_batch,
    Tracking.SERIAL: _keep_serials,
}
