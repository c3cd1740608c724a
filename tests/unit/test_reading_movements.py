"""How receiving reads movements out of an event."""

import msgspec

from services.receiving.handlers.movements import read_movements
from shared.contracts.envelope import Envelope
from shared.contracts.registry import MOVEMENT_REQUESTED


def _digest(posting_at: str) -> bytes:
    data = f'{{"id": "R1", "purpose": "scrap", "posting_at": "{posting_at}"}}'.encode()
    event = Envelope(specversion="1.0", id="e1", source="till", type=MOVEMENT_REQUESTED, data=msgspec.Raw(data))
    (found,) = read_movements(event)
    digest: bytes = found.value.digest
    return digest


def test_the_same_moment_written_in_another_zone_is_the_same_content() -> None:
    assert _digest("2026-01-05T10:00:00+01:00") == _digest("2026-01-05T09:00:00Z")


def test_another_moment_is_other_content() -> None:
    assert _digest("2026-01-05T10:00:00+01:00") != _digest("2026-01-05T10:00:00Z")
