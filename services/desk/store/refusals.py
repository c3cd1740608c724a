"""The movements that receiving refused, with the reasons that it told."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from shared.contracts.codec import decoder, read
from shared.contracts.outcome import OutcomeRejected
from shared.db import query
from shared.service import Key

_REFUSED = """
SELECT source, id, purpose, cast(outcome AS text) AS outcome,
    EXISTS (SELECT FROM receiving.waiters AS each WHERE (each.source, each.id) = (outcome.source, outcome.id)) AS waits
FROM receiving.outcome
WHERE kind = 'movement.requested' AND NOT accepted
    AND (cast(:source AS text) IS NULL OR source = :source)
    AND (cast(:company AS text) IS NULL OR company = :company)
    AND (cast(:until AS timestamptz) IS NULL OR recorded_at <= :until)
    AND (cast(:ids AS text[]) IS NULL OR id = ANY(cast(:ids AS text[])))
    AND (cast(:code AS text) IS NULL OR EXISTS (
        SELECT FROM json_array_elements(outcome -> 'reasons') AS reason WHERE reason ->> 'code' = :code))
ORDER BY recorded_at, source, id LIMIT :limit
"""

_rejected = decoder(OutcomeRejected)


@dataclass(frozen=True, slots=True)
class Refused:
    """Which refused movements are meant; None is no narrowing. `until`: refused then, or before."""

    source: str | None = None
    ids: Collection[str] | None = None
    code: str | None = None
    company: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused movement. `waits`: it is being judged again."""

    outcome: OutcomeRejected
    purpose: str | None
    waits: bool

    @property
    def key(self) -> Key:
        """What names the movement for ever."""
        return (self.outcome.source, self.outcome.id)


def refusals(connection: Connection, which: Refused, limit: int | None = None) -> list[Refusal]:
    """The chosen refused movements, the oldest first; `limit` None: all of them."""
    about = {"source": which.source, "company": which.company, "until": which.until, "code": which.code}
    ids = None if which.ids is None else list(which.ids)
    rows = query(connection, _REFUSED, ids=ids, limit=limit, **about)
    return [Refusal(read(_rejected, row.outcome.encode()), row.purpose, row.waits) for row in rows]
