"""The inbox of what was booked, and the journal, which only grows.

The key of a movement, or of a revaluation, in the inbox is the dedupe. Nothing has to be read to book one, so its inbox
row is written once, with its output. A worker whose insert waited for another one's finds the key taken, and reads what
that one stored in a statement of its own: the waiting statement's snapshot is older than the other's commit.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from shared.contracts.journal import JournalPosted
from shared.db import columns, copy, query
from shared.service import Key

# Sorted, so that two workers that were given the same keys never wait for each other in a circle.
_ADD_BOOKINGS = """
INSERT INTO accounting.movement (source, id, company, recorded_at, outputs)
SELECT * FROM unnest(
    cast(:source AS text[]), cast(:id AS text[]), cast(:company AS text[]), cast(:recorded_at AS timestamptz[]),
    cast(:outputs AS bytea[])) AS given (source, id, company, recorded_at, outputs)
ORDER BY source, id
ON CONFLICT (source, id) DO NOTHING
RETURNING source, id
"""
_STORED_OUTPUTS = """
SELECT source, id, outputs FROM accounting.movement
WHERE (source, id) IN (SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[]))) AND outputs IS NOT NULL
"""
_ENTRY_COLUMNS = (
    "company, journal_entry, source, id, purpose, posting_date, effective_at, recorded_at, document, currency, "
    "revaluation"
)
_TRANSFER_COLUMNS = "company, journal_entry, ordinal, debit_account, credit_account, amount, line, ledger_entry"


@dataclass(frozen=True, slots=True)
class Booking:
    """What is booked under one key: a movement's journal entry, or those of a revaluation, each of which corrects one.

    `output` is what is told of it. Without anything to book there is neither.
    """

    key: Key
    company: str
    recorded_at: datetime
    journal: Sequence[JournalPosted]
    output: bytes | None
    is_revaluation: bool = False


def add_bookings(connection: Connection, bookings: Iterable[Booking]) -> set[Key]:
    """Enter what is booked, distinct in its keys, into the inbox; the keys of what was not there before."""
    rows = [(*each.key, each.company, each.recorded_at, each.output) for each in bookings]
    names = "source id company recorded_at outputs"
    return {(row.source, row.id) for row in query(connection, _ADD_BOOKINGS, **columns(rows, names))}


def stored_outputs(connection: Connection, keys: Collection[Key]) -> dict[Key, bytes]:
    """What was said of what was booked before; nothing of what has no journal entry."""
    if not keys:
        return {}
    rows = query(connection, _STORED_OUTPUTS, **columns(sorted(keys), "source id"))
    return {(row.source, row.id): bytes(row.outputs) for row in rows}


def add_journal(connection: Connection, bookings: Sequence[Booking]) -> None:
    """Append journal entries and their transfers, in the order in which they are given."""
    entries = (_entry_row(entry, each) for each in bookings for entry in each.journal)
    copy(connection, "accounting.journal_entry", _ENTRY_COLUMNS, entries)
    transfers = (row for each in bookings for entry in each.journal for row in _transfer_rows(entry))
    copy(connection, "accounting.transfer", _TRANSFER_COLUMNS, transfers)


def _entry_row(entry: JournalPosted, booking: Booking) -> tuple[object, ...]:
    return (
        entry.company,
        entry.journal_entry,
        entry.source,
        entry.id,
        entry.purpose,
        entry.posting_date,
        entry.effective_at,
        entry.recorded_at,
        entry.document,
        entry.currency,
        booking.key[1] if booking.is_revaluation else None,
    )


def _transfer_rows(entry: JournalPosted) -> Iterable[tuple[object, ...]]:
    for ordinal, each in enumerate(entry.transfers, 1):
        yield (
            entry.company,
            entry.journal_entry,
            ordinal,
            each.debit,
            each.credit,
            each.amount,
            each.line,
            each.entry,
        )
