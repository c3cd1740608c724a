"""Rows of masters: from cells to the message that defines the noun, or all that is wrong with the row."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.desk.importing.cells import Cell, Ways, is_empty, shown
from services.desk.importing.columns import Field, Subject
from services.desk.importing.faults import BadCell, Fault
from shared.contracts.codec import Malformed, decoder, read, write
from shared.contracts.registry import STRUCTS

Data = dict[str, Any]
"""What a message says, ready for JSON."""

_structs = {kind: decoder(struct) for kind, struct in STRUCTS.items()}


class RowReader:
    """Reads the rows of one table. `given` are values for columns that the table lacks.

    It remembers what the rows named: a second row for the same noun is a mistake, for only one of them could hold.
    """

    def __init__(self, subject: Subject, fields: Sequence[Field], given: Mapping[str, str], ways: Ways) -> None:
        self._subject = subject
        self._fields = fields
        there = {each.column.name for each in fields}
        self._given = {name: value for name, value in given.items() if name not in there}
        self._ways = ways
        self._seen: dict[str, int] = {}

    def read(self, number: int, cells: Sequence[Cell]) -> tuple[Data, list[Fault]]:
        """What a row says, as far as it can be read, and what is wrong with it. An empty cell says nothing."""
        data: Data = dict(self._given)
        faults = list(self._surplus(number, cells))
        for place, field in enumerate(self._fields):
            cell = cells[place] if place < len(cells) else None
            if is_empty(cell):
                if field.column.is_needed:
                    faults.append(Fault(number, field.title, "missing", "", "every row needs a value here"))
                continue
            try:
                value = field.column.read(cell, self._ways)
            except BadCell as bad:
                faults.append(Fault(number, field.title, bad.code, shown(cell), str(bad)))
                continue
            if field.part is None:
                data[field.column.name] = value
            else:
                data.setdefault(field.column.name, {})[field.part] = value
        return data, faults or self._repeated(number, data)

    def _surplus(self, number: int, cells: Sequence[Cell]) -> Iterator[Fault]:
        for cell in cells[len(self._fields) :]:
            if not is_empty(cell):
                yield Fault(number, "", "too_many_cells", shown(cell), "behind the last column that has a name")
                return

    def _repeated(self, number: int, data: Data) -> list[Fault]:
        if not self._subject.key:
            return []
        key = [str(data[name]) for name in self._subject.key]
        first = self._seen.setdefault("\n".join(key), number)
        if first == number:
            return []
        return [Fault(number, self._subject.key[-1], "twice", key[-1], f"row {first} names it already")]


def decoded(subject: Subject, data: Data) -> Any:
    """The message's struct; Malformed where it is none."""
    return read(_structs[subject.kind], write(data))


def check(subject: Subject, number: int, data: Data) -> list[Fault]:
    """What is wrong with a message as a whole: it is read as the gate would read it."""
    try:
        decoded(subject, data)
    except Malformed as error:
        return [Fault(number, _column_of(str(error)), "malformed", "", str(error))]
    return []


def _column_of(error: str) -> str:
    """The column that an error names: it ends in a path like `$.attributes`."""
    path = error.rpartition("`$.")[2] if "`$." in error else ""
    return path.rstrip("`").partition("[")[0].partition(".")[0]
