"""Quantities, rates and money: exact decimals, and the one rounding.

Three kinds of number travel in messages, each a `Decimal` that decodes only from a plain decimal string:
`Quantity` (6 places), `Rate` (9 places) and `Money` (the places of its currency). Sums and differences are exact in
the default context; whatever multiplies or divides goes through the functions here, which work with enough digits
for any value that can be decoded.
"""

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Self

QUANTITY_PLACES = 6
RATE_PLACES = 9
ZERO = Decimal(0)

# Minor units of ISO 4217 that are not 2.
_CURRENCY_DIGITS = dict.fromkeys(
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0
) | dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3)

_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)
_STEPS = [Decimal(1).scaleb(-places) for places in range(RATE_PLACES + 1)]


class _Number(Decimal):
    """A decimal that is read from text of one form only."""

    __slots__ = ()
    _form = re.compile(r"(?!)")

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read a decimal string; ValueError for anything else (JSON numbers, exponents, blanks, too many digits)."""
        if not isinstance(text, str) or not cls._form.fullmatch(text):
            raise ValueError(f"a {cls.__name__.lower()} is a decimal string like {cls._example}, got {text!r:.60}")
        return cls(text)

    _example = "12.5"


class Quantity(_Number):
    """A count or measure of an item: up to 12 digits before the point, 6 after it."""

    __slots__ = ()
    _form = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?")


class Rate(_Number):
    """Money per unit: up to 12 digits before the point, 9 after it."""

    __slots__ = ()
    _form = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?")


class Money(_Number):
    """An amount of a company's currency: up to 15 digits before the point, 3 after it."""

    __slots__ = ()
    _form = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,3})?")


def currency_digits(currency: str) -> int:
    """Decimal places of a currency's minor unit, by ISO 4217."""
    return _CURRENCY_DIGITS.get(currency, 2)


def to_places(value: Decimal, places: int) -> Decimal:
    """Round half to even to a number of places (0 to 9): the only rounding there is."""
    return value.quantize(_STEPS[places], context=_WIDE)


def to_money(value: Decimal, digits: int) -> Decimal:
    """Round to a currency's minor unit; zero comes back without a sign."""
    return to_places(value, digits) + ZERO


def to_quantity(value: Decimal) -> Decimal:
    """Round to the places of a quantity."""
    return to_places(value, QUANTITY_PLACES)


def fits(value: Decimal, places: int) -> bool:
    """Whether a value has no more than this many places."""
    return to_places(value, places) == value


def product(a: Decimal, b: Decimal) -> Decimal:
    """The exact product of two decimals."""
    return _WIDE.multiply(a, b)


def amount_of(quantity: Decimal, rate: Decimal, digits: int) -> Decimal:
    """The amount of a line: entered quantity times entered rate, in the currency's minor unit."""
    return to_money(_WIDE.multiply(quantity, rate), digits)


def share_of(worth: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """The worth (9 places) of a part of a whole quantity; `whole` is not zero."""
    return to_places(_WIDE.divide(_WIDE.multiply(worth, part), whole), RATE_PLACES)


def rate_of(amount: Decimal, quantity: Decimal) -> Decimal:
    """The stock rate: amount per unit to 9 places; `quantity` is not zero."""
    return to_places(_WIDE.divide(amount, quantity), RATE_PLACES)


def worth_of(quantity: Decimal, rate: Decimal) -> Decimal:
    """Quantity times rate to 9 places."""
    return to_places(_WIDE.multiply(quantity, rate), RATE_PLACES)


def spread(amount: Decimal, weights: Sequence[Decimal], digits: int) -> list[Decimal]:
    """An amount of money in parts by weights (none below zero): each rounded, the last with a weight takes the rest.

    No part takes more than what is left, so none has another sign than the whole. Without any weight all of it goes to
    the last. `weights` is not empty.
    """
    total = sum(weights, ZERO)
    if not total:
        return [*[ZERO] * (len(weights) - 1), amount]
    last = max(place for place, weight in enumerate(weights) if weight)
    parts, left = [], amount
    for weight in weights[:last]:
        part = to_money(_WIDE.divide(_WIDE.multiply(amount, weight), total), digits)
        parts.append(min(part, left, key=abs))
        left -= parts[-1]
    return [*parts, left, *[ZERO] * (len(weights) - last - 1)]


def plain(value: Decimal) -> str:
    """A decimal as people write it: no exponent, no zeros behind the last digit."""
    text = str(value)
    if "E" in text:
        text = f"{value:f}"  # takes five times as long
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
