"""Walks and balances over random histories, against a reference that goes through everything again and again."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from services.desk.trace.balance import Balance, Sum, balances
from services.desk.trace.goods import Event, Goods, Key, Kind, Making, Side, Way, kind_of
from services.desk.trace.walking import Limits, Walk, walk
from services.ledger.decide.making import Piece
from shared.purposes import PURPOSES
from tests.builders import MORNING

BATCHES = [Goods(item, batch=f"{item}{number}") for item in "AB" for number in range(4)]
UNITS = [Goods("U", serial=f"u{number}") for number in range(6)]
UNTRACKED = [Goods("salt"), Goods("dust")]
ALL = [*BATCHES, *UNITS, *UNTRACKED]
ROOMY = Limits()
amounts = st.integers(1, 5_000_000).map(lambda number: Decimal(number).scaleb(-6))


@dataclass(frozen=True)
class Part:
    """A line of a making: goods of one item, several of them if they are units."""

    goods: tuple[Goods, ...]
    quantity: Decimal


@dataclass(frozen=True)
class Made:
    """A making: its lines, of which the same goods may stand in several, and on both sides."""

    consumed: Sequence[Part]
    produced: Sequence[Part]


units = st.lists(st.sampled_from(UNITS), min_size=1, max_size=3, unique=True).map(
    lambda found: Part(tuple(sorted(found)), Decimal(len(found)))
)
others = st.builds(lambda goods, quantity: Part((goods,), quantity), st.sampled_from([*BATCHES, *UNTRACKED]), amounts)
lines = st.lists(units | others, min_size=1, max_size=3).filter(
    lambda parts: len(found := [g for part in parts for g in part.goods if g.serial]) == len(set(found))
)
histories = st.lists(st.builds(Made, lines, lines), max_size=12)


@dataclass
class Books:
    """A history, as a walk reads it."""

    makings_made: Sequence[Made]
    read: list[int] = field(default_factory=list)

    def events(self, goods: Collection[Goods], way: Way, most: int) -> tuple[list[Event], bool]:
        found = [
            event for making in self._all() for event in _events(*making) if event.goods in goods and _lies(event, way)
        ]
        self.read.append(len(found))
        return found[:most], len(found) > most

    def makings(self, keys: Collection[Key], way: Way, most: int) -> tuple[list[Making], bool]:
        found = [_making(key, made, way) for key, made in self._all() if key in keys]
        rows = sum(len(each.sides) for each in found)
        return ([], True) if rows > most else (found, False)

    def _all(self) -> Iterator[tuple[Key, Made]]:
        return ((("till", f"M{number}"), made) for number, made in enumerate(self.makings_made))


def _entries(key: Key, made: Made) -> Iterator[tuple[str, Part, Piece | None]]:
    """Lines with the entries that they make, and their pieces: as large as the quantities."""
    whole, before = sum((part.quantity for part in made.produced), Decimal(0)), Decimal(0)
    yield from ((f"{key[1]}-{number}", part, None) for number, part in enumerate(made.consumed))
    for number, part in enumerate(made.produced, start=len(made.consumed)):
        yield f"{key[1]}-{number}", part, Piece(before, before + part.quantity, whole)
        before += part.quantity


def _events(key: Key, made: Made) -> Iterator[Event]:
    for entry, part, piece in _entries(key, made):
        kind, sign = (Kind.CONSUMED, -1) if piece is None else (Kind.PRODUCED, 1)
        for goods in part.goods:
            quantity = sign * (Decimal(1) if goods.serial else part.quantity)
            yield Event(goods, kind, key, 1, entry, "north", quantity, MORNING + timedelta(minutes=int(key[1][1:])))


def _lies(event: Event, way: Way) -> bool:
    return way is Way.DOWN or event.quantity > 0


def _making(key: Key, made: Made, way: Way) -> Making:
    sides = {}
    for entry, part, piece in _entries(key, made):
        goods = part.goods[0]
        is_ahead = (piece is None) == (way is Way.UP)
        serials = tuple(each.serial for each in part.goods if each.serial) if is_ahead else ()
        quantity = part.quantity if piece else -part.quantity
        sides[entry] = Side(entry, goods.item, goods.batch, quantity, piece, serials)
    return Making(key, MORNING, sides)


def _goods(parts: Sequence[Part]) -> set[Goods]:
    return {goods for part in parts for goods in part.goods}


def _reached(start: Goods, history: Sequence[Made], way: Way) -> dict[Goods, int]:
    """All goods that way with the number of makings to them: round after round, every making is looked at."""
    found, depth = {start: 0}, 0
    while True:
        depth += 1
        new: set[Goods] = set()
        for made in history:
            near, far = (made.consumed, made.produced) if way is Way.DOWN else (made.produced, made.consumed)
            if any(goods in found and goods.is_tracked for goods in _goods(near)):
                new |= _goods(far)
        if not new - found.keys():
            return found
        found |= dict.fromkeys(new - found.keys(), depth)


ways = st.sampled_from(list(Way))


@given(history=histories, start=st.sampled_from(ALL), way=ways)
def test_a_walk_finds_each_of_the_goods_by_the_shortest_way_and_no_others(
    history: list[Made], start: Goods, way: Way
) -> None:
    found = walk([start], way, ROOMY, Books(history))
    assert found.depths == _reached(start, history, way)
    assert found.cut == set()


@given(history=histories, start=st.sampled_from(ALL))
def test_who_is_above_another_has_that_one_below(history: list[Made], start: Goods) -> None:
    for goods, depth in walk([start], Way.UP, ROOMY, Books(history)).depths.items():
        if start.is_tracked and goods.is_tracked:
            assert walk([goods], Way.DOWN, ROOMY, Books(history)).depths[start] == depth


@given(history=histories, start=st.sampled_from([*BATCHES, *UNITS]))
def test_what_was_consumed_of_goods_is_what_went_into_each_line_together(history: list[Made], start: Goods) -> None:
    found = walk([start], Way.DOWN, ROOMY, Books(history))
    for goods in found.links:
        for number, made in enumerate(history):
            taken = [Decimal(1) if goods.serial else part.quantity for part in made.consumed if goods in part.goods]
            links = [each for each in found.links[goods] if each.key == ("till", f"M{number}")]
            assert {each.quantity for each in links} <= {sum(taken)}
            assert sum(_whole_lines(links, made)) == sum(taken)


def _whole_lines(links: Sequence[object], made: Made) -> Iterator[Decimal]:
    """Of units of one line one is enough: their links tell what went into the line."""
    seen: set[tuple[Goods, ...]] = set()
    for link in links:
        produced: Goods = link.produced  # type: ignore[attr-defined]
        line = next((part.goods for part in made.produced if produced in part.goods), (produced,))
        if line not in seen:
            seen.add(line)
            yield link.part  # type: ignore[attr-defined]


@given(history=histories, start=st.sampled_from(BATCHES))
def test_a_product_has_of_all_that_was_consumed_the_part_that_its_quantity_has(
    history: list[Made], start: Goods
) -> None:
    for link in walk([start], Way.UP, ROOMY, Books(history)).links.get(start, ()):
        made = history[int(link.key[1][1:])]
        own = [part.quantity for part in made.produced if start in part.goods]
        whole = sum(part.quantity for part in made.produced)
        exact = Fraction(link.quantity) * Fraction(sum(own)) / Fraction(whole)
        assert link.made == sum(own)
        assert abs(Fraction(link.part) - exact) <= Fraction(len(own) * len(made.consumed), 10**6)


@given(history=histories, start=st.sampled_from(ALL), way=ways, depth=st.integers(1, 3))
def test_a_walk_that_may_go_so_far_finds_all_that_is_no_further_and_says_whether_there_is_more(
    history: list[Made], start: Goods, way: Way, depth: int
) -> None:
    reached = _reached(start, history, way)
    found = walk([start], way, Limits(depth=depth), Books(history))
    assert found.depths == {goods: far for goods, far in reached.items() if far <= depth}
    if found.depths != reached:
        assert found.cut == {"depth"}


@given(history=histories, start=st.sampled_from(ALL), way=ways, most=st.integers(1, 5))
def test_no_more_goods_are_found_than_were_asked_for_and_that_there_are_more_is_told(
    history: list[Made], start: Goods, way: Way, most: int
) -> None:
    reached = _reached(start, history, way)
    found = walk([start], way, Limits(goods=most), Books(history))
    assert len(found.depths) <= most
    assert found.depths.keys() <= reached.keys()
    assert ("goods" in found.cut) == (len(reached) > most)
    _are_linked(found)


@given(history=histories, start=st.sampled_from(ALL), way=ways, most=st.integers(1, 8))
def test_no_more_events_are_held_than_were_asked_for_and_that_there_are_more_is_told(
    history: list[Made], start: Goods, way: Way, most: int
) -> None:
    found = walk([start], way, Limits(events=most), Books(history))
    assert sum(map(len, found.events.values())) <= most
    if found.depths != _reached(start, history, way):
        assert found.cut == {"events"}
    _are_linked(found)


def _are_linked(found: Walk) -> None:
    """Whatever is found is found with what it hangs on."""
    ahead = {found.ahead(link) for links in found.links.values() for link in links}
    assert {goods for goods, depth in found.depths.items() if depth} <= ahead <= found.depths.keys()


# --- balances ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Happened:
    """Something happened to a batch in a warehouse, and was cancelled, or not."""

    purpose: str
    warehouse: str
    quantity: Decimal
    minute: int
    cancelled: bool


COMES = ("purchase_receipt", "opening_stock", "manufacture", "repack", "sales_return", "sale", "reconciliation")
GOES = ("delivery", "sale", "material_issue", "scrap", "manufacture", "purchase_return", "reconciliation")
happenings = st.lists(
    st.builds(
        lambda purpose, warehouse, quantity, minute, cancelled: Happened(
            purpose[1:], warehouse, quantity if purpose[0] == "+" else -quantity, minute, cancelled
        ),
        st.sampled_from([*(f"+{name}" for name in COMES), *(f"-{name}" for name in GOES)]),
        st.sampled_from(("north", "south")),
        amounts,
        st.integers(0, 9),
        st.booleans(),
    ),
    max_size=15,
)
BATCH = Goods("cream", batch="B1")


def _sums(happened: Sequence[Happened], until: int) -> list[Sum]:
    """As the database adds them up: by all that a sum tells apart."""
    found: dict[tuple[str, str, str | None, bool], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for each in happened:
        later = each.minute > until
        found[each.warehouse, each.purpose, None, each.quantity > 0][later] += each.quantity
        if each.cancelled:
            found[each.warehouse, "cancellation", each.purpose, each.quantity < 0][later] -= each.quantity
    return [
        Sum(BATCH, warehouse, purpose, undoes, False, quantity, later)
        for (warehouse, purpose, undoes, _), (quantity, later) in found.items()
    ]


def _balance(happened: Sequence[Happened], until: int, lost: Decimal = Decimal(0)) -> Balance:
    on_hand: dict[str, Decimal] = defaultdict(lambda: Decimal(0))
    for each in happened:
        on_hand[each.warehouse] += Decimal(0) if each.cancelled else each.quantity
    on_hand["north"] -= lost
    return balances([BATCH], _sums(happened, until), {BATCH: on_hand})[BATCH]


@given(happened=happenings, until=st.integers(0, 9))
def test_a_balance_tells_of_each_kind_what_was_not_cancelled_and_what_stood_where(
    happened: list[Happened], until: int
) -> None:
    balance = _balance(happened, until)
    then = [each for each in happened if each.minute <= until and not each.cancelled]
    for kind in Kind:
        expected = sum(each.quantity for each in then if kind_of(each.purpose, each.quantity) is kind)
        assert balance.sums.get(kind, 0) == expected
    for warehouse in ("north", "south"):
        stood = sum(each.quantity for each in then if each.warehouse == warehouse)
        assert balance.on_hand.get(warehouse, 0) == stood
    assert balance.holds


@given(happened=happenings, until=st.integers(0, 9), lost=amounts)
def test_what_is_lost_without_an_entry_is_missing_in_the_balance(
    happened: list[Happened], until: int, lost: Decimal
) -> None:
    balance = _balance(happened, until, lost)
    assert not balance.holds
    assert balance.difference == lost


def test_every_purpose_has_a_kind_both_ways() -> None:
    kinds = {(name, sign): kind_of(name, Decimal(sign)) for name in PURPOSES for sign in (1, -1)}
    assert kinds["sale", 1] is Kind.RETURNED
    assert kinds["scrap", -1] is Kind.SCRAPPED
    assert kinds["material_issue", -1] is Kind.ISSUED
    assert {kind for (name, _), kind in kinds.items() if name == "material_transfer"} == {Kind.MOVED}
