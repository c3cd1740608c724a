"""What a set of movements needs of the stock: which bins, batches, serials and series, going by what its lines say.

A line is read only as far as that takes; what is wrong with it is for the judge to say. What comes back, is sent back
or is revalued may leave the place, the batch and the serials to the movement that it names. Where that is decided in
the same set, its own lines need all that it will take; only which batches it will be is not known beforehand.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from services.receiving.decide.case import Limits, Request
from services.receiving.decide.lines import factor_of
from services.receiving.decide.moment import business_day
from services.receiving.decide.opening import bins_asked, company_of
from services.receiving.decide.originals import bins_of, find_original, original_of
from services.receiving.decide.series import Series, TooMany, count_serials, read_serials, series_of
from services.receiving.decide.stock import (
    BatchKey,
    Bin,
    BinKey,
    Company,
    Item,
    MovementKey,
    SerialKey,
    SeriesKey,
    Stock,
)
from shared.contracts.movement import Leg, MovementAllocated, MovementRequested, RequestedLine
from shared.purposes import PURPOSES, Flow, Purpose, Tracking
from shared.quantities import ZERO, product


@dataclass(slots=True)
class Needs:
    """What the lines of a set name, or may take; of `bins` and `series` those to be made where they are missing.

    Of the serials that stand in a bin, `standing` wants all, `leaving` the first in pick order. `finding` are serials
    that may come by the way by which they left, which only their own records know. `batches_coming` are those that
    something comes into; in `items_coming` that may be any batch of the item. `spans` says from when to when
    something is reported of each bin; `late` are bins of batches in which something may take effect before what came
    already, and from when on. `given_back` are ledger entries (with companies) of which something is
    not returned after all.
    """

    bins: set[BinKey] = field(default_factory=set)
    new_bins: set[BinKey] = field(default_factory=set)
    bins_of_batches: set[BinKey] = field(default_factory=set)
    batches: set[BatchKey] = field(default_factory=set)
    batches_coming: set[BatchKey] = field(default_factory=set)
    items_coming: set[tuple[str, str]] = field(default_factory=set)
    serials: set[SerialKey] = field(default_factory=set)
    standing: set[BinKey] = field(default_factory=set)
    finding: set[SerialKey] = field(default_factory=set)
    leaving: dict[BinKey, "Leaving"] = field(default_factory=lambda: defaultdict(lambda: Leaving()))  # noqa: PLW0108
    series: dict[tuple[str, str, Series], int] = field(default_factory=lambda: defaultdict(int))
    new_series: set[SeriesKey] = field(default_factory=set)
    spans: dict[BinKey, "Span"] = field(default_factory=dict)
    late: set[tuple[str, str, str, datetime]] = field(default_factory=set)
    given_back: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Leaving:
    """How many serials a set takes out of one bin, on which days, and how many of them it leaves to be picked.

    `of_batch`: some are picked among those of a batch, so that the first in pick order need not be among them.
    """

    units: Decimal = ZERO
    picked: Decimal = ZERO
    days: set[date] = field(default_factory=set)
    of_batch: bool = False

    @property
    def limit(self) -> int | None:
        """How many of the first in pick order are sure to be enough; None where only all are.

        A set that spans days cannot know beforehand what will have expired.
        """
        return None if self.of_batch or len(self.days) > 1 else int(self.units)


@dataclass(slots=True)
class Span:
    """The first and the last time that a set reports of a bin; `counted`: by a count."""

    earliest: datetime
    latest: datetime
    counted: bool = False

    def may_be_late(self, there: Bin, company: Company) -> bool:
        """Whether something may take effect before what came to a bin already, or comes in the same set."""
        last_at = max(there.last_at, self.latest)
        if self.earliest >= there.last_at:
            return False
        fixed = self.counted or there.counted_at > self.earliest
        within = last_at - self.earliest <= company.lateness
        return fixed or not within or business_day(self.earliest, company) != business_day(last_at, company)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A movement with its company, its day, and the accepted one that it names."""

    movement: MovementRequested
    purpose: Purpose
    company: Company
    day: date
    original: MovementAllocated | None

    def legs(self, item: Item) -> Iterator[Leg]:
        """The legs of the original of which goods come back, or are sent back."""
        leaving = self.purpose.flow is not Flow.SEND_BACK
        for leg in self.original.legs if self.original is not None else ():
            if leg.item == item.item and leg.quantity and (leg.quantity < ZERO) is leaving and leg.corrects is None:
                yield leg


def companies_asked(stock: Stock, requests: Sequence[Request]) -> list[tuple[MovementRequested, Company]]:
    """The movements of a set with their companies, as far as that is known beforehand."""
    together = {(each.source, each.id): each for each in requests}
    found = ((each.movement, _company(each, stock, together)) for each in requests if each.movement is not None)
    return [(movement, company) for movement, company in found if company is not None]


def needs_of(stock: Stock, requests: Sequence[Request], limits: Limits) -> Needs:
    """What a set needs, its masters and originals being known; nothing for what is sure to be refused."""
    needs = Needs()
    together = {(each.source, each.id): each for each in requests}
    for request in requests:
        asked = _asked(request, stock, together)
        if asked is not None:
            _need_movement(needs, stock, asked, limits)
            needs.items_coming |= _undone_together(request, asked, together)
    return needs


def _undone_together(
    request: Request, asked: "_Asked", together: Mapping[MovementKey, Request]
) -> set[tuple[str, str]]:
    """The items of a movement that is decided, and cancelled, in this set: which batches it takes is not known yet."""
    key = original_of(request.source, asked.movement) if asked.purpose.flow is Flow.CANCEL else None
    undone = together[key].movement if key is not None and key in together else None
    return {(asked.company.company, line.item) for line in undone.lines if line.item is not None} if undone else set()


def _asked(request: Request, stock: Stock, together: Mapping[MovementKey, Request]) -> _Asked | None:
    movement = request.movement
    purpose = PURPOSES.get(movement.purpose) if movement is not None else None
    company = _company(request, stock, together)
    if movement is None or purpose is None or company is None:
        return None
    original, _ = find_original(request.source, movement, purpose, company, stock)
    return _Asked(movement, purpose, company, business_day(movement.posting_at, company), original)


def _company(request: Request, stock: Stock, together: Mapping[MovementKey, Request]) -> Company | None:
    """The company of a movement; it may be that of the movement that it names, which may be decided in the same set."""
    seen: set[MovementKey] = set()
    following: Request | None = request
    while following is not None and following.movement is not None and (key := _key(following)) not in seen:
        company, _ = company_of(following.source, following.movement, stock)
        if company is not None:
            return company
        seen.add(key)
        original = original_of(following.source, following.movement)
        following = together.get(original) if original is not None else None
    return None


def _key(request: Request) -> MovementKey:
    return (request.source, request.id)


def _need_movement(needs: Needs, stock: Stock, asked: _Asked, limits: Limits) -> None:
    known = [(line, stock.items.get((asked.company.company, line.item or ""))) for line in asked.movement.lines]
    pairs = [(line, item) for line, item in known if item is not None]
    if sum((_serials_of(line, item) for line, item in pairs), ZERO) > limits.serials_in_all:
        return  # it will be refused: nothing is read for it
    if asked.original is not None:
        needs.bins |= bins_of(asked.original)
    if asked.original is not None and asked.purpose.flow is Flow.CANCEL:
        _need_undone(needs, asked.original)
    for line, item in pairs:
        _need_line(needs, stock, asked, line, item, limits)


def _need_undone(needs: Needs, original: MovementAllocated) -> None:
    """All that the movement moved, which comes back or leaves again; and of what it returned that."""
    company = original.company
    for leg in original.legs:
        needs.serials.update((company, leg.item, number) for number in leg.serials)
        if leg.tracking is Tracking.BATCH and leg.batch is not None:
            needs.batches.add((company, leg.item, leg.batch))
            needs.batches_coming.add((company, leg.item, leg.batch))
            needs.bins_of_batches.add((company, leg.item, leg.warehouse))
        if leg.original is not None:
            needs.given_back[leg.original] = company


def _serials_of(line: RequestedLine, item: Item) -> Decimal:
    """How many serials a line is about, as far as that can be said before it is read."""
    if item.tracking is not Tracking.SERIAL:
        return ZERO
    return Decimal(count_serials(line.serials)) if line.serials else _stock_quantity(line, item)


def _need_line(needs: Needs, stock: Stock, asked: _Asked, line: RequestedLine, item: Item, limits: Limits) -> None:
    bins = [
        (asked.company.company, item.item, code)
        for code in (line.source, line.target)
        if code is not None and (asked.company.company, code) in stock.warehouses
    ]
    needs.bins.update(bins)
    if not asked.movement.dry_run:
        needs.new_bins.update(bins)
    _note_span(needs, asked, line)
    batch = (line.batch or "").strip()
    if batch and item.tracking is not Tracking.NONE:
        needs.batches.add((asked.company.company, item.item, batch))
        if _comes(asked, line):
            needs.batches_coming.add((asked.company.company, item.item, batch))
    if item.tracking is Tracking.BATCH:
        needs.bins_of_batches.update(bins)
        _need_batch(needs, asked, line, item)
    elif item.tracking is Tracking.SERIAL:
        _need_serials(needs, asked, line, item, limits)


def _note_span(needs: Needs, asked: _Asked, line: RequestedLine) -> None:
    at, counted = asked.movement.posting_at, asked.purpose.flow is Flow.COUNT
    for key in bins_asked(line, asked.original, asked.company):
        span = needs.spans.get(key) or Span(at, at)
        needs.spans[key] = span
        span.earliest, span.latest = min(span.earliest, at), max(span.latest, at)
        span.counted |= counted


def _comes(asked: _Asked, line: RequestedLine) -> bool:
    """Whether goods may come into the company's stock by a line: a transfer only moves them."""
    flow = asked.purpose.flow
    return flow is Flow.COME_BACK or (line.target is not None and flow is not Flow.MOVE)


def _is_made(asked: _Asked, line: RequestedLine) -> bool:
    """Whether a line may bring what is new: its numbers are made by a series where it names none."""
    return line.target is not None and asked.purpose.flow in (Flow.IN, Flow.MAKE)


def _comes_back(asked: _Asked, line: RequestedLine) -> bool:
    """Whether what went out before may come back by a line; by one of a sale it does where it has a target."""
    return asked.purpose.flow is Flow.COME_BACK or (asked.purpose.has_money and line.target is not None)


def _need_batch(needs: Needs, asked: _Asked, line: RequestedLine, item: Item) -> None:
    company = asked.company.company
    for leg in asked.legs(item):
        needs.bins_of_batches.add((company, item.item, leg.warehouse))
        if leg.batch is not None:
            needs.batches.add((company, item.item, leg.batch))
    if not (line.batch or "").strip():
        if _comes_back(asked, line):
            needs.items_coming.add((company, item.item))
        elif _is_made(asked, line) and item.batch_series is not None:
            _need_series(needs, asked, item, item.batch_series, 1)


def _need_serials(needs: Needs, asked: _Asked, line: RequestedLine, item: Item, limits: Limits) -> None:
    numbers = read_serials(line.serials or (), limits.serials)
    named = {(asked.company.company, item.item, each) for each in (() if isinstance(numbers, TooMany) else numbers)}
    quantity = min(_stock_quantity(line, item), Decimal(limits.serials))
    needs.serials |= named
    if asked.purpose.flow is Flow.COUNT or _comes_back(asked, line):
        _need_found(needs, asked, line, item, named)
    elif asked.purpose.flow is Flow.WRITE_DOWN:
        if not named and line.source is not None:
            needs.standing.add((asked.company.company, item.item, line.source))
    elif _is_made(asked, line):
        if not named and item.serial_series is not None and quantity > ZERO:
            _need_series(needs, asked, item, item.serial_series, int(quantity))
    else:
        _need_leaving(needs, asked, line, item, len(named) or quantity, is_named=bool(named))


def _need_found(needs: Needs, asked: _Asked, line: RequestedLine, item: Item, named: set[SerialKey]) -> None:
    """Serials that come back, or are found in a count, which is about all that stand in its bin."""
    company = asked.company.company
    if asked.movement.against is None:
        needs.finding |= named
    if asked.purpose.flow is Flow.COUNT:
        if line.target is not None:
            needs.standing.add((company, item.item, line.target))
    elif not named:
        needs.serials.update((company, item.item, number) for leg in asked.legs(item) for number in leg.serials)


def _need_leaving(
    needs: Needs, asked: _Asked, line: RequestedLine, item: Item, units: Decimal | int, *, is_named: bool
) -> None:
    """Serials that leave: named ones, those of the original that go back, or whichever are picked."""
    company = asked.company.company
    from_original = [leg for leg in asked.legs(item) if asked.purpose.flow is Flow.SEND_BACK]
    places = {line.source} if line.source is not None else {leg.warehouse for leg in from_original}
    for place in places:
        needs.leaving[company, item.item, place].units += units
    if is_named:
        return
    if asked.purpose.flow is Flow.SEND_BACK and asked.movement.against is not None:
        needs.serials.update((company, item.item, number) for leg in from_original for number in leg.serials)
    elif line.source is not None:
        leaving = needs.leaving[company, item.item, line.source]
        leaving.picked += units
        leaving.days.add(asked.day)
        leaving.of_batch |= bool((line.batch or "").strip())


def _need_series(needs: Needs, asked: _Asked, item: Item, pattern: str, count: int) -> None:
    series = series_of(pattern, asked.day, {"item": item.item, "unit": item.unit})
    needs.series[asked.company.company, item.item, series] += count
    if not asked.movement.dry_run:
        needs.new_series.add((asked.company.company, series.prefix))


def _stock_quantity(line: RequestedLine, item: Item) -> Decimal:
    factor = factor_of(item, line.unit)
    return max(product(line.quantity, factor), ZERO) if line.quantity is not None and factor is not None else ZERO
