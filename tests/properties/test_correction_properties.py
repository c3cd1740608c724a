"""Booking late is booking at once: a movement and its corrections book what it would have booked had it been known.

Movements of every purpose are made up, of entries of any value; then any of them turn out to be worth something else,
in several revaluations; and at last all is cancelled. What an account gets of it all is what counts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from services.accounting.decide.journal import book, book_revaluation
from shared.contracts.journal import JournalTransfer
from shared.contracts.movement import AccountAmount, MoneySides
from shared.contracts.stock import MovementPosted, PostedEntry, StockRevalued
from shared.purposes import PURPOSES, Flow
from shared.quantities import ZERO, Money, Quantity
from tests.accounting_builders import entry, posted, revaluation

PLACES = st.sampled_from(["shop", "depot", "van"])
APART = st.sampled_from(["freight", "duty", "cost_of_goods_sold"])
CENTS = st.integers(-10_000, 10_000).map(lambda amount: Money(Decimal(amount).scaleb(-2)))
PARTS = st.lists(st.builds(AccountAmount, account=APART, amount=CENTS), max_size=2)
PURPOSE = st.sampled_from(sorted(name for name, each in PURPOSES.items() if each.flow is not Flow.CANCEL))


@dataclass(frozen=True, slots=True)
class Story:
    """A movement, and the corrections that each of several revaluations made, by the entry's place."""

    movement: MovementPosted
    revaluations: Sequence[dict[int, PostedEntry]]

    def corrections(self, place: int) -> list[PostedEntry]:
        return [each[place] for each in self.revaluations if place in each]

    def told(self) -> list[StockRevalued]:
        """The revaluations as the ledger tells them."""
        corrected = structs.replace(self.movement, money=None)
        return [
            structs.replace(revaluation(structs.replace(corrected, entries=list(each.values()))), id=f"R{number}")
            for number, each in enumerate(self.revaluations)
        ]


# --- making them up --------------------------------------------------------------------------------------------------


@st.composite
def stories(draw: st.DrawFn) -> Story:
    purpose = draw(PURPOSE)
    entries = draw(transfers_between() if PURPOSES[purpose].flow is Flow.MOVE else own_entries())
    entries += draw(st.lists(whole_parts(), max_size=2))
    named = [structs.replace(each, entry=f"E{place}", line=place + 1) for place, each in enumerate(entries)]
    movement = posted(purpose, *named, money=draw(st.none() | money()))
    return Story(movement, draw(st.lists(corrections_of(movement), max_size=3)))


@st.composite
def own_entries(draw: st.DrawFn) -> list[PostedEntry]:
    """What comes, what goes, and what only changes its value, in any order; some of it is booked apart."""
    made = [entry("0", draw(PLACES), quantity=draw(st.sampled_from(["-2", "0", "3"]))) for _ in range(draw(some(5)))]
    return [structs.replace(each, value=draw(CENTS), booked=draw(PARTS)) for each in made]


@st.composite
def transfers_between(draw: st.DrawFn) -> list[PostedEntry]:
    """What left, and then what arrived of it, in any order, its costs booked apart."""
    count = draw(some(4))
    left = [structs.replace(entry("0", draw(PLACES), quantity="-2"), value=draw(CENTS)) for _ in range(count)]
    arrived = [
        structs.replace(
            entry("0", draw(PLACES), arrives_from=place, quantity="2"), value=draw(CENTS), booked=draw(PARTS)
        )
        for place in draw(st.permutations(range(count)))
    ]
    return left + arrived


@st.composite
def whole_parts(draw: st.DrawFn) -> PostedEntry:
    """A true-up, or what a later count found: booked apart as a whole."""
    made = entry("0", draw(PLACES), quantity=draw(st.sampled_from(["-1", "0", "1"])), part_of="another entry")
    parts = draw(PARTS)
    return structs.replace(made, booked=parts, value=total(parts))


@st.composite
def corrections_of(draw: st.DrawFn, movement: MovementPosted) -> dict[int, PostedEntry]:
    """Corrections of any entries; where what left is corrected, what arrived of it is, if only by nothing."""
    entries = movement.entries
    chosen = {place for place in range(len(entries)) if draw(st.booleans())}
    chosen |= {place for place, each in enumerate(entries) if each.arrives_from in chosen}
    places = sorted(chosen, key=lambda place: (entries[place].arrives_from is not None, place))
    there = {place: number for number, place in enumerate(places)}
    return {place: draw(correction_of(entries[place], there)) for place in places}


@st.composite
def correction_of(draw: st.DrawFn, corrected: PostedEntry, there: dict[int, int]) -> PostedEntry:
    """A difference in value, and in what is booked apart; `there` is where the corrections stand."""
    apart = draw(st.lists(st.tuples(st.sampled_from(corrected.booked), CENTS), max_size=2)) if corrected.booked else []
    parts = [AccountAmount(account=each.account, amount=amount) for each, amount in apart]
    is_whole = corrected.part_of is not None
    return structs.replace(
        corrected,
        entry=f"{corrected.entry} anew",
        quantity=Quantity("0"),
        value=total(parts) if is_whole else draw(CENTS),
        booked=parts,
        part_of=corrected.entry,
        corrects=Quantity("0") if is_whole else corrected.quantity,
        arrives_from=None if corrected.arrives_from is None else there.get(corrected.arrives_from),
    )


@st.composite
def money(draw: st.DrawFn) -> MoneySides:
    """Debits and credits of any sign that add up to the same."""
    tenders = st.builds(AccountAmount, account=st.sampled_from(["cash", "card"]), amount=CENTS)
    debits = draw(st.lists(tenders, max_size=3))
    return MoneySides(debits=debits, credits=[AccountAmount(account="income", amount=total(debits))])


def some(most: int) -> st.SearchStrategy[int]:
    return st.integers(0, most)


# --- what is asked of them -------------------------------------------------------------------------------------------


def booked_at_once(story: Story) -> list[JournalTransfer]:
    """What is booked of the movement as it turned out to be."""
    known = [
        structs.replace(
            each,
            value=Money(sum((part.value for part in story.corrections(place)), each.value)),
            booked=[part for entry in (each, *story.corrections(place)) for part in entry.booked],
        )
        for place, each in enumerate(story.movement.entries)
    ]
    return booked(structs.replace(story.movement, entries=known))


def booked_bit_by_bit(story: Story) -> list[JournalTransfer]:
    """What is booked of the movement, and then of each revaluation."""
    return booked(story.movement) + [transfer for each in story.told() for transfer in corrected(each)]


def booked_of_the_cancellation(story: Story) -> list[JournalTransfer]:
    """What the cancellation books: the whole of each entry, corrections included, with the other sign."""
    money = story.movement.money
    undone = [
        structs.replace(
            each,
            quantity=Quantity(-each.quantity),
            value=Money(-sum((part.value for part in story.corrections(place)), each.value)),
            booked=[
                structs.replace(part, amount=Money(-part.amount))
                for entry in (each, *story.corrections(place))
                for part in entry.booked
            ],
        )
        for place, each in enumerate(story.movement.entries)
    ]
    return booked(
        structs.replace(
            story.movement,
            purpose="cancellation",
            mirrors=story.movement.purpose,
            entries=undone,
            money=money and MoneySides(debits=money.credits, credits=money.debits),
        )
    )


def booked(movement: MovementPosted) -> list[JournalTransfer]:
    journal = book(movement, str(UUID(int=7)))
    assert journal is not None
    return journal.transfers


def corrected(known: StockRevalued) -> list[JournalTransfer]:
    return [transfer for journal in book_revaluation(known) for transfer in journal.transfers]


def balances(transfers: Iterable[JournalTransfer]) -> dict[str, Decimal]:
    """Debits less credits of each account that ends with a balance."""
    found: dict[str, Decimal] = {}
    for each in transfers:
        found[each.debit] = found.get(each.debit, ZERO) + each.amount
        found[each.credit] = found.get(each.credit, ZERO) - each.amount
    return {account: balance for account, balance in found.items() if balance}


def total(parts: Sequence[AccountAmount]) -> Money:
    return Money(sum((each.amount for each in parts), ZERO))


@given(stories())
def test_a_movement_and_its_corrections_book_what_the_corrected_movement_books(story: Story) -> None:
    assert balances(booked_bit_by_bit(story)) == balances(booked_at_once(story))


@given(stories())
def test_a_movement_its_corrections_and_its_cancellation_leave_nothing_on_any_account(story: Story) -> None:
    assert balances([*booked_bit_by_bit(story), *booked_of_the_cancellation(story)]) == {}


@given(stories())
def test_the_cancellation_of_what_was_never_corrected_mirrors_it_transfer_by_transfer(story: Story) -> None:
    as_booked = Story(story.movement, [])
    done = [(each.debit, each.credit, each.amount, each.line) for each in booked(story.movement)]
    undone = [(each.credit, each.debit, each.amount, each.line) for each in booked_of_the_cancellation(as_booked)]
    assert undone == done


@given(stories())
def test_corrections_move_stock_accounts_by_their_values_and_every_transfer_names_one(story: Story) -> None:
    for known in story.told():
        (movement,) = known.movements
        found = corrected(known)
        moved = balances(found)
        for place in ("shop", "depot", "van"):
            values = [each.value for each in movement.entries if each.stock_account == place]
            assert moved.get(place, ZERO) == sum(values)
        accounts = {each.entry: each.stock_account for each in movement.entries}
        for transfer in found:
            assert transfer.amount > 0
            assert accounts[transfer.entry or ""] in (transfer.debit, transfer.credit)


@given(stories())
def test_a_revaluation_books_nothing_where_every_difference_is_zero_and_never_an_empty_entry(story: Story) -> None:
    for known in story.told():
        (movement,) = known.movements
        journal = book_revaluation(known)
        differs = any(each.value or any(part.amount for part in each.booked) for each in movement.entries)
        assert len(journal) == (1 if differs else 0)
        assert all(each.transfers for each in journal)
