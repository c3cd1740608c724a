"""Warranty claims: from the complaint to what came of it, by the states that may follow one another."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.aftercare.decide.facts import Dossier, Said, Unit
from shared.contracts.aftercare import ClaimOpened, ClaimState, ClaimUpdated, Resolution
from shared.contracts.outcome import Remark

COVERED = "covered"
NOT_COVERED = "not_covered"


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim as it stands: what was complained of, its `state` since when, and what came of it.

    `decided` says whether it was found covered when it was accepted, and why.
    """

    opened: Said
    complaint: ClaimOpened
    state: ClaimState
    since: datetime
    decided: Remark | None
    updates: tuple[Said, ...] = field(default=())
    resolution: Resolution | None = None
    resolved_at: datetime | None = None
    replacement: Unit | None = None
    note: str = ""

    @property
    def is_covered(self) -> bool:
        """Whether it was found covered."""
        return self.decided is not None and self.decided.code == COVERED


def claims(dossier: Dossier) -> dict[str, Claim]:
    """The claims of a unit by their names, in the order in which they were opened."""
    found: dict[str, Claim] = {}
    for each in dossier.said:
        if isinstance(each.what, ClaimOpened):
            found[each.what.claim] = _opened(each, each.what)
        elif isinstance(each.what, ClaimUpdated) and each.what.claim in found:
            found[each.what.claim] = _updated(found[each.what.claim], each, each.what)
    return found


def may_follow(state: ClaimState, then: ClaimState) -> bool:
    """Whether a claim may go from one state to another."""
    return then in _THEN[state]


def may_still_follow(state: ClaimState, then: ClaimState) -> bool:
    """Whether it may get there by way of other states: then what lies between may only be late."""
    reached, further = set(_THEN[state]), list(_THEN[state])
    while further:
        behind = [each for each in _THEN[further.pop()] if each not in reached]
        reached.update(behind)
        further += behind
    return then in reached


def _opened(said: Said, what: ClaimOpened) -> Claim:
    decided = next((each for each in said.remarks if each.code in (COVERED, NOT_COVERED)), None)
    return Claim(said, what, ClaimState.OPEN, what.at, decided)


def _updated(claim: Claim, said: Said, what: ClaimUpdated) -> Claim:
    after = replace(
        claim, state=what.state, since=what.at, updates=(*claim.updates, said), note=what.note or claim.note
    )
    if what.state is not ClaimState.RESOLVED:
        return after
    return replace(after, resolution=what.resolution, resolved_at=what.at, replacement=said.other)


_THEN: Mapping[ClaimState, tuple[ClaimState, ...]] = {
    ClaimState.OPEN: (ClaimState.IN_WORK, ClaimState.WAITING, ClaimState.RESOLVED),
    ClaimState.IN_WORK: (ClaimState.WAITING, ClaimState.RESOLVED),
    ClaimState.WAITING: (ClaimState.IN_WORK, ClaimState.RESOLVED),
    ClaimState.RESOLVED: (ClaimState.CLOSED,),
    ClaimState.CLOSED: (),
}
"""From which state a claim goes where; what is resolved stays so, and what breaks once more is another claim."""
