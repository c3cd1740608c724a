"""Who has a unit, and where; what state it is in, and which attributes hold.

Custody is of units that are not in stock. It counts from the last movement on: what comes back into stock is in
nobody's custody, and what leaves it once more is in that of whoever takes it.
"""

from dataclasses import dataclass
from datetime import date

from services.aftercare.decide.facts import Dossier
from shared.contracts.aftercare import SerialAttributed, SerialMoved
from shared.purposes import PURPOSES, SerialStatus

GONE = (SerialStatus.RETURNED_TO_SUPPLIER, SerialStatus.SCRAPPED, SerialStatus.MISSING, SerialStatus.CONSUMED)
"""States of units that nobody has any more."""
_ISSUED = "material_issue"


@dataclass(frozen=True, slots=True)
class Custody:
    """How a unit stands: its state, who has it and where, and until when it is lent."""

    status: SerialStatus
    custodian: str | None = None
    place: str | None = None
    due_back: date | None = None


@dataclass(frozen=True, slots=True)
class Attribute:
    """What holds of a unit, and the last day on which it does."""

    value: str
    until: date | None = None


def custody(dossier: Dossier) -> Custody:
    """Where a unit is; what was issued is in use, not used up, as soon as somebody is told to have it."""
    standing = dossier.standing()
    last = standing[-1] if standing else None
    if last is not None and last.came is not None:
        return Custody(SerialStatus.ACTIVE, place=last.came)
    told = [each.what for each in dossier.said if last is None or each.rank > last.rank]
    moved = next((each for each in reversed(told) if isinstance(each, SerialMoved)), None)
    status = SerialStatus.INACTIVE if last is None else PURPOSES[last.purpose].serial_status
    if moved is None:
        return Custody(status, custodian=last.party if last is not None else None)
    if last is None or last.purpose == _ISSUED:
        status = SerialStatus.IN_USE
    return Custody(status, moved.custodian, moved.place, moved.due_back)


def may_be_moved(dossier: Dossier) -> bool:
    """Whether somebody can have it: it is not in stock, and neither used up nor gone."""
    standing = dossier.standing()
    if not standing or standing[-1].purpose == _ISSUED:
        return True
    return standing[-1].came is None and PURPOSES[standing[-1].purpose].serial_status not in GONE


def attributes(dossier: Dossier, day: date) -> dict[str, Attribute]:
    """The attributes that hold on a day, by name."""
    found: dict[str, Attribute] = {}
    for each in dossier.said:
        if isinstance(each.what, SerialAttributed):
            found |= {name: Attribute(value, each.what.expires_on) for name, value in each.what.attributes.items()}
            found = {name: value for name, value in found.items() if name not in each.what.removed}
    return {name: found[name] for name in sorted(found) if _holds(found[name].until, day)}


def end_of_life(dossier: Dossier) -> date | None:
    """The day on which a unit should be taken out of use, as it was told last."""
    told = (each.what for each in reversed(dossier.said) if isinstance(each.what, SerialAttributed))
    return next((each.end_of_life for each in told if each.end_of_life is not None), None)


def _holds(until: date | None, day: date) -> bool:
    return until is None or day <= until
