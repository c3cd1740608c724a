"""The gate: every requested movement is accepted with its serials, batches and stamps, or rejected with all reasons.

Movements are judged in the order given, each on what those before it left. After this, ledger and accounting can
fail only technically; so whatever they need travels in the accepted movement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from services.receiving.decide.accounts import booked_accounts
from services.receiving.decide.bringing import arrive, bring
from services.receiving.decide.cancelling import CANCELLATION, refusal_of_cancellation, refusal_of_original
from services.receiving.decide.case import Case, Limits, Line, Portion, Request, SerialEvent
from services.receiving.decide.lines import moves_stock, read_lines
from services.receiving.decide.moment import moment
from services.receiving.decide.money import check_size, money_sides
from services.receiving.decide.series import TooMany, count_serials, read_serials
from services.receiving.decide.stock import NEVER, BinKey, Company, Draft, Stock
from services.receiving.decide.taking import take
from shared.contracts.movement import BinStamp, Leg, MoneySides, MovementAllocated, MovementRequested
from shared.contracts.outcome import Allocated, OutcomeAccepted, OutcomeRejected, Refusal
from shared.errors import Reason
from shared.purposes import PURPOSES, Flow, Purpose, Role
from shared.quantities import ZERO, Money, Quantity, Rate, amount_of

KIND = "movement.requested"


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted movement: what goes on to the ledger, what its source is told, what happened to its serials."""

    request: Request
    allocated: MovementAllocated
    outcome: OutcomeAccepted
    events: Sequence[SerialEvent]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A rejected movement, with every reason."""

    request: Request
    outcome: OutcomeRejected
    purpose: str | None = None


def allocate(requests: Sequence[Request], stock: Stock, now: datetime, limits: Limits) -> list[Accepted | Rejected]:
    """Judge movements one after another; `stock` takes over what each accepted one changes."""
    return [_judge(request, stock, now, limits) for request in requests]


def _judge(request: Request, stock: Stock, now: datetime, limits: Limits) -> Accepted | Rejected:
    movement = request.movement
    if movement is None:
        return _rejected(request, None, now, [Reason("malformed", None, {"problem": request.problem or ""})])
    cancelled = refusal_of_original(request.source, request.id, stock)
    if cancelled is not None:
        return _rejected(request, None, now, [cancelled])
    if movement.purpose == CANCELLATION:
        return _rejected(request, None, now, [refusal_of_cancellation(request.source, movement, stock)])
    purpose = PURPOSES.get(movement.purpose)
    company, reason = company_of(movement, stock)
    reasons = [reason] if reason is not None else []
    if purpose is None:
        known = ", ".join(sorted(PURPOSES))
        reasons.append(Reason("unknown_purpose", None, {"purpose": movement.purpose, "known": known}))
    if purpose is None or company is None:
        return _rejected(request, company, now, reasons)
    return _judge_case(_opened(request, movement, purpose, company, stock, now, limits), now)


def company_of(movement: MovementRequested, stock: Stock) -> tuple[Company | None, Reason | None]:
    """The company that a movement names, or the one that all of its warehouses belong to."""
    if movement.company is not None:
        found = stock.companies.get(movement.company)
        return found, None if found else Reason("unknown_company", None, {"company": movement.company})
    codes = {code for line in movement.lines for code in (line.source, line.target) if code is not None}
    candidates = [set(stock.companies_of(code)) for code in codes]
    common = set.intersection(*[each for each in candidates if each]) if any(candidates) else set()
    if len(common) == 1:
        return stock.companies[common.pop()], None
    if any(candidates) and not common:
        return None, Reason("companies_mixed", None, {"warehouses": ", ".join(sorted(codes))})
    return None, Reason("company_missing", None, {"warehouses": ", ".join(sorted(codes))})


def _opened(
    request: Request,
    movement: MovementRequested,
    purpose: Purpose,
    company: Company,
    stock: Stock,
    now: datetime,
    limits: Limits,
) -> Case:
    """A case with its moment; a movement that is late within the company's lateness takes effect at the last event."""
    at = moment(movement.posting_at, _last_event(movement, company, stock, limits), company, now)
    return Case(
        request, movement, purpose, company, Draft(stock), limits, at.effective_at, at.day, reasons=list(at.reasons)
    )


def _last_event(movement: MovementRequested, company: Company, stock: Stock, limits: Limits) -> datetime:
    """The latest event of the bins and serials that a movement names."""
    last = NEVER
    if sum(count_serials(line.serials or ()) for line in movement.lines) > limits.serials_in_all:
        return last  # it will be refused
    for line in movement.lines:
        if line.item is None:
            continue
        for warehouse in (line.source, line.target):
            found = stock.bins.get((company.company, line.item, warehouse or ""))
            last = max(last, found.last_at) if found is not None else last
        named = read_serials(line.serials or (), limits.serials)
        for number in () if isinstance(named, TooMany) else named:
            serial = stock.serials.get((company.company, line.item, number))
            last = max(last, serial.last_at or NEVER) if serial is not None else last
    return last


def _judge_case(case: Case, now: datetime) -> Accepted | Rejected:
    _refuse_unsupported(case)
    lines = read_lines(case)
    left = [portion for line in lines if line.source is not None for portion in take(case, line, line.source)]
    moved = [arrive(case, portion, target) for portion in left if (target := portion.line.target) is not None]
    came = [portion for line in lines if case.purpose.flow is Flow.IN for portion in _bring(case, line)]
    accounts = booked_accounts(case)
    money = money_sides(case)
    if case.reasons:
        return _rejected(case.request, case.company, now, case.reasons)
    allocated = _allocated(case, _legs(case, left, moved, came), accounts, money, now)
    case.draft.stock.absorb(case.draft)
    return Accepted(case.request, allocated, _told(case, allocated, [*left, *came]), case.events)


def _allocated(
    case: Case, legs: list[Leg], accounts: dict[Role, str], money: MoneySides | None, now: datetime
) -> MovementAllocated:
    """The accepted movement, numbered in its bins, with all that the services behind need to know."""
    recorded_at = max([now, *(case.bin(_key(case, leg)).last_recorded_at for leg in legs)])
    stamps = _stamp(case, legs, recorded_at)
    movement, company = case.movement, case.company
    return MovementAllocated(
        source=case.request.source,
        id=case.request.id,
        company=company.company,
        currency=company.currency,
        digits=company.digits,
        perpetual=company.perpetual,
        purpose=case.purpose.name,
        posting_at=movement.posting_at,
        effective_at=case.effective_at,
        recorded_at=recorded_at,
        posting_date=case.day,
        document=movement.document,
        actor=movement.actor,
        reason=movement.reason,
        customer=movement.customer,
        supplier=movement.supplier,
        recipient=movement.recipient,
        stamps=stamps,
        legs=legs,
        accounts=accounts,
        money=money,
        trace=case.request.trace,
    )


def _refuse_unsupported(case: Case) -> None:
    """What a movement may say but this purpose, or this version, does not do: never silently left out."""
    movement = case.movement
    if movement.against is not None:
        case.refuse("against_not_allowed", None, purpose=case.purpose.name, against=movement.against.id)
    if movement.additional_costs:
        case.refuse("additional_costs_unsupported", None, purpose=case.purpose.name)
    if movement.dry_run:
        case.refuse("dry_run_unsupported", None)
    if movement.opening:
        case.refuse("opening_not_allowed", None, purpose=case.purpose.name)
    for place, line in enumerate(movement.lines, 1):
        if line.scan is not None:
            case.refuse("scan_unsupported", line.line or place, scan=line.scan)
        if not moves_stock(case, line) and (line.source or line.target or line.serials or line.batch):
            case.refuse("stock_on_account_line", line.line or place, account=line.account)


def _bring(case: Case, line: Line) -> list[Portion]:
    _check_rate(case, line)
    return bring(case, line, line.target) if line.target is not None else []


def _check_rate(case: Case, line: Line) -> None:
    """What comes in has a rate, its own or one known in the bin; a rate of 0 is none unless the line says so."""
    rate = line.requested.rate
    quantity, assumed = (line.entered, rate) if rate else (line.quantity, line.item.standard_rate or ZERO)
    check_size(case, line.number, amount_of(quantity, assumed, case.company.digits))
    if rate is not None and rate < ZERO:
        case.refuse("rate_negative", line, rate=rate)
    elif not _has_amount(line) and not _rate_is_known(case, line):
        case.refuse("rate_missing", line, item=line.item.item)


def _has_amount(line: Line) -> bool:
    return line.requested.allow_zero_rate or (line.requested.rate is not None and line.requested.rate > ZERO)


def _rate_is_known(case: Case, line: Line) -> bool:
    known = line.target is not None and case.bin(case.bin_key(line.item, line.target)).rated
    return known or (line.item.standard_rate is not None and line.item.standard_rate > ZERO)


def _legs(case: Case, left: Sequence[Portion], moved: Sequence[Portion], came: Sequence[Portion]) -> list[Leg]:
    """All that leaves before all that arrives; what moves arrives in the order in which it left."""
    legs = [_leg(portion, -portion.quantity) for portion in left]
    legs.extend(_leg(portion, portion.quantity, arrives_from=place) for place, portion in enumerate(moved))
    legs.extend(_leg(portion, portion.quantity, amount=_amount(case, portion.line)) for portion in came)
    return legs


def _amount(case: Case, line: Line) -> Money | None:
    """The line's amount; None where the ledger is to find the rate."""
    if not _has_amount(line):
        return None
    rate = line.requested.rate or Rate(0)
    return Money(amount_of(line.entered, rate, case.company.digits))


def _leg(portion: Portion, quantity: Decimal, *, amount: Money | None = None, arrives_from: int | None = None) -> Leg:
    item = portion.line.item
    return Leg(
        line=portion.line.number,
        item=item.item,
        warehouse=portion.warehouse.warehouse,
        quantity=Quantity(quantity),
        batch=portion.batch,
        serials=list(portion.serials),
        amount=amount,
        standard_rate=Rate(item.standard_rate) if amount is None and item.standard_rate is not None else None,
        arrives_from=arrives_from,
        tracking=item.tracking,
        method=item.valuation_method,
        stock_account=portion.warehouse.account,
    )


def _stamp(case: Case, legs: Sequence[Leg], recorded_at: datetime) -> list[BinStamp]:
    """Number the movement in each of its bins, and note there when its last event was and that a rate is known."""
    stamps = []
    rated = {_key(case, leg) for leg in legs if _gives_rate(case, leg, legs)}
    for key in sorted({_key(case, leg) for leg in legs}):
        stamp = case.stamp(key)
        before = case.bin(key)
        case.draft.bins[key] = before._replace(
            last_stamp=stamp,
            last_at=max(before.last_at, case.effective_at),
            last_recorded_at=recorded_at,
            rated=before.rated or key in rated,
        )
        stamps.append(BinStamp(item=key[1], warehouse=key[2], stamp=stamp))
    return stamps


def _gives_rate(case: Case, leg: Leg, legs: Sequence[Leg]) -> bool:
    """Whether something of worth comes by a leg: an amount, or goods from a bin where a rate is known."""
    if leg.arrives_from is None:
        return leg.amount is not None and leg.amount > ZERO
    came_from = case.draft.stock.bins.get(_key(case, legs[leg.arrives_from]))
    return came_from is not None and came_from.rated


def _key(case: Case, leg: Leg) -> BinKey:
    return (case.company.company, leg.item, leg.warehouse)


def _told(case: Case, allocated: MovementAllocated, portions: Sequence[Portion]) -> OutcomeAccepted:
    """What the source is told: what each line took, brought or made."""
    return OutcomeAccepted(
        source=case.request.source,
        id=case.request.id,
        kind=KIND,
        company=case.company.company,
        recorded_at=allocated.recorded_at,
        effective_at=allocated.effective_at,
        allocated=[
            Allocated(
                line=portion.line.number,
                item=portion.line.item.item,
                warehouse=portion.warehouse.warehouse,
                quantity=Quantity(portion.quantity),
                batch=portion.batch,
                serials=list(portion.serials),
                generated=portion.generated,
            )
            for portion in portions
        ],
        attempt=case.request.attempt,
    )


def _rejected(request: Request, company: Company | None, now: datetime, reasons: Sequence[Reason]) -> Rejected:
    outcome = OutcomeRejected(
        source=request.source,
        id=request.id,
        kind=KIND,
        company=company.company if company is not None else None,
        recorded_at=now,
        reasons=[
            Refusal(code=each.code, line=each.line, facts=dict(each.facts))
            for each in sorted(reasons, key=lambda reason: reason.line or 0)
        ],
        attempt=request.attempt,
    )
    return Rejected(request, outcome, request.movement.purpose if request.movement is not None else None)
