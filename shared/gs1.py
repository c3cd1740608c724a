"""Scanned codes: GS1 element strings, GTINs, and plain codes, as a scanner sends them.

A code says by its first characters what it is, if the scanner is set up to send these (`]d2` in front of a GS1
DataMatrix); without them it is told by its form, and 9506000134352 may be a GTIN or a number of somebody's own. So one
reading of a code gives all that it can be; whoever knows which codes are in use decides.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from biip import ParseError
from biip.gs1_messages import GS1Message
from biip.gtin import Gtin

GTIN_LENGTH = 14
_SYMBOLOGY = re.compile(r"\]([A-Za-z])([0-9A-Za-z])")
_OF_GS1 = frozenset(("d2", "d8", "C1", "Q3", "e0", "J1"))
_OF_GTIN = frozenset(("E0", "E1", "E2", "E3", "E4"))
_SEPARATOR = "\x1d"
_STARTS = ("01", "02", "00")
"""Where nothing else tells, only what begins with an item's or a parcel's number is taken for an element string."""


@dataclass(frozen=True, slots=True)
class Elements:
    """What an element string holds, of what concerns stock; `gtin` has fourteen digits.

    `count` is a number of pieces (AI 30, 37), `weight` a net weight in kilograms (310n).
    """

    gtin: str | None = None
    batch: str | None = None
    serial: str | None = None
    expires_on: date | None = None
    manufactured_on: date | None = None
    count: Decimal | None = None
    weight: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """What a code can be: a code of one's own (`plain`), or what GS1 defines (`elements`); perhaps neither.

    `problem` says why what must be an element string is none.
    """

    plain: str | None = None
    elements: Elements | None = None
    problem: str | None = None


def read_scan(code: str) -> Scan:
    """All that a code can be."""
    text = code.strip(" \t\r\n")
    symbology = _SYMBOLOGY.match(text)
    if symbology is not None:
        return _of_symbology(symbology[1] + symbology[2], text[len(symbology[0]) :])
    if text.startswith("(") and _SEPARATOR not in text:
        return _element_string(text, GS1Message.parse_hri)
    if _SEPARATOR in text:
        return _element_string(text.removeprefix(_SEPARATOR), GS1Message.parse)
    gtin = gtin_of(text)
    if gtin is not None:
        return Scan(text, Elements(gtin))
    if text.startswith(_STARTS):
        return Scan(text, _element_string(text, GS1Message.parse).elements)
    return Scan(text or None)


def gtin_of(text: str) -> str | None:
    """A GTIN of 8, 12, 13 or 14 digits as fourteen; None where it is none, or its check digit is wrong."""
    if not text.isascii() or not text.isdigit() or len(text) not in (8, 12, 13, GTIN_LENGTH):
        return None
    try:
        return str(Gtin.parse(text).as_gtin_14())
    except ParseError:
        return None


def _of_symbology(kind: str, text: str) -> Scan:
    if kind in _OF_GS1:
        return _element_string(text.removeprefix(_SEPARATOR), GS1Message.parse)
    gtin = gtin_of(text) if kind in _OF_GTIN else None
    return Scan(text or None, Elements(gtin) if gtin is not None else None)


def _element_string(text: str, parse: Callable[[str], GS1Message]) -> Scan:
    try:
        message = parse(text)
    except ParseError as error:
        return Scan(problem=str(error))
    found: dict[str, Any] = {}
    for element in message.element_strings:
        if element.gtin_error or element.sscc_error:
            return Scan(problem=element.gtin_error or element.sscc_error)
        name = _FIELDS.get(element.ai.ai) or _FIELDS.get(element.ai.ai[:3])
        if name is not None:
            value = _VALUES[name](element)
            if found.setdefault(name, value) != value:
                return Scan(problem=f"{name} is there twice, as {found[name]} and {value}")
    return Scan(elements=Elements(**found))


_FIELDS: Mapping[str, str] = {
    "01": "gtin",
    "02": "gtin",
    "10": "batch",
    "11": "manufactured_on",
    "17": "expires_on",
    "21": "serial",
    "30": "count",
    "37": "count",
    "310": "weight",
}
_VALUES: Mapping[str, Callable[[Any], Any]] = {
    "gtin": lambda element: element.value,
    "batch": lambda element: element.value,
    "serial": lambda element: element.value,
    "expires_on": lambda element: element.date,
    "manufactured_on": lambda element: element.date,
    "count": lambda element: Decimal(element.value),
    "weight": lambda element: element.decimal,
}
