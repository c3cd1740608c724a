"""Locking the stock that a set of movements may need, and reading it.

One order for all, sorted within each step: companies and items shared, bins (missing ones are made first), batches,
serials, series. What stands in a bin - a batch's quantity there, a serial - is covered by the bin's lock and needs none
of its own; so is what was returned of the ledger entries made in it.
"""

from collections.abc import Sequence, Set

from sqlalchemy import Connection

from services.receiving.decide.case import Limits, Request
from services.receiving.decide.originals import original_of
from services.receiving.decide.series import Series
from services.receiving.decide.stock import Batch, BatchStock, Bin, Entered, Stock
from services.receiving.store.masters import load_companies, load_items, load_warehouses
from services.receiving.store.needs import Needs, companies_asked, needs_of
from services.receiving.store.references import load_beforehand, load_originals, load_returned
from services.receiving.store.serials import bins_left, load_serials, serials_numbered
from shared.contracts.movement import MovementRequested
from shared.db import columns, query, run
from shared.purposes import PURPOSES, BatchState, Flow, Tracking

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
SELECT company, item, warehouse, quantity, reserved, last_stamp, last_at, last_recorded_at, rated, short, last_drawn,
       counted_at
FROM receiving.bin
WHERE {_BINS} ORDER BY company, item, warehouse FOR NO KEY UPDATE
"""
# Of named batches also what was there once: when they were last drawn counts on.
_BATCHES_IN_BINS = f"""
SELECT company, item, warehouse, batch, quantity, reserved, last_drawn FROM receiving.batch_stock
WHERE {_BINS} AND (quantity > 0 OR (company, item, batch) IN (SELECT * FROM unnest(
    cast(:named_company AS text[]), cast(:named_item AS text[]), cast(:named_batch AS text[]))))
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
_TAKEN_BATCHES = "SELECT batch FROM receiving.batch WHERE company = :company AND item = :item AND batch = ANY(:numbers)"


def lock_stock(connection: Connection, requests: Sequence[Request], limits: Limits) -> Stock:
    """Lock and read all that judging these movements may need; what only a dry run lacks is not made for it.

    Contended where what was read before the locks has changed by the time they are held.
    """
    stock = _masters(connection, requests)
    needs = needs_of(stock, requests, limits)
    needs.bins |= bins_left(connection, needs.finding)
    _lock_bins(connection, stock, needs)
    _lock_batches(connection, stock, needs)
    load_serials(connection, stock, needs)
    _lock_batches_of_serials(connection, stock)
    _lock_series(connection, stock, needs)
    found = ((stock.serials.get(key), key[0]) for key in needs.finding)
    exits = {serial.left_by: company for serial, company in found if serial is not None and serial.left_by is not None}
    load_returned(connection, stock, exits)
    load_beforehand(connection, stock, [(each.source, each.id) for each in requests])
    return stock.index()


def _masters(connection: Connection, requests: Sequence[Request]) -> Stock:
    """The masters and originals that a set names, with the places of these originals, and the goods of landed ones."""
    movements = [each.movement for each in requests if each.movement is not None]
    named = [original_of(each.source, each.movement) for each in requests if each.movement is not None]
    originals = load_originals(connection, [key for key in named if key is not None])
    accepted = {key: each for key, each in originals.items() if each is not None}
    codes = {code for each in movements for line in each.lines for code in (line.source, line.target) if code}
    codes |= {leg.warehouse for each in accepted.values() for leg in each.legs}
    stock = Stock(warehouses=load_warehouses(connection, codes), originals=originals)
    companies = {company for company, _ in stock.warehouses} | {each.company for each in accepted.values()}
    companies |= {each.company for each in movements if each.company is not None}
    stock.companies = load_companies(connection, companies)
    items = {
        (company.company, line.item)
        for movement, company in companies_asked(stock, requests)
        for line in movement.lines
        if line.item is not None
    }
    for key, movement in zip(named, movements, strict=True):
        if key in accepted and _revalues(movement):
            items |= {(accepted[key].company, leg.item) for leg in accepted[key].legs}
    stock.items = load_items(connection, items)
    return stock


def _revalues(movement: MovementRequested) -> bool:
    purpose = PURPOSES.get(movement.purpose)
    return purpose is not None and purpose.flow is Flow.LAND


def _lock_bins(connection: Connection, stock: Stock, needs: Needs) -> None:
    wanted = sorted(needs.bins)
    if not wanted:
        return
    lists = columns(wanted, "company item warehouse")
    existing = {tuple(row) for row in query(connection, _EXISTING_BINS, **lists)}
    missing = [key for key in sorted(needs.new_bins) if key not in existing]
    if missing:
        run(connection, _MAKE_BINS, **columns(missing, "company item warehouse"))
    for row in query(connection, _LOCK_BINS, **lists):
        stock.bins[row.company, row.item, row.warehouse] = Bin(*row[3:])


def _lock_batches(connection: Connection, stock: Stock, needs: Needs) -> None:
    if needs.bins_of_batches:
        lists = columns(sorted(needs.bins_of_batches), "company item warehouse")
        named = columns(sorted(needs.batches), "named_company named_item named_batch")
        for row in query(connection, _BATCHES_IN_BINS, **lists, **named):
            key = (row.company, row.item, row.warehouse, row.batch)
            stock.batch_stock[key] = BatchStock(row.quantity, row.reserved, row.last_drawn)
            needs.batches.add((row.company, row.item, row.batch))
    if not needs.batches:
        return
    coming = needs.batches_coming | {key for key in needs.batches if key[:2] in needs.items_coming}
    # Whoever only takes from a batch shares it with others who do; whoever brings to it decides when it entered.
    strength = "NO KEY UPDATE" if coming else "SHARE"
    statement = _LOCK_BATCHES.format(strength=strength)
    for row in query(connection, statement, **columns(sorted(needs.batches), "company item batch")):
        stock.batches[row.company, row.item, row.batch] = Batch(
            row.expires_on,
            BatchState(row.state),
            None if row.entered_at is None else Entered(row.entered_at, row.entered_stamp, row.entered_line),
            row.manufactured_on,
            row.supplier,
            row.supplier_batch,
        )
    if coming:
        for row in query(connection, _BATCH_TOTALS, **columns(sorted(coming), "company item batch")):
            stock.batch_totals[row.company, row.item, row.batch] = row.total


def _lock_batches_of_serials(connection: Connection, stock: Stock) -> None:
    """The batches that serials' records name: their expiry and hold reach the units."""
    wanted = {
        (company, item, serial.batch)
        for (company, item, _), serial in stock.serials.items()
        if serial.batch is not None and (company, item, serial.batch) not in stock.batches
    }
    if wanted:
        _lock_batches(connection, stock, Needs(batches=wanted))


def _lock_series(connection: Connection, stock: Stock, needs: Needs) -> None:
    keys = sorted({(company, series.prefix) for company, _, series in needs.series})
    if not keys:
        return
    if needs.new_series:
        run(connection, _MAKE_SERIES, **columns(sorted(needs.new_series), "company prefix"))
    for row in query(connection, _LOCK_SERIES, **columns(keys, "company prefix")):
        stock.series[row.company, row.prefix] = row.last
    for company, prefix in keys:
        counted = {key: count for key, count in needs.series.items() if (key[0], key[2].prefix) == (company, prefix)}
        _read_taken(connection, stock, list(counted), sum(counted.values()), needs.serials | needs.batches)


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
    last = stock.series.get((counting[0][0], counting[0][2].prefix), 0)
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
    if stock.items[company, item].tracking is not Tracking.BATCH:
        return serials_numbered(connection, stock, company, item, numbers)
    found = [row.batch for row in query(connection, _TAKEN_BATCHES, company=company, item=item, numbers=numbers)]
    for number in found:
        stock.batches.setdefault((company, item, number), Batch())
    return found
