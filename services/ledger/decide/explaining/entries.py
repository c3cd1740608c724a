"""What an entry is made of: the parts of its value, one step back.

The one idea: a movement hands value on within itself. What arrives from another bin is what left there, what was made
is what was consumed, what comes back is what went out: the parts of the one are told as the other's own. So each step
leads back to an earlier movement, down to where value entered the company: by a given rate, a cost, a count.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

from services.ledger.decide.effects import entry_id
from services.ledger.decide.explaining.parts import PRECISE, Kind, Part, scaled, total_of
from services.ledger.decide.explaining.recorded import Recorded
from services.ledger.decide.explaining.serials import of_serials, together
from services.ledger.decide.state import Key
from shared.contracts.movement import Leg, MovementAllocated
from shared.purposes import Flow
from shared.quantities import ZERO, rate_of

ONE = Decimal(1)
OPENED = (Kind.ENTRY, Kind.ARRIVED, Kind.COUNTED)
"""The kinds of part that have parts of their own; in all others value entered the company, or was changed."""


@dataclass(slots=True)
class Known:
    """What was read: entries, the movements that made them, and what the history of their bins tells.

    `legs` are the legs of those movements, by the entries that they made; `places` these entries, by movement, in the
    order of its legs: those in its own place, whatever else it changes. `told` is what the history of its bin says of
    an entry. Not frozen: it grows step by step.
    """

    entries: dict[str, Recorded] = field(default_factory=dict)
    legs: dict[str, Leg] = field(default_factory=dict)
    places: dict[Key, list[str]] = field(default_factory=dict)
    told: dict[str, Sequence[Part]] = field(default_factory=dict)

    def learn(self, movement: MovementAllocated) -> None:
        """Take in a movement."""
        own = [leg for leg in movement.legs if leg.corrects is None]  # what later counts find stands at their end
        names = [entry_id(movement, place) for place in range(len(own))]
        self.places[movement.source, movement.id] = names
        self.legs.update(zip(names, own, strict=True))


def whole_of(entry: str, known: Known) -> Part:
    """All that an entry changed but for what it trued up; what left is told without its sign, as what came before."""
    recorded = known.entries[entry]
    sign = -1 if _leaves(known.legs.get(entry)) else 1
    return Part(Kind.ENTRY, entry, sign * recorded.quantity, sign * recorded.worth)


def related(part: Part, known: Known) -> list[str]:
    """The other entries that have to be known to open a part, with their movements; its own and its movement are."""
    leg = known.legs.get(part.entry or "")
    if part.entry is None or leg is None or not _hands_on(leg, known.entries[part.entry].flow):
        return []
    if leg.arrives_from is not None:
        return [known.places[known.entries[part.entry].key][leg.arrives_from]]
    return [leg.original] if leg.original is not None else known.places[known.entries[part.entry].key]


def histories(part: Part, known: Known) -> list[str]:
    """The entries that the history of their bins has to tell of, to open a part; those related to it are known."""
    if part.entry is None:
        return []
    if _leaves(known.legs.get(part.entry)) or part.kind is Kind.COUNTED or _trues_up(part, known):
        own = [part.entry]
    else:
        own = []
    return [*own, *(each for each in related(part, known) if each in known.entries and _leaves(known.legs.get(each)))]


def parts_of(part: Part, known: Known) -> list[Part]:
    """What a part is made of, one step back; nothing where its value entered. All that it needs is known."""
    if part.entry is None or part.kind not in OPENED:
        return []
    recorded, leg = known.entries[part.entry], known.legs[part.entry]
    with localcontext(PRECISE):
        own = _stood(recorded, known) if part.kind is Kind.COUNTED else _made_up(recorded, leg, part.serials, known)
        share = _share_of(part, recorded, own)
        worth = total_of(own)
        covered = _covered(recorded, known) if _trues_up(part, known) else ()
        return [*scaled(own, part.worth / worth if worth else share, share), *part.added, *covered]


def _trues_up(part: Part, known: Known) -> bool:
    """Whether all of what arrived is told, with what that trued up."""
    return part.kind is Kind.ENTRY and bool(known.entries[part.entry or ""].trued_up)


def _covered(recorded: Recorded, known: Known) -> Sequence[Part]:
    """What was trued up; while it is to be valued anew, there may be nothing that it was issued by."""
    unknown = Part(Kind.TRUED_UP, None, ZERO, recorded.trued_up)
    return known.told.get(recorded.entry) or [unknown]


def _share_of(part: Part, recorded: Recorded, own: Sequence[Part]) -> Decimal:
    """How much of an entry's goods a part is."""
    if part.kind is Kind.ENTRY:
        return ONE
    if part.kind is Kind.COUNTED:
        return _ratio(part.quantity, sum((each.quantity for each in own), ZERO))
    return _ratio(part.quantity, Decimal(len(part.serials)) or recorded.quantity)


def _stood(count: Recorded, known: Known) -> list[Part]:
    """The goods that a count found: what stood there before, and what it found more or less."""
    return [*known.told.get(count.entry, ()), Part(Kind.DIFFERENCE, None, count.quantity, count.worth)]


def _made_up(recorded: Recorded, leg: Leg, serials: Sequence[str], known: Known) -> list[Part]:
    """The parts of an entry's worth; `serials`: only what these have of it."""
    if _leaves(leg):
        return _told(recorded.entry, serials, known)
    if leg.counted is not None:
        return [Part(Kind.DIFFERENCE, None, recorded.quantity, recorded.worth)]
    if leg.quantity > 0:
        return _brought(recorded, leg, serials, known)
    if recorded.flow is Flow.WRITE_DOWN:
        return [Part(Kind.WRITTEN_DOWN, None, ZERO, recorded.worth, rate=leg.rate)]
    return _costs(recorded, ONE)


def _brought(recorded: Recorded, leg: Leg, serials: Sequence[str], known: Known) -> list[Part]:
    """What came in, by what it is worth, and what its movement's costs added."""
    share = Decimal(len(serials)) / len(leg.serials) if serials else ONE
    costs = _costs(recorded, share)
    base = recorded.worth - sum((amount for _, amount in recorded.booked), ZERO)
    if leg.arrives_from is not None:
        left = known.entries[known.places[recorded.key][leg.arrives_from]]
        return [*scaled(_told(left.entry, serials, known), _ratio(base, -left.worth), ONE), *costs]
    if leg.amount is None and leg.original is not None:
        went = known.entries[leg.original]
        quantity = ONE if leg.serials else abs(recorded.quantity / went.quantity)
        return scaled(_told(went.entry, serials or leg.serials, known), quantity, quantity)
    if _is_shared(recorded, leg):
        return scaled([*_consumed(recorded, known), *_costs(recorded, ONE)], share, share)
    if recorded.flow is Flow.MAKE:  # what making cost went into the other products
        base, costs = recorded.worth, []
    kind = Kind.KNOWN_RATE if leg.amount is None else Kind.GIVEN
    rate = rate_of(base, recorded.quantity)
    return [Part(kind, None, recorded.quantity * share, base * share, rate=rate), *costs]


def _consumed(product: Recorded, known: Known) -> list[Part]:
    """What was consumed for a product that shares in it, less what other products took at rates of their own."""
    share = _share_in_pool(product, known)
    parts: list[Part] = []
    for name in known.places[product.key]:
        entry, leg = known.entries[name], known.legs[name]
        if _leaves(leg):
            parts += scaled(_told(name, (), known), share * _ratio(entry.value, entry.worth), share)
        elif not _is_shared(entry, leg):
            parts.append(Part(Kind.OTHER_PRODUCT, name, -share * entry.quantity, -share * entry.worth))
    lacking = -total_of([*parts, *_costs(product, ONE)])
    return [*parts, Part(Kind.GAP, None, ZERO, lacking)] if lacking > 0 else parts


def _share_in_pool(product: Recorded, known: Known) -> Decimal:
    """A product's part of what those that share get: as they are worth, else as it was meant."""
    names = [each for each in known.places[product.key] if _is_shared(known.entries[each], known.legs[each])]
    worth = sum((known.entries[each].worth for each in names), ZERO)
    shares = sum((known.legs[each].share or ZERO for each in names), ZERO)
    if worth:
        return product.worth / worth
    return (known.legs[product.entry].share or ZERO) / shares if shares else ONE / len(names)


def _costs(recorded: Recorded, share: Decimal) -> list[Part]:
    return [
        Part(Kind.ADDITIONAL_COST, None, ZERO, amount * share, account=account) for account, amount in recorded.booked
    ]


def _told(entry: str, serials: Sequence[str], known: Known) -> list[Part]:
    """What the history of its bin says of an entry, or of some of its serials."""
    told = known.told.get(entry, ())
    return together(of_serials(told, serials) if serials else told)


def _leaves(leg: Leg | None) -> bool:
    return leg is not None and leg.quantity < 0 and leg.counted is None


def _hands_on(leg: Leg, flow: Flow) -> bool:
    """Whether what comes in is told by what went out."""
    if leg.quantity <= 0 or leg.counted is not None or leg.amount is not None:
        return False
    return leg.arrives_from is not None or leg.original is not None or (flow is Flow.MAKE and leg.share is not None)


def _is_shared(recorded: Recorded, leg: Leg) -> bool:
    return recorded.flow is Flow.MAKE and leg.quantity > 0 and leg.amount is None and leg.share is not None


def _ratio(one: Decimal, two: Decimal) -> Decimal:
    return one / two if two else ZERO
