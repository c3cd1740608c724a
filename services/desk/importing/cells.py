"""One cell: from what a table holds to what a message says.

The one idea: nothing is guessed. A spreadsheet turns 00123 into 123 and a bar code into 9.50601E+12 without a word, so
a number where a text belongs is refused, unless whoever imports says that numbers are to be taken as they stand.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from decimal import Decimal

from services.desk.importing.faults import BadCell
from shared.quantities import Money, Quantity, Rate, plain

EXACT = 10**15
"""A spreadsheet keeps fifteen digits; of a longer number the last ones are lost."""

_ROUNDED = re.compile(r"[0-9][.,][0-9]+E\+[0-9]{2}", re.IGNORECASE)
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


@dataclass(frozen=True, slots=True)
class Formula:
    """A cell that is worked out: what it comes to is not kept with it."""

    text: str


@dataclass(frozen=True, slots=True)
class Broken:
    """A cell that holds an error, such as #REF!."""

    text: str


Cell = str | int | float | bool | datetime | date | time | Formula | Broken | None


@dataclass(frozen=True, slots=True)
class Ways:
    """How cells are to be read: numbers in columns of text `as_written`, times without a zone in `zone`."""

    zone: tzinfo
    as_written: bool = False


Reader = Callable[[Cell, Ways], object]
"""Makes of a cell that is not empty what a message says; BadCell where it cannot be that."""


def shown(cell: Cell) -> str:
    """A cell as an error shows it."""
    match cell:
        case None:
            return ""
        case bool():
            return str(cell).lower()
        case float():
            return plain(Decimal(repr(cell))) if abs(cell) < EXACT else repr(cell)
        case datetime() | date() | time():
            return cell.isoformat()
        case Formula() | Broken():
            return cell.text
    return str(cell)


def is_empty(cell: Cell) -> bool:
    """Whether there is nothing in it."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def read_text(cell: Cell, ways: Ways) -> str:
    """A text, without blanks around it."""
    if isinstance(cell, str):
        if not ways.as_written and _ROUNDED.fullmatch(cell.strip()):
            raise BadCell("digits_lost", "a spreadsheet has rounded a long number here: format the column as text")
        return cell.strip()
    _refuse_unusable(cell)
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        raise BadCell("not_a_text", f"this is a {type(cell).__name__} and no text: format the column as text")
    if abs(cell) >= EXACT:
        raise BadCell("digits_lost", "a spreadsheet keeps 15 digits of a number: format the column as text")
    if not ways.as_written:
        raise BadCell("number_for_text", "a number where a text belongs, zeros in front of it may be lost: format the "
                      "column as text, or say --as-written")  # fmt: skip
    return plain(Decimal(f"{cell:.15g}"))


def read_number(kind: type[Quantity | Rate | Money]) -> Reader:
    """A reader of decimals: of a text only with a point, of a number as the spreadsheet shows it."""

    def read(cell: Cell, ways: Ways) -> str:  # noqa: ARG001 - one shape for all
        text = _number_text(cell)
        try:
            return plain(kind.parse(text))
        except ValueError as error:
            hint = "; write a point for a comma, and nothing between thousands" if "," in text else ""
            raise BadCell("not_a_number", f"{error}{hint}") from None

    return read


def _number_text(cell: Cell) -> str:
    _refuse_unusable(cell)
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        raise BadCell("not_a_number", f"this is a {type(cell).__name__} and no number")
    if abs(cell) >= EXACT:
        raise BadCell("digits_lost", "a spreadsheet keeps 15 digits of a number")
    return plain(Decimal(f"{cell:.15g}"))


def read_count(cell: Cell, ways: Ways) -> int:
    """A whole number, such as a number of days."""
    text = read_number(Quantity)(cell, ways)
    if not isinstance(text, str) or "." in text:
        raise BadCell("not_a_whole_number", "a whole number is wanted")
    return int(text)


def read_truth(cell: Cell, ways: Ways) -> bool:  # noqa: ARG001 - one shape for all
    """Yes or no."""
    _refuse_unusable(cell)
    text = shown(cell).strip().lower()
    if text not in (*_TRUE, *_FALSE):
        raise BadCell("not_yes_or_no", f"one of {', '.join((*_TRUE, *_FALSE))} is wanted")
    return text in _TRUE


def read_day(cell: Cell, ways: Ways) -> str:  # noqa: ARG001 - one shape for all
    """A day; a spreadsheet keeps it as a time, which must then be midnight."""
    _refuse_unusable(cell)
    if isinstance(cell, datetime):
        if cell.time() != time():
            raise BadCell("not_a_day", "there is a time of day behind it")
        return cell.date().isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    try:
        return date.fromisoformat(_iso(cell)).isoformat()
    except ValueError:
        raise BadCell("not_a_day", "a day looks like 2026-01-31") from None


def read_time(cell: Cell, ways: Ways) -> str:
    """A moment; without a zone it is in the zone of the import, and of a day alone it is the first moment."""
    _refuse_unusable(cell)
    if isinstance(cell, date):
        moment = cell if isinstance(cell, datetime) else datetime.combine(cell, time())
    else:
        try:
            moment = datetime.fromisoformat(_iso(cell))
        except ValueError:
            raise BadCell("not_a_time", "a time looks like 2026-01-31 or 2026-01-31T12:00:00+01:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=ways.zone)).isoformat()


def read_choice(choices: Sequence[str]) -> Reader:
    """A reader of one of several words."""

    def read(cell: Cell, ways: Ways) -> str:  # noqa: ARG001 - one shape for all
        text = shown(cell).strip().lower()
        if text not in choices:
            raise BadCell("not_one_of", f"one of {', '.join(choices)} is wanted")
        return text

    return read


def _iso(cell: Cell) -> str:
    if not isinstance(cell, str) or not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", cell.strip()):
        raise ValueError
    return cell.strip()


def _refuse_unusable(cell: Cell) -> None:
    if isinstance(cell, Formula):
        raise BadCell("formula", "a formula: copy the column, and paste it as values")
    if isinstance(cell, Broken):
        raise BadCell("cell_error", "the spreadsheet could not work this cell out")
