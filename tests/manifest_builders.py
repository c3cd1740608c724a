"""Builders for manifests: a shop whose till numbers its movements, and what it says of a day."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from services.receiving.decide.manifests import digest_of
from shared.contracts.codec import decoder, read
from shared.contracts.envelope import write_event
from shared.contracts.manifest import (
    ManifestMovement,
    ManifestTotal,
    NumberRange,
    SourceManifest,
    SourceReconciled,
)
from shared.contracts.movement import MovementRequested
from shared.contracts.outcome import OutcomeRejected
from shared.contracts.registry import OUTCOME_RECONCILED, OUTCOME_REJECTED, SOURCE_MANIFEST
from shared.quantities import Money, Quantity
from shared.service import Output
from tests.builders import SOURCE
from tests.receiving_builders import Gate, after, comes, movement

DAY = date(2026, 3, 2)
_READERS: dict[str, Any] = {OUTCOME_RECONCILED: decoder(SourceReconciled), OUTCOME_REJECTED: decoder(OutcomeRejected)}


def numbered(number: int, identifier: str | None = None, quantity: int = 1, **fields: Any) -> MovementRequested:
    """A receipt of tea with a number."""
    lines = [comes("tea", quantity)]
    about = {"id": identifier or f"T-{number}", "number": number, "at": after(1)}
    return movement("material_receipt", *lines, **{**about, **fields})


def manifest(first: int, last: int, count: int | None = None, **fields: Any) -> SourceManifest:
    """What was sent of a day; by default all numbers from the first to the last."""
    spans: Sequence[tuple[int, int]] = fields.pop("unused", ())
    unused = [NumberRange(first=begin, last=end) for begin, end in spans]
    listed = [ManifestMovement(number=number, id=name) for number, name in fields.pop("listed", ())]
    counted = len(listed) or last - first + 1 - sum(end - begin + 1 for begin, end in spans)
    about = {"day": DAY, "count": counted if count is None else count, "unused": unused, "listed": listed}
    return SourceManifest(first_number=first, last_number=last, **{**about, **fields})


def total(purpose: str = "material_receipt", **told: Any) -> ManifestTotal:
    """A total of a purpose; numbers are given as one likes."""
    kinds: dict[str, Any] = {"count": int, "quantity": Quantity, "net": Money, "tax": Money}
    return ManifestTotal(purpose=purpose, **{name: kinds[name](str(value)) for name, value in told.items()})


def digest_for(*numbers: int) -> str:
    """The digest of the movements that `numbered` makes for these numbers."""
    return digest_of(f"T-{number}" for number in numbers)


def event(said: SourceManifest, event_id: str = "manifest-1", source: str = SOURCE) -> bytes:
    """A manifest as an upstream sends it."""
    return write_event(SOURCE_MANIFEST, source, event_id, said)


def answers(outputs: Sequence[Output]) -> list[SourceReconciled | OutcomeRejected]:
    """What a source was told, decoded."""
    return [read(_READERS[each.kind], each.body) for each in outputs]


def tell(gate: Gate, said: SourceManifest, event_id: str = "manifest-1") -> SourceReconciled:
    """Send a manifest that is compared at once; the answer."""
    (answer,) = answers(gate.send(event(said, event_id)))
    assert isinstance(answer, SourceReconciled), answer
    return answer


def spans(answer: SourceReconciled) -> list[tuple[int, int]]:
    """What is missing, as pairs."""
    return [(each.first, each.last) for each in answer.missing]
