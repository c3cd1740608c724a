"""An explanation in words: a line for each part, under that of which it is a part."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from services.desk.cli.showing import SERIALS_SHOWN
from services.ledger.decide.explaining.entries import OPENED, Recorded
from services.ledger.decide.explaining.parts import Kind
from services.ledger.decide.explaining.tree import Node
from services.ledger.store.explaining import Explanation
from shared.quantities import plain

IN_ONE_LINE = 4
"""As many parts in which value entered are told behind what they are parts of."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A line, and those under it."""

    text: str
    branches: Sequence["Branch"] = field(default=())

    def lines(self) -> Iterator[tuple[int, str]]:
        """All lines from here on, each with how deep it stands."""
        pending = [(0, self)]
        while pending:
            depth, branch = pending.pop()
            yield depth, branch.text
            pending += [(depth + 1, each) for each in reversed(branch.branches)]


def tell(explanation: Explanation) -> list[Branch]:
    """A branch for the movement, and one for each of its entries; at last what was left out, if anything."""
    return _Telling(explanation).tell()


class _Telling:
    def __init__(self, explanation: Explanation) -> None:
        self._told = explanation
        self._digits = explanation.movement.digits

    def tell(self) -> list[Branch]:
        movement = self._told.movement
        document = f", document {movement.document}" if movement.document else ""
        told = [Branch(f"{movement.purpose} {movement.source} {movement.id}, {movement.posting_date}{document}")]
        told += [self._entry(each) for each in self._told.roots]
        if not self._told.roots:
            told.append(Branch("it changed nothing: there are no entries"))
        if any(node.closed and node.value for each in self._told.roots for node in each.walk()):
            told.append(Branch("what ends in … came from further back: --depth or --all tell more"))
        return told

    def _entry(self, node: Node) -> Branch:
        recorded = self._entries(node)
        quantity = f"{_signed(recorded.quantity)} " if recorded.quantity else ""
        batch = f", batch {recorded.batch}" if recorded.batch else ""
        original = self._told.entries.get(recorded.original or "")
        of = f", of {self._movement(original, recorded)}" if original else ""
        value = f"{self._change(recorded)} {self._told.movement.currency}"
        head = f"line {recorded.line}: {quantity}{recorded.item} in {recorded.warehouse}{batch}{of}: {value}"
        branch = self._branch(node, head, recorded)
        later = [
            Branch(f"later {self._movement(each, recorded)}: {self._change(each)}")
            for each in self._told.later.get(recorded.entry, ())
        ]
        return Branch(branch.text, [*branch.branches, *later])

    def _part(self, node: Node, around: Recorded) -> Branch:
        """A part, told within that of an entry: what is the same there is not said again."""
        inside = self._entries(node) if node.part.kind in OPENED else around
        if len(node.parts) == 1 and node.parts[0].part.kind in (Kind.GIVEN, Kind.KNOWN_RATE):
            return Branch(f"{self._words(node, around)} {self._line(node.parts[0], inside)}")
        return self._branch(node, self._line(node, around), inside)

    def _branch(self, node: Node, text: str, inside: Recorded) -> Branch:
        if node.closed and node.value:
            return Branch(f"{text} …")
        if 0 < len(node.parts) <= IN_ONE_LINE and not node.more and all(_is_leaf(each) for each in node.parts):
            return Branch(f"{text} ({', '.join(self._line(each, inside) for each in node.parts)})")
        rest = [Branch(f"and {node.more} more: {self._money(node.rest)}")] if node.more else []
        return Branch(text, [*(self._part(each, inside) for each in node.parts), *rest])

    def _line(self, node: Node, around: Recorded) -> str:
        return f"{self._words(node, around)}: {self._money(node.value)}"

    def _words(self, node: Node, around: Recorded) -> str:
        if node.part.entry is None:
            return _VALUES[node.part.kind](node)
        return self._words_of_entry(node, around)

    def _words_of_entry(self, node: Node, around: Recorded) -> str:
        recorded, quantity, rate = self._entries(node), plain(node.quantity), _rate(node)
        movement = self._movement(recorded, around)
        item = f" {recorded.item}" if recorded.item != around.item else ""
        match node.part.kind:
            case Kind.ARRIVED:
                return f"{quantity} of {plain(recorded.quantity)}{item} from {movement}{_serials(node)}"
            case Kind.COUNTED:
                return f"{quantity}{item} counted by {movement}"
            case Kind.BEYOND_STOCK:
                by = f" by {movement}" if recorded.key != around.key else ""
                return f"{quantity}{item} issued beyond stock{by} at {rate}, the last rate known"
            case Kind.ISSUED_BEFORE:
                return f"{quantity} issued beyond stock by {movement} at {rate}"
            case Kind.OTHER_PRODUCT:
                return f"less {plain(-node.quantity)}{item} at a rate of its own"
        return f"{movement}{item and ' of'}{item}"

    def _movement(self, recorded: Recorded, around: Recorded) -> str:
        """What names it: its source and its place only where they are others."""
        source = f"{recorded.source} " if recorded.source != self._told.movement.source else ""
        place = f", {recorded.warehouse}" if recorded.warehouse != around.warehouse else ""
        batch = f", batch {recorded.batch}" if recorded.batch and recorded.batch != around.batch else ""
        where = f"({recorded.posting_date}{place}{batch})"
        return f"{recorded.purpose} {source}{recorded.id} line {recorded.line} {where}"

    def _entries(self, node: Node) -> Recorded:
        return self._told.entries[node.part.entry or ""]

    def _change(self, recorded: Recorded) -> str:
        return f"{'+' if recorded.value > 0 else ''}{self._money(recorded.value)}"

    def _money(self, value: Decimal) -> str:
        return f"{value:,.{self._digits}f}"


def _rate(node: Node) -> str:
    return plain(node.part.rate or Decimal(0))


def _difference(node: Node) -> str:
    if not node.quantity:
        return "counted at another rate"
    return f"{plain(abs(node.quantity))} {'more' if node.quantity > 0 else 'less'} counted"


def _is_leaf(node: Node) -> bool:
    return node.part.kind not in OPENED


def _serials(node: Node) -> str:
    serials = node.part.serials
    if not serials:
        return ""
    more = len(serials) - SERIALS_SHOWN
    return f", serials {', '.join(serials[:SERIALS_SHOWN])}" + (f" and {more} more" if more > 0 else "")


def _signed(quantity: Decimal) -> str:
    return f"+{plain(quantity)}" if quantity > 0 else plain(quantity)


_VALUES: dict[Kind, Callable[[Node], str]] = {
    Kind.GIVEN: lambda node: f"at {_rate(node)}",
    Kind.KNOWN_RATE: lambda node: f"at {_rate(node)}, the last rate known",
    Kind.ADDITIONAL_COST: lambda node: f"additional cost {node.part.account}",
    Kind.WRITTEN_DOWN: lambda node: f"written down to {_rate(node)} a unit",
    Kind.DIFFERENCE: _difference,
    Kind.COVERED: lambda node: f"{plain(-node.quantity)} came at {_rate(node)}",
    Kind.GAP: lambda _: "more than was consumed, borne by stock adjustment",
}
"""How value entered, or was changed, without another entry."""
