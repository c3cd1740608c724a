"""Parking: what a worker cannot work on is kept in a table of its service, with the reason, and stops nothing.

Each service has a table `<schema>.parked`. The same body of the same sender parked again for the same reason is
counted, not repeated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from uuid import UUID

from sqlalchemy import Connection

from shared.contracts.codec import write
from shared.db import columns, run

_PARK = """
INSERT INTO {schema}.parked (parked_id, reason, error, kind, source, id, headers, body)
SELECT * FROM unnest(
    cast(:parked_id AS uuid[]), cast(:reason AS text[]), cast(:error AS text[]), cast(:kind AS text[]),
    cast(:source AS text[]), cast(:id AS text[]), cast(:headers AS json[]), cast(:body AS bytea[]))
ON CONFLICT (parked_id) DO UPDATE SET times = parked.times + 1, last_seen = now()
"""


@dataclass(frozen=True, slots=True)
class Parked:
    """One message, or one movement of it, that could not be worked on; names are given as far as they were readable."""

    reason: str
    error: str
    body: bytes
    kind: str | None = None
    source: str | None = None
    id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def parked_id(self) -> UUID:
        """The same for the same reason, names and body."""
        # A movement's body does not say whose it is, nor a definition's which: the names count too.
        names = "\0".join(name or "" for name in (self.reason, self.kind, self.source, self.id))
        return UUID(bytes=blake2b(names.encode() + b"\0" + self.body, digest_size=16).digest())


def park(connection: Connection, schema: str, parked: Sequence[Parked]) -> None:
    """Keep messages that cannot be worked on."""
    distinct = {each.parked_id: each for each in parked}
    if distinct:
        rows = [_row(parked_id, distinct[parked_id]) for parked_id in sorted(distinct)]
        names = "parked_id reason error kind source id headers body"
        run(connection, _PARK.format(schema=schema), **columns(rows, names))


def _row(parked_id: UUID, parked: Parked) -> tuple[object, ...]:
    headers = write({_storable(name): _storable(value) for name, value in parked.headers.items()}).decode()
    error = _storable(parked.error)[:4_000]
    return (str(parked_id), parked.reason, error, parked.kind, parked.source, parked.id, headers, parked.body)


def _storable(text: str) -> str:
    """What cannot be stored as text (NUL, half of a surrogate pair) must not keep a message from being parked."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
