"""Numbers: series that make them, and the texts in which people list them.

A series is cut at dots. The first run of `#` is the counter, zero-padded to its length and growing beyond it; `YY`,
`YYYY`, `MM`, `DD` and `WW` stand for the posting day, `{item}` and `{unit}` for the item's; all else is literal.
Without a counter, five digits are put behind. The counter belongs to the text in front of it.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

DEFAULT_COUNTER = "#####"
RANGE_LENGTH = 300
"""The longest text that is looked at as a range; no two numbers are longer together."""

_ENTRY = re.compile(r"[^\n,]+")
_RANGE = re.compile(r"(?P<text>.*?)(?P<first>[0-9]{1,12})\s*-\s*(?P=text)(?P<last>[0-9]{1,12})")
_DATES: Mapping[str, Callable[[date], str]] = {
    "YYYY": lambda day: f"{day.year:04d}",
    "YY": lambda day: f"{day.year % 100:02d}",
    "MM": lambda day: f"{day.month:02d}",
    "DD": lambda day: f"{day.day:02d}",
    "WW": lambda day: f"{day.isocalendar().week:02d}",
}


@dataclass(frozen=True, slots=True)
class Series:
    """A series on one day, for one item: the text in front, the counter's width, the text behind."""

    prefix: str
    width: int
    suffix: str = ""

    def number(self, count: int) -> str:
        """The number of this count, from 1."""
        return f"{self.prefix}{count:0{self.width}d}{self.suffix}"


@dataclass(frozen=True, slots=True)
class TooMany:
    """A list of numbers that is longer than allowed; `count` of them would be more than the limit."""

    count: int


def series_of(pattern: str, day: date, fields: Mapping[str, str]) -> Series:
    """Read a pattern: `S-.YY.-.####` on a day in 2026 counts S-26-0001, S-26-0002, ..."""
    texts = [""]
    width = 0
    for part in _with_counter(pattern).split("."):
        if part in _DATES:
            texts[-1] += _DATES[part](day)
        elif "#" in part and not width:
            before, run, behind = re.split(r"(#+)", part, maxsplit=1)
            width = len(run)
            texts[-1] += before
            texts.append(behind)
        else:
            texts[-1] += _field(part, fields)
    return Series(texts[0], width, texts[1])


def _with_counter(pattern: str) -> str:
    return pattern if "#" in pattern else f"{pattern}.{DEFAULT_COUNTER}"


def _field(part: str, fields: Mapping[str, str]) -> str:
    if part.startswith("{") and part.endswith("}"):
        return fields.get(part[1:-1], part)
    return part


def next_numbers(series: Series, last: int, count: int, is_taken: Callable[[str], bool]) -> tuple[list[str], int]:
    """The next `count` numbers that are not taken, and the counter after them."""
    numbers: list[str] = []
    while len(numbers) < count:
        last += 1
        number = series.number(last)
        if not is_taken(number):
            numbers.append(number)
    return numbers, last


def read_serials(given: Sequence[str] | str, limit: int) -> list[str] | TooMany:
    """The serials that a list names, or a text: one per line, commas between, ranges (`A001-A050`) written out.

    Each is trimmed and keeps its case; empty ones are dropped. A list's members are taken as they are: there a
    number that looks like a range can be named.
    """
    if not isinstance(given, str):
        numbers = [number.strip() for number in given]
        return [number for number in numbers if number] if len(numbers) <= limit else TooMany(len(numbers))
    found: list[str] = []
    for text in _entries(given):
        series, counts = _range(text) or (None, range(1))
        if len(found) + len(counts) > limit:
            return TooMany(len(found) + len(counts))
        found.extend([text] if series is None else map(series.number, counts))
    return found


def count_serials(given: Sequence[str] | str) -> int:
    """How many serials a list or a text names, without writing out its ranges."""
    if not isinstance(given, str):
        return len(given)
    return sum(len(found[1]) if (found := _range(text)) else 1 for text in _entries(given))


def _entries(given: str) -> Iterator[str]:
    """The entries of a text, one at a time: a text of millions is not taken apart beyond what is allowed."""
    entries = (found[0].strip() for found in _ENTRY.finditer(given))
    return (text for text in entries if text)


def _range(text: str) -> tuple[Series, range] | None:
    """An entry as a range: both ends have the same text and as many digits, and the last is not before the first."""
    match = _RANGE.fullmatch(text) if "-" in text and len(text) <= RANGE_LENGTH else None
    if match is None or len(match["first"]) != len(match["last"]) or match["last"] < match["first"]:
        return None
    return Series(match["text"], len(match["first"])), range(int(match["first"]), int(match["last"]) + 1)
