"""An explanation in words: a line for each part, under that of which it is a part.

Behind the parts of an entry stands, apart from them, how it came to what it is told to be now.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal

from services.desk.cli.branches import Branch
from services.desk.cli.showing import SERIALS_SHOWN
from services.ledger.decide.explaining.entries import OPENED
from services.ledger.decide.explaining.parts import Kind
from services.ledger.decide.explaining.recorded import Recorded
from services.ledger.decide.explaining.tree import Node
from services.ledger.store.explaining import Caused, Explanation
from shared.contracts.movement import Leg, MovementAllocated
from shared.quantities import plain

IN_ONE_LINE = 4
"""As many parts in which value entered are told behind what they are parts of."""
CAUSES = 3
"""As many movements are named that may have been the cause of one correction."""


def tell(explanation: Explanation) -> list[Branch]:
    """A branch for the movement, and one for each of its entries; at last what was left out or may change, if anything.

    A movement that was cancelled, and one that cancels, came from nowhere: they say what belongs together.
    """
    return _Telling(explanation).tell()


class _Telling:
    def __init__(self, explanation: Explanation) -> None:
        self._told = explanation
        self._digits = explanation.movement.digits

    def tell(self) -> list[Branch]:
        head = [Branch(each) for each in self._head()]
        told = [self._entry(each) for each in self._told.roots]
        told += [Branch(self._found_later(each)) for each in self._told.movement.legs if each.corrects is not None]
        told = [*head, *(told or [Branch("it changed nothing: there are no entries")])]
        if any(node.closed and node.value for each in self._told.roots for node in each.walk()):
            told.append(Branch("what ends in … came from further back: --depth or --all tell more"))
        told += [Branch(_still(*each)) for each in self._told.provisional.items()]
        return told

    def _head(self) -> Iterator[str]:
        movement, by, mirrored = self._told.movement, self._told.cancelled_by, self._told.mirrors
        document = f", document {movement.document}" if movement.document else ""
        yield f"{movement.purpose} {movement.source} {movement.id}, {movement.posting_date}{document}"
        if by is not None:
            reason = f": {by.reason}" if by.reason else ""
            yield f"cancelled by {self._named(by)} (recorded {_time(by.recorded_at)}){reason}"
        if mirrored is not None:
            reason = f": {movement.reason}" if movement.reason else ""
            yield f"the mirror of {self._named(mirrored)} ({mirrored.posting_date}), which it cancels{reason}"

    def _entry(self, node: Node) -> Branch:
        recorded = self._entries(node)
        quantity = f"{_signed(recorded.quantity)} " if recorded.quantity else ""
        batch = f", batch {recorded.batch}" if recorded.batch else ""
        original = self._told.entries.get(recorded.original or "")
        of = f", of {self._movement(original, recorded)}" if original else ""
        value = f"{self._change(recorded.total)} {self._told.movement.currency}"
        head = f"line {recorded.line}: {quantity}{recorded.item} in {recorded.warehouse}{batch}{of}: {value}"
        branch = self._branch(node, head, recorded)
        later = [
            Branch(f"later {self._movement(each, recorded)}: {self._change(each.total)}")
            for each in self._told.later.get(recorded.entry, ())
        ]
        steps = self._told.steps.get(recorded.entry, ())
        history = [Branch("told in steps", [Branch(self._step(each, recorded)) for each in steps])] if steps else []
        return Branch(branch.text, [*branch.branches, *later, *history])

    def _step(self, step: Caused, recorded: Recorded) -> str:
        """What was told at one time, why, and when it counts where that is another day than the movement's."""
        addition = step.addition
        quantity = f"{_signed(addition.quantity)}, " if addition.quantity and addition.by is not None else ""
        dated = f", dated {addition.posting_date}" if addition.posting_date != recorded.posting_date else ""
        why = self._why(step, recorded)
        return f"{quantity}{self._change(addition.value)} {why} (recorded {_time(addition.recorded_at)}{dated})"

    def _why(self, step: Caused, recorded: Recorded) -> str:
        if step.addition is recorded.additions[0]:
            return "as it was posted"
        if [(each.source, each.id) for each in step.causes] == [recorded.key]:
            return "as it was valued in its place in time"
        named = [self._named(each) for each in step.causes[:CAUSES]]
        if not named:
            return "as it was valued anew"
        more = f" and {len(step.causes) - CAUSES} more" if len(step.causes) > CAUSES else ""
        return f"because of {', '.join(named)}{more}"

    def _found_later(self, leg: Leg) -> str:
        """What a count finds the other way round, of what this movement changed before it."""
        count = self._told.entries.get(leg.original or "")
        named = self._movement(count, count) if count else "a later count"
        batch = f", batch {leg.batch}" if leg.batch else ""
        found = f"{plain(abs(leg.quantity))} {leg.item} {'more' if leg.quantity > 0 else 'less'}"
        return f"line {leg.line}: by it, {named} finds {found} in {leg.warehouse}{batch}"

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
        source = self._source(recorded.source)
        place = f", {recorded.warehouse}" if recorded.warehouse != around.warehouse else ""
        batch = f", batch {recorded.batch}" if recorded.batch and recorded.batch != around.batch else ""
        where = f"({recorded.posting_date}{place}{batch})"
        return f"{recorded.purpose} {source}{recorded.id} line {recorded.line} {where}"

    def _named(self, movement: MovementAllocated) -> str:
        return f"{movement.purpose} {self._source(movement.source)}{movement.id}"

    def _source(self, source: str) -> str:
        return f"{source} " if source != self._told.movement.source else ""

    def _entries(self, node: Node) -> Recorded:
        return self._told.entries[node.part.entry or ""]

    def _change(self, value: Decimal) -> str:
        return f"{'+' if value > 0 else ''}{self._money(value)}"

    def _money(self, value: Decimal) -> str:
        return f"{value:,.{self._digits}f}"


def _still(place: tuple[str, str], from_at: datetime) -> str:
    """That what is told of a bin may change."""
    item, warehouse = place
    return f"{item} in {warehouse} is still being valued anew from {_time(from_at)} on: what hangs on it may change"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


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
    Kind.TRUED_UP: lambda _: "issued beyond stock, and trued up",
    Kind.PENDING: lambda _: "still to be valued anew",
    Kind.GAP: lambda _: "more than was consumed, borne by stock adjustment",
}
"""How value entered, or was changed, without another entry."""
