"""What a label says: to a scanner by a code, and to people by a few lines.

Where the item has a GTIN and the number fits GS1, the code is an element string, which says item, expiry and number at
once; else it is the number alone, which `scan` takes just as well.
"""

import re
from dataclasses import dataclass
from datetime import date

from shared.gs1 import gtin_of

_LETTERS = re.compile(r"""[!"%&'()*+,\-./0-9:;<=>?A-Z_a-z]{1,20}""")
"""What a batch's or a serial's number may be made of in GS1."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What a label is for: a serial, or a batch."""

    company: str
    item: str
    name: str = ""
    gtin: str | None = None
    serial: str | None = None
    batch: str | None = None
    expires_on: date | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """`code` is what the symbol holds: an element string with its identifiers in brackets if `is_gs1`. `lines` are for
    people; the first one is the largest."""

    code: str
    is_gs1: bool
    lines: tuple[str, ...]


def label_of(unit: Unit, *, is_plain: bool = False) -> Label:
    """The label of a serial or of a batch; `is_plain`: its code is the number alone, whatever GS1 could say."""
    elements = None if is_plain else _elements(unit)
    number = unit.serial or unit.batch or ""
    if elements is None:
        return Label(number, False, (number, *_lines(unit)))
    code = "".join(f"[{identifier}]{value}" for identifier, value in elements)
    told = (f"({identifier}){value}" for identifier, value in elements)
    return Label(code, True, (number, *_lines(unit), *told))


def _elements(unit: Unit) -> list[tuple[str, str]] | None:
    """The element string, what has a fixed length first; None where GS1 cannot say it."""
    gtin = gtin_of(unit.gtin or "")
    numbers = [(each, value) for each, value in (("10", unit.batch), ("21", unit.serial)) if value]
    if gtin is None or not numbers or not all(_LETTERS.fullmatch(value) for _, value in numbers):
        return None
    expiry = [("17", f"{unit.expires_on:%y%m%d}")] if unit.expires_on is not None else []
    return [("01", gtin), *expiry, *numbers]


def _lines(unit: Unit) -> list[str]:
    item = unit.item if unit.name in ("", unit.item) else f"{unit.name} ({unit.item})"
    batch = [f"Batch {unit.batch}"] if unit.serial and unit.batch else []
    expiry = [f"Use by {unit.expires_on.isoformat()}"] if unit.expires_on is not None else []
    return [item, *batch, *expiry]
