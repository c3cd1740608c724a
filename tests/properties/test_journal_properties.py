"""What holds for the journal entry of any movement: it balances, and it moves stock accounts by the ledger's values.

Movements are made up, of entries of any value; or they are those of a history, as the ledger posted them.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.accounting.decide.journal import book
from services.ledger.decide.posting import post
from shared.contracts.journal import JournalPosted, JournalTransfer
from shared.contracts.movement import AccountAmount, MoneySides, MovementAllocated
from shared.contracts.stock import MovementPosted, PostedEntry
from shared.purposes import PURPOSES, Flow, Role
from shared.quantities import ZERO, Money, Quantity
from tests.builders import empty_ledger, posted
from tests.properties.allocated_histories import histories
from tests.properties.shop_floor import PLACES

# A history takes a hundredth of a second.
some = settings(max_examples=min(settings().max_examples, 300))
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
STOCK_ACCOUNTS = ["stock: shop", "stock: depot", "stock: van"]
MONEY_ACCOUNTS = ["cash", "card", "income", "vat"]

cents = st.integers(-100_000, 100_000)
lines = st.none() | st.integers(1, 4)


def money_of(amount: int) -> Money:
    return Money(Decimal(amount).scaleb(-2))


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of a transfer: what left and what arrived, in cents, with their stock accounts."""

    source: str
    target: str
    left: int
    arrived: int


@st.composite
def ticket_money(draw: st.DrawFn) -> MoneySides:
    """Debits and credits of any sign that add up to the same."""
    amounts = st.tuples(st.sampled_from(MONEY_ACCOUNTS), cents, lines)
    debits, credits_ = draw(st.lists(amounts, max_size=5)), draw(st.lists(amounts, max_size=5))
    gap = sum(amount for _, amount, _ in debits) - sum(amount for _, amount, _ in credits_)
    credits_.append((draw(st.sampled_from(MONEY_ACCOUNTS)), gap, None))
    return MoneySides(debits=list(map(_side, debits)), credits=list(map(_side, credits_)))


@st.composite
def movements(draw: st.DrawFn) -> MovementPosted:
    """A movement of any purpose, entries of any value and sign."""
    purpose = draw(st.sampled_from(sorted(name for name, each in PURPOSES.items() if each.flow is not Flow.CANCEL)))
    accounts = st.sampled_from(STOCK_ACCOUNTS)
    if PURPOSES[purpose].flow is Flow.MOVE:
        ends = draw(st.lists(st.builds(Ends, accounts, accounts, cents, cents), max_size=4))
        leaving = [_entry(place, each.source, each.left) for place, each in enumerate(ends)]
        arriving = [
            _entry(len(ends) + place, each.target, each.arrived, arrives_from=place) for place, each in enumerate(ends)
        ]
        entries = leaving + draw(st.permutations(arriving))
    else:
        values = draw(st.lists(st.tuples(accounts, cents), max_size=8))
        entries = [_entry(place, account, value) for place, (account, value) in enumerate(values)]
    return MovementPosted(
        source="till",
        id="M1",
        company="shop",
        currency="EUR",
        digits=2,
        purpose=purpose,
        effective_at=NOON,
        recorded_at=NOON,
        posting_date=date(2026, 3, 2),
        entries=entries,
        accounts={role: role.value for role in Role if role is not Role.STOCK},
        money=draw(st.none() | ticket_money()),
    )


def _side(amount: tuple[str, int, int | None]) -> AccountAmount:
    account, value, line = amount
    return AccountAmount(account=account, amount=money_of(value), line=line)


def _entry(place: int, account: str, value: int, arrives_from: int | None = None) -> PostedEntry:
    return PostedEntry(
        entry=f"E{place}",
        line=place + 1,
        item="tea",
        warehouse=account,
        quantity=Quantity("1"),
        value=money_of(value),
        stamp=1,
        quantity_after=Quantity("1"),
        value_after=Money("0"),
        arrives_from=arrives_from,
        stock_account=account,
    )


def journal_of(movement: MovementPosted) -> JournalPosted:
    journal = book(movement, str(UUID(int=7)))
    assert journal is not None
    return journal


def balances(transfers: list[JournalTransfer]) -> dict[str, Decimal]:
    """Debits less credits of each account that ends with a balance."""
    found: dict[str, Decimal] = {}
    for each in transfers:
        found[each.debit] = found.get(each.debit, ZERO) + each.amount
        found[each.credit] = found.get(each.credit, ZERO) - each.amount
    return {account: balance for account, balance in found.items() if balance}


def negated(movement: MovementPosted) -> MovementPosted:
    """The movement with the sign of every value and every amount of money turned."""
    entries = [msgspec.structs.replace(each, value=Money(-each.value)) for each in movement.entries]
    money = movement.money and MoneySides(
        debits=[msgspec.structs.replace(each, amount=Money(-each.amount)) for each in movement.money.debits],
        credits=[msgspec.structs.replace(each, amount=Money(-each.amount)) for each in movement.money.credits],
    )
    return msgspec.structs.replace(movement, entries=entries, money=money)


@given(movements())
def test_every_transfer_has_an_amount_above_zero(movement: MovementPosted) -> None:
    assert all(each.amount > 0 for each in journal_of(movement).transfers)


@given(movements())
def test_the_balances_of_all_accounts_add_up_to_zero(movement: MovementPosted) -> None:
    assert sum(balances(journal_of(movement).transfers).values()) == 0


@given(movements())
def test_a_stock_account_moves_by_the_values_of_its_entries(movement: MovementPosted) -> None:
    expected: dict[str, Decimal] = {}
    for each in movement.entries:
        expected[each.stock_account] = expected.get(each.stock_account, ZERO) + each.value
    found = balances(journal_of(movement).transfers)
    assert {account: found.get(account, ZERO) for account in STOCK_ACCOUNTS} == {
        account: expected.get(account, ZERO) for account in STOCK_ACCOUNTS
    }


@some
@given(histories(beyond_stock=True))
def test_every_posted_movement_moves_stock_accounts_by_the_values_of_its_entries(
    history: list[MovementAllocated],
) -> None:
    for told in posted(history):
        expected: dict[str, Decimal] = {}
        for each in told.entries:
            expected[each.stock_account] = expected.get(each.stock_account, ZERO) + each.value
        found = balances(journal_of(told).transfers)
        for place in PLACES:
            assert found.get(f"stock {place}", ZERO) == expected.get(f"stock {place}", ZERO)


@some
@given(histories(beyond_stock=True))
def test_after_any_history_the_stock_accounts_hold_what_the_bins_are_worth(history: list[MovementAllocated]) -> None:
    posting = post(history, empty_ledger(history))
    found = balances([each for told in posting.applied for each in journal_of(told.posted).transfers])
    for place in PLACES:
        values = [held.value for (_, _, warehouse), held in posting.state.bins.items() if warehouse == place]
        assert found.get(f"stock {place}", ZERO) == sum(values)


@some
@given(histories(beyond_stock=True))
def test_every_transfer_of_a_posted_movement_names_an_entry_and_has_an_end_in_its_stock_account(
    history: list[MovementAllocated],
) -> None:
    for told in posted(history):
        accounts = {each.entry: each.stock_account for each in told.entries}
        for each in journal_of(told).transfers:
            assert accounts[each.entry or ""] in (each.debit, each.credit)


@some
@given(histories(beyond_stock=True))
def test_what_an_entry_books_apart_stands_on_the_accounts_that_it_names(history: list[MovementAllocated]) -> None:
    for told in posted(history):
        found = balances(journal_of(told).transfers)
        freight = sum(part.amount for each in told.entries for part in each.booked if part.account == "freight")
        assert found.get("freight", ZERO) == -freight


@given(movements())
def test_money_accounts_move_by_the_given_debits_and_credits(movement: MovementPosted) -> None:
    money = movement.money or MoneySides(debits=[], credits=[])
    expected: dict[str, Decimal] = {}
    for side, sign in ((money.debits, 1), (money.credits, -1)):
        for each in side:
            expected[each.account] = expected.get(each.account, ZERO) + each.amount * sign
    found = balances(journal_of(movement).transfers)
    assert {account: found.get(account, ZERO) for account in MONEY_ACCOUNTS} == {
        account: expected.get(account, ZERO) for account in MONEY_ACCOUNTS
    }


@given(ticket_money())
def test_money_is_never_netted(money: MoneySides) -> None:
    movement = msgspec.structs.replace(_empty_sale(), money=money)
    gross = sum(abs(each.amount) for each in (*money.debits, *money.credits))
    assert 2 * sum(each.amount for each in journal_of(movement).transfers) == gross


@given(movements())
def test_turning_every_sign_mirrors_every_transfer(movement: MovementPosted) -> None:
    def turnover(of: MovementPosted, *sides: str) -> Counter[tuple[str, ...]]:
        found: Counter[tuple[str, ...]] = Counter()
        for each in journal_of(of).transfers:
            if each.entry:
                found[(*(getattr(each, side) for side in sides), each.entry, str(abs(each.amount)))] += 1
        return found

    assert turnover(movement, "debit", "credit") == turnover(negated(movement), "credit", "debit")
    mirrored = {account: -balance for account, balance in balances(journal_of(negated(movement)).transfers).items()}
    assert balances(journal_of(movement).transfers) == mirrored


@given(movements())
def test_booking_again_gives_the_same_entry(movement: MovementPosted) -> None:
    assert journal_of(movement) == journal_of(movement)


def _empty_sale() -> MovementPosted:
    return MovementPosted(
        source="till",
        id="M1",
        company="shop",
        currency="EUR",
        digits=2,
        purpose="sale",
        effective_at=NOON,
        recorded_at=NOON,
        posting_date=date(2026, 3, 2),
        entries=[],
        accounts={},
    )
