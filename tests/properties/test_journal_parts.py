"""What holds for the parts of ledger entries that are booked apart, whatever is done with the rest of their values."""

from collections import Counter
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.movement import AccountAmount
from shared.contracts.stock import MovementPosted, PostedEntry
from shared.purposes import PURPOSES, Flow
from shared.quantities import ZERO, Money, Quantity
from tests.accounting_builders import entry, posted, transfers

STOCK_ACCOUNTS = ("stock: shop", "stock: depot")
cents = st.integers(-10_000, 10_000).map(lambda amount: Money(Decimal(amount).scaleb(-2)))
parts = st.builds(AccountAmount, account=st.sampled_from(["freight", "duty"]), amount=cents)


@st.composite
def ledger_entries(draw: st.DrawFn) -> PostedEntry:
    """An entry of any value, anything of which is booked apart."""
    made = entry("0", draw(st.sampled_from(STOCK_ACCOUNTS)))
    return msgspec.structs.replace(made, value=draw(cents), booked=draw(st.lists(parts, max_size=3)))


@st.composite
def movements(draw: st.DrawFn) -> MovementPosted:
    """A movement of any purpose; of a transfer, any true-ups stand between what left and what arrived."""
    purpose = draw(st.sampled_from(sorted(name for name, each in PURPOSES.items() if each.flow is not Flow.CANCEL)))
    some = st.lists(ledger_entries(), max_size=5)
    made = draw(some)
    if PURPOSES[purpose].flow is Flow.MOVE:
        arrived = draw(st.permutations(list(enumerate(draw(ledger_entries()) for _ in made))))
        arriving = [msgspec.structs.replace(each, arrives_from=place) for place, each in arrived]
        made = [*made, *map(_booked_as_a_whole, draw(some)), *arriving]
    return posted(purpose, *(msgspec.structs.replace(each, entry=f"E{place}") for place, each in enumerate(made)))


def _booked_as_a_whole(made: PostedEntry) -> PostedEntry:
    value = sum((each.amount for each in made.booked), ZERO)
    return msgspec.structs.replace(made, quantity=Quantity("0"), value=Money(value))


@given(movements())
def test_the_transfers_on_a_stock_account_add_up_to_the_values_of_the_entries_on_it(movement: MovementPosted) -> None:
    found: Counter[str] = Counter()
    for each in transfers(movement):
        found[each.debit] += each.amount  # type: ignore[assignment]  # a counter adds up decimals as well
        found[each.credit] -= each.amount  # type: ignore[assignment]
    for account in STOCK_ACCOUNTS:
        assert found[account] == sum(each.value for each in movement.entries if each.stock_account == account)


@given(movements())
def test_each_part_that_is_booked_apart_has_one_transfer_which_names_its_entry(movement: MovementPosted) -> None:
    wanted = Counter(
        (each.entry, part.account, part.amount) for each in movement.entries for part in each.booked if part.amount
    )
    found: Counter[tuple[str | None, str, Decimal]] = Counter()
    for each in transfers(movement):
        if {each.debit, each.credit} & {"freight", "duty"}:
            into_stock = each.debit in STOCK_ACCOUNTS
            found[each.entry, each.credit if into_stock else each.debit, each.amount * (1 if into_stock else -1)] += 1
    assert found == wanted


@given(movements())
def test_making_adjusts_stock_by_no_more_than_both_sides_differ(movement: MovementPosted) -> None:
    made = msgspec.structs.replace(movement, purpose="manufacture")
    gap = sum(each.value - sum(part.amount for part in each.booked) for each in made.entries)
    adjusting = [each for each in transfers(made) if "stock_adjustment" in (each.debit, each.credit)]
    assert sum(each.amount for each in adjusting) == abs(gap)
