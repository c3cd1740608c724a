"""Manifests: whether one agrees with itself, and what is missing, extra or different of what it says was sent.

The idea: what a manifest expects is a list of spans of numbers, what arrived comes in the order of numbers; one walk
over both says it all, however much there is.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from itertools import islice
from typing import Literal

from services.receiving.decide.spans import Span, merged, size, without
from shared.contracts.manifest import (
    DifferentTotal,
    ExtraMovement,
    ManifestTotal,
    NotAccepted,
    NumberRange,
    RepeatedNumber,
    SourceManifest,
    SourceReconciled,
)
from shared.contracts.movement import MovementRequested
from shared.errors import Reason
from shared.quantities import ZERO, plain

NUMBERS_LIMIT = 250_000
"""As many numbers one manifest may be about."""
SHOWN = 1_000
"""As many members a list of the answer has at most."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A movement that arrived, whatever became of it; `id` is None where it could not be read."""

    number: int
    id: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """One that arrived and was not accepted. `is_copy`: of a movement that was taken, with other content."""

    number: int
    id: str | None
    state: Literal["rejected", "waiting", "parked"]
    codes: Sequence[str] = ()
    is_copy: bool = False


@dataclass(frozen=True, slots=True)
class Sums:
    """What the movements of one purpose come to, as they were sent."""

    count: int = 0
    quantity: Decimal = ZERO
    net: Decimal = ZERO
    tax: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Found:
    """What there is under the numbers of a manifest.

    `arrivals` come in the order of numbers, those of one number in the order of ids, the unreadable ones first; each
    once. `digest` is that of all their ids; None where nobody asked for it.
    """

    arrivals: Iterable[Arrival]
    refused: Sequence[Refused] = ()
    sums: Mapping[str, Sums] = field(default_factory=dict)
    digest: str | None = None


def faults(manifest: SourceManifest) -> list[Reason]:
    """Why a manifest cannot be compared with anything: it says too much, or not the same thing twice."""
    first, last = manifest.first_number, manifest.last_number
    if last < first - 1:
        return [_reason("manifest_backwards", first_number=first, last_number=last)]
    if last - first >= NUMBERS_LIMIT:
        return [_reason("manifest_too_long", numbers=last - first + 1, limit=NUMBERS_LIMIT)]
    return [*_numbers_faults(manifest), *_totals_faults(manifest)]


def expected(manifest: SourceManifest) -> list[Span]:
    """The numbers that a manifest without faults says were sent."""
    if manifest.listed:
        return merged(sorted((each.number, each.number) for each in manifest.listed))
    return list(without(merged([(manifest.first_number, manifest.last_number)]), _said_unused(manifest)))


def unused(manifest: SourceManifest) -> list[Span]:
    """The numbers between its first and its last that a manifest without faults says no movement has."""
    return list(without(merged([(manifest.first_number, manifest.last_number)]), expected(manifest)))


def sums_of(movement: MovementRequested) -> Sums:
    """What a movement adds to the totals of its purpose: the fields of its lines as they were sent."""
    lines = movement.lines
    return Sums(
        1,
        sum((each.quantity for each in lines if each.quantity is not None), ZERO),
        sum((each.net for each in lines if each.net is not None), ZERO),
        sum((tax.amount for each in lines for tax in each.tax), ZERO),
    )


def reconcile(
    source: str, identifier: str, manifest: SourceManifest, found: Found, as_of: datetime
) -> SourceReconciled:
    """What is missing, extra or different of a manifest without faults, which has this id."""
    walked = _walk(manifest, found.arrivals)
    missing = list(without(expected(manifest), merged(walked.spans)))
    different = list(_different(manifest, found, walked, is_whole=not missing and not walked.extra))
    refused = {(each.number, each.id) for each in found.refused if not each.is_copy}
    disagrees = bool(missing or walked.extra or walked.repeated or different)
    return SourceReconciled(
        source=source,
        id=identifier,
        day=manifest.day,
        first_number=manifest.first_number,
        last_number=manifest.last_number,
        as_of=as_of,
        result="differs" if disagrees else "not_accepted" if found.refused else "agrees",
        expected=manifest.count,
        arrived=walked.count,
        accepted=walked.count - len(refused),
        missing=[NumberRange(first=first, last=last) for first, last in islice(missing, SHOWN)],
        missing_count=size(missing),
        extra=walked.extra[:SHOWN],
        extra_count=len(walked.extra),
        different=different[:SHOWN],
        not_accepted=[_not_accepted(each) for each in found.refused[:SHOWN]],
        not_accepted_count=len(found.refused),
        repeated=walked.repeated[:SHOWN],
        repeated_count=len(walked.repeated),
    )


def may_still_come(answer: SourceReconciled) -> bool:
    """Whether something of it may be on its way, so that a later look finds more."""
    return answer.missing_count > 0 or any(each.state == "waiting" for each in answer.not_accepted)


def digest_of(ids: Iterable[str]) -> str:
    """The digest of ids as a manifest has it."""
    told = sha256()
    for each in sorted(name.encode() for name in ids):
        told.update(each + b"\0")
    return told.hexdigest()


@dataclass(slots=True)
class _Walked:
    """What a walk over the arrivals found; `spans` are the expected numbers that did arrive, in order."""

    count: int = 0
    spans: list[Span] = field(default_factory=list)
    extra: list[ExtraMovement] = field(default_factory=list)
    repeated: list[RepeatedNumber] = field(default_factory=list)


def _walk(manifest: SourceManifest, arrivals: Iterable[Arrival]) -> _Walked:
    """Go through what arrived once, number by number."""
    walked = _Walked()
    named = {each.number: each.id for each in manifest.listed}
    skipped = _Pointer(unused(manifest))
    number, ids = 0, list[str]()
    for each in arrivals:
        walked.count += 1
        if each.number != number:
            _note_repeated(walked, number, ids)
            number, ids = each.number, []
        if each.id is not None:
            ids.append(each.id)
        is_other = bool(named) and each.id is not None and each.id != named.get(each.number)
        if skipped.has(each.number) or is_other:
            walked.extra.append(ExtraMovement(number=each.number, id=each.id))
        elif walked.spans and each.number <= walked.spans[-1][1] + 1:
            walked.spans[-1] = (walked.spans[-1][0], each.number)
        else:
            walked.spans.append((each.number, each.number))
    _note_repeated(walked, number, ids)
    return walked


def _note_repeated(walked: _Walked, number: int, ids: list[str]) -> None:
    if len(ids) > 1:
        walked.repeated.append(RepeatedNumber(number=number, ids=ids[:SHOWN]))


class _Pointer:
    """Says of numbers, asked for in order, whether they are in some spans."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._rest = iter(spans)
        self._span = next(self._rest, None)

    def has(self, number: int) -> bool:
        """Whether a span has this number."""
        while self._span is not None and self._span[1] < number:
            self._span = next(self._rest, None)
        return self._span is not None and self._span[0] <= number


def _not_accepted(refused: Refused) -> NotAccepted:
    return NotAccepted(number=refused.number, id=refused.id, state=refused.state, codes=list(refused.codes))


def _different(manifest: SourceManifest, found: Found, walked: _Walked, *, is_whole: bool) -> Iterator[DifferentTotal]:
    """Every total that is not as told; the digest of a set that is not whole says nothing more."""
    if walked.count != manifest.count:
        yield DifferentTotal(code="count_differs", expected=str(manifest.count), found=str(walked.count))
    for total in manifest.totals:
        yield from _different_total(total, found.sums.get(total.purpose, Sums()))
    if manifest.digest is not None and found.digest != manifest.digest and is_whole:
        yield DifferentTotal(code="digest_differs", expected=manifest.digest, found=found.digest or "")


def _different_total(told: ManifestTotal, sums: Sums) -> Iterator[DifferentTotal]:
    purpose = told.purpose
    if told.count is not None and told.count != sums.count:
        yield DifferentTotal(code="count_differs", purpose=purpose, expected=str(told.count), found=str(sums.count))
    if told.quantity is not None and told.quantity != sums.quantity:
        both = {"expected": plain(told.quantity), "found": plain(sums.quantity)}
        yield DifferentTotal(code="quantity_differs", purpose=purpose, **both)
    if told.net is not None and told.net != sums.net:
        yield DifferentTotal(code="net_differs", purpose=purpose, expected=plain(told.net), found=plain(sums.net))
    if told.tax is not None and told.tax != sums.tax:
        yield DifferentTotal(code="tax_differs", purpose=purpose, expected=plain(told.tax), found=plain(sums.tax))


def _said_unused(manifest: SourceManifest) -> list[Span]:
    return merged(sorted((each.first, each.last) for each in manifest.unused))


def _numbers_faults(manifest: SourceManifest) -> Iterator[Reason]:
    first, last = manifest.first_number, manifest.last_number
    spans = [(each.first, each.last) for each in manifest.unused]
    spans += [(each.number, each.number) for each in manifest.listed]
    outside = sorted(span for span in spans if not first <= span[0] <= span[1] <= last)
    if outside:
        numbers = "–".join(map(str, outside[0]))
        yield _reason("manifest_number_outside", number=numbers, first_number=first, last_number=last)
        return
    if size(merged(sorted(spans))) != size(spans):
        yield _reason("manifest_number_repeated", times=size(spans) - size(merged(sorted(spans))) + 1)
        return
    counted = len(manifest.listed) or last - first + 1 - size(_said_unused(manifest))
    if counted != manifest.count:
        yield _reason("manifest_count_wrong", count=manifest.count, counted=counted)
    if manifest.listed and manifest.digest not in (None, digest_of(each.id for each in manifest.listed)):
        yield _reason("manifest_digest_wrong", digest=manifest.digest)


def _totals_faults(manifest: SourceManifest) -> Iterator[Reason]:
    times = Counter(each.purpose for each in manifest.totals)
    repeated = sorted(purpose for purpose, count in times.items() if count > 1)
    if repeated:
        yield _reason("manifest_total_repeated", purpose=repeated[0])


def _reason(code: str, **facts: object) -> Reason:
    return Reason(code, None, {name: str(value) for name, value in facts.items()})
