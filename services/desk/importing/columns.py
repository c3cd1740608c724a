"""Which columns a table may have: those of the message that a row becomes, and a few of our own for opening stock.

A field that is a map (`attributes`, `units`) is spread over columns: `attributes.colour` holds the colour. What a
column means is told by the docstring of the message: a new field of it is a new column, without a line here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

from msgspec import inspect

from services.desk.docs.meanings import meanings
from services.desk.importing.cells import (
    Reader,
    read_choice,
    read_count,
    read_day,
    read_number,
    read_text,
    read_time,
    read_truth,
)
from services.desk.importing.faults import Unreadable
from shared.contracts import masters
from shared.contracts.codec import Contract
from shared.contracts.movement import MovementRequested, RequestedLine


@dataclass(frozen=True, slots=True)
class Column:
    """A column, or all that are spread over a map: then `name` is the map's, and `is_spread`."""

    name: str
    read: Reader
    form: str
    meaning: str
    is_needed: bool = False
    is_spread: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """What a table is about: `kind` is the message that a row becomes, and `key` are the columns that name it.

    `merges`: of a noun that is there already, the gate itself keeps what a message leaves out.
    """

    name: str
    kind: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]
    merges: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a certain table: where its cells go. `part` is the name in a map over which columns are spread."""

    title: str
    column: Column
    part: str | None = None


def fields_of(subject: Subject, header: list[str], given: frozenset[str]) -> list[Field]:
    """What each column of a table is; Unreadable where one is unknown, there twice, or missing and not `given`."""
    fields = [_field(subject, title.strip()) for title in header]
    titles = [(each.column.name, each.part) for each in fields]
    twice = sorted({each.title for each in fields if titles.count((each.column.name, each.part)) > 1})
    if twice:
        raise Unreadable(f"a column is there twice: {', '.join(twice)}")
    there = {each.column.name for each in fields} | given
    lacking = [name for name, column in subject.columns.items() if column.is_needed and name not in there]
    if lacking:
        raise Unreadable(f"columns are missing: {', '.join(lacking)}; `stockbook import {subject.name} --template` "
                         "writes a table that has them all")  # fmt: skip
    return fields


def _field(subject: Subject, title: str) -> Field:
    head, dot, part = title.partition(".")
    column = subject.columns.get(head.strip().lower().replace(" ", "_"))
    if column is None or column.is_spread != bool(dot and part.strip()):
        close = get_close_matches(title.lower(), subject.columns, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(map(_title, subject.columns.values()))}"
        raise Unreadable(f"there is no column {title!r}: {hint}" if title else "a column has no name")
    return Field(title, column, part.strip() if column.is_spread else None)


def _title(column: Column) -> str:
    return f"{column.name}.NAME" if column.is_spread else column.name


def _columns(struct: type[Contract], *names: str) -> dict[str, Column]:
    """Columns for the fields of a struct, all or those that are named."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)  # noqa: S101 - for the types alone
    told = meanings(struct, [each.name for each in info.fields])
    wanted = [each for each in info.fields if not names or each.name in names]
    return {each.name: _column(each, told.get(each.name, "")) for each in wanted}


def _column(field: inspect.Field, meaning: str) -> Column:
    kind = field.type
    if isinstance(kind, inspect.UnionType):
        kind = next(each for each in kind.types if not isinstance(each, inspect.NoneType))
    is_spread = isinstance(kind, inspect.DictType)
    read, form = _reading(kind.value_type if isinstance(kind, inspect.DictType) else kind)
    return Column(field.name, read, form, meaning, field.required, is_spread)


def _reading(kind: inspect.Type) -> tuple[Reader, str]:
    match kind:
        case inspect.CustomType(cls=number):
            return read_number(number), "number"
        case inspect.EnumType(cls=choices):
            words = [str(each.value) for each in choices]
            return read_choice(words), " or ".join(words)
        case inspect.LiteralType(values=values):
            words = [str(each) for each in values]
            return read_choice(words), " or ".join(words)
    return _READERS[type(kind)]


_READERS: Mapping[type[inspect.Type], tuple[Reader, str]] = {
    inspect.StrType: (read_text, "text"),
    inspect.BoolType: (read_truth, "yes or no"),
    inspect.IntType: (read_count, "whole number"),
    inspect.DateType: (read_day, "day"),
    inspect.DateTimeType: (read_time, "time"),
}


_OF_OPENING: Mapping[str, str] = {
    "posting_at": "When it stood there: the moment, or the day, from which the books know it.",
    "document": "What the rows of one movement have in common; without one, it is the company and the time.",
    "quantity": "Counted in `unit`; of named serials it may be left out.",
    "rate": "Money per `unit`; left out, the last one known there, else the item's standard rate.",
    "batch": "The batch; left out, the item's series makes one.",
    "attributes": "Whatever else is worth keeping with the batch or the serials, by name.",
}
"""What a column means for opening stock, where the message has more to say."""


def _of_opening(column: Column) -> Column:
    return replace(column, meaning=_OF_OPENING.get(column.name, column.meaning))


def _serial_columns() -> dict[str, Column]:
    """All but the warehouse: only movements move a serial."""
    return {name: each for name, each in _columns(masters.SerialDefined).items() if name != "warehouse"}


def _opening_columns() -> dict[str, Column]:
    of_movement = _columns(MovementRequested, "posting_at", "document", "actor", "reason")
    names = "item quantity unit rate allow_zero_rate batch manufactured_on expires_on supplier_batch attributes"
    of_line = _columns(RequestedLine, *names.split())
    company = Column("company", read_text, "text", "The company's code.", is_needed=True)
    warehouse = Column("warehouse", read_text, "text", "The warehouse in which it stands.", is_needed=True)
    serial = Column("serial", read_text, "text", "One serial, exactly as it is written.")
    serials = Column(
        "serials", read_text, "text", "Several serials: one a line of the cell, commas, ranges (`A001-A050`)."
    )
    told = {
        "company": company,
        **of_movement,
        "warehouse": warehouse,
        **of_line,
        "item": replace(of_line["item"], is_needed=True),
        "serial": serial,
        "serials": serials,
    }
    return {name: _of_opening(column) for name, column in told.items()}


SUBJECTS: Mapping[str, Subject] = {
    each.name: each
    for each in (
        Subject("items", "item.defined.v1", ("company", "item"), _columns(masters.ItemDefined)),
        Subject("warehouses", "warehouse.defined.v1", ("company", "warehouse"), _columns(masters.WarehouseDefined)),
        Subject("batches", "batch.defined.v1", ("company", "item", "batch"), _columns(masters.BatchDefined)),
        Subject("serials", "serial.defined.v1", ("company", "item", "serial"), _serial_columns(), merges=True),
        Subject("opening", "movement.requested.v1", (), _opening_columns()),
    )
}
"""What can be imported; a further master is a further line."""
