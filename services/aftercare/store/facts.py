"""Facts of units: added under the locks of their units, and read with those of all units that replaced one another."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from services.aftercare.decide.facts import Dossiers, Facts, Key, Move, Said, Unit
from shared.contracts.codec import decoder, read, write
from shared.contracts.outcome import Remark
from shared.contracts.registry import KIND_OF_STATEMENT, STATEMENTS
from shared.db import columns, copy, query, run

# Sorted, so that two workers that were given the same keys never wait for each other in a circle.
_ADD_MOVEMENTS = """
INSERT INTO aftercare.movement (source, id, company, recorded_at)
SELECT * FROM unnest(
    cast(:source AS text[]), cast(:id AS text[]), cast(:company AS text[]), cast(:recorded_at AS timestamptz[])
) AS given (source, id, company, recorded_at)
ORDER BY source, id
ON CONFLICT (source, id) DO NOTHING
RETURNING source, id
"""
_HOLD = """
INSERT INTO aftercare.unit (company, item, serial, has_moved)
SELECT company, item, serial, :has_moved
FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:serial AS text[])) AS given (company, item, serial)
ORDER BY company, item, serial
ON CONFLICT (company, item, serial) DO UPDATE SET has_moved = unit.has_moved OR excluded.has_moved
"""
_UNITS = """
(company, item, serial) IN (
    SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:serial AS text[])))
"""
_LOCK = f"""
SELECT company, item, serial, has_moved FROM aftercare.unit WHERE {_UNITS} ORDER BY company, item, serial FOR UPDATE
"""
_CANCEL = """
INSERT INTO aftercare.cancelled (source, id, by_source, by_id, recorded_at)
SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[]), cast(:by_source AS text[]), cast(:by_id AS text[]),
    cast(:recorded_at AS timestamptz[]))
ON CONFLICT (source, id) DO NOTHING
"""
_MOVE_COLUMNS = (
    "company, item, serial, source, id, purpose, effective_at, recorded_at, day, stamp, left_from, came_to, party, "
    "document, actor, warranty_days"
)
_STATEMENT_COLUMNS = (
    "source, id, kind, company, item, serial, happened_at, day, recorded_at, said, remarks, claim, other_item, "
    "other_serial"
)
_MOVES = f"""
SELECT company, item, serial, source, id, purpose, effective_at, recorded_at, day, stamp, left_from, came_to, party,
    document, actor, warranty_days, by_source, by_id, cancelled_at
FROM aftercare.moves WHERE {_UNITS}
"""
# Each by the unit that it is about; those that say that another one replaced it, by that one too.
_STATEMENTS = f"""
SELECT source, id, kind, company, item, serial, day, recorded_at, cast(said AS text) AS said,
    cast(remarks AS text) AS remarks, other_item, other_serial
FROM aftercare.statements WHERE {_UNITS}
UNION
SELECT source, id, kind, company, item, serial, day, recorded_at, cast(said AS text), cast(remarks AS text),
    other_item, other_serial
FROM aftercare.statements WHERE (company, other_item, other_serial) IN (
    SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:serial AS text[])))
"""
# Page by page in the order of keys, so that no more of them is held at once.
_PAGE = """
SELECT company, item, serial FROM aftercare.units
WHERE (company, item, serial) > (:after_company, :after_item, :after_serial)
    AND (cast(:company AS text) IS NULL OR company = :company) AND (cast(:item AS text) IS NULL OR item = :item)
    AND (cast(:serial AS text) IS NULL OR serial = :serial)
ORDER BY company, item, serial LIMIT :limit
"""
_CLAIMS = """
SELECT company, claim FROM aftercare.statement
WHERE kind = 'claim.opened.v1'
    AND (company, claim) IN (SELECT * FROM unnest(cast(:company AS text[]), cast(:claim AS text[])))
"""
_UNIT_NAMES = "company item serial"
PAGE = 500
"""How many units are read at once."""

_said = {kind: decoder(struct) for kind, struct in STATEMENTS.items()}
_remarks: msgspec.json.Decoder[list[Remark]] = decoder(list[Remark])


def add_movements(connection: Connection, keys: Sequence[tuple[str, str, str, datetime]]) -> set[Key]:
    """Note movements (source, id, company, recorded) as taken in; those that were not yet."""
    rows = query(connection, _ADD_MOVEMENTS, **columns(sorted(keys), "source id company recorded_at"))
    return {(row.source, row.id) for row in rows}


def hold_units(connection: Connection, units: Collection[Unit], *, have_moved: bool) -> None:
    """Lock these units until the end of the transaction; those that are new are made."""
    if units:
        run(connection, _HOLD, has_moved=have_moved, **columns(sorted(units), _UNIT_NAMES))


def lock_units(connection: Connection, units: Collection[Unit]) -> dict[Unit, bool]:
    """Lock those of these units that there are; whether each has moved."""
    rows = query(connection, _LOCK, **columns(sorted(units), _UNIT_NAMES)) if units else []
    return {Unit(row.company, row.item, row.serial): row.has_moved for row in rows}


def add_moves(connection: Connection, moves: Iterable[tuple[Unit, Move]]) -> None:
    """Append what movements did to units."""
    copy(connection, "aftercare.move", _MOVE_COLUMNS, (_move_row(unit, each) for unit, each in moves))


def add_cancelled(connection: Connection, cancelled: Iterable[tuple[Key, Key, datetime]]) -> None:
    """Note movements that were cancelled, by which, and when that was accepted."""
    rows = sorted((*key, *by, at) for key, by, at in cancelled)
    if rows:
        run(connection, _CANCEL, **columns(rows, "source id by_source by_id recorded_at"))


def add_statements(connection: Connection, said: Iterable[Said]) -> None:
    """Append statements that were accepted."""
    copy(connection, "aftercare.statement", _STATEMENT_COLUMNS, map(_statement_row, said))


def load_facts(connection: Connection, units: Collection[Unit]) -> Facts:
    """All facts of these units, and of all that they replaced or were replaced by, however far."""
    facts = Facts()
    seen: set[Key] = set()
    loaded: set[Unit] = set()
    further = set(units)
    while further:
        names = columns(sorted(further), _UNIT_NAMES)
        for row in query(connection, _MOVES, **names):
            facts.move(Unit(row.company, row.item, row.serial), _move(row))
        loaded |= further
        rows = [row for row in query(connection, _STATEMENTS, **names) if (row.source, row.id) not in seen]
        seen |= {(row.source, row.id) for row in rows}
        for row in rows:
            facts.say(_statement(row))
        further = {unit for row in rows for unit in _named(row)} - loaded
    return facts


def all_dossiers(
    connection: Connection,
    company: str | None,
    item: str | None,
    serial: str | None,
    as_of: datetime | None = None,
    known_at: datetime | None = None,
) -> Iterator[tuple[Unit, Dossiers]]:
    """Every unit of which anything is known, of those that are asked for, in the order of their names."""
    last = Unit("", "", "")
    while True:
        after = {"after_company": last.company, "after_item": last.item, "after_serial": last.serial}
        rows = query(connection, _PAGE, company=company, item=item, serial=serial, limit=PAGE, **after)
        units = [Unit(row.company, row.item, row.serial) for row in rows]
        if not units:
            return
        dossiers = Dossiers(load_facts(connection, units), as_of, known_at)
        yield from ((unit, dossiers) for unit in units)
        last = units[-1]


def taken_claims(connection: Connection, claims: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of these claims (company, name) that there are."""
    rows = query(connection, _CLAIMS, **columns(sorted(claims), "company claim")) if claims else []
    return {(row.company, row.claim) for row in rows}


def _named(row: Any) -> Iterable[Unit]:
    yield Unit(row.company, row.item, row.serial)
    if row.other_serial is not None:
        yield Unit(row.company, row.other_item, row.other_serial)


def _move(row: Any) -> Move:
    return Move(
        (row.source, row.id),
        row.purpose,
        row.effective_at,
        row.recorded_at,
        row.day,
        row.stamp,
        row.left_from,
        row.came_to,
        row.party,
        row.document,
        row.actor,
        row.warranty_days,
        (row.by_source, row.by_id) if row.by_id is not None else None,
        row.cancelled_at,
    )


def _statement(row: Any) -> Said:
    remarks: list[Remark] = read(_remarks, row.remarks.encode())
    return Said(
        (row.source, row.id),
        Unit(row.company, row.item, row.serial),
        read(_said[row.kind], row.said.encode()),
        row.day,
        row.recorded_at,
        tuple(remarks),
    )


def _move_row(unit: Unit, move: Move) -> tuple[object, ...]:
    return (
        *unit,
        *move.key,
        move.purpose,
        move.effective_at,
        move.recorded_at,
        move.day,
        move.stamp,
        move.left,
        move.came,
        move.party,
        move.document,
        move.actor,
        move.warranty_days,
    )


def _statement_row(said: Said) -> tuple[object, ...]:
    what, other = said.what, said.other
    return (
        *said.key,
        KIND_OF_STATEMENT[type(what)],
        *said.about,
        what.at,
        said.day,
        said.recorded_at,
        write(what),
        write(list(said.remarks)),
        getattr(what, "claim", None),
        other.item if other is not None else None,
        other.serial if other is not None else None,
    )
