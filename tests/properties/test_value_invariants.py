"""What holds for the values of any history, whatever the reference says: nothing drifts, and nothing gets lost."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from services.ledger.decide.posting import Applied, post
from shared.contracts.movement import MovementAllocated
from shared.contracts.stock import PostedEntry
from shared.purposes import PURPOSES, Flow, Method
from shared.quantities import ZERO, to_money
from tests.builders import Receiving, cost, empty_ledger, leg, posted, transfer
from tests.properties.allocated_histories import histories

# A history takes a hundredth of a second; the slow reference looks at many more of them.
some = settings(max_examples=min(settings().max_examples, 300))
NANO = Decimal(1).scaleb(-9)

trades = st.lists(
    st.tuples(st.sampled_from(("buy", "buy", "sell", "oversell", "move", "count")), st.integers(1, 9)),
    min_size=1,
    max_size=30,
)


def applied(history: list[MovementAllocated]) -> list[Applied]:
    return list(post(history, empty_ledger(history)).applied)


def booked(entry: PostedEntry) -> Decimal:
    """What of an entry's value is booked apart."""
    return sum((part.amount for part in entry.booked), ZERO)


@some
@given(histories(beyond_stock=True))
def test_no_stock_is_ever_worth_less_than_nothing_and_no_quantity_means_no_value(
    history: list[MovementAllocated],
) -> None:
    for told in posted(history):
        for entry in told.entries:
            assert entry.quantity_after <= 0 or entry.value_after >= 0
            assert entry.quantity_after != 0 or entry.value_after == 0


@some
@given(histories(beyond_stock=True))
def test_every_value_is_the_rounding_of_an_exact_worth(history: list[MovementAllocated]) -> None:
    state = post(history, empty_ledger(history)).state
    for held in [*state.batches.values(), *(state.bins[key] for key in state.bins if key[1] != "batch")]:
        assert held.value == to_money(held.worth, history[0].digits)
        assert held.worth == held.worth.quantize(NANO)


@some
@given(histories(beyond_stock=True))
def test_layers_hold_all_that_is_there_and_shortages_all_that_is_lacking(history: list[MovementAllocated]) -> None:
    for (_, item, _), held in post(history, empty_ledger(history)).state.bins.items():
        if item in ("fifo", "lifo"):
            assert sum(each.quantity for each in held.layers) == max(held.quantity, ZERO)
            assert sum(each.worth for each in held.layers) == (held.worth if held.quantity > 0 else 0)
        assert sum(each.quantity for each in held.shortages) == max(-held.quantity, ZERO)
        assert sum(each.worth for each in held.shortages) == (-held.worth if held.quantity < 0 else 0)


@some
@given(histories(beyond_stock=True))
def test_a_bin_holds_the_sum_of_its_entries(history: list[MovementAllocated]) -> None:
    entries = [entry for told in posted(history) for entry in told.entries]
    for (_, item, place), held in post(history, empty_ledger(history)).state.bins.items():
        own = [each for each in entries if (each.item, each.warehouse) == (item, place)]
        assert sum(each.quantity for each in own) == held.quantity
        assert sum(each.value for each in own) == held.value


@some
@given(histories(beyond_stock=True, cleared=True))
def test_whatever_happened_nothing_is_left_when_all_stock_has_left(history: list[MovementAllocated]) -> None:
    state = post(history, empty_ledger(history)).state
    for held in [*state.bins.values(), *state.batches.values()]:
        assert not any((held.quantity, held.worth, held.value, held.layers, held.shortages))


@some
@given(histories(beyond_stock=True, kinds=("receive", "transfer", "transfer", "issue")))
def test_what_arrives_by_transfer_is_worth_the_value_that_left_and_its_costs(history: list[MovementAllocated]) -> None:
    for each in applied(history):
        for entry in each.entries:
            if entry.posted.arrives_from is not None:
                left = each.entries[entry.posted.arrives_from]
                assert entry.worth == booked(entry.posted) - left.posted.value
                # More or less by a minor unit only where the exact worth of the arriving bin is half of one off.
                assert abs(entry.posted.value - entry.worth) <= Decimal(1).scaleb(-each.movement.digits)


@some
@given(histories(beyond_stock=True, kinds=("receive", "deliver", "deliver", "return_from_customer")))
def test_what_came_back_completely_brought_exactly_the_value_that_left(history: list[MovementAllocated]) -> None:
    entries = [entry for each in applied(history) for entry in each.entries]
    for left in entries:
        back = [each for each in entries if each.posted.original == left.posted.entry]
        if back and left.posted.quantity + sum(each.posted.quantity for each in back) == 0:
            assert sum(each.worth for each in back) == -left.posted.value


@some
@given(histories(beyond_stock=True, kinds=("receive", "return_to_supplier", "issue", "land")))
def test_for_a_receipt_that_was_sent_back_completely_the_supplier_is_owed_nothing(
    history: list[MovementAllocated],
) -> None:
    entries = [entry for told in posted(history) for entry in told.entries]
    for came in entries:
        sent = [each for each in entries if each.original == came.entry and each.quantity < 0]
        if sent and came.quantity + sum(each.quantity for each in sent) == 0:
            assert sum(each.value - booked(each) for each in (came, *sent)) == 0


@some
@given(histories(kinds=("receive", "make", "make")))
def test_products_share_what_was_consumed_and_all_costs_less_what_has_a_rate_of_its_own(
    history: list[MovementAllocated],
) -> None:
    for each in applied(history):
        if PURPOSES[each.movement.purpose].flow is Flow.MAKE:
            arriving = [
                (leg.share is not None and leg.amount is None, entry.worth)
                for leg, entry in zip(each.movement.legs, each.entries, strict=True)
                if leg.quantity > 0
            ]
            consumed = sum((entry.posted.value for entry in each.entries if entry.posted.quantity < 0), ZERO)
            costs = sum((added.amount for added in each.movement.additional_costs), ZERO)
            pool = costs - consumed - sum(worth for shares, worth in arriving if not shares)
            if any(shares for shares, _ in arriving):
                assert sum(worth for shares, worth in arriving if shares) == max(pool, ZERO)


@given(st.integers(1, 9), st.integers(0, 9), st.integers(0, 9))
def test_little_money_among_many_takes_none_of_them_below_zero(many: int, consumed: int, costs: int) -> None:
    receiving, lines = Receiving(), range(1, many + 1)
    products = [leg(1, item=f"product {line}", line=line, share=1) for line in lines]
    gifts = [leg(1, 0, item=f"gift {line}", line=line) for line in lines]
    history = [
        receiving.movement(leg(1, Decimal(consumed) / 100)),
        receiving.movement(leg(-1, line=many + 1), *products, purpose="manufacture"),
        receiving.movement(*gifts, purpose="purchase_receipt", costs=[cost(Decimal(costs) / 100)]),
    ]
    assert all(entry.value_after >= 0 for told in posted(history) for entry in told.entries)


@some
@given(histories(beyond_stock=True, kinds=("receive", "transfer", "make", "land", "land")))
def test_what_is_booked_apart_adds_up_to_the_additional_costs(history: list[MovementAllocated]) -> None:
    for each in applied(history):
        costs, parts = dict[str, Decimal](), dict[str, Decimal]()
        for added in each.movement.additional_costs:
            costs[added.account] = costs.get(added.account, ZERO) + added.amount
        for entry in each.entries:
            if entry.posted.quantity > 0 or entry.posted.original:
                for part in entry.posted.booked:
                    parts[part.account] = parts.get(part.account, ZERO) + part.amount
        if PURPOSES[each.movement.purpose].flow is Flow.LAND:
            # What could not be taken off a receipt is adjusted besides.
            costs.pop("stock_adjustment", None)
            parts.pop("stock_adjustment", None)
        assert {name: part for name, part in parts.items() if part} == {
            name: sum_ for name, sum_ in costs.items() if sum_
        }


@given(trades, st.integers(1, 500))
def test_at_one_rate_all_methods_value_alike(trade: list[tuple[str, int]], rate: int) -> None:
    fifo, lifo, average = (_values(trade, Decimal(rate) / 100, method) for method in Method)
    assert fifo == lifo == average


def _values(trade: list[tuple[str, int]], rate: Decimal, method: Method) -> list[list[Decimal]]:
    """The values of whole quantities that are bought at a rate, sold (even beyond stock), moved and counted."""
    receiving, held, movements = Receiving(), 0, []
    for kind, quantity in trade:
        legs = [leg(-quantity, method=method, standard_rate=rate)]
        change = -quantity
        if kind == "buy":
            legs, change = [leg(quantity, quantity * rate, method=method)], quantity
        elif kind == "count":
            legs = [leg(quantity - held, method=method, counted=quantity, standard_rate=rate)]
            change = quantity - held
        elif kind == "move" and quantity <= held:
            legs = transfer(quantity, "north", "south", method=method)
        if kind in ("buy", "oversell", "count") or quantity <= held:
            movements.append(receiving.movement(*legs, purpose=PURPOSE_OF[kind]))
            held += change
    return [[entry.value for entry in told.entries] for told in posted(movements)]


PURPOSE_OF = {
    "buy": "purchase_receipt",
    "sell": "delivery",
    "oversell": "delivery",
    "move": "material_transfer",
    "count": "reconciliation",
}
