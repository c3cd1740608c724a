"""Where the cost of a serial came from: its entry into the bin, and what changed its cost while it stood there."""

from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal, localcontext
from typing import NamedTuple

from services.ledger.decide.explaining.parts import PRECISE, Kind, Part, scaled_to, with_pending
from services.ledger.decide.revaluing import Position
from shared.purposes import PURPOSES, Flow
from shared.quantities import ZERO


class SerialRow(NamedTuple):
    """What was recorded of one serial by an entry. `leg` is the entry to whose total it belongs; `is_own`: itself.

    `is_cancelled`: its movement was.
    """

    effective_at: datetime
    stamp: int
    serial: str
    leg: str
    is_own: bool
    purpose: str
    quantity: Decimal
    cost: Decimal
    is_cancelled: bool


@dataclass(slots=True)
class SerialStep:
    """What a leg says of one serial in its bin: with which cost it came or left, or has from then on.

    `is_provisional`: it is still to be valued anew. Not frozen: what corrects a leg says another cost.
    """

    serial: str
    entry: str
    flow: Flow
    quantity: Decimal
    cost: Decimal
    is_provisional: bool = False


@dataclass(slots=True)
class _Standing:
    """How a serial came, and what was added to its cost."""

    entry: str
    cost: Decimal
    own: Decimal
    added: list[Part] = field(default_factory=list)

    def change(self, step: SerialStep) -> None:
        self.added.append(Part(_CHANGES.get(step.flow, Kind.CORRECTED), step.entry, ZERO, step.cost - self.cost))
        self.cost = step.cost


def serials_in_time(
    rows: Iterable[SerialRow], void: Container[int], dirty_from: Position | None = None
) -> list[SerialStep]:
    """What is told now of each serial, in the order of time, of the legs that hold.

    `rows` are by effective_at, stamp, revaluation, ordinal and serial. `void` are the stamps of cancelled movements.
    What is behind `dirty_from` is still to be valued anew.
    """
    steps: dict[tuple[str, str], SerialStep] = {}
    gone = set()
    for row in rows:
        key = (row.leg, row.serial)
        if key in steps:
            steps[key].cost = row.cost
            continue
        flow = PURPOSES[row.purpose].flow
        is_provisional = dirty_from is not None and (row.effective_at, row.stamp) > dirty_from
        steps[key] = SerialStep(row.serial, row.leg, flow, row.quantity, row.cost, is_provisional)
        if flow is Flow.CANCEL or (row.is_cancelled if row.is_own else row.stamp in void):
            gone.add(key)
    return [step for key, step in steps.items() if key not in gone]


def retrace_serials(steps: Iterable[SerialStep], asked: Collection[str]) -> dict[str, list[Part]]:
    """What each of the asked entries took, a part for each serial.

    `steps` are those of these serials in one bin, in the order of time.
    """
    standing: dict[str, _Standing] = {}
    told: dict[str, list[Part]] = {}
    with localcontext(PRECISE):
        for step in steps:
            if step.quantity > 0:
                standing[step.serial] = _Standing(step.entry, step.cost, step.cost)
            elif step.quantity == 0 and step.serial in standing:
                standing[step.serial].change(step)
            elif step.quantity < 0 and (left := standing.pop(step.serial, None)) and step.entry in asked:
                told.setdefault(step.entry, []).extend(_parts(left, step))
    return told


def of_serials(parts: Iterable[Part], serials: Collection[str]) -> list[Part]:
    """Those of some serials alone."""
    wanted = set(serials)
    return [each for each in parts if wanted.issuperset(each.serials)]


def together(parts: Iterable[Part]) -> list[Part]:
    """Parts of serials that came by one entry, and had the same added to their costs, as one; others as they are."""
    alike: dict[object, list[Part]] = {}
    for part in parts:
        key = (part.entry, tuple(each.entry for each in part.added)) if part.serials else len(alike)
        alike.setdefault(key, []).append(part)
    return [_sum(each) if len(each) > 1 else each[0] for each in alike.values()]


def _parts(left: _Standing, step: SerialStep) -> list[Part]:
    """One serial, at the cost with which it left: the last one out of a bin takes what remains there."""
    own = Part(Kind.ARRIVED, left.entry, Decimal(1), left.own, (step.serial,), added=tuple(left.added))
    return with_pending([own], step.cost, own.serials) if step.is_provisional else scaled_to([own], step.cost)


def _sum(parts: Sequence[Part]) -> Part:
    return replace(
        parts[0],
        quantity=sum((each.quantity for each in parts), ZERO),
        worth=sum((each.worth for each in parts), ZERO),
        serials=tuple(serial for each in parts for serial in each.serials),
        added=tuple(
            replace(each, worth=sum((part.added[place].worth for part in parts), ZERO))
            for place, each in enumerate(parts[0].added)
        ),
    )


_CHANGES = {Flow.WRITE_DOWN: Kind.WRITTEN_DOWN, Flow.COUNT: Kind.DIFFERENCE}
