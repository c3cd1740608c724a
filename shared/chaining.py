"""The links of a service's entries: who appends them, off the path of movements, and who tells the heads.

The one idea: the schema itself queues whatever is appended, so nothing is searched for; what is queued goes and the
links come in one transaction, under the row of the company's head. Each service that is chained has the tables
`<schema>.chain`, `chain_head`, `head_asked` and `unchained`, the view `chain_content`, and says how to take out of its
queue.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from time import monotonic

from sqlalchemy import Connection

from shared import outbox
from shared.chain import SIZE, Chain, Head, beginning, hashes, told
from shared.contracts.audit import AuditHead
from shared.contracts.codec import write
from shared.contracts.registry import AUDIT_HEAD
from shared.db import columns, query, run
from shared.service import Handled, Output, Step

AT_ONCE = 200
"""About how many entries of a company get their links in one transaction."""
COMPANIES = 10
"""Of how many companies."""
SECONDS = 0.02
"""How long one sweep goes on at most, however much there is: messages wait meanwhile."""
PAUSE = 60.0
"""Seconds after which the head of a company that has moved is told again."""

_MAKE_HEADS = """
INSERT INTO {schema}.chain_head (company) SELECT DISTINCT company FROM {schema}.unchained
WHERE NOT EXISTS (SELECT FROM {schema}.chain_head AS head WHERE head.company = unchained.company)
ORDER BY company ON CONFLICT (company) DO NOTHING
"""
# Those that are behind the others come first.
_TAKE_HEADS = """
SELECT company, position, hash FROM {schema}.chain_head WHERE company IN (SELECT company FROM {schema}.unchained)
ORDER BY recorded_at NULLS FIRST, company LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
"""
_APPEND = """
INSERT INTO {schema}.chain (company, position, covers, digest, hash)
SELECT :company, :position + place, covers, substr(:digests, cast(place - 1 AS integer) * {size} + 1, {size}),
    substr(:hashes, cast(place - 1 AS integer) * {size} + 1, {size})
FROM unnest(cast(:covers AS uuid[])) WITH ORDINALITY AS each (covers, place)
"""
_MOVE_HEAD = """
UPDATE {schema}.chain_head SET position = :position, hash = :hash,
    recorded_at = coalesce(greatest(recorded_at, cast(:recorded_at AS timestamptz)), now())
WHERE company = :company
"""
_TAKE_UNTOLD = """
WITH due AS (
    SELECT company FROM {schema}.chain_head
    WHERE position > 0 AND (company IN (SELECT company FROM {schema}.head_asked)
        OR position > told_position AND told_at <= now() - make_interval(secs => :pause))
    ORDER BY company FOR NO KEY UPDATE SKIP LOCKED
), answered AS (
    DELETE FROM {schema}.head_asked WHERE company IN (SELECT company FROM due)
)
UPDATE {schema}.chain_head AS head SET told_position = position, told_at = now() FROM due
WHERE head.company = due.company
RETURNING head.company, position, hash, recorded_at
"""


@dataclass(frozen=True, slots=True)
class Chained:
    """What a service chains. `take` takes about `:limit` entries of `:company` out of what has no link yet.

    It gives no row, or one: the ids of the entries, their digests in a row, and when the last of them was recorded. It
    runs when the head is held, as a statement of its own: it has to see what those left who held the head before.
    """

    schema: str
    chain: Chain
    take: str

    def sql(self, statement: str) -> str:
        return statement.format(schema=self.schema, size=SIZE)


def sweeps(chained: Chained) -> Sequence[Step]:
    """The steps that link what has no link, and tell the heads."""
    return partial(link, chained), partial(tell_heads, chained)


def link(chained: Chained, connection: Connection) -> Handled:
    """Give links to what has none, and go on for a while where there is more."""
    made = run(connection, chained.sql(_MAKE_HEADS))
    linking = partial(_link, chained, monotonic() + SECONDS)
    # A head that is new is committed first: whoever met it half made would wait, and not pass it over.
    return Handled(then=linking) if made else linking(connection)


def tell_heads(chained: Chained, connection: Connection) -> Handled:
    """Tell the heads that moved, or that somebody asked for; they hang on no message, so through the outbox."""
    heads = take_untold(chained, connection, PAUSE)
    outputs = [Output(AUDIT_HEAD, each.source, each.id, write(each)) for each in heads]
    outbox.add(connection, chained.schema, outputs)
    return Handled(outputs, [(each.source, each.id) for each in outputs])


def take_heads(chained: Chained, connection: Connection, limit: int) -> list[Head]:
    """The heads of companies that have entries without a link, and that nobody else holds; they are held now."""
    return [
        Head(row.company, row.position, beginning(chained.chain, row.company) if row.hash is None else bytes(row.hash))
        for row in query(connection, chained.sql(_TAKE_HEADS), limit=limit)
    ]


def append(chained: Chained, connection: Connection, head: Head, limit: int) -> int:
    """Give links to about `limit` entries of a company whose head is held; to how many."""
    for row in query(connection, chained.take, company=head.company, limit=limit):
        covers, digests, recorded_at = tuple(row)
        _append(chained, connection, head, covers, bytes(digests), recorded_at)
        return len(covers)
    return 0


def take_untold(chained: Chained, connection: Connection, pause: float) -> list[AuditHead]:
    """What is to be told of heads now: of those that somebody asked for, and of those that have moved.

    The latter not before `pause` seconds have passed since they were told last.
    """
    rows = query(connection, chained.sql(_TAKE_UNTOLD), pause=pause)
    return [
        told(Head(row.company, row.position, bytes(row.hash)), chained.chain, row.recorded_at, chained.schema)
        for row in sorted(rows, key=lambda row: row.company)
    ]


def _link(chained: Chained, until: float, connection: Connection) -> Handled:
    heads = take_heads(chained, connection, COMPANIES)
    linked = [append(chained, connection, each, AT_ONCE) for each in heads]
    is_more = len(heads) == COMPANIES or any(each >= AT_ONCE for each in linked)
    goes_on = is_more and monotonic() < until
    return Handled(then=partial(_link, chained, until) if goes_on else None, more=is_more)


def _append(
    chained: Chained, connection: Connection, head: Head, covers: list[str], digests: bytes, at: datetime | None
) -> None:
    company, before = head.company, head.position
    linked = hashes(head.hash, before, digests)
    names = columns([[each] for each in covers], "covers")
    append_links = chained.sql(_APPEND)
    run(connection, append_links, company=company, position=before, digests=digests, hashes=linked, **names)
    moved = {"position": before + len(covers), "hash": linked[-SIZE:], "recorded_at": at}
    run(connection, chained.sql(_MOVE_HEAD), company=company, **moved)
