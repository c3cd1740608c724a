"""A movement that is named by its id alone: of which sources there is one, and how far each is."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from shared.db import query
from shared.service import Key

# From one source to the next, each by a look at the primary key: there are few sources, and many movements.
_CALLED = """
WITH RECURSIVE sources (source) AS (
    (SELECT source FROM receiving.movement ORDER BY source LIMIT 1)
    UNION ALL
    SELECT (SELECT source FROM receiving.movement WHERE source > sources.source ORDER BY source LIMIT 1)
    FROM sources WHERE source IS NOT NULL
)
SELECT source, company, CASE
        WHEN allocated IS NULL THEN 'rejected'
        WHEN EXISTS (SELECT FROM ledger.posted AS each WHERE (each.source, each.id) = (movement.source, movement.id))
            THEN 'posted'
        ELSE 'accepted'
    END AS stage
FROM sources JOIN receiving.movement USING (source) WHERE id = :name
    AND NOT EXISTS (SELECT FROM receiving.waiters AS each WHERE (each.source, each.id) = (movement.source, movement.id))
UNION ALL
SELECT source, NULL, 'waiting' FROM receiving.waiters WHERE id = :name AND kind = 'movement.requested.v1'
ORDER BY source
"""


class Stage(StrEnum):
    """How far a movement is."""

    WAITING = "waiting"
    REJECTED = "rejected"
    ACCEPTED = "accepted"
    POSTED = "posted"


@dataclass(frozen=True, slots=True)
class Called:
    """A movement of that id. `company` is None where it is not known yet."""

    key: Key
    company: str | None
    stage: Stage


def movements_called(connection: Connection, name: str) -> list[Called]:
    """The movements of all sources that have this id."""
    rows = query(connection, _CALLED, name=name)
    return [Called((row.source, name), row.company, Stage(row.stage)) for row in rows]
