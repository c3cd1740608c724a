"""Balances as of any time and as known at any time, over random histories whose recorded and effective orders differ.

What a report tells is compared with a plain sum over what the ledger told, and over what is booked of that; and what
became known between two times explains how two balances of one time differ.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from services.accounting.decide.journal import book
from services.accounting.handlers import book_movements
from services.desk.reporting import REPORTS
from shared.contracts.codec import write
from shared.contracts.movement import MovementAllocated
from shared.contracts.registry import MOVEMENT_POSTED
from shared.contracts.stock import MovementPosted
from shared.db import transaction
from shared.quantities import ZERO
from shared.report import Filters, records
from shared.service import Input
from tests import servers
from tests.accounting_builders import JOURNAL_ENTRY
from tests.builders import MORNING, deliver, posted
from tests.properties.allocated_histories import histories

pytestmark = pytest.mark.timeout(600)
few = settings(max_examples=settings().max_examples // 3)

Key = tuple[Any, ...]
Pair = tuple[Decimal, Decimal]
"""Quantity and value, or debit and credit."""
Sums = dict[Key, Pair]
"""Pairs by what they belong to, without those that are nothing."""
NOTHING = (ZERO, ZERO)


@dataclass(frozen=True, slots=True)
class Change:
    """What a ledger entry or a booking adds, when it takes effect, and when it was recorded."""

    key: Key
    pair: Pair
    effective_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Subject:
    """What has balances: the reports of these and of their changes, the columns that name it, and its two amounts."""

    balance: str
    changes: str
    names: tuple[str, ...]
    amounts: tuple[str, str]


STOCK = Subject("stock-balance", "changes", ("item", "warehouse"), ("quantity", "value"))
BATCHES = Subject("batch-balance", "changes", ("item", "warehouse", "batch"), ("quantity", "value"))
ACCOUNTS = Subject("trial-balance", "account-changes", ("account",), ("debit", "credit"))


def added(pairs: Iterable[tuple[Key, Pair]]) -> Sums:
    sums: Sums = {}
    for key, (one, other) in pairs:
        before = sums.get(key, NOTHING)
        sums[key] = (before[0] + one, before[1] + other)
    return {key: pair for key, pair in sums.items() if pair != NOTHING}


def less(later: Sums, earlier: Sums) -> Sums:
    return added([*later.items(), *((key, (-one, -other)) for key, (one, other) in earlier.items())])


def reported(connection: sa.Connection, name: str, subject: Subject, **times: Any) -> Sums:
    rows = records(REPORTS[name], connection, Filters(**times))
    # What names a batch stands among all other changes of stock.
    rows = [row for row in rows if all(row[each] is not None for each in subject.names)]
    return added((itemgetter("company", *subject.names)(row), itemgetter(*subject.amounts)(row)) for row in rows)


def changes(told: Iterable[MovementPosted], subject: Subject) -> list[Change]:
    """What movements add to their subjects, one by one."""
    return [
        Change((each.company, *key), pair, each.effective_at, each.recorded_at)
        for each in told
        for key, pair in (_bookings(each) if subject is ACCOUNTS else _entries(each, subject))
    ]


def _entries(movement: MovementPosted, subject: Subject) -> Iterator[tuple[Key, Pair]]:
    for entry in movement.entries:
        key = tuple(getattr(entry, name) for name in subject.names)
        if None not in key:
            yield key, (entry.quantity, entry.value)


def _bookings(movement: MovementPosted) -> Iterator[tuple[Key, Pair]]:
    journal = book(movement, JOURNAL_ENTRY)
    for each in journal.transfers if journal else ():
        yield (each.debit,), (each.amount, ZERO)
        yield (each.credit,), (ZERO, each.amount)


def naive(of: Iterable[Change], as_of: datetime | None, known_at: datetime | None) -> Sums:
    """The sum of what had taken effect, and was known, by then."""
    return added(
        (each.key, each.pair)
        for each in of
        if (as_of is None or each.effective_at <= as_of) and (known_at is None or each.recorded_at <= known_at)
    )


@st.composite
def back_dated(draw: st.DrawFn) -> list[MovementAllocated]:
    """A history in which movements take effect, often several at once, before they are recorded, or then."""
    hours = st.integers(-3, 1).map(lambda hours: MORNING + timedelta(hours=hours))
    return [
        structs.replace(each, effective_at=min(each.recorded_at, draw(hours)))
        for each in draw(histories(beyond_stock=True))
    ]


def times(history: Sequence[MovementAllocated]) -> st.SearchStrategy[datetime | None]:
    """When something changes, a moment before, or no time at all."""
    changing = sorted({time for each in history for time in (each.effective_at, each.recorded_at)})
    before = [time - timedelta(microseconds=1) for time in changing]
    return st.none() | st.sampled_from([*changing, *before])


@contextmanager
def books(postgres: str, empty_database: str, history: Sequence[MovementAllocated]) -> Iterator[sa.Connection]:
    """A database in which the ledger has posted a history, and accounting has booked it."""
    with servers.fresh_database(postgres, template=sa.make_url(empty_database).database) as url:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        deliver(engine, *history)
        inputs = [Input(each.source, MOVEMENT_POSTED, each, write(each)) for each in posted(history)]
        with transaction(engine) as connection:
            book_movements(inputs, connection)
        with transaction(engine) as connection:
            yield connection


@few
@given(st.data())
def test_a_balance_is_the_plain_sum_of_what_had_taken_effect_and_was_known(
    postgres: str, empty_database: str, data: st.DataObject
) -> None:
    history = data.draw(back_dated())
    time = times(history)
    questions = data.draw(st.lists(st.tuples(time, time), min_size=1, max_size=8))
    with books(postgres, empty_database, history) as connection:
        for subject in (STOCK, BATCHES, ACCOUNTS):
            expected = changes(posted(history), subject)
            for as_of, known_at in [(None, None), *questions]:
                found = reported(connection, subject.balance, subject, as_of=as_of, known_at=known_at)
                assert found == naive(expected, as_of, known_at)


@few
@given(st.data())
def test_what_became_known_explains_the_difference_of_two_balances_of_one_time(
    postgres: str, empty_database: str, data: st.DataObject
) -> None:
    history = data.draw(back_dated())
    time = times(history)
    questions = data.draw(st.lists(st.tuples(time, time, time), min_size=1, max_size=8))
    with books(postgres, empty_database, history) as connection:
        for subject in (STOCK, BATCHES, ACCOUNTS):
            for as_of, one, other in questions:
                since, until = (one, other) if one is None or other is None else sorted((one, other))
                balances = [
                    reported(connection, subject.balance, subject, as_of=as_of, known_at=known_at)
                    for known_at in (since, until)
                ]
                before = balances[0] if since is not None else {}
                span = {"as_of": as_of, "known_since": since, "known_at": until}
                assert reported(connection, subject.changes, subject, **span) == less(balances[1], before)
