"""Money: values are rounded worth, stock accounts hold what stock is worth, and transfers are whole.

Nothing but stock is booked to a stock account: the gate refuses every other account that would be one.
"""

from collections.abc import Iterator
from decimal import Decimal

from sqlalchemy import Connection

from services.desk.verify.checking import OF_COMPANY, Finding, Question, Scope, asking, key_of
from shared.contracts.codec import Malformed, decoder, read
from shared.contracts.stock import MovementPosted, StockRevalued
from shared.db import query, stream
from shared.quantities import ZERO, currency_digits, plain, to_money

OF = OF_COMPANY.format("")

# What is far from every rounding, or near a tie, is looked at again: halves go to the even neighbour.
_HELD = f"""
SELECT tbl, held.company, item, warehouse, batch, worth, value, currency
FROM (
    SELECT 'ledger.bin' AS tbl, company, item, warehouse, NULL AS batch, worth, value FROM ledger.bin
    WHERE NOT EXISTS (SELECT FROM ledger.bin_batch
        WHERE (bin_batch.company, bin_batch.item, bin_batch.warehouse) = (bin.company, bin.item, bin.warehouse))
    UNION ALL
    SELECT 'ledger.bin_batch', company, item, warehouse, batch, worth, value FROM ledger.bin_batch
) AS held JOIN receiving.company USING (company)
WHERE {OF}
"""
# By stock account: what stands there, and what is booked.
_IN_STOCK = f"""
SELECT company, account, sum(value + pending) AS value
FROM ledger.bin JOIN receiving.warehouse USING (company, warehouse) JOIN receiving.company USING (company)
WHERE perpetual AND {OF} GROUP BY company, account
"""
_ON_ACCOUNTS = f"""
SELECT company, account, sum(amount) AS balance
FROM (
    SELECT company, debit_account AS account, sum(amount) AS amount FROM accounting.transfer WHERE {OF}
    GROUP BY company, debit_account
    UNION ALL
    SELECT company, credit_account, -sum(amount) FROM accounting.transfer WHERE {OF} GROUP BY company, credit_account
) AS side
WHERE (company, account) IN (SELECT company, account FROM receiving.warehouse JOIN receiving.company USING (company)
    WHERE perpetual)
GROUP BY company, account
"""
_NOT_BOOKED = f"""
SELECT source, id, outputs, is_revaluation
FROM (
    SELECT source, id, company, outputs, false AS is_revaluation FROM ledger.movement WHERE outputs IS NOT NULL
    UNION ALL SELECT source, id, company, outputs, true FROM ledger.revaluation
) AS told
WHERE {OF}
    AND NOT EXISTS (SELECT FROM accounting.movement WHERE (movement.source, movement.id) = (told.source, told.id))
"""
_AMOUNTS = f"""
SELECT company, journal_entry, ordinal, what, expected, found
FROM accounting.transfer CROSS JOIN LATERAL (VALUES
    ('amount', 'above zero', cast(amount AS text), NOT (amount > 0 AND amount < 1e15)),
    ('debit_account', 'an account', debit_account, debit_account = ''),
    ('credit_account', 'an account', credit_account, credit_account = '')
) AS part (what, expected, found, is_wrong)
WHERE {OF} AND is_wrong AND NOT (amount > 0 AND amount < 1e15 AND debit_account <> '' AND credit_account <> '')
"""
_ORDINALS = f"""
SELECT company, journal_entry, 'transfers' AS what, concat('1 to ', max(ordinal)) AS expected,
    concat(count(*), ' from ', min(ordinal)) AS found
FROM accounting.transfer WHERE {OF} GROUP BY company, journal_entry
HAVING count(*) <> max(ordinal) OR min(ordinal) <> 1
"""
_HOMELESS = f"""
SELECT company, journal_entry, ordinal, 'journal entry' AS what, 'one' AS expected, NULL AS found
FROM accounting.transfer WHERE {OF} AND NOT EXISTS (SELECT FROM accounting.journal_entry AS entry
    WHERE (entry.company, entry.journal_entry) = (transfer.company, transfer.journal_entry))
"""
_OF_NOTHING = f"""
SELECT company, journal_entry, ordinal, 'ledger_entry' AS what, 'an entry of the ledger' AS expected,
    cast(ledger_entry AS text) AS found
FROM accounting.transfer WHERE ledger_entry IS NOT NULL AND {OF} AND NOT EXISTS (SELECT FROM ledger.entry
    WHERE (entry.company, entry.entry_id) = (transfer.company, transfer.ledger_entry))
"""

Amounts = dict[tuple[str, str], Decimal]
"""An amount by company and account."""

_posted = decoder(MovementPosted)
_revalued = decoder(StockRevalued)

transfers_are_whole = asking(
    Question("accounting.transfer", _AMOUNTS),
    Question("accounting.transfer", _ORDINALS),
    Question("accounting.transfer", _HOMELESS),
    Question("accounting.transfer", _OF_NOTHING),
)


def values_are_rounded(connection: Connection, scope: Scope) -> Iterator[Finding]:
    """The value of every bin, and of every batch in one, is its worth rounded to the currency's minor unit."""
    for table, company, item, warehouse, batch, worth, value, currency in stream(
        connection, _HELD, company=scope.company
    ):
        expected = to_money(worth, currency_digits(currency))
        if value != expected:
            names, key = "company item warehouse", (company, item, warehouse)
            whole = key_of(f"{names} batch", (*key, batch)) if batch is not None else key_of(names, key)
            yield Finding(table, whole, "value", plain(expected), plain(value))


def accounts_hold_the_stock(connection: Connection, scope: Scope) -> Iterator[Finding]:
    """What all stock of an account is worth stands on that account, but for what is not booked yet."""
    asked = {"company": scope.company}
    expected: Amounts = {(row.company, row.account): row.value for row in query(connection, _IN_STOCK, **asked)}
    found: Amounts = {(row.company, row.account): row.balance for row in query(connection, _ON_ACCOUNTS, **asked)}
    yield from _take_off_unbooked(connection, scope, expected)
    for company, account in sorted(expected.keys() | found.keys()):
        stands, balance = expected.get((company, account), ZERO), found.get((company, account), ZERO)
        if stands != balance:
            key = key_of("company account", (company, account))
            yield Finding("accounting.transfer", key, "balance", plain(stands), plain(balance))


def _take_off_unbooked(connection: Connection, scope: Scope, expected: Amounts) -> Iterator[Finding]:
    """What the ledger has told and accounting has not booked yet is on its way."""
    for source, name, body, is_revaluation in stream(connection, _NOT_BOOKED, company=scope.company):
        try:
            told = read(_revalued, bytes(body)).movements if is_revaluation else [read(_posted, bytes(body))]
        except Malformed as error:
            table = "ledger.revaluation" if is_revaluation else "ledger.movement"
            yield Finding(table, key_of("source id", (source, name)), "outputs", "a message", str(error))
            continue
        for movement in told:
            for entry in movement.entries:
                place = (movement.company, entry.stock_account)
                if place in expected:
                    expected[place] -= entry.value
