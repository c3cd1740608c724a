"""Balances as of any time and as known at any time, over random histories whose recorded and effective orders differ.

What a report tells is compared with a plain sum over what the ledger told, some of it valued anew since, and over what
is booked of that; and what became known between two times explains how two balances of one time differ.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import Decoder

from services.accounting.handlers import book_movements, book_revaluations
from services.desk.reporting import REPORTS
from shared.contracts.codec import decoder, read
from shared.contracts.journal import JournalPosted
from shared.contracts.registry import MOVEMENT_POSTED, STOCK_REVALUED
from shared.contracts.stock import MovementPosted, StockRevalued
from shared.db import transaction
from shared.quantities import ZERO
from shared.report import Filters, records
from shared.service import Input, Output
from tests.properties.time_histories import dated_histories
from tests.properties.time_ledger import Ledger, Opening, ledgers

pytestmark = pytest.mark.timeout(600)
PLANS = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3), st.sampled_from((1, 100))), min_size=1, max_size=4)

_posted = decoder(MovementPosted)
_revalued = decoder(StockRevalued)

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


def reported(ledger: Ledger, name: str, subject: Subject, **times: Any) -> Sums:
    with transaction(ledger.engine) as connection:
        rows = records(REPORTS[name], connection, Filters(company=ledger.company, **times))
    # What names a batch stands among all other changes of stock.
    rows = [row for row in rows if all(row[each] is not None for each in subject.names)]
    return added((itemgetter("company", *subject.names)(row), itemgetter(*subject.amounts)(row)) for row in rows)


def changes(ledger: Ledger, subject: Subject) -> list[Change]:
    """What the ledger told adds to their subjects, or what was booked of it, one by one."""
    if subject is ACCOUNTS:
        return [
            Change((each.company, *key), pair, each.effective_at, each.recorded_at)
            for each in ledger.journal
            for key, pair in _bookings(each)
        ]
    return [
        Change((each.company, *key), pair, each.effective_at, each.recorded_at)
        for each in ledger.told
        for key, pair in _entries(each, subject)
    ]


def _entries(movement: MovementPosted, subject: Subject) -> Iterator[tuple[Key, Pair]]:
    for entry in movement.entries:
        key = tuple(getattr(entry, name) for name in subject.names)
        if None not in key:
            yield key, (entry.quantity, entry.value)


def _bookings(journal: JournalPosted) -> Iterator[tuple[Key, Pair]]:
    for each in journal.transfers:
        yield (each.debit,), (each.amount, ZERO)
        yield (each.credit,), (ZERO, each.amount)


def naive(of: Iterable[Change], as_of: datetime | None, known_at: datetime | None) -> Sums:
    """The sum of what had taken effect, and was known, by then."""
    return added(
        (each.key, each.pair)
        for each in of
        if (as_of is None or each.effective_at <= as_of) and (known_at is None or each.recorded_at <= known_at)
    )


def times(ledger: Ledger) -> st.SearchStrategy[datetime | None]:
    """When something changes, a moment before, or no time at all."""
    changing = sorted({time for each in ledger.told for time in (each.effective_at, each.recorded_at)})
    before = [time - timedelta(microseconds=1) for time in changing]
    return st.none() | st.sampled_from([*changing, *before])


def work(ledger: Ledger, data: st.DataObject) -> None:
    """Post and book a history that is told late, and value some of what is to be valued anew."""
    history = data.draw(dated_histories())
    ledger.play(history.of(ledger.company).movements, data.draw(PLANS))
    posted = [each for each in ledger.outputs if each.kind == MOVEMENT_POSTED]
    revalued = [each for each in ledger.outputs if each.kind == STOCK_REVALUED]
    with transaction(ledger.engine) as connection:
        book_movements([_input(each, _posted) for each in posted], connection)
        book_revaluations([_input(each, _revalued) for each in revalued], connection)


def _input(output: Output, decoder: Decoder[Any]) -> Input:
    return Input(output.source, output.kind, read(decoder, output.body), output.body)


@pytest.fixture(scope="module")
def opening(postgres: str, empty_database: str) -> Iterator[Opening]:
    with ledgers(postgres, empty_database) as opening:
        yield opening


@given(st.data())
def test_a_balance_is_the_plain_sum_of_what_had_taken_effect_and_was_known(
    opening: Opening, data: st.DataObject
) -> None:
    with opening() as ledger:
        work(ledger, data)
        time = times(ledger)
        questions = data.draw(st.lists(st.tuples(time, time), min_size=1, max_size=8))
        for subject in (STOCK, BATCHES, ACCOUNTS):
            expected = changes(ledger, subject)
            for as_of, known_at in [(None, None), *questions]:
                found = reported(ledger, subject.balance, subject, as_of=as_of, known_at=known_at)
                assert found == naive(expected, as_of, known_at)


@given(st.data())
def test_what_became_known_explains_the_difference_of_two_balances_of_one_time(
    opening: Opening, data: st.DataObject
) -> None:
    with opening() as ledger:
        work(ledger, data)
        time = times(ledger)
        for as_of, one, other in data.draw(st.lists(st.tuples(time, time, time), min_size=1, max_size=8)):
            since, until = (one, other) if one is None or other is None else sorted((one, other))
            for subject in (STOCK, BATCHES, ACCOUNTS):
                balances = [
                    reported(ledger, subject.balance, subject, as_of=as_of, known_at=known_at)
                    for known_at in (since, until)
                ]
                before = balances[0] if since is not None else {}
                span = {"as_of": as_of, "known_since": since, "known_at": until}
                assert reported(ledger, subject.changes, subject, **span) == less(balances[1], before)
