"""Numbers: series that make them, and the texts in which people list them.

A series is cut at dots. The first run of `#` is the counter, zero-padded to its length and growing beyond it; `YY`,
`YYYY`,
`MM`, `DD` and `WW` stand for the posting day, `{item}` and `{unit}` for the item's; all else is literal. Without a
counter, five digits are put behind. The counter belongs to the text in front of it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

DEFAULT_COUNTER = "#####"

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
    for entry in re.split(r"[\n,]", given):
        text = entry.strip()
        if text:
            count = _range_length(text)
            if len(found) + count > limit:
                return TooMany(len(found) + count)
            found.extend(_written_out(text, count))
    return found


def _range_length(text: str) -> int:
    """How many numbers an entry names: the length of a range, else 1."""
    match = _RANGE.fullmatch(text)
    if match is None or len(match["first"]) != len(match["last"]):
        return 1
    return max(1, int(match["last"]) - int(match["first"]) + 1)


def _written_out(text: str, count: int) -> list[str]:
    match = _RANGE.fullmatch(text)
    if match is None or count == 1:
        return [text]
    width, first = len(match["first"]), int(match["first"])
    return [f"{match['text']}{number:0{width}d}" for number in range(first, first + count)]
