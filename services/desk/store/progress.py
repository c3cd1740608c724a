"""What the desk reads of the services' tables: how far the events are that were sent, and what came of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection

from shared.contracts.codec import decoder, read
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.db import columns, query
from shared.migrate import migrations
from shared.service import Key

# A plain join would read whole tables; key by key, each is an index lookup.
_OUTCOMES = """
SELECT wanted.source, wanted.id, found.kind, found.accepted, cast(found.outcome AS text) AS outcome
FROM unnest(cast(:source AS text[]), cast(:id AS text[])) AS wanted (source, id)
CROSS JOIN LATERAL (
    SELECT kind, accepted, outcome FROM receiving.outcome
    WHERE outcome.source = wanted.source AND outcome.id = wanted.id
    UNION ALL SELECT kind, accepted, outcome FROM aftercare.outcome
    WHERE outcome.source = wanted.source AND outcome.id = wanted.id
) AS found
"""
_UNFINISHED = """
SELECT wanted.source, wanted.id
FROM unnest(cast(:source AS text[]), cast(:id AS text[])) AS wanted (source, id)
LEFT JOIN receiving.movement USING (source, id)
WHERE CASE
    WHEN movement.allocated IS NOT NULL THEN
        NOT EXISTS (SELECT FROM accounting.movement AS b WHERE (b.source, b.id) = (wanted.source, wanted.id))
    WHEN movement.id IS NOT NULL THEN false
    ELSE NOT EXISTS (SELECT FROM receiving.definition AS d WHERE (d.source, d.id) = (wanted.source, wanted.id))
        AND NOT EXISTS (SELECT FROM receiving.parked AS p WHERE (p.source, p.id) = (wanted.source, wanted.id))
        AND NOT EXISTS (SELECT FROM aftercare.answer AS a WHERE (a.source, a.id) = (wanted.source, wanted.id))
        AND NOT EXISTS (SELECT FROM aftercare.parked AS p WHERE (p.source, p.id) = (wanted.source, wanted.id))
        AND NOT EXISTS (SELECT FROM receiving.manifest AS m
            WHERE (m.source, m.id) = (wanted.source, wanted.id) AND m.answered_at IS NOT NULL)
END
"""
_REVALUING = """
SELECT EXISTS (SELECT FROM ledger.dirty_bins) OR EXISTS (
    SELECT FROM ledger.revalued AS told
    WHERE NOT EXISTS (SELECT FROM accounting.movement AS b WHERE (b.source, b.id) = (told.source, told.id))) AS goes_on
"""
_HAS_MIGRATIONS = "SELECT to_regclass('public.stockbook_migration') IS NOT NULL AS there"
_MIGRATIONS = "SELECT service, name FROM public.stockbook_migration"
_COMPANIES_OF_WAREHOUSE = "SELECT company FROM receiving.warehouses WHERE warehouse = :warehouse ORDER BY company"
_STOCK_VALUES = """
SELECT company, name, currency, coalesce(stock.value, 0) AS stock, coalesce(accounts.balance, 0) AS accounts
FROM receiving.companies
LEFT JOIN (SELECT company, sum(value) AS value FROM ledger.stock_balance GROUP BY company) AS stock USING (company)
LEFT JOIN (
    SELECT company, sum(balance) AS balance FROM accounting.trial_balance
    WHERE (company, account) IN (SELECT company, account FROM receiving.warehouses) GROUP BY company
) AS accounts USING (company)
WHERE perpetual ORDER BY company
"""


@dataclass(frozen=True, slots=True)
class CompanyValue:
    """What a company's stock is worth by the ledger, and what its stock accounts say; the two must be equal."""

    company: str
    name: str
    currency: str
    stock: Decimal
    accounts: Decimal


Outcome = OutcomeAccepted | OutcomeRejected

_accepted = decoder(OutcomeAccepted)
_rejected = decoder(OutcomeRejected)


def outcomes(connection: Connection, keys: Collection[Key]) -> dict[Key, Outcome]:
    """What came of these movements and definitions, of those that have an outcome."""
    found: dict[Key, Outcome] = {}
    for row in query(connection, _OUTCOMES, **columns(list(keys), "source id")):
        body = row.outcome.encode()
        found[row.source, row.id] = read(_accepted, body) if row.accepted else read(_rejected, body)
    return found


def unfinished(connection: Connection, keys: Collection[Key]) -> list[Key]:
    """Those that the services still have to work on: neither refused, nor parked, nor booked to the end."""
    rows = query(connection, _UNFINISHED, **columns(list(keys), "source id"))
    return [(row.source, row.id) for row in rows]


def is_revaluing(connection: Connection) -> bool:
    """Whether a bin is still to be valued anew, or what came of it still to be booked."""
    return bool(query(connection, _REVALUING)[0].goes_on)


def stock_values(connection: Connection) -> Sequence[CompanyValue]:
    """Both values of each company's stock; companies without perpetual accounting are left out."""
    rows = query(connection, _STOCK_VALUES)
    return [CompanyValue(row.company, row.name, row.currency, row.stock, row.accounts) for row in rows]


def companies_of_warehouse(connection: Connection, warehouse: str) -> list[str]:
    """The companies that have a warehouse of this code."""
    return [row.company for row in query(connection, _COMPANIES_OF_WAREHOUSE, warehouse=warehouse)]


def missing_migrations(connection: Connection) -> list[str]:
    """The migrations that the database lacks."""
    is_there = query(connection, _HAS_MIGRATIONS)[0].there
    applied = {(row.service, row.name) for row in query(connection, _MIGRATIONS)} if is_there else set()
    return [f"{each.service}/{each.name}" for each in migrations() if (each.service, each.name) not in applied]
