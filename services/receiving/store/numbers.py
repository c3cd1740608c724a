"""Numbers that sources give their movements, in PostgreSQL: what arrived under which, and what was not accepted of it.

A number is written when its movement comes for the first time, whatever becomes of it. What becomes of it stands in the
inbox, among those that wait, or among what was parked; of that, the number is read as far as it can be.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from heapq import merge
from typing import Any

import msgspec
from sqlalchemy import Connection

from services.receiving.decide.manifests import Arrival, Found, Refused, Sums
from shared.contracts.codec import Malformed, decoder, read_outline
from shared.contracts.manifest import SourceManifest, is_number
from shared.contracts.registry import MOVEMENT_REQUESTED
from shared.db import columns, query, run, stream


@dataclass(frozen=True, slots=True)
class Numbered:
    """A movement that came with a number, and what its lines come to; `purpose` is None where it could not be read."""

    source: str
    number: int
    id: str
    recorded_at: datetime
    purpose: str | None
    sums: Sums


@dataclass(frozen=True, slots=True)
class ParkedNumber:
    """A number of something that was parked; `id` is None where it could not be read."""

    source: str
    number: int
    id: str | None
    reason: str


PARKED_READ = 20_000
PARKED_BYTES = 1024 * 1024

# Before the inbox's row: two workers that decide one movement at once meet there, and the second one does it anew.
_NOTE = """
INSERT INTO receiving.numbered (source, number, id, recorded_at, purpose, quantity, net, tax)
SELECT * FROM unnest(cast(:source AS text[]), cast(:number AS bigint[]), cast(:id AS text[]),
    cast(:recorded_at AS timestamptz[]), cast(:purpose AS text[]), cast(:quantity AS numeric[]),
    cast(:net AS numeric[]), cast(:tax AS numeric[]))
ON CONFLICT (source, number, id) DO NOTHING
"""
_WITHIN = "numbered.source = :source AND number BETWEEN :first AND :last"
_ARRIVALS = f"""SELECT number, id FROM receiving.numbered WHERE {_WITHIN} ORDER BY number, id COLLATE "C" """
_REFUSED = f"""
SELECT number, numbered.id, 'rejected' AS state, ARRAY(
    SELECT reason ->> 'code' FROM json_array_elements(convert_from(outcome, 'UTF8')::json -> 'reasons') AS reason
    ) AS codes
FROM receiving.numbered JOIN receiving.movement USING (source, id)
WHERE {_WITHIN} AND allocated IS NULL AND NOT EXISTS (
    SELECT FROM receiving.waiting AS each WHERE (each.source, each.id) = (movement.source, movement.id))
UNION ALL
SELECT number, numbered.id, 'waiting', '{{}}' FROM receiving.numbered JOIN receiving.waiting USING (source, id)
WHERE {_WITHIN} AND kind = '{MOVEMENT_REQUESTED}'
"""
_SUMS = f"""
SELECT purpose, count(*) AS movements, sum(quantity) AS quantity, sum(net) AS net, sum(tax) AS tax
FROM receiving.numbered WHERE {_WITHIN} AND purpose IS NOT NULL GROUP BY purpose
"""
# What somebody else has sent under a source's name says nothing of the source. Bounded, for anybody may have a lot
# parked: a manifest must not read all of it each time.
_PARKED = f"""
SELECT parked.source, reason, body FROM receiving.parked LEFT JOIN receiving.source USING (source)
WHERE (cast(:source AS text) IS NULL OR parked.source = :source) AND kind = '{MOVEMENT_REQUESTED}'
    AND reason <> 'not_your_source' AND (user_name IS NULL OR headers ->> 'user' = user_name)
    AND octet_length(body) <= {PARKED_BYTES}
ORDER BY first_seen DESC, parked_id LIMIT {PARKED_READ}
"""
_STORED = """
SELECT number, id, EXISTS (
    SELECT FROM receiving.movement AS each WHERE (each.source, each.id) = (numbered.source, numbered.id)) AS taken
FROM receiving.numbered WHERE source = :source AND number = ANY(:numbers)
"""
_DIGEST = f"""
SELECT encode(sha256(coalesce(
    string_agg(convert_to(id, 'UTF8') || decode('00', 'hex'), '' ORDER BY id COLLATE "C"), '')), 'hex') AS digest
FROM (SELECT id FROM receiving.numbered WHERE {_WITHIN} UNION SELECT unnest(cast(:ids AS text[]))) AS arrived (id)
"""


def note_numbers(connection: Connection, numbered: Iterable[Numbered]) -> None:
    """Keep under which numbers movements arrived; one that is known already stays as it is."""
    rows = sorted(
        (each.source, each.number, each.id, each.recorded_at, each.purpose, *_amounts(each.sums)) for each in numbered
    )
    if rows:
        run(connection, _NOTE, **columns(rows, "source number id recorded_at purpose quantity net tax"))


def find(connection: Connection, source: str, manifest: SourceManifest) -> Found:
    """What there is under the numbers of a manifest; its arrivals are read while they are gone through."""
    first, last = manifest.first_number, manifest.last_number
    span = {"source": source, "first": first, "last": last}
    parked = [each for each in parked_numbers(connection, source) if first <= each.number <= last]
    strays, copies = _beside_stored(connection, source, parked)
    refused = [
        Refused(row.number, row.id, row.state, _distinct(row.codes)) for row in query(connection, _REFUSED, **span)
    ]
    ids = [identifier for _, identifier in strays if identifier]
    return Found(
        _arrivals(connection, span, strays),
        sorted([*refused, *copies], key=lambda each: (each.number, each.id or "", each.state)),
        {row.purpose: Sums(row.movements, row.quantity, row.net, row.tax) for row in query(connection, _SUMS, **span)},
        query(connection, _DIGEST, ids=ids, **span)[0].digest if manifest.digest is not None else None,
    )


def parked_numbers(connection: Connection, source: str | None = None) -> list[ParkedNumber]:
    """The numbers that can be read of what is parked, also of what was discarded; of all sources in order, or of one.

    No more is looked at than the latest 20,000 bodies, of a megabyte at most.
    """
    found = [
        ParkedNumber(row.source, number, identifier, row.reason)
        for row in stream(connection, _PARKED, source=source)
        for number, identifier in _numbers_in(bytes(row.body))
    ]
    return sorted(found, key=lambda each: each.source)


class _Loose(msgspec.Struct):
    """The least of a movement, of several, or of an event that holds them, whatever else is wrong with it."""

    id: Any = None
    number: Any = None
    movements: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_loose = decoder(_Loose)


def _numbers_in(body: bytes | msgspec.Raw) -> Iterator[tuple[int, str | None]]:
    """The numbers and ids of a movement or of an event, as far as they are readable."""
    try:
        found = read_outline(_loose, body)
    except Malformed:
        return
    if is_number(found.number):
        yield found.number, found.id if isinstance(found.id, str) and found.id else None
    inner = [found.data] if isinstance(found.data, msgspec.Raw) else []
    inner += found.movements if isinstance(found.movements, list) else []
    for each in inner:
        yield from _numbers_in(each)


_Named = tuple[int, str]


def _beside_stored(
    connection: Connection, source: str, parked: Sequence[ParkedNumber]
) -> tuple[list[_Named], list[Refused]]:
    """Of what is parked, what is stored under no number (its id empty where it is unreadable); and why each is parked.

    What cannot be named says nothing where something else has arrived under its number.
    """
    rows = query(connection, _STORED, source=source, numbers=sorted({each.number for each in parked})) if parked else ()
    stored = {(row.number, row.id): row.taken for row in rows}
    readable = {number for number, _ in stored} | {each.number for each in parked if each.id is not None}
    reasons: dict[_Named, list[str]] = {}
    for each in parked:
        if each.id is not None or each.number not in readable:
            reasons.setdefault((each.number, each.id or ""), []).append(each.reason)
    told = [
        Refused(number, identifier or None, "parked", _distinct(why), is_copy=stored.get((number, identifier), False))
        for (number, identifier), why in reasons.items()
    ]
    return sorted(reasons.keys() - stored.keys()), told


def _arrivals(connection: Connection, span: Mapping[str, Any], strays: Iterable[_Named]) -> Iterator[Arrival]:
    stored = ((row.number, row.id) for row in stream(connection, _ARRIVALS, **span))
    return (Arrival(number, identifier or None) for number, identifier in merge(stored, strays))


def _distinct(codes: Iterable[str]) -> list[str]:
    return sorted(set(codes))


def _amounts(sums: Sums) -> tuple[Decimal, Decimal, Decimal]:
    return sums.quantity, sums.net, sums.tax
