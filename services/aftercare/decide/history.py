"""The service history of a unit: everything that happened to it, in order, a line each."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.aftercare.decide.facts import Dossier, Key, Move, Said
from shared.contracts import aftercare
from shared.contracts.outcome import Remark
from shared.contracts.registry import KIND_OF_STATEMENT


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened: `what` is a purpose or the type of a statement; `cancelled_by` undid it."""

    at: datetime
    what: str
    told: str
    document: str | None
    actor: str | None
    key: Key
    recorded_at: datetime
    cancelled_by: Key | None = None


def history(dossier: Dossier) -> list[Line]:
    """All that is known of a unit, also what was cancelled, which says by what."""
    facts: list[Move | Said] = [*dossier.moves, *dossier.said, *dossier.replaces]
    facts.sort(key=lambda each: each.rank)
    return [_moved(each) if isinstance(each, Move) else _said(each, dossier) for each in facts]


def _moved(move: Move) -> Line:
    told = _words(f"from {move.left}" if move.left else "", f"to {move.came}" if move.came else "", move.party)
    recorded = move.recorded_at
    return Line(move.effective_at, move.purpose, told, move.document, move.actor, move.key, recorded, move.cancelled_by)


def _said(said: Said, dossier: Dossier) -> Line:
    what = said.what
    if said.about != dossier.unit:
        told = f"in the place of {said.about.item} {said.about.serial}"
    else:
        told = _words(*_TOLD[type(what)](what), *map(_remark, said.remarks))
    kind = KIND_OF_STATEMENT[type(what)].rpartition(".")[0]
    document = getattr(what, "document", None)
    return Line(what.at, kind, told, document, what.actor, said.key, said.recorded_at)


def _remark(remark: Remark) -> str:
    return f"{remark.code} ({', '.join(f'{name} {value}' for name, value in remark.facts.items())})"


def _words(*parts: str | None) -> str:
    return ", ".join(each for each in parts if each)


def _until(day: Any) -> str:
    return f"until {day}" if day is not None else ""


def _claim_went_on(what: aftercare.ClaimUpdated) -> Iterator[str]:
    yield from (what.claim, f"{what.state} ({what.resolution})" if what.resolution else str(what.state))
    if what.replacement is not None:
        yield f"by {what.replacement.item or what.item} {what.replacement.serial}"
    yield what.note


def _attributed(what: aftercare.SerialAttributed) -> Iterator[str]:
    yield from (f"{name}={value}" for name, value in sorted(what.attributes.items()))
    yield _until(what.expires_on)
    yield from (f"no {name}" for name in what.removed)
    yield f"end of life {what.end_of_life}" if what.end_of_life else ""


def _visited(what: aftercare.VisitDone) -> Iterator[str]:
    yield what.work
    yield f"for {what.schedule}" + (f" of {what.planned_on}" if what.planned_on else "") if what.schedule else ""
    yield f"for claim {what.claim}" if what.claim else ""
    yield "not all of it" if what.completion is aftercare.Completion.PARTIAL else ""
    yield f"by {what.person}" if what.person else ""
    yield f"parts by {what.parts.id}" if what.parts is not None else ""
    yield from (f"{name} {value}" for name, value in sorted(what.readings.items()))


_TOLD: Mapping[type, Callable[[Any], Iterator[str] | tuple[str | None, ...]]] = {
    aftercare.CoverageAdded: lambda it: (it.reference, it.kind, f"from {it.starts_on}", _until(it.ends_on), it.terms),
    aftercare.CoverageEnded: lambda it: (it.reference, f"on {it.ends_on}", it.reason),
    aftercare.ClaimOpened: lambda it: (it.claim, it.complaint, it.customer),
    aftercare.ClaimUpdated: _claim_went_on,
    aftercare.SerialMoved: lambda it: (it.custodian, it.place, f"due back {it.due_back}" if it.due_back else ""),
    aftercare.SerialAttributed: _attributed,
    aftercare.MaintenancePlanned: lambda it: (
        it.schedule,
        f"every {it.every} {it.interval}",
        f"from {it.starts_on}",
        _until(it.ends_on),
        it.person,
    ),
    aftercare.MaintenanceEnded: lambda it: (it.schedule, f"on {it.ends_on}", it.reason),
    aftercare.VisitDone: _visited,
}
"""What is told of each kind of statement."""
