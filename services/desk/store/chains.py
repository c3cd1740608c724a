"""The chains of both services: how far they have come, their links with what those cover, and links that do not hold.

The one idea: both chains have the same tables under the same names, so there is one statement of each kind. What is
wrong is found inside the database, and streamed: whatever there is to look through, little of it is held.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from shared.chain import Chain
from shared.db import query, run, stream

SCHEMAS = {Chain.LEDGER: "ledger", Chain.JOURNAL: "accounting"}

# As of one moment, however long it takes, and whatever comes in meanwhile.
_AT_ONE_MOMENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
_TAKE_TIME = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
_HEADS = """
SELECT company, position, hash, recorded_at, told_position, told_at, waiting FROM {schema}.chain_heads
WHERE cast(:company AS text) IS NULL OR company = :company ORDER BY company
"""
_ASK = """
INSERT INTO {schema}.head_asked (company) SELECT company FROM {schema}.chain_heads
WHERE position > 0 AND (cast(:company AS text) IS NULL OR company = :company)
ON CONFLICT (company) DO NOTHING
"""
_HASH_AT = "SELECT hash FROM {schema}.chain WHERE company = :company AND position = :position"
_LINKS = """
SELECT position, cast(covers AS text) AS covers, digest, hash, content
FROM {schema}.chain LEFT JOIN {schema}.chain_content USING (company, covers)
WHERE company = :company AND position BETWEEN :first AND :last ORDER BY position
"""
# What has no link, though nothing says that it is still to get one.
_UNLINKED = {
    Chain.LEDGER: """
SELECT entry.company, cast(entry.entry_id AS text) AS covers FROM ledger.entry
WHERE (cast(:company AS text) IS NULL OR entry.company = :company)
    AND NOT EXISTS (SELECT FROM ledger.chain WHERE (chain.company, chain.covers) = (entry.company, entry.entry_id))
    AND NOT EXISTS (
        SELECT FROM (SELECT company, unnest(entries) AS entry_id FROM ledger.unchained) AS queued
        WHERE (queued.company, queued.entry_id) = (entry.company, entry.entry_id))
""",
    Chain.JOURNAL: """
SELECT entry.company, cast(entry.journal_entry AS text) AS covers FROM accounting.journal_entry AS entry
WHERE (cast(:company AS text) IS NULL OR entry.company = :company)
    AND NOT EXISTS (
        SELECT FROM accounting.chain WHERE (chain.company, chain.covers) = (entry.company, entry.journal_entry))
    AND NOT EXISTS (
        SELECT FROM accounting.unnumbered AS queued
        WHERE (queued.company, queued.journal_entry) = (entry.company, entry.journal_entry))
    AND NOT EXISTS (
        SELECT FROM accounting.journal_number AS given JOIN accounting.unchained AS queued
            ON (queued.company, queued.year) = (given.company, given.year)
                AND given.number BETWEEN queued.first AND queued.last
        WHERE (given.company, given.journal_entry) = (entry.company, entry.journal_entry))
""",
}
_UNLINKED_CONTENTS = """
SELECT unlinked.covers, content FROM ({unlinked}) AS unlinked
JOIN {schema}.chain_content AS own ON own.company = unlinked.company AND own.covers = cast(unlinked.covers AS uuid)
"""
_TABLES = {
    Chain.LEDGER: ("ledger.entry", "entry_id", "ledger.entry_serial"),
    Chain.JOURNAL: ("accounting.journal_entry", "journal_entry", "accounting.transfer"),
}
# Each row is what is wrong: in which table, of which company, at which link, of which row.
_CHANGED = """
SELECT '{table}' AS "table", company, position, cast(covers AS text) AS covers,
    CASE WHEN content IS NULL THEN 'the row is missing' ELSE 'the row was changed' END AS what,
    'digest ' || encode(digest, 'hex') AS expected,
    coalesce('digest ' || encode(sha256(convert_to(content, 'UTF8')), 'hex'), 'nothing') AS found
FROM {schema}.chain LEFT JOIN {schema}.chain_content USING (company, covers)
WHERE (cast(:company AS text) IS NULL OR company = :company)
    AND digest IS DISTINCT FROM sha256(convert_to(content, 'UTF8'))
"""
_NOT_LINKED = """
SELECT '{table}' AS "table", company, cast(NULL AS bigint) AS position, covers, 'the row was inserted' AS what,
    'a link that covers it' AS expected, 'nothing' AS found
FROM ({unlinked}) AS unlinked
"""
# Of a part whose whole is not there nothing is covered.
_LOOSE = """
SELECT DISTINCT '{parts}' AS "table", part.company, cast(NULL AS bigint) AS position,
    cast(part.{name} AS text) AS covers, 'a part was inserted' AS what, 'the row of {table}' AS expected,
    'nothing' AS found
FROM {parts} AS part WHERE (cast(:company AS text) IS NULL OR part.company = :company)
    AND NOT EXISTS (SELECT FROM {table} AS whole WHERE (whole.company, whole.{name}) = (part.company, part.{name}))
"""
_NOT_FOLLOWING = """
SELECT '{schema}.chain' AS "table", company, position, cast(covers AS text) AS covers,
    CASE WHEN position <> before + 1 THEN 'links are missing' ELSE 'the link was changed' END AS what,
    CASE WHEN position <> before + 1 THEN 'link ' || before + 1 ELSE 'hash ' || encode(expected, 'hex') END AS expected,
    CASE WHEN position <> before + 1 THEN 'link ' || position ELSE 'hash ' || encode(hash, 'hex') END AS found
FROM (
    SELECT company, position, covers, hash, coalesce(lag(position) OVER chain, 0) AS before,
        sha256(coalesce(lag(hash) OVER chain, sha256(convert_to(cast(array_to_json(
            ARRAY['chain.v1', '{chain}', company]) AS text), 'UTF8'))) || int8send(position) || digest) AS expected
    FROM {schema}.chain WHERE cast(:company AS text) IS NULL OR company = :company
    WINDOW chain AS (PARTITION BY company ORDER BY position)
) AS link WHERE position <> before + 1 OR hash <> expected
"""
_NOT_AT_ITS_HEAD = """
SELECT '{schema}.chain_head' AS "table", coalesce(head.company, last.company) AS company,
    coalesce(last.position, 0) AS position, cast(NULL AS text) AS covers, 'the head is not that of the chain' AS what,
    concat_ws(' ', 'link', coalesce(head.position, 0), encode(head.hash, 'hex')) AS expected,
    concat_ws(' ', 'link', coalesce(last.position, 0), encode(last.hash, 'hex')) AS found
FROM (SELECT * FROM {schema}.chain_head WHERE cast(:company AS text) IS NULL OR company = :company) AS head
FULL JOIN (
    SELECT DISTINCT ON (company) company, position, hash FROM {schema}.chain
    WHERE cast(:company AS text) IS NULL OR company = :company ORDER BY company, position DESC
) AS last USING (company)
WHERE (coalesce(head.position, 0), head.hash) IS DISTINCT FROM (coalesce(last.position, 0), last.hash)
"""
_LOOKS = (_NOT_FOLLOWING, _NOT_AT_ITS_HEAD, _CHANGED, _NOT_LINKED, _LOOSE)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a chain has come, and what was told of it last; `waiting` entries have no link yet."""

    company: str
    chain: Chain
    position: int
    hash: bytes | None
    recorded_at: datetime | None
    told_position: int
    told_at: datetime | None
    waiting: int


@dataclass(frozen=True, slots=True)
class Link:
    """A link, and the content of what it covers; None: that is not there any more."""

    position: int
    covers: str
    digest: bytes
    hash: bytes
    content: str | None


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """Something that contradicts a chain: in which table, at which link, of which row; what must stand there."""

    table: str
    company: str
    chain: Chain
    position: int | None
    covers: str | None
    what: str
    expected: str
    found: str


def at_one_moment(connection: Connection) -> None:
    """Read from now on as if nothing came in, for as long as it takes; the first thing in a transaction."""
    run(connection, _AT_ONE_MOMENT)
    run(connection, _TAKE_TIME)


def standings(connection: Connection, company: str | None = None) -> list[Standing]:
    """How far each chain has come, company by company."""
    rows = [(chain, row) for chain in Chain for row in query(connection, _of(chain, _HEADS), company=company)]
    return [_standing(chain, row) for chain, row in sorted(rows, key=lambda each: (each[1].company, each[0].value))]


def ask(connection: Connection, company: str | None = None) -> int:
    """Have heads told at the next sweep, whether they moved or not; how many."""
    return sum(run(connection, _of(chain, _ASK), company=company) for chain in Chain)


def hash_at(connection: Connection, chain: Chain, company: str, position: int) -> bytes | None:
    """The hash of a link; None: there is no such link."""
    rows = query(connection, _of(chain, _HASH_AT), company=company, position=position)
    return bytes(rows[0].hash) if rows else None


def links(connection: Connection, chain: Chain, company: str, first: int, last: int) -> Iterator[Link]:
    """The links of a chain, from one position to another, with what they cover."""
    for row in stream(connection, _of(chain, _LINKS), company=company, first=first, last=last):
        yield Link(row.position, row.covers, bytes(row.digest), bytes(row.hash), row.content)


def unlinked(connection: Connection, chain: Chain, company: str) -> Iterator[str]:
    """The contents of what no link covers, though it is not waiting for one."""
    for row in stream(connection, _of(chain, _UNLINKED_CONTENTS), company=company):
        yield row.content


def broken_links(connection: Connection, company: str | None = None) -> Iterator[BrokenLink]:
    """All that contradicts the chains, of one company or of all: what was changed, removed or inserted."""
    for chain in Chain:
        for look in _LOOKS:
            for row in stream(connection, _of(chain, look), company=company):
                where = (row.table, row.company, chain, row.position, row.covers)
                yield BrokenLink(*where, row.what, row.expected, row.found)


def _of(chain: Chain, statement: str) -> str:
    """A statement for the tables of one chain."""
    table, name, parts = _TABLES[chain]
    names = {"schema": SCHEMAS[chain], "chain": chain.value, "table": table, "name": name, "parts": parts}
    return statement.format(**names, unlinked=_UNLINKED[chain])


def _standing(chain: Chain, row: Row[Any]) -> Standing:
    return Standing(
        row.company,
        chain,
        row.position,
        None if row.hash is None else bytes(row.hash),
        row.recorded_at,
        row.told_position,
        row.told_at if row.told_position else None,
        int(row.waiting),
    )
