"""Locking the stock that a set of movements may need, and reading it.

One order for all, sorted within each step: companies and items shared, bins (missing ones are made first), batches,
serials, series. What stands in a bin - a batch's quantity there, a serial - is covered by the bin's lock and needs none
of its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row

from services.receiving.decide.allocation import company_of
from services.receiving.decide.case import Limits, Request
from services.receiving.decide.lines import factor_of
from services.receiving.decide.moment import business_day
from services.receiving.decide.series import Series, TooMany, count_serials, read_serials, series_of
from services.receiving.decide.stock import (
    Batch,
    BatchKey,
    BatchStock,
    Bin,
    BinKey,
    Company,
    Entered,
    Item,
    Serial,
    SerialKey,
    Stock,
)
from services.receiving.store.masters import load_companies, load_items, load_warehouses
from shared.contracts.movement import MovementRequested, RequestedLine
from shared.db import columns, query, run
from shared.purposes import PURPOSES, BatchState, Flow, Pick, SerialStatus, Tracking
from shared.quantities import ZERO, product

_BINS = """
(company, item, warehouse) IN
    (SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[])))
"""
_EXISTING_BINS = f"SELECT company, item, warehouse FROM receiving.bin WHERE {_BINS}"
_MAKE_BINS = """
INSERT INTO receiving.bin (company, item, warehouse)
SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[])) AS each (c, i, w)
ORDER BY c, i, w
ON CONFLICT (company, item, warehouse) DO NOTHING
"""
_LOCK_BINS = f"""
SELECT company, item, warehouse, quantity, reserved, last_stamp, last_at, last_recorded_at, rated FROM receiving.bin
WHERE {_BINS} ORDER BY company, item, warehouse FOR NO KEY UPDATE
"""
_BATCHES_IN_BINS = f"""
SELECT company, item, warehouse, batch, quantity, reserved FROM receiving.batch_stock
WHERE quantity > 0 AND {_BINS}
"""
_BATCHES = """
(company, item, batch) IN
    (SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:batch AS text[])))
"""
_LOCK_BATCHES = f"""
SELECT company, item, batch, expires_on, state, entered_at, entered_stamp, entered_line, manufactured_on, supplier,
       supplier_batch
FROM receiving.batch WHERE {_BATCHES} ORDER BY company, item, batch FOR {{strength}}
"""
_BATCH_TOTALS = f"""
SELECT company, item, batch, sum(quantity) AS total FROM receiving.batch_stock
WHERE {_BATCHES} GROUP BY company, item, batch
"""
_SERIAL_COLUMNS = """
company, item, serial, status, warehouse, batch, supplier, supplier_document, customer, customer_document,
warranty_until, entered_at, entered_stamp, entered_line, entered_place, last_at, last_tie, reserved_for
"""
_SERIALS = """
(company, item, serial) IN
    (SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:serial AS text[])))
"""
_LOCK_SERIALS = f"""
SELECT {_SERIAL_COLUMNS} FROM receiving.serial WHERE {_SERIALS} ORDER BY company, item, serial FOR NO KEY UPDATE
"""
# The first serials of a bin in pick order that may be picked on the day; with no limit, all that stand there.
_PICKABLE = f"""
SELECT {", ".join(f"serial.{name}" for name in _SERIAL_COLUMNS.replace(",", "").split())} FROM receiving.serial
LEFT JOIN receiving.batch AS its
    ON (its.company, its.item, its.batch) = (serial.company, serial.item, serial.batch)
WHERE serial.company = :company AND serial.item = :item AND serial.warehouse = :warehouse
  AND serial.reserved_for IS NULL
  AND (its.batch IS NULL OR (its.state = 'free' AND coalesce(its.expires_on >= :day, true)))
ORDER BY {{order}} LIMIT :limit
"""
# The last resort is the number itself, in the order of its characters whatever the database's language.
_ENTRY = (
    "serial.entered_at",
    "serial.entered_stamp",
    "serial.entered_line",
    "serial.entered_place",
    'serial.serial COLLATE "C"',
)
_PICK_ORDERS = {
    Pick.FIFO: ", ".join(_ENTRY),
    Pick.LIFO: ", ".join(f"{column} DESC" for column in _ENTRY),
    Pick.FEFO: ", ".join(("its.expires_on NULLS LAST", *_ENTRY)),
}
_MAKE_SERIES = """
INSERT INTO receiving.series (company, prefix)
SELECT * FROM unnest(cast(:company AS text[]), cast(:prefix AS text[])) AS each (c, p) ORDER BY c, p
ON CONFLICT (company, prefix) DO NOTHING
"""
_LOCK_SERIES = """
SELECT company, prefix, last FROM receiving.series
WHERE (company, prefix) IN (SELECT * FROM unnest(cast(:company AS text[]), cast(:prefix AS text[])))
ORDER BY company, prefix FOR NO KEY UPDATE
"""
_TAKEN_SERIALS = f"""
SELECT {_SERIAL_COLUMNS} FROM receiving.serial WHERE company = :company AND item = :item AND serial = ANY(:numbers)
"""
_TAKEN_BATCHES = "SELECT batch FROM receiving.batch WHERE company = :company AND item = :item AND batch = ANY(:numbers)"


@dataclass(slots=True)
class _Needed:
    """What the lines of a set name, or may take."""

    bins: set[BinKey] = field(default_factory=set)
    bins_of_batches: set[BinKey] = field(default_factory=set)
    batches: set[BatchKey] = field(default_factory=set)
    batches_coming: set[BatchKey] = field(default_factory=set)
    serials: set[SerialKey] = field(default_factory=set)
    leaving: dict[BinKey, "_Leaving"] = field(default_factory=lambda: defaultdict(lambda: _Leaving()))  # noqa: PLW0108
    series: dict[tuple[str, str, Series], int] = field(default_factory=lambda: defaultdict(int))


@dataclass(slots=True)
class _Leaving:
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


def lock_stock(connection: Connection, requests: Sequence[Request], limits: Limits) -> Stock:
    """Lock and read all that judging these movements may need."""
    movements = [request.movement for request in requests if request.movement is not None]
    stock = _masters(connection, movements)
    needed = _needed(stock, movements, limits)
    _lock_bins(connection, stock, needed.bins)
    _lock_batches(connection, stock, needed)
    _lock_serials(connection, stock, needed)
    _lock_series(connection, stock, needed)
    return stock.index()


def _masters(connection: Connection, movements: Sequence[MovementRequested]) -> Stock:
    lines = [line for movement in movements for line in movement.lines]
    codes = {code for line in lines for code in (line.source, line.target) if code is not None}
    stock = Stock(warehouses=load_warehouses(connection, codes))
    named = {movement.company for movement in movements if movement.company is not None}
    stock.companies = load_companies(connection, named | {company for company, _ in stock.warehouses})
    keys = set()
    for movement in movements:
        company, _ = company_of(movement, stock)
        if company is not None:
            keys |= {(company.company, line.item) for line in movement.lines if line.item is not None}
    stock.items = load_items(connection, keys)
    return stock


def _needed(stock: Stock, movements: Sequence[MovementRequested], limits: Limits) -> _Needed:
    needed = _Needed()
    for movement in movements:
        company, _ = company_of(movement, stock)
        if company is None or movement.purpose not in PURPOSES:
            continue
        known = [(line, stock.items.get((company.company, line.item or ""))) for line in movement.lines]
        pairs = [(line, item) for line, item in known if item is not None]
        if sum((_serials_of(line, item) for line, item in pairs), ZERO) > limits.serials_in_all:
            continue  # it will be refused: nothing is read for it
        for line, item in pairs:
            _need(needed, stock, company, movement, line, item, limits)
    return needed


def _serials_of(line: RequestedLine, item: Item) -> Decimal:
    """How many serials a line is about, as far as that can be said before it is read."""
    if item.tracking is not Tracking.SERIAL:
        return ZERO
    return Decimal(count_serials(line.serials)) if line.serials else _stock_quantity(line, item)


def _need(
    needed: _Needed,
    stock: Stock,
    company: Company,
    movement: MovementRequested,
    line: RequestedLine,
    item: Item,
    limits: Limits,
) -> None:
    bins = [
        (company.company, item.item, code)
        for code in (line.source, line.target)
        if code is not None and (company.company, code) in stock.warehouses
    ]
    needed.bins.update(bins)
    coming = PURPOSES[movement.purpose].flow is Flow.IN
    day = business_day(movement.posting_at, company)
    batch = (line.batch or "").strip()
    if batch and item.tracking is not Tracking.NONE:
        needed.batches.add((company.company, item.item, batch))
        if coming:
            needed.batches_coming.add((company.company, item.item, batch))
    if item.tracking is Tracking.BATCH:
        needed.bins_of_batches.update(bins)
        if coming and not batch and item.batch_series is not None:
            needed.series[company.company, item.item, _series(item.batch_series, item, day)] += 1
    elif item.tracking is Tracking.SERIAL:
        _need_serials(needed, company, line, item, day, limits, coming=coming)


def _need_serials(
    needed: _Needed, company: Company, line: RequestedLine, item: Item, day: date, limits: Limits, *, coming: bool
) -> None:
    numbers = read_serials(line.serials or (), limits.serials)
    named = [] if isinstance(numbers, TooMany) else numbers
    needed.serials.update((company.company, item.item, number) for number in named)
    quantity = min(_stock_quantity(line, item), Decimal(limits.serials))
    if coming and not named and item.serial_series is not None and quantity > ZERO:
        needed.series[company.company, item.item, _series(item.serial_series, item, day)] += int(quantity)
    elif not coming and line.source is not None:
        leaving = needed.leaving[company.company, item.item, line.source]
        leaving.units += len(named) or quantity
        if not named:
            leaving.picked += quantity
            leaving.days.add(day)
            leaving.of_batch |= bool((line.batch or "").strip())


def _stock_quantity(line: RequestedLine, item: Item) -> Decimal:
    factor = factor_of(item, line.unit)
    return max(product(line.quantity, factor), ZERO) if line.quantity is not None and factor is not None else ZERO


def _series(pattern: str, item: Item, day: date) -> Series:
    return series_of(pattern, day, {"item": item.item, "unit": item.unit})


def _lock_bins(connection: Connection, stock: Stock, keys: Iterable[BinKey]) -> None:
    wanted = sorted(keys)
    if not wanted:
        return
    lists = columns(wanted, "company item warehouse")
    existing = {tuple(row) for row in query(connection, _EXISTING_BINS, **lists)}
    missing = [key for key in wanted if key not in existing]
    if missing:
        run(connection, _MAKE_BINS, **columns(missing, "company item warehouse"))
    for row in query(connection, _LOCK_BINS, **lists):
        stock.bins[row.company, row.item, row.warehouse] = Bin(*row[3:])


def _lock_batches(connection: Connection, stock: Stock, needed: _Needed) -> None:
    if needed.bins_of_batches:
        lists = columns(sorted(needed.bins_of_batches), "company item warehouse")
        for row in query(connection, _BATCHES_IN_BINS, **lists):
            stock.batch_stock[row.company, row.item, row.warehouse, row.batch] = BatchStock(row.quantity, row.reserved)
            needed.batches.add((row.company, row.item, row.batch))
    if not needed.batches:
        return
    # Whoever only takes from a batch shares it with others who do; whoever brings to it decides when it entered.
    strength = "NO KEY UPDATE" if needed.batches_coming else "SHARE"
    statement = _LOCK_BATCHES.format(strength=strength)
    for row in query(connection, statement, **columns(sorted(needed.batches), "company item batch")):
        stock.batches[row.company, row.item, row.batch] = Batch(
            row.expires_on,
            BatchState(row.state),
            _entered(row, 0),
            row.manufactured_on,
            row.supplier,
            row.supplier_batch,
        )
    if needed.batches_coming:
        lists = columns(sorted(needed.batches_coming), "company item batch")
        for row in query(connection, _BATCH_TOTALS, **lists):
            stock.batch_totals[row.company, row.item, row.batch] = row.total


def _lock_serials(connection: Connection, stock: Stock, needed: _Needed) -> None:
    if needed.serials:
        _add_serials(stock, query(connection, _LOCK_SERIALS, **columns(sorted(needed.serials), "company item serial")))
    for key, leaving in sorted(needed.leaving.items()):
        pick = stock.items[key[0], key[1]].pick
        if leaving.picked and pick is not Pick.EXPLICIT:
            _add_serials(stock, _pickable(connection, key, pick, leaving))
    _lock_batches_of_serials(connection, stock)


def _pickable(connection: Connection, key: BinKey, pick: Pick, leaving: _Leaving) -> Sequence[Row[Any]]:
    company, item, warehouse = key
    statement = _PICKABLE.format(order=_PICK_ORDERS[pick])
    return query(
        connection,
        statement,
        company=company,
        item=item,
        warehouse=warehouse,
        day=min(leaving.days),
        limit=leaving.limit,
    )


def _entered(row: Row[Any], place: int) -> Entered | None:
    return None if row.entered_at is None else Entered(row.entered_at, row.entered_stamp, row.entered_line, place)


def _add_serials(stock: Stock, rows: Iterable[Row[Any]]) -> None:
    for row in rows:
        stock.serials[row.company, row.item, row.serial] = Serial(
            SerialStatus(row.status),
            row.warehouse,
            row.batch,
            row.supplier,
            row.supplier_document,
            row.customer,
            row.customer_document,
            row.warranty_until,
            _entered(row, row.entered_place),
            row.last_at,
            row.last_tie or 0,
            row.reserved_for,
        )


def _lock_batches_of_serials(connection: Connection, stock: Stock) -> None:
    """The batches that serials' records name: their expiry and hold reach the units."""
    wanted = {
        (company, item, serial.batch)
        for (company, item, _), serial in stock.serials.items()
        if serial.batch is not None and (company, item, serial.batch) not in stock.batches
    }
    if wanted:
        extra = _Needed(batches=wanted)
        _lock_batches(connection, stock, extra)


def _lock_series(connection: Connection, stock: Stock, needed: _Needed) -> None:
    keys = sorted({(company, series.prefix) for company, _, series in needed.series})
    if not keys:
        return
    lists = columns(keys, "company prefix")
    run(connection, _MAKE_SERIES, **lists)
    for row in query(connection, _LOCK_SERIES, **lists):
        stock.series[row.company, row.prefix] = row.last
    for company, prefix in keys:
        counted = {key: count for key, count in needed.series.items() if (key[0], key[2].prefix) == (company, prefix)}
        _read_taken(connection, stock, list(counted), sum(counted.values()), needed.serials | needed.batches)


def _read_taken(
    connection: Connection,
    stock: Stock,
    counting: Sequence[tuple[str, str, Series]],
    wanted: int,
    named: Set[tuple[str, str, str]],
) -> None:
    """Read which numbers ahead of a counter were taken by hand, until it is sure that enough free ones are known.

    `named` are the serials and batches that the set names: it may take these before the series gets there.
    """
    last = stock.series[counting[0][0], counting[0][2].prefix]
    taken: set[int] = set()
    known = 0
    while known < wanted + len(taken):
        counts = range(last + known + 1, last + wanted + len(taken) + 1)
        known = wanted + len(taken)
        for company, item, series in counting:
            numbers = {series.number(count): count for count in counts}
            taken |= {numbers[number] for number in _existing(connection, stock, company, item, list(numbers))}
            taken |= {count for number, count in numbers.items() if (company, item, number) in named}


def _existing(connection: Connection, stock: Stock, company: str, item: str, numbers: Sequence[str]) -> Sequence[str]:
    """Those numbers that a serial or batch of the item has; noted in the stock, so that they are skipped."""
    if stock.items[company, item].tracking is Tracking.BATCH:
        found = [row.batch for row in query(connection, _TAKEN_BATCHES, company=company, item=item, numbers=numbers)]
        for number in found:
            stock.batches.setdefault((company, item, number), Batch())
        return found
    rows = query(connection, _TAKEN_SERIALS, company=company, item=item, numbers=numbers)
    _add_serials(stock, [row for row in rows if (company, item, row.serial) not in stock.serials])
    return [row.serial for row in rows]
