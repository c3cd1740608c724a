"""Ids that derive from what they name: made again, they are the same, and they sort by time."""

from datetime import datetime
from hashlib import sha256
from uuid import UUID


def derived_id(recorded_at: datetime, *names: str) -> UUID:
    """A UUID of version 7: the milliseconds of `recorded_at`, then a hash of `names`; equal for equal arguments."""
    milliseconds = int(recorded_at.timestamp() * 1000)
    digest = int.from_bytes(sha256("\x1f".join(names).encode()).digest()[:10], "big")
    high, low = digest >> 68 & 0xFFF, digest & ((1 << 62) - 1)
    return UUID(int=(milliseconds << 80) | (7 << 76) | (high << 64) | (0b10 << 62) | low)
