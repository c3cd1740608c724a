"""What scanned codes may mean in a company: read without a lock, for what a code means does not change while it is."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection

from services.receiving.decide.scanning import Codes, Scannable
from shared.contracts.movement import MovementRequested
from shared.db import query
from shared.purposes import Tracking
from shared.service import Key

_WAREHOUSES = "SELECT DISTINCT company, warehouse FROM receiving.warehouse WHERE warehouse = ANY(:warehouse)"
_ORIGINALS = """
SELECT source, id, company FROM receiving.movement
WHERE (source, id) IN (SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[]))) AND company IS NOT NULL
"""
# lpad as in the index; what is longer than a GTIN is none.
_ITEMS = """
SELECT item, tracking, unit, units, lpad(gtin, 14, '0') AS gtin FROM receiving.item
WHERE company = (SELECT :company) AND (item = ANY(:codes)
    OR (gtin IS NOT NULL AND length(gtin) <= 14 AND lpad(gtin, 14, '0') = ANY(:gtins)))
"""
_SERIALS = """
SELECT item, serial AS number FROM receiving.serial WHERE company = (SELECT :company) AND serial = ANY(:codes)
"""
_BATCHES = "SELECT item, batch AS number FROM receiving.batch WHERE company = (SELECT :company) AND batch = ANY(:codes)"


def companies_of(connection: Connection, movements: Mapping[Key, MovementRequested]) -> dict[Key, str]:
    """The companies of movements, of those that name one, or whose warehouses or original are of one alone."""
    codes = {code for each in movements.values() for line in each.lines for code in (line.source, line.target) if code}
    owners: dict[str, set[str]] = {}
    for row in query(connection, _WAREHOUSES, warehouse=sorted(codes)):
        owners.setdefault(row.warehouse, set()).add(row.company)
    against = {key: (each.against.source or key[0], each.against.id) for key, each in movements.items() if each.against}
    named = sorted(set(against.values()))
    rows = query(connection, _ORIGINALS, source=[source for source, _ in named], id=[name for _, name in named])
    originals = {(row.source, row.id): row.company for row in rows}
    found = {key: _company(each, owners, originals.get(against.get(key, ("", "")))) for key, each in movements.items()}
    return {key: company for key, company in found.items() if company is not None}


def _company(movement: MovementRequested, owners: Mapping[str, set[str]], original: str | None) -> str | None:
    if movement.company is not None:
        return movement.company
    named = {code for line in movement.lines for code in (line.source, line.target) if code}
    sets = [owners[code] for code in named if code in owners]
    common = set.intersection(*sets) if sets else set()
    return common.pop() if len(common) == 1 else original


def load_codes(connection: Connection, company: str, codes: Collection[str], gtins: Collection[str]) -> Codes:
    """What these plain codes and GTINs mean."""
    found = Codes(company)
    wanted = sorted(codes)
    for row in query(connection, _ITEMS, company=company, codes=wanted, gtins=sorted(gtins)):
        units = frozenset({row.unit, *row.units})
        found.items[row.item] = Scannable(row.item, Tracking(row.tracking), units)
        if row.gtin in gtins:
            found.gtins.setdefault(row.gtin, []).append(row.item)
    for row in query(connection, _SERIALS, company=company, codes=wanted):
        found.serials.setdefault(row.number, []).append(row.item)
    for row in query(connection, _BATCHES, company=company, codes=wanted):
        found.batches.setdefault(row.number, []).append(row.item)
    return found
