"""By what units are covered as it is known now: what was told last, so that a change is told once."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection

from services.aftercare.decide.coverage import Cover
from services.aftercare.decide.facts import Unit
from shared.contracts.aftercare import CoverageKind, Covered
from shared.db import columns, copy, query, run

_UNITS = """
(company, item, serial) IN (
    SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:serial AS text[])))
"""
_TOLD = f"""
SELECT company, item, serial, kind, reference, first_day, last_day, terms, source, id, inherited_item, inherited_from
FROM aftercare.cover WHERE {_UNITS} ORDER BY company, item, serial, ordinal
"""
_FORGET = f"DELETE FROM aftercare.cover WHERE {_UNITS}"
_LEAVE = """
INSERT INTO aftercare.untold (company, item, serial)
SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:serial AS text[]))
ON CONFLICT (company, item, serial) DO NOTHING
"""
_UNTOLD = f"SELECT company, item, serial FROM aftercare.untold WHERE {_UNITS}"
_TAKE = """
DELETE FROM aftercare.untold WHERE (company, item, serial) IN (
    SELECT company, item, serial FROM aftercare.untold ORDER BY company, item, serial LIMIT :limit
    FOR UPDATE SKIP LOCKED)
RETURNING company, item, serial
"""
_COUNT = f"UPDATE aftercare.unit SET changes = changes + 1 WHERE {_UNITS} RETURNING company, item, serial, changes"
_COLUMNS = (
    "company, item, serial, ordinal, kind, reference, first_day, last_day, terms, source, id, inherited_item, "
    "inherited_from"
)
_NAMES = "company item serial"


def told_coverage(connection: Connection, units: Collection[Unit]) -> dict[Unit, list[Covered]]:
    """What was told last of each of these units; nothing of one that was never covered."""
    found: dict[Unit, list[Covered]] = {unit: [] for unit in units}
    for row in query(connection, _TOLD, **columns(sorted(units), _NAMES)) if units else ():
        covered = Covered(
            kind=CoverageKind(row.kind),
            reference=row.reference,
            starts_on=row.first_day,
            ends_on=row.last_day,
            terms=row.terms,
            source=row.source,
            id=row.id,
            inherited_item=row.inherited_item,
            inherited_from=row.inherited_from,
        )
        found[Unit(row.company, row.item, row.serial)].append(covered)
    return found


def save_coverage(connection: Connection, covers: Mapping[Unit, Sequence[Covered]]) -> dict[Unit, int]:
    """Replace what was told of these units; the number of what is told now of each."""
    if not covers:
        return {}
    names = columns(sorted(covers), _NAMES)
    run(connection, _FORGET, **names)
    rows = (
        (*unit, ordinal, *_row(each)) for unit, own in sorted(covers.items()) for ordinal, each in enumerate(own, 1)
    )
    copy(connection, "aftercare.cover", _COLUMNS, rows)
    return {Unit(row.company, row.item, row.serial): row.changes for row in query(connection, _COUNT, **names)}


def leave_untold(connection: Connection, units: Collection[Unit]) -> None:
    """Note that the coverage of these units is still to be told."""
    if units:
        run(connection, _LEAVE, **columns(sorted(units), _NAMES))


def untold(connection: Connection, units: Collection[Unit]) -> set[Unit]:
    """Those of these units whose coverage is still to be told."""
    rows = query(connection, _UNTOLD, **columns(sorted(units), _NAMES))
    return {Unit(row.company, row.item, row.serial) for row in rows}


def take_untold(connection: Connection, limit: int) -> list[Unit]:
    """Units whose coverage is to be told now: by whoever takes them, in this transaction."""
    rows = query(connection, _TAKE, limit=limit)
    return sorted(Unit(row.company, row.item, row.serial) for row in rows)


def covered(cover: Cover) -> Covered:
    """A coverage as it is told."""
    inherited = cover.inherited_from
    return Covered(
        kind=cover.kind,
        reference=cover.reference,
        starts_on=cover.first,
        ends_on=cover.last,
        terms=cover.terms,
        source=cover.by[0],
        id=cover.by[1],
        inherited_item=inherited.item if inherited is not None else None,
        inherited_from=inherited.serial if inherited is not None else None,
    )


def _row(each: Covered) -> tuple[object, ...]:
    return (
        each.kind.value,
        each.reference,
        each.starts_on,
        each.ends_on,
        each.terms,
        each.source,
        each.id,
        each.inherited_item,
        each.inherited_from,
    )
