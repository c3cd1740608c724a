"""Opening a case: the company of a movement, the movement that it names, and the moment at which it takes effect."""

from collections.abc import Iterator
from datetime import datetime

from services.receiving.decide.case import Case, Limits, Request
from services.receiving.decide.moment import Moment, day_begins, moment
from services.receiving.decide.originals import bins_of, find_original, original_of
from services.receiving.decide.series import TooMany, count_serials, read_serials
from services.receiving.decide.stock import NEVER, Bin, BinKey, Company, Draft, Stock
from shared.contracts.movement import MovementAllocated, MovementRequested, RequestedLine
from shared.errors import Reason
from shared.purposes import Flow, Purpose


def company_of(source: str, movement: MovementRequested, stock: Stock) -> tuple[Company | None, Reason | None]:
    """The company that a movement names, or that of all of its warehouses, or that of the movement that it names."""
    if movement.company is not None:
        found = stock.companies.get(movement.company)
        return found, None if found else Reason("unknown_company", None, {"company": movement.company})
    codes = {code for line in movement.lines for code in (line.source, line.target) if code is not None}
    if not codes and (key := original_of(source, movement)) is not None:
        original = stock.originals.get(key)
        if original is not None:
            return stock.companies[original.company], None
        facts = {"source": key[0], "id": key[1]}
        return None, Reason("original_rejected" if key in stock.originals else "unknown_original", None, facts)
    candidates = [set(stock.companies_of(code)) for code in codes]
    common = set.intersection(*[each for each in candidates if each]) if any(candidates) else set()
    if len(common) == 1:
        return stock.companies[common.pop()], None
    if any(candidates) and not common:
        return None, Reason("companies_mixed", None, {"warehouses": ", ".join(sorted(codes))})
    return None, Reason("company_missing", None, {"warehouses": ", ".join(sorted(codes))})


def open_case(
    request: Request,
    movement: MovementRequested,
    purpose: Purpose,
    company: Company,
    stock: Stock,
    now: datetime,
    limits: Limits,
) -> Case:
    """A case with its original and its moment; reasons against either are noted."""
    original, reason = find_original(request.source, movement, purpose, company, stock)
    reasons = [reason] if reason is not None else []
    if purpose.flow is Flow.LAND:
        at = _moment_of_landing(movement, original, company, now)
    else:
        at = _moment(movement, purpose, original, company, stock, now, limits)
    case = Case(
        request,
        movement,
        purpose,
        company,
        Draft(stock),
        limits,
        at.effective_at,
        at.day,
        at.dated_at,
        at.back_dated,
        original=original,
        reasons=[*reasons, *at.reasons],
    )
    if original is not None:
        case.also |= bins_of(original)
    return case


def _moment(
    movement: MovementRequested,
    purpose: Purpose,
    original: MovementAllocated | None,
    company: Company,
    stock: Stock,
    now: datetime,
    limits: Limits,
) -> Moment:
    """A movement that is late within the company's lateness takes effect at the last event of what it touches."""
    bins = list(_bins(movement, original, company, stock))
    last_at = max((each.last_at for each in bins), default=NEVER)
    last_at = max(last_at, _last_of_serials(movement, company, stock, limits))
    counted_at = max((each.counted_at for each in bins), default=NEVER)
    if original is not None:
        last_at = max(last_at, original.effective_at)
    fixed_from = last_at if purpose.flow is Flow.COUNT else counted_at
    at = moment(movement.posting_at, last_at, company, now, fixed_from=fixed_from)
    if original is None or at.effective_at >= original.effective_at:
        return at
    if at.reasons and original.effective_at - movement.posting_at <= company.lateness:
        return at
    facts = {"posting_at": movement.posting_at.isoformat(), "original_at": original.effective_at.isoformat()}
    return Moment(at.effective_at, at.day, (*at.reasons, Reason("before_its_original", None, facts)))


def _moment_of_landing(
    movement: MovementRequested, original: MovementAllocated | None, company: Company, now: datetime
) -> Moment:
    """A landed cost takes effect when its receipt did; where that day is closed, it is dated on the first open day."""
    at = moment(movement.posting_at, NEVER, company, now)
    if original is None or at.reasons:
        return at
    if company.open_from is not None and original.posting_date < company.open_from:
        dated_at = day_begins(company.open_from, company)
        return Moment(original.effective_at, company.open_from, dated_at=dated_at)
    return Moment(original.effective_at, original.posting_date)


def _bins(
    movement: MovementRequested, original: MovementAllocated | None, company: Company, stock: Stock
) -> Iterator[Bin]:
    """The bins that a movement's lines are about, as far as they exist."""
    keys = (key for line in movement.lines for key in bins_asked(line, original, company))
    return (found for key in keys if (found := stock.bins.get(key)) is not None)


def bins_asked(line: RequestedLine, original: MovementAllocated | None, company: Company) -> list[BinKey]:
    """The bins that a line names; where it names no warehouse, those of its item in the original."""
    codes = [code for code in (line.source, line.target) if code is not None]
    if not codes and original is not None:
        codes = [each.warehouse for each in original.stamps if each.item == line.item]
    return [(company.company, line.item or "", code) for code in codes]


def _last_of_serials(movement: MovementRequested, company: Company, stock: Stock, limits: Limits) -> datetime:
    """The latest event of the serials that a movement names."""
    last = NEVER
    if sum(count_serials(line.serials or ()) for line in movement.lines) > limits.serials_in_all:
        return last  # it will be refused
    for line in movement.lines:
        named = read_serials(line.serials or (), limits.serials)
        for number in () if isinstance(named, TooMany) else named:
            serial = stock.serials.get((company.company, line.item or "", number))
            last = max(last, serial.last_at or NEVER) if serial is not None else last
    return last
