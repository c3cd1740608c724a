"""Giving numbers to journal entries, off the path of movements: a sweep numbers what has none."""

from sqlalchemy import Connection

from services.accounting.store import numbers
from shared.service import Handled

AT_ONCE = 5_000
"""How many entries get their numbers in one transaction."""


def number_entries(connection: Connection) -> Handled:
    """Number what was booked, in the order in which it was recorded, and come again where there is more."""
    numbered = numbers.give_numbers(connection, numbers.take_books(connection), AT_ONCE)
    return Handled(then=number_entries if numbered == AT_ONCE else None)
