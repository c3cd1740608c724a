"""The chain of journal entries: who appends to it, what has no link yet, and heads that are to be told.

The one idea: an entry is linked when it has its number, and numbers have no gaps: what has no link yet is told by
ranges of them. Those go and the links come in one transaction, under the row of the company's head.
"""

from datetime import datetime

from sqlalchemy import Connection

from shared.chain import SIZE, Chain, Head, beginning, hashes, told
from shared.contracts.audit import AuditHead
from shared.db import columns, query, run

SCHEMA = "accounting"

_MAKE_HEADS = """
INSERT INTO accounting.chain_head (company) SELECT DISTINCT company FROM accounting.unchained
WHERE NOT EXISTS (SELECT FROM accounting.chain_head AS head WHERE head.company = unchained.company)
ORDER BY company ON CONFLICT (company) DO NOTHING
"""
# Those that are behind the others come first.
_TAKE_HEADS = """
SELECT company, position, hash FROM accounting.chain_head WHERE company IN (SELECT company FROM accounting.unchained)
ORDER BY recorded_at NULLS FIRST, company LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
"""
# A statement of its own: it has to see what those left who held the head before. An entry that is gone before it has a
# link is covered all the same, by the digest of nothing: so it is found to be missing. By OFFSET 0 each is looked up by
# its key, whatever the planner thinks of how many there are.
_TAKE = """
WITH taken AS (
    DELETE FROM accounting.unchained WHERE company = :company AND (year, first) IN (
        SELECT year, first FROM (
            SELECT year, first, sum(last - first + 1) OVER (ORDER BY year, first) - (last - first + 1) AS before
            FROM (
                SELECT year, first, last FROM accounting.unchained WHERE company = :company
                ORDER BY year, first LIMIT :limit) AS next
        ) AS counted WHERE before < :limit)
    RETURNING year, first, last
), covered AS (
    SELECT given.year, given.number, given.journal_entry FROM taken JOIN accounting.journal_number AS given
        ON given.company = :company AND given.year = taken.year AND given.number BETWEEN taken.first AND taken.last
)
SELECT array_agg(cast(journal_entry AS text) ORDER BY year, number) AS covers,
    string_agg(sha256(convert_to(coalesce(content, ''), 'UTF8')), cast('' AS bytea) ORDER BY year, number) AS digests,
    max(recorded_at) AS recorded_at
FROM covered LEFT JOIN LATERAL (
    SELECT content, recorded_at FROM accounting.chain_content
    WHERE (company, covers) = (:company, covered.journal_entry) OFFSET 0
) AS own ON true
HAVING count(*) > 0
"""
_APPEND = f"""
INSERT INTO accounting.chain (company, position, covers, digest, hash)
SELECT :company, :position + place, covers, substr(:digests, cast(place - 1 AS integer) * {SIZE} + 1, {SIZE}),
    substr(:hashes, cast(place - 1 AS integer) * {SIZE} + 1, {SIZE})
FROM unnest(cast(:covers AS uuid[])) WITH ORDINALITY AS each (covers, place)
"""
_MOVE_HEAD = """
UPDATE accounting.chain_head SET position = :position, hash = :hash,
    recorded_at = coalesce(greatest(recorded_at, cast(:recorded_at AS timestamptz)), now())
WHERE company = :company
"""
_TAKE_UNTOLD = """
WITH due AS (
    SELECT company FROM accounting.chain_head
    WHERE position > 0 AND (company IN (SELECT company FROM accounting.head_asked)
        OR position > told_position AND told_at <= now() - make_interval(secs => :pause))
    ORDER BY company FOR NO KEY UPDATE SKIP LOCKED
), answered AS (
    DELETE FROM accounting.head_asked WHERE company IN (SELECT company FROM due)
)
UPDATE accounting.chain_head AS head SET told_position = position, told_at = now() FROM due
WHERE head.company = due.company
RETURNING head.company, position, hash, recorded_at
"""


def make_heads(connection: Connection) -> int:
    """Make the heads of companies that have entries without a link for the first time; how many."""
    return run(connection, _MAKE_HEADS)


def take_heads(connection: Connection, limit: int) -> list[Head]:
    """The heads of companies that have entries without a link, and that nobody else holds; they are held now."""
    return [
        Head(row.company, row.position, beginning(Chain.JOURNAL, row.company) if row.hash is None else bytes(row.hash))
        for row in query(connection, _TAKE_HEADS, limit=limit)
    ]


def append(connection: Connection, head: Head, limit: int) -> int:
    """Give links to about `limit` entries of a company whose head is held; to how many."""
    for row in query(connection, _TAKE, company=head.company, limit=limit):
        _append(connection, head, row.covers, bytes(row.digests), row.recorded_at)
        return len(row.covers)
    return 0


def take_untold(connection: Connection, pause: float) -> list[AuditHead]:
    """What is to be told of heads now: of those that somebody asked for, and of those that have moved.

    The latter not before `pause` seconds have passed since they were told last.
    """
    rows = query(connection, _TAKE_UNTOLD, pause=pause)
    return [
        told(Head(row.company, row.position, bytes(row.hash)), Chain.JOURNAL, row.recorded_at, SCHEMA)
        for row in sorted(rows, key=lambda row: row.company)
    ]


def _append(
    connection: Connection, head: Head, covers: list[str], digests: bytes, recorded_at: datetime | None
) -> None:
    company, before = head.company, head.position
    linked = hashes(head.hash, before, digests)
    names = columns([[each] for each in covers], "covers")
    run(connection, _APPEND, company=company, position=before, digests=digests, hashes=linked, **names)
    moved = {"position": before + len(covers), "hash": linked[-SIZE:], "recorded_at": recorded_at}
    run(connection, _MOVE_HEAD, company=company, **moved)
