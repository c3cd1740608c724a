"""What posting leaves behind: entries by COPY, the bins that advanced, their batches and serials, and what was told."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from services.ledger.decide.entries import Applied
from services.ledger.decide.posting import Posting
from services.ledger.decide.state import BinKey
from services.ledger.decide.valuation import Stock
from services.ledger.store.rows import write_booked, write_layers, write_shortages
from shared.db import columns, copy, run
from shared.service import Key

_SAVE_BINS = """
UPDATE ledger.bin SET last_stamp = new.last_stamp, quantity = new.quantity, worth = new.worth, value = new.value,
    rate = new.rate, layers = new.layers, shortages = new.shortages
FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:last_stamp AS bigint[]),
    cast(:quantity AS numeric[]), cast(:worth AS numeric[]), cast(:value AS numeric[]), cast(:rate AS numeric[]),
    cast(:layers AS json[]), cast(:shortages AS json[])
) AS new (company, item, warehouse, last_stamp, quantity, worth, value, rate, layers, shortages)
WHERE bin.company = new.company AND bin.item = new.item AND bin.warehouse = new.warehouse
"""
_SAVE_BATCHES = """
INSERT INTO ledger.bin_batch (company, item, warehouse, batch, quantity, worth, value)
SELECT * FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:batch AS text[]),
    cast(:quantity AS numeric[]), cast(:worth AS numeric[]), cast(:value AS numeric[]))
ON CONFLICT (company, item, warehouse, batch)
DO UPDATE SET quantity = excluded.quantity, worth = excluded.worth, value = excluded.value
"""
_SAVE_SERIALS = """
INSERT INTO ledger.serial (company, item, warehouse, serial, cost)
SELECT * FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:serial AS text[]),
    cast(:cost AS numeric[]))
ON CONFLICT (company, item, warehouse, serial) DO UPDATE SET cost = excluded.cost
"""
_REMOVE_SERIALS = """
DELETE FROM ledger.serial
WHERE (company, item, warehouse, serial) IN (SELECT * FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:serial AS text[])))
"""
_ENTRY_COLUMNS = (
    "company, entry_id, item, warehouse, stamp, ordinal, source, id, purpose, line, batch, quantity, value, worth, "
    "quantity_after, value_after, effective_at, recorded_at, posting_date, document, currency, original, "
    "booked"
)
_SERIAL_COLUMNS = "company, item, serial, entry_id, cost"
# As text, which is half as long as bytes written out.
_SAVE_OUTPUTS = """
UPDATE ledger.movement SET outputs = convert_to(new.outputs, 'UTF8')
FROM unnest(cast(:source AS text[]), cast(:id AS text[]), cast(:outputs AS text[])) AS new (source, id, outputs)
WHERE movement.source = new.source AND movement.id = new.id
"""


def save_posting(connection: Connection, posting: Posting) -> None:
    """Write the entries of a posting, and the bins that it advanced, with their batches and serials."""
    applied, state = posting.applied, posting.state
    copy(connection, "ledger.entry", _ENTRY_COLUMNS, (row for each in applied for row in _entry_rows(each)))
    copy(connection, "ledger.entry_serial", _SERIAL_COLUMNS, (row for each in applied for row in _serial_rows(each)))
    if posting.advanced:
        rows = [_bin_row(key, state.last_stamps[key], state.bins[key]) for key in posting.advanced]
        names = "company item warehouse last_stamp quantity worth value rate layers shortages"
        run(connection, _SAVE_BINS, **columns(rows, names))
    if state.batches:
        batch_rows = [(*key, held.quantity, held.worth, held.value) for key, held in state.batches.items()]
        names = "company item warehouse batch quantity worth value"
        run(connection, _SAVE_BATCHES, **columns(batch_rows, names))
    _save_serials(connection, posting)


def save_outputs(connection: Connection, outputs: Mapping[Key, bytes]) -> None:
    """Keep what is said of movements that were applied."""
    if outputs:
        rows = [(*key, body.decode()) for key, body in outputs.items()]
        run(connection, _SAVE_OUTPUTS, **columns(rows, "source id outputs"))


def _save_serials(connection: Connection, posting: Posting) -> None:
    moved = [(*key, serial, cost) for key in posting.advanced for serial, cost in posting.state.bins[key].costs.items()]
    gone = [row[:4] for row in moved if row[4] is None]
    here = [row for row in moved if row[4] is not None]
    if gone:
        run(connection, _REMOVE_SERIALS, **columns(gone, "company item warehouse serial"))
    if here:
        run(connection, _SAVE_SERIALS, **columns(here, "company item warehouse serial cost"))


def _entry_rows(applied: Applied) -> Iterable[tuple[object, ...]]:
    movement = applied.movement
    for entry in applied.entries:
        posted = entry.posted
        yield (
            movement.company,
            posted.entry,
            posted.item,
            posted.warehouse,
            posted.stamp,
            entry.ordinal,
            movement.source,
            movement.id,
            movement.purpose,
            posted.line,
            posted.batch,
            posted.quantity,
            posted.value,
            entry.worth,
            posted.quantity_after,
            posted.value_after,
            movement.effective_at,
            movement.recorded_at,
            movement.posting_date,
            movement.document,
            movement.currency,
            posted.original,
            write_booked((part.account, part.amount) for part in posted.booked),
        )


def _serial_rows(applied: Applied) -> Iterable[tuple[object, ...]]:
    for entry in applied.entries:
        for serial, cost in entry.costs.items():
            yield (applied.movement.company, entry.posted.item, serial, entry.posted.entry, cost)


def _bin_row(key: BinKey, last_stamp: int, stock: Stock) -> tuple[object, ...]:
    layers, shortages = write_layers(stock.layers), write_shortages(stock.shortages)
    return (*key, last_stamp, stock.quantity, stock.worth, stock.value, stock.rate, layers, shortages)
