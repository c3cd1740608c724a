"""The chain of a company's entries: what the hash of each link is made of. docs/audit.md tells it to the byte.

The one idea: a link's hash is made of the one before it, its own position and the digest of what it covers. So the last
hash stands for all that was ever covered, in that order, and whoever keeps it elsewhere notices every change.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from shared.contracts.audit import AuditHead

SIZE = 32
"""Bytes of a digest, and of a hash."""


class Chain(StrEnum):
    """What is chained: the entries of the stock ledger, or those of the journal."""

    LEDGER = "ledger"
    JOURNAL = "journal"


@dataclass(frozen=True, slots=True)
class Head:
    """How far a company's chain has come: the position and the hash of its last link."""

    company: str
    position: int
    hash: bytes


def beginning(chain: Chain, company: str) -> bytes:
    """What stands for the hash before a company's first link."""
    named = ["chain.v1", chain.value, company]
    return sha256(json.dumps(named, ensure_ascii=False, separators=(",", ":")).encode()).digest()


def hashes(before: bytes, position: int, digests: bytes) -> bytes:
    """The hashes of the links behind `position`, whose hash is `before`, one for each of the `digests`; all run on."""
    return b"".join(_hashes(before, position, digests))


def told(head: Head, chain: Chain, recorded_at: datetime, service: str) -> AuditHead:
    """What a service tells of a head; the latest of all that it covers was recorded then."""
    return AuditHead(
        source=service,
        id=f"{head.company}/{chain.value}/{head.position}",
        company=head.company,
        chain=chain.value,
        position=head.position,
        hash=head.hash.hex(),
        recorded_at=recorded_at,
    )


def _hashes(before: bytes, position: int, digests: bytes) -> Iterator[bytes]:
    last = before
    for number, start in enumerate(range(0, len(digests), SIZE), position + 1):
        last = sha256(last + number.to_bytes(8, "big") + digests[start : start + SIZE]).digest()
        yield last
