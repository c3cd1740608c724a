"""The chain of ledger entries: who appends to it, what has no link yet, and heads that are to be told.

The one idea: the schema itself queues whatever is appended, so nothing is searched for; the queue's rows go and the
links come in one transaction, under the row of the company's head.
"""

from datetime import datetime

from sqlalchemy import Connection

from services.ledger.store.rows import fetch
from shared.chain import SIZE, Chain, Head, beginning, hashes, told
from shared.contracts.audit import AuditHead
from shared.db import columns, run

SCHEMA = "ledger"

_MAKE_HEADS = """
INSERT INTO ledger.chain_head (company) SELECT DISTINCT company FROM ledger.unchained
WHERE NOT EXISTS (SELECT FROM ledger.chain_head AS head WHERE head.company = unchained.company)
ORDER BY company ON CONFLICT (company) DO NOTHING
"""
# Those that are behind the others come first.
_TAKE_HEADS = """
SELECT company, position, hash FROM ledger.chain_head WHERE company IN (SELECT company FROM ledger.unchained)
ORDER BY recorded_at NULLS FIRST, company LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
"""
# A statement of its own: it has to see what those left who held the head before. An entry that is gone before it has a
# link is covered all the same, by the digest of nothing: so it is found to be missing. By OFFSET 0 each is looked up by
# its key, whatever the planner thinks of how many there are.
_TAKE = """
WITH taken AS (
    DELETE FROM ledger.unchained WHERE company = :company AND first IN (
        SELECT first FROM (
            SELECT first, sum(size) OVER (ORDER BY first) - size AS before
            FROM (SELECT first, size FROM ledger.unchained WHERE company = :company ORDER BY first LIMIT :limit) AS next
        ) AS counted WHERE before < :limit)
    RETURNING first, entries
), covered AS (
    SELECT first, place, entry_id
    FROM taken CROSS JOIN LATERAL unnest(entries) WITH ORDINALITY AS each (entry_id, place)
)
SELECT array_agg(cast(entry_id AS text) ORDER BY first, place),
    string_agg(sha256(convert_to(coalesce(content, ''), 'UTF8')), cast('' AS bytea) ORDER BY first, place),
    max(recorded_at)
FROM covered LEFT JOIN LATERAL (
    SELECT content, recorded_at FROM ledger.chain_content WHERE (company, covers) = (:company, entry_id) OFFSET 0
) AS own ON true
HAVING count(*) > 0
"""
_APPEND = f"""
INSERT INTO ledger.chain (company, position, covers, digest, hash)
SELECT :company, :position + place, covers, substr(:digests, cast(place - 1 AS integer) * {SIZE} + 1, {SIZE}),
    substr(:hashes, cast(place - 1 AS integer) * {SIZE} + 1, {SIZE})
FROM unnest(cast(:covers AS uuid[])) WITH ORDINALITY AS each (covers, place)
"""
_MOVE_HEAD = """
UPDATE ledger.chain_head SET position = :position, hash = :hash,
    recorded_at = coalesce(greatest(recorded_at, cast(:recorded_at AS timestamptz)), now())
WHERE company = :company
"""
_TAKE_UNTOLD = """
WITH due AS (
    SELECT company FROM ledger.chain_head
    WHERE position > 0 AND (company IN (SELECT company FROM ledger.head_asked)
        OR position > told_position AND told_at <= now() - make_interval(secs => :pause))
    ORDER BY company FOR NO KEY UPDATE SKIP LOCKED
), answered AS (
    DELETE FROM ledger.head_asked WHERE company IN (SELECT company FROM due)
)
UPDATE ledger.chain_head AS head SET told_position = position, told_at = now() FROM due
WHERE head.company = due.company
RETURNING head.company, position, hash, recorded_at
"""


def make_heads(connection: Connection) -> int:
    """Make the heads of companies that have entries without a link for the first time; how many."""
    return run(connection, _MAKE_HEADS)


def take_heads(connection: Connection, limit: int) -> list[Head]:
    """The heads of companies that have entries without a link, and that nobody else holds; they are held now."""
    return [
        Head(company, position, beginning(Chain.LEDGER, company) if last is None else bytes(last))
        for company, position, last in fetch(connection, _TAKE_HEADS, limit=limit)
    ]


def append(connection: Connection, head: Head, limit: int) -> int:
    """Give links to about `limit` entries of a company whose head is held; to how many."""
    for covers, digests, recorded_at in fetch(connection, _TAKE, company=head.company, limit=limit):
        _append(connection, head, covers, bytes(digests), recorded_at)
        return len(covers)
    return 0


def take_untold(connection: Connection, pause: float) -> list[AuditHead]:
    """What is to be told of heads now: of those that somebody asked for, and of those that have moved.

    The latter not before `pause` seconds have passed since they were told last.
    """
    rows = fetch(connection, _TAKE_UNTOLD, pause=pause)
    return [
        told(Head(company, position, bytes(last)), Chain.LEDGER, recorded_at, SCHEMA)
        for company, position, last, recorded_at in sorted(rows)
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
