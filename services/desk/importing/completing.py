"""What is only known with the database at hand: what a noun says already, and what speaks against a new definition.

A message states the whole of its noun. A table seldom does, so what it has no column for stays as it is kept.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from services.desk.importing.answers import subject_of
from services.desk.importing.columns import Field, Subject
from services.desk.importing.faults import Fault
from services.desk.importing.opening import BEGINNING
from services.desk.importing.rows import Data, decoded
from services.desk.reporting import reason_text
from services.desk.store.masters import accepted_beginning, kept, known_of
from services.receiving.decide.masters import judge

Rows = Sequence[tuple[int, Data]]


def lacking(subject: Subject, fields: Collection[Field]) -> list[str]:
    """The columns that a table lacks, and which a message would take back to nothing."""
    there = {each.column.name for each in fields if not each.column.is_spread}
    return [] if subject.merges or not subject.key else [name for name in subject.columns if name not in there]


def complete(connection: Connection, subject: Subject, fields: Collection[Field], rows: Rows) -> list[tuple[int, Data]]:
    """Rows with what the table has no column for taken from what is kept."""
    keys = sorted({tuple(data[name] for name in subject.key) for _, data in rows})
    there = {each.column.name for each in fields if not each.column.is_spread}
    parts = {(each.column.name, each.part) for each in fields if each.column.is_spread}
    found = kept(connection, subject.name, subject.key, keys)
    return [
        (number, _completed(data, found.get(tuple(data[name] for name in subject.key), {}), there, parts))
        for number, data in rows
    ]


def _completed(data: Data, before: Data, there: Collection[str], parts: Collection[tuple[str, str | None]]) -> Data:
    told = dict(data)
    for name, value in before.items():
        if isinstance(value, dict):
            rest = {part: held for part, held in value.items() if (name, part) not in parts}
            told[name] = {**rest, **data.get(name, {})}
        elif name not in there:
            told.setdefault(name, value)
    return {name: value for name, value in told.items() if value != {}}


def against(connection: Connection, subject: Subject, rows: Rows) -> list[Fault]:
    """What would speak against these definitions, as things are now."""
    definitions = [(number, decoded(subject, data)) for number, data in rows]
    known = known_of(connection, [each for _, each in definitions])
    return [
        Fault(number, "", reason.code, subject_of(reason.facts), reason_text(reason.code, None, reason.facts))
        for number, each in definitions
        for reason in judge(each, known)
    ]


def opened_before(connection: Connection, source: str, names: Collection[str]) -> dict[str, str]:
    """Those of these movements whose document was imported before with another content, by their ids; and by which."""
    beginnings = {name: name[:BEGINNING] for name in names}
    others = [
        name
        for name in accepted_beginning(connection, source, sorted(set(beginnings.values())))
        if name not in beginnings
    ]
    before = {name[:BEGINNING]: name for name in others}
    return {name: before[start] for name, start in beginnings.items() if start in before}
