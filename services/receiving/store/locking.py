"""Locking the stock that a set of movements may need, and reading it.

One order for all, sorted within each step: companies and items shared, bins (missing ones are made first), batches,
serials, series. What stands in a bin - a batch's quantity there, a serial - is covered by the bin's lock and needs none
of its own; so is what was returned of the ledger entries made in it.
"""

from collections.abc import Sequence, Set
from datetime import datetime

from sqlalchemy import Connection

from services.receiving.decide.burden import insist_on_bearable
from services.receiving.decide.case import Limits, Request
from services.receiving.decide.originals import original_of
from services.receiving.decide.series import Series
from services.receiving.decide.stock import Batch, BatchStock, Bin, Entered, Stock
from services.receiving.store.masters import load_companies, load_items, load_warehouses
from services.receiving.store.needs import Needs, companies_asked, needs_of
from services.receiving.store.references import (
    load_beforehand,
    load_naming,
    load_originals,
    load_returned,
    lock_boundless,
)
from services.receiving.store.reservations import expire, load_reservations
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
SELECT company, item, warehouse, quantity, reserved, last_stamp, last_at, last_recorded_at, rated_from, short,
       counted_at, reserved_until <= :now AS is_due
FROM receiving.bin
WHERE {_BINS} ORDER BY company, item, warehouse FOR NO KEY UPDATE
"""
_BATCHES_IN_BINS = f"""
SELECT company, item, warehouse, batch, quantity, reserved FROM receiving.batch_stock
WHERE {_BINS} AND (quantity > 0 OR reserved > 0)
"""
# Batches that are not there any more, but were so at a time about which something is reported only now.
_BATCHES_GONE = """
SELECT company, item, warehouse, batch, quantity, reserved
FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:since AS timestamptz[]))
    AS late (company, item, warehouse, since)
JOIN receiving.batch_stock AS stock USING (company, item, warehouse)
WHERE quantity = 0 AND EXISTS (
    SELECT FROM receiving.change
    WHERE (change.company, change.item, change.warehouse, change.batch)
        = (stock.company, stock.item, stock.warehouse, stock.batch)
        AND effective_at > since)
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
_TAKEN_BATCHES = """
SELECT batch FROM receiving.batch WHERE company = (SELECT :company) AND item = :item AND batch = ANY(:numbers)
"""


def lock_stock(connection: Connection, requests: Sequence[Request], limits: Limits, now: datetime) -> Stock:
    """Lock and read all that judging these movements may need; what only a dry run lacks is not made for it.

    What was reserved in their bins until `now`, or less long, is let go.

    Contended where what was read before the locks has changed by the time they are held; TooMuchTogether for a set that
    must be worked on in parts.
    """
    stock = _masters(connection, requests)
    insist_on_bearable(companies_asked(stock, requests), stock, limits)
    needs = needs_of(stock, requests, limits)
    needs.bins |= bins_left(connection, needs.finding)
    lock_boundless(connection, stock)
    _lock_bins(connection, stock, needs, now)
    load_reservations(connection, stock, needs, requests)
    _need_past(stock, needs)
    _lock_batches(connection, stock, needs)
    load_serials(connection, stock, needs)
    _lock_batches_of_serials(connection, stock)
    _lock_series(connection, stock, needs)
    found = ((stock.serials.get(key), key[0]) for key in needs.finding)
    exits = {serial.left_by: company for serial, company in found if serial is not None and serial.left_by is not None}
    load_returned(connection, stock, exits | needs.given_back)
    load_naming(connection, stock)
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
        if key in accepted and _is_about_its_goods(movement):
            items |= {(accepted[key].company, leg.item) for leg in accepted[key].legs}
    stock.items = load_items(connection, items)
    return stock


def _is_about_its_goods(movement: MovementRequested) -> bool:
    """Whether a movement is about the goods of the one that it names, and names none itself."""
    purpose = PURPOSES.get(movement.purpose)
    return purpose is not None and purpose.flow in (Flow.LAND, Flow.CANCEL)


def _lock_bins(connection: Connection, stock: Stock, needs: Needs, now: datetime) -> None:
    wanted = sorted(needs.bins)
    if not wanted:
        return
    lists = columns(wanted, "company item warehouse")
    existing = {tuple(row) for row in query(connection, _EXISTING_BINS, **lists)}
    missing = [key for key in sorted(needs.new_bins) if key not in existing]
    if missing:
        run(connection, _MAKE_BINS, **columns(missing, "company item warehouse"))
    rows = query(connection, _LOCK_BINS, now=now, **lists)
    due = [(row.company, row.item, row.warehouse) for row in rows if row.is_due]
    if due:
        expire(connection, due, now)
        rows = query(connection, _LOCK_BINS, now=now, **lists)
    for row in rows:
        stock.bins[row.company, row.item, row.warehouse] = Bin(*row[3:-1])


def _need_past(stock: Stock, needs: Needs) -> None:
    """Where something may take effect before what came already, it is judged by more than what is first today.

    One bin is enough for that: all others of the movement are judged as of the same moment.
    """
    spans = [(key, span, stock.bins[key]) for key, span in needs.spans.items() if key in stock.bins]
    if not any(span.may_be_late(there, stock.companies[key[0]]) for key, span, there in spans):
        return
    for key, span, there in spans:
        if span.earliest >= there.last_at:
            continue
        if stock.items[key[:2]].tracking is Tracking.BATCH:
            needs.late.add((*key, span.earliest))
        elif key in needs.leaving:
            needs.standing.add(key)


def _lock_batches(connection: Connection, stock: Stock, needs: Needs) -> None:
    if needs.bins_of_batches:
        lists = columns(sorted(needs.bins_of_batches), "company item warehouse")
        found = query(connection, _BATCHES_IN_BINS, **lists)
        if needs.late:
            late = columns(sorted(needs.late), "company item warehouse since")
            found = [*found, *query(connection, _BATCHES_GONE, **late)]
        for row in found:
            key = (row.company, row.item, row.warehouse, row.batch)
            stock.batch_stock[key] = BatchStock(row.quantity, row.reserved)
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
