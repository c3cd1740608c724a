"""Stored messages: each can be read, and the rows beside it say what it says.

The one idea: the database takes the messages apart and compares. It gives up at the first that is no JSON; then all are
read here, one by one, and those that cannot be are named: the comparison has to wait until they can.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from services.desk.verify.checking import OF_COMPANY, Finding, Question, Scope, ask_bodies, key_of
from shared.db import stream

OF = OF_COMPANY.format("")


class Kept(NamedTuple):
    """A table with stored messages, and the column in which they are."""

    table: str
    column: str


KEPT: Sequence[Kept] = (
    Kept("receiving.movement", "allocated"),
    Kept("receiving.movement", "outcome"),
    Kept("ledger.movement", "outputs"),
    Kept("ledger.revaluation", "outputs"),
    Kept("accounting.movement", "outputs"),
)

# A movement's entries, and corrections: one that makes nothing worth more or less is not told. What a true-up is part
# of was not always told.
_TOLD = f"""
told AS (
    SELECT source, id, cast(convert_from(outputs, 'UTF8') AS json) AS body FROM ledger.movement
    WHERE outputs IS NOT NULL AND {OF}
    UNION ALL
    SELECT corrected ->> 'source', corrected ->> 'id', corrected
    FROM ledger.revaluation CROSS JOIN LATERAL
        json_array_elements(cast(convert_from(outputs, 'UTF8') AS json) -> 'movements') AS corrected
    WHERE {OF}
), said AS (
    SELECT each.*, head.*, told.source AS said_source, told.id AS said_id
    FROM told CROSS JOIN LATERAL json_to_record(body) AS head (
        company text, currency text, document text, posting_date date, effective_at timestamptz, entries json)
    CROSS JOIN LATERAL json_to_recordset(head.entries) AS each (
        entry uuid, line integer, item text, warehouse text, batch text, quantity numeric, value numeric,
        stamp bigint, quantity_after numeric, value_after numeric, original uuid, part_of uuid, booked json)
)"""
_FLAT = """
(SELECT json_agg(part ORDER BY place, half) FROM json_array_elements(said.booked) WITH ORDINALITY AS b (each, place)
    CROSS JOIN LATERAL (VALUES (1, each ->> 'account'), (2, each ->> 'amount')) AS halves (half, part))
"""
_ENTRIES = f"""
WITH {_TOLD}
SELECT coalesce(own.company, said.company) AS company, coalesce(own.entry_id, said.entry) AS entry_id, what, expected,
    found
FROM said FULL JOIN (SELECT * FROM ledger.entry WHERE {OF}) AS own
    ON (own.company, own.entry_id) = (said.company, said.entry)
CROSS JOIN LATERAL (VALUES
    ('row', 'one', NULL, own.entry_id IS NULL),
    ('row', NULL, 'one', said.entry IS NULL AND (own.value <> 0 OR own.quantity <> 0)),
    ('movement', concat(said_source, ' ', said_id), concat(own.source, ' ', own.id),
        (said_source, said_id) <> (own.source, own.id)),
    ('line', cast(said.line AS text), cast(own.line AS text), said.line <> own.line),
    ('item', said.item, own.item, said.item <> own.item),
    ('warehouse', said.warehouse, own.warehouse, said.warehouse <> own.warehouse),
    ('batch', said.batch, own.batch, said.batch IS DISTINCT FROM own.batch),
    ('quantity', cast(said.quantity AS text), cast(own.quantity AS text), said.quantity <> own.quantity),
    ('value', cast(said.value AS text), cast(own.value AS text), said.value <> own.value),
    ('stamp', cast(said.stamp AS text), cast(own.stamp AS text), said.stamp <> own.stamp AND own.revaluation = 0),
    ('quantity_after', cast(said.quantity_after AS text), cast(own.quantity_after AS text),
        said.quantity_after <> own.quantity_after),
    ('value_after', cast(said.value_after AS text), cast(own.value_after AS text),
        said.value_after <> own.value_after),
    ('original', cast(said.original AS text), cast(own.original AS text),
        said.original IS DISTINCT FROM own.original),
    ('part_of', cast(said.part_of AS text), cast(own.part_of AS text),
        said.part_of IS DISTINCT FROM own.part_of AND NOT (own.true_up AND said.part_of IS NULL)),
    ('booked', cast(said.booked AS text), cast(own.booked AS text), CASE
        WHEN said.booked IS NULL OR own.booked IS NULL THEN (said.booked IS NULL) <> (own.booked IS NULL)
        ELSE cast({_FLAT} AS jsonb) <> cast(own.booked AS jsonb) END),
    ('currency', said.currency, own.currency, said.currency <> own.currency),
    ('document', said.document, own.document, said.document IS DISTINCT FROM own.document),
    ('posting_date', cast(said.posting_date AS text), cast(own.posting_date AS text),
        said.posting_date <> own.posting_date),
    ('effective_at', cast(said.effective_at AS text), cast(coalesce(own.dated_at, own.effective_at) AS text),
        said.effective_at <> coalesce(own.dated_at, own.effective_at))
) AS part (what, expected, found, is_wrong)
WHERE is_wrong AND (own.entry_id IS NULL) = (part.found IS NULL AND what = 'row')
    AND (said.entry IS NOT NULL OR what = 'row')
    AND (said.booked IS NOT NULL OR own.booked IS NOT NULL OR own.revaluation > 0 OR (
        said.entry, said.line, said.item, said.warehouse, said.batch, said.quantity, said.value, said.stamp,
        said.quantity_after, said.value_after, said.original, said.part_of, said_source, said_id, said.currency,
        said.document, said.posting_date, said.effective_at
    ) IS DISTINCT FROM (
        own.entry_id, own.line, own.item, own.warehouse, own.batch, own.quantity, own.value, own.stamp,
        own.quantity_after, own.value_after, own.original, own.part_of, own.source, own.id, own.currency, own.document,
        own.posting_date, coalesce(own.dated_at, own.effective_at)))
"""
_BOOKED = f"""
journals AS (
    SELECT cast(convert_from(outputs, 'UTF8') AS json) AS body FROM accounting.movement
    WHERE outputs IS NOT NULL AND {OF}
), journal AS (
    SELECT head.*, NULL AS by FROM journals CROSS JOIN LATERAL json_to_record(body) AS head (
        journal_entry uuid, source text, id text, company text, currency text, purpose text, effective_at timestamptz,
        recorded_at timestamptz, posting_date date, document text, transfers json)
    WHERE head.journal_entry IS NOT NULL
    UNION ALL
    SELECT head.*, body ->> 'id' FROM journals CROSS JOIN LATERAL json_to_recordset(body -> 'entries') AS head (
        journal_entry uuid, source text, id text, company text, currency text, purpose text, effective_at timestamptz,
        recorded_at timestamptz, posting_date date, document text, transfers json)
)"""
_JOURNAL = f"""
WITH {_BOOKED}
SELECT company, journal_entry, what, expected, found
FROM journal AS said FULL JOIN (SELECT * FROM accounting.journal_entry WHERE {OF}) AS own
    USING (company, journal_entry)
CROSS JOIN LATERAL (VALUES
    ('row', 'one', NULL, own.source IS NULL),
    ('row', NULL, 'one', said.source IS NULL),
    ('movement', concat(said.source, ' ', said.id), concat(own.source, ' ', own.id),
        (said.source, said.id) <> (own.source, own.id)),
    ('revaluation', said.by, own.revaluation,
        own.source IS NOT NULL AND said.source IS NOT NULL AND said.by IS DISTINCT FROM own.revaluation),
    ('purpose', said.purpose, own.purpose, said.purpose <> own.purpose),
    ('posting_date', cast(said.posting_date AS text), cast(own.posting_date AS text),
        said.posting_date <> own.posting_date),
    ('effective_at', cast(said.effective_at AS text), cast(own.effective_at AS text),
        said.effective_at <> own.effective_at),
    ('recorded_at', cast(said.recorded_at AS text), cast(own.recorded_at AS text), said.recorded_at <> own.recorded_at),
    ('currency', said.currency, own.currency, said.currency <> own.currency),
    ('document', said.document, own.document,
        own.source IS NOT NULL AND said.source IS NOT NULL AND said.document IS DISTINCT FROM own.document)
) AS part (what, expected, found, is_wrong)
WHERE is_wrong AND (
        said.source, said.id, said.by, said.purpose, said.posting_date, said.effective_at, said.recorded_at,
        said.currency, said.document
    ) IS DISTINCT FROM (
        own.source, own.id, own.revaluation, own.purpose, own.posting_date, own.effective_at, own.recorded_at,
        own.currency, own.document)
"""
_TRANSFERS = f"""
WITH {_BOOKED}, said AS (
    SELECT company, journal_entry, cast(ordinal AS integer) AS ordinal, debit_account, credit_account, amount, line,
        ledger_entry
    FROM journal CROSS JOIN LATERAL ROWS FROM (json_to_recordset(transfers) AS (
        debit text, credit text, amount numeric, line integer, entry uuid)) WITH ORDINALITY
        AS transfer (debit_account, credit_account, amount, line, ledger_entry, ordinal)
)
SELECT company, journal_entry, ordinal, what, expected, found
FROM said FULL JOIN (SELECT * FROM accounting.transfer WHERE {OF}) AS own USING (company, journal_entry, ordinal)
CROSS JOIN LATERAL (VALUES
    ('row', 'one', NULL, own.amount IS NULL),
    ('row', NULL, 'one', said.amount IS NULL),
    ('debit_account', said.debit_account, own.debit_account, said.debit_account <> own.debit_account),
    ('credit_account', said.credit_account, own.credit_account, said.credit_account <> own.credit_account),
    ('amount', cast(said.amount AS text), cast(own.amount AS text), said.amount <> own.amount),
    ('line', cast(said.line AS text), cast(own.line AS text),
        own.amount = said.amount AND said.line IS DISTINCT FROM own.line),
    ('ledger_entry', cast(said.ledger_entry AS text), cast(own.ledger_entry AS text),
        own.amount = said.amount AND said.ledger_entry IS DISTINCT FROM own.ledger_entry)
) AS part (what, expected, found, is_wrong)
WHERE is_wrong AND (
    said.debit_account, said.credit_account, said.amount, said.line, said.ledger_entry
) IS DISTINCT FROM (own.debit_account, own.credit_account, own.amount, own.line, own.ledger_entry)
"""
_ALL = "SELECT source, id, {column} AS body FROM {table} WHERE {column} IS NOT NULL AND {of}"


def messages_say_what_rows_say(connection: Connection, scope: Scope) -> Iterator[Finding]:
    """What was told of every entry, journal entry and transfer is what stands in its row."""
    yield from answered(connection, scope, Question("ledger.entry", _ENTRIES))
    yield from answered(connection, scope, Question("accounting.journal_entry", _JOURNAL))
    yield from answered(connection, scope, Question("accounting.transfer", _TRANSFERS))


def answered(connection: Connection, scope: Scope, question: Question) -> Iterator[Finding]:
    """What a question finds that reads stored messages, else those that cannot be read."""
    found = ask_bodies(connection, scope, question)
    yield from _unreadable(connection, scope) if found is None else found


def _unreadable(connection: Connection, scope: Scope) -> Iterator[Finding]:
    for kept in KEPT:
        statement = _ALL.format(table=kept.table, column=kept.column, of=OF)
        for source, name, body in stream(connection, statement, company=scope.company):
            try:
                msgspec.json.decode(bytes(body))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                key = key_of("source id", (source, name))
                yield Finding(kept.table, key, kept.column, "a message", str(error))
