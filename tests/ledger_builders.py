"""What tests of the ledger share: entries as tables that an accountant can check.

A row is an entry: its quantity, its value, what its bin holds after it (quantity and value), and then what of the value
is booked apart, account by account.
"""

from collections.abc import Sequence

from services.ledger.decide.posting import Posting, post
from services.ledger.decide.valuation import Layer, Shortage, Stock
from shared.contracts.movement import MovementAllocated
from shared.contracts.stock import PostedEntry
from shared.quantities import plain
from tests.builders import COMPANY, empty_ledger


def table(text: str) -> list[str]:
    """The rows of a table, however they are set out; `#` begins a remark."""
    lines = (" ".join(line.partition("#")[0].split()) for line in text.splitlines())
    return [line for line in lines if line]


def row(entry: PostedEntry) -> str:
    """An entry as a row."""
    booked = [f"{part.account} {part.amount:.2f}" for part in entry.booked]
    numbers = [plain(entry.quantity), f"{entry.value:.2f}", plain(entry.quantity_after), f"{entry.value_after:.2f}"]
    return " ".join([*numbers, *booked])


def played(movements: Sequence[MovementAllocated]) -> Posting:
    """Movements posted one after another, in an empty ledger."""
    return post(movements, empty_ledger(movements))


def rows_of(movements: Sequence[MovementAllocated]) -> list[str]:
    """All entries of these movements, in the order in which they are posted."""
    return [row(entry.posted) for each in played(movements).applied for entry in each.entries]


def check(movements: Sequence[MovementAllocated], text: str) -> None:
    """The entries of these movements, all of them, are those of the table."""
    assert rows_of(movements) == table(text)


def stock_after(movements: Sequence[MovementAllocated], item: str = "tea", warehouse: str = "north") -> Stock:
    """What a bin holds after these movements."""
    return played(movements).state.bins[COMPANY, item, warehouse]


def shown_layers(stock: Stock) -> list[str]:
    """Layers as quantity, worth and rate."""
    return [_layer(each) for each in stock.layers]


def shown_shortages(stock: Stock) -> list[str]:
    """Shortages as quantity, worth and account."""
    return [_shortage(each) for each in stock.shortages]


def _layer(layer: Layer) -> str:
    return f"{plain(layer.quantity)} {plain(layer.worth)} @{plain(layer.rate)}"


def _shortage(shortage: Shortage) -> str:
    return f"{plain(shortage.quantity)} {plain(shortage.worth)} {shortage.account}"
