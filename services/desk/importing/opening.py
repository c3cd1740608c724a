"""Opening stock: rows put together to movements, one a document.

Rows of one company and document are one movement, or, where they name none, rows of one company and time. Serials in
rows that are otherwise alike are one line. A movement is taken or refused as a whole, so one bad row withholds all of
its document. Its id comes from what it says and not from the file: the same document in another file is the same
movement, and is not taken twice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from services.desk.importing.faults import Fault
from services.desk.importing.rows import Data
from shared.contracts.codec import digest, write
from shared.contracts.movement import LINES_LIMIT, SERIALS_LIMIT

_HEAD = ("posting_at", "actor", "reason")
BEGINNING = len("opening-") + 16
"""With as many letters of its id the movement of one document begins, whatever it says."""

SERIALS_IN_ALL = 500_000
"""As many serials as a movement may have."""


@dataclass(slots=True)
class Line:
    """A line, and the rows that it came from."""

    data: Data
    rows: list[int]
    serials: list[str] = field(default_factory=list)

    def told(self) -> Data:
        """The line as the movement says it."""
        return {**self.data, "serials": self.serials} if self.serials else self.data


@dataclass(slots=True)
class Document:
    """What becomes a movement; `faulty` are rows of it that are wrong."""

    head: Data
    row: int
    lines: list[Line] = field(default_factory=list)
    faulty: list[int] = field(default_factory=list)
    _open: dict[bytes, Line] = field(default_factory=dict)

    def add(self, number: int, data: Data) -> None:
        """Take a row."""
        serial = data.pop("serial", None)
        if serial is None:
            self.lines.append(Line(data, [number]))
            return
        data.pop("quantity", None)
        key = write(data)
        line = self._open.get(key)
        if line is None or len(line.rows) == SERIALS_LIMIT:
            line = self._open[key] = Line(data, [])
            self.lines.append(line)
        line.rows.append(number)
        line.serials.append(serial)


@dataclass(frozen=True, slots=True)
class Movement:
    """A movement ready to be sent; `rows` are those of each of its lines, from the first."""

    id: str
    data: dict[str, Any]
    rows: Sequence[Sequence[int]]

    def row_of(self, line: int | None, serial: str | None) -> int:
        """The row that a reason is about: that of the serial that it names, else the first of the line."""
        if line is None or not 1 <= line <= len(self.rows):
            return self.rows[0][0]
        rows, serials = self.rows[line - 1], self.data["lines"][line - 1].get("serials")
        if serial is not None and isinstance(serials, list) and serial in serials:
            return rows[serials.index(serial)]
        return rows[0]


class Documents:
    """Puts rows together; `documents` are those that were begun, in the order of their first rows."""

    def __init__(self) -> None:
        self._documents: dict[tuple[str, bool, str], Document] = {}
        self._serials: dict[str, int] = {}

    def add(self, number: int, data: Data) -> list[Fault]:
        """Take a row, or say what is wrong with it among the others."""
        document = self._document(number, data)
        faults = [*_differences(number, data, document.head), *self._serial_faults(number, data)]
        for name in ("company", "document", *_HEAD):
            data.pop(name, None)
        if faults:
            document.faulty.append(number)
        else:
            target = data.pop("warehouse")
            document.add(number, {**data, "target": target})
        return faults

    def refuse(self, number: int, data: Data) -> None:
        """A row is wrong by itself: its document, as far as it can be told, is not to be sent without it."""
        if "company" in data and ("document" in data or "posting_at" in data):
            self._document(number, data).faulty.append(number)

    def movements(self) -> Iterator[Movement | Fault]:
        """The movements, and a fault for every row that is withheld because of another one of its document."""
        for document in self._documents.values():
            if document.faulty:
                yield from _withheld(document)
            else:
                yield from _movements(document)

    def _document(self, number: int, data: Data) -> Document:
        key = (data["company"], "document" in data, data.get("document") or data["posting_at"])
        found = self._documents.get(key)
        if found is None:
            head = {name: data[name] for name in ("company", "document", *_HEAD) if name in data}
            found = self._documents[key] = Document(head, number)
        return found

    def _serial_faults(self, number: int, data: Data) -> Iterator[Fault]:
        serial = data.get("serial")
        if serial is None:
            return
        if "serials" in data:
            yield Fault(number, "serials", "one_or_several", data["serials"], "name one serial, or several, not both")
        if data.get("quantity", "1") != "1":
            yield Fault(number, "quantity", "one_serial", data["quantity"], "one serial is a quantity of 1")
        first = self._serials.setdefault("\n".join((data["company"], data["item"], serial)), number)
        if first != number:
            yield Fault(number, "serial", "twice", serial, f"row {first} names it already")


def _differences(number: int, data: Data, head: Data) -> Iterator[Fault]:
    """What a row says of its document other than the first one did."""
    for name in _HEAD:
        value = data.get(name)
        if value is not None and value != head.setdefault(name, value):
            message = f"an earlier row of the same document says {head[name]}"
            yield Fault(number, name, "not_one_document", str(value), message)


def _withheld(document: Document) -> Iterator[Fault]:
    bad = document.faulty[0]
    for number in (row for line in document.lines for row in line.rows):
        yield Fault(number, "", "withheld", "", f"row {bad} of the same document is wrong, and it is one movement")


def _movements(document: Document) -> Iterator[Movement]:
    """A document as one movement, or as several where it has more than one may hold."""
    named = [document.head[name] for name in ("company", "document") if name in document.head]
    key = digest(named if len(named) > 1 else [*named, document.head["posting_at"]]).hex()
    for part, lines in enumerate(_parts(document.lines)):
        told = {**document.head, "purpose": "opening_stock", "lines": [line.told() for line in lines]}
        name = f"opening-{key[:16]}-{digest([part, told]).hex()}"
        yield Movement(name, {"id": name, **told}, [line.rows for line in lines])


def _parts(lines: Sequence[Line]) -> Iterator[list[Line]]:
    left = iter(lines)
    while part := list(islice(left, LINES_LIMIT)):
        yield from _by_serials(part)


def _by_serials(lines: Sequence[Line]) -> Iterator[list[Line]]:
    part: list[Line] = []
    count = 0
    for line in lines:
        if part and count + len(line.serials) > SERIALS_IN_ALL:
            yield part
            part, count = [], 0
        part.append(line)
        count += len(line.serials)
    yield part
