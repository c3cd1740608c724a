"""What is known of each source: what it sent, what became of that, which of its numbers did not arrive.

Gaps are found by one walk over the key of the numbers, which is read in order and never sorted. A source's numbers
begin with the lowest that arrived or that a manifest named, and end with the highest.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby, islice
from typing import TypeVar

from sqlalchemy import Connection

from services.receiving.decide.spans import Span, owed
from services.receiving.store.numbers import parked_numbers
from shared.contracts.codec import decoder, read
from shared.contracts.manifest import SourceReconciled
from shared.db import query, stream

MANY = 100_000
"""As many gaps, or repeated numbers, of one source are told: the lowest ones."""

_Value = TypeVar("_Value")

_GIVEN = "(cast(:source AS text) IS NULL OR source = :source)"
_COUNTS = f"""
SELECT source, sum(sent) AS sent, sum(rejected) AS rejected, sum(waiting) AS waiting, sum(parked) AS parked FROM (
    SELECT source, count(*) AS sent, 0 AS rejected, 0 AS waiting, 0 AS parked
    FROM receiving.movement WHERE {_GIVEN} GROUP BY source
    UNION ALL SELECT source, 0, count(*), 0, 0 FROM receiving.movement
    WHERE allocated IS NULL AND {_GIVEN} GROUP BY source
    UNION ALL SELECT source, 0, 0, count(*), 0 FROM receiving.waiters WHERE {_GIVEN} GROUP BY source
    UNION ALL SELECT source, 0, 0, 0, count(*) FROM receiving.parked
    WHERE source IS NOT NULL AND discarded_at IS NULL AND {_GIVEN} GROUP BY source
    UNION ALL SELECT source, 0, 0, 0, 0 FROM receiving.source WHERE {_GIVEN}
    UNION ALL SELECT DISTINCT source, 0, 0, 0, 0 FROM receiving.manifests WHERE {_GIVEN}
) AS counted GROUP BY source ORDER BY source
"""
_HEARD = f"""
SELECT source, max(recorded_at) AS at FROM receiving.movement
WHERE recorded_at > now() - cast(:within AS interval) AND {_GIVEN} GROUP BY source
"""
# Of each source one look at either end of the key.
_ENDS = """
SELECT name AS source, first.number AS first, last.number AS last, last.recorded_at AS at
FROM unnest(cast(:sources AS text[])) AS name
CROSS JOIN LATERAL (SELECT number FROM receiving.numbers WHERE source = name ORDER BY number LIMIT 1) AS first
CROSS JOIN LATERAL (
    SELECT number, recorded_at FROM receiving.numbers WHERE source = name ORDER BY number DESC LIMIT 1) AS last
"""
_GAPS = f"""
SELECT source, number + 1 AS first, next - 1 AS last FROM (
    SELECT source, number, lead(number) OVER (PARTITION BY source ORDER BY number) AS next
    FROM receiving.numbers WHERE {_GIVEN}) AS pairs
WHERE next > number + 1 ORDER BY source, number
"""
_REPEATED = f"""
SELECT source, number FROM receiving.numbers WHERE {_GIVEN}
GROUP BY source, number HAVING count(*) > 1 ORDER BY source, number
"""
_MANIFESTS = f"""
SELECT source, id, day, first_number, last_number, unused, recorded_at, answered_at, result FROM receiving.manifests
WHERE {_GIVEN} ORDER BY source, day
"""
_OF_DAY = """
SELECT id, recorded_at, cast(answer AS text) AS answer FROM receiving.manifests WHERE (source, day) = (:source, :day)
"""

_answers = decoder(SourceReconciled)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of a day; `result` None: it is not answered yet, for something may still come."""

    id: str
    day: date
    first: int
    last: int
    unused: Sequence[Span]
    recorded_at: datetime
    result: str | None


@dataclass(frozen=True, slots=True)
class Source:
    """One source. `gaps` are the numbers that it owes, `repeated` those of several movements.

    `accepted`, `rejected`, `waiting` and `parked` count all that it sent, with a number or without; definitions are not
    counted but where they wait or are parked. `last_heard` is known only to within what was asked, and of numbered
    movements and manifests beyond it.
    """

    source: str
    last_number: int | None
    gaps: Sequence[Span]
    repeated: Sequence[int]
    last_heard: datetime | None
    accepted: int
    rejected: int
    waiting: int
    parked: int
    manifest: Manifest | None


@dataclass(frozen=True, slots=True)
class Day:
    """The manifest of a source's day, and the last answer to it; None: there is none yet."""

    id: str
    recorded_at: datetime
    answer: SourceReconciled | None


def sources(connection: Connection, source: str | None = None, within: timedelta = timedelta(days=1)) -> list[Source]:
    """Every source that is defined or was heard of, or one; `within` is how far back to look for when that was."""
    counts = query(connection, _COUNTS, source=source)
    names = [row.source for row in counts]
    ends = {row.source: row for row in query(connection, _ENDS, sources=names)}
    heard = {row.source: row.at for row in query(connection, _HEARD, source=source, within=within)}
    told = _manifests(connection, source)
    repeated = _grouped((row.source, row.number) for row in stream(connection, _REPEATED, source=source))
    gaps = _gaps(connection, source, {name: (row.first, row.last) for name, row in ends.items()}, told)
    found = []
    for row in counts:
        name, manifests = row.source, told.get(row.source, [])
        end = ends.get(name)
        moments = [heard.get(name), end and end.at, *(each.recorded_at for each in manifests)]
        found.append(
            Source(
                name,
                end.last if end else None,
                gaps.get(name, []),
                repeated.get(name, []),
                max((each for each in moments if each is not None), default=None),
                int(row.sent - row.rejected),
                int(row.rejected),
                int(row.waiting),
                int(row.parked),
                manifests[-1] if manifests else None,
            )
        )
    return found


def day_of(connection: Connection, source: str, day: date) -> Day | None:
    """What a source said of a day, and was answered; None where it said nothing."""
    rows = query(connection, _OF_DAY, source=source, day=day)
    if not rows:
        return None
    answer = read(_answers, rows[0].answer.encode()) if rows[0].answer is not None else None
    return Day(rows[0].id, rows[0].recorded_at, answer)


def _manifests(connection: Connection, source: str | None) -> dict[str, list[Manifest]]:
    """The manifests that hold, by source, in the order of their days."""
    rows = query(connection, _MANIFESTS, source=source)
    return _grouped(
        (
            row.source,
            Manifest(
                row.id,
                row.day,
                row.first_number,
                row.last_number,
                [(first, last) for first, last in row.unused],
                row.recorded_at,
                row.result,
            ),
        )
        for row in rows
    )


def _gaps(
    connection: Connection, source: str | None, ends: Mapping[str, Span], told: Mapping[str, Sequence[Manifest]]
) -> dict[str, list[Span]]:
    """What every source owes that has any numbers."""
    between = _grouped((row.source, (row.first, row.last)) for row in stream(connection, _GAPS, source=source))
    parked = _grouped((each.source, (each.number, each.number)) for each in parked_numbers(connection, source))
    owed_by = {}
    for name in {*ends, *told, *parked}:
        manifests, refused = told.get(name, []), parked.get(name, [])
        claimed = [(each.first, each.last) for each in manifests]
        no_gap = [*refused, *(span for each in manifests for span in each.unused)]
        owed_by[name] = owed(between.get(name, []), ends.get(name), [*claimed, *refused], no_gap)
    return owed_by


def _grouped(pairs: Iterable[tuple[str, _Value]]) -> dict[str, list[_Value]]:
    """What belongs to each source, in the order given, which is that of the sources; the first of it."""
    groups = groupby(pairs, key=lambda pair: pair[0])
    return {name: [value for _, value in islice(group, MANY)] for name, group in groups}
