"""Messages kept in a file until all rows are read: what is sent was all checked before, however much it is.

The ids come from the file, the row and what it says: whoever runs an import again, after it was killed or only to be
sure, tells the same under the same ids, and the gate takes nothing twice. Definitions are sent many in an event, each
under its own id; which of them share one is of no account.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from services.desk.events import Event, make_event, make_frame
from services.desk.importing.columns import Subject
from services.desk.importing.opening import Movement
from services.desk.importing.rows import Data
from shared.contracts.codec import digest, write
from shared.contracts.envelope import NamedDefinition
from shared.contracts.movement import MESSAGE_LIMIT
from shared.contracts.outcome import Refusal
from shared.contracts.registry import MOVEMENT_REQUESTED
from shared.frames import bounded

FRAME = 500
"""As many definitions go in one message: what the gate takes into one transaction."""
FRAME_BYTES = 1024 * 1024

_kept = msgspec.json.Decoder(tuple[str, str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was kept under a name, encoded: a definition with it, or an event."""

    name: str
    partition_key: str
    body: bytes


class Staging:
    """What is to be sent for one subject and one source, kept in `spool`.

    `name` is that of the file's content; with another `salt` the same rows are other messages.
    """

    def __init__(self, spool: BinaryIO, subject: Subject, source: str, name: str, salt: str = "") -> None:
        self._spool = spool
        self._subject = subject
        self._source = source
        self._head = f"{subject.name}-{name[:16]}"
        self._salt = salt
        self._movements: dict[str, Movement] = {}
        self._withdrawn: set[str] = set()
        self.count = 0

    @property
    def is_of_definitions(self) -> bool:
        """Whether it keeps definitions; else movements."""
        return bool(self._subject.key)

    def add_definition(self, row: int, data: Data) -> None:
        """Keep what a row defines."""
        name = f"{self._head}-{row}-{digest([self._salt, data]).hex()[:16]}"
        self._add(name, "", write(NamedDefinition(id=name, data=msgspec.Raw(write(data)))))

    def add_movement(self, movement: Movement) -> bool:
        """Keep a movement; whether it was small enough for a message."""
        event = make_event(MOVEMENT_REQUESTED, self._source, movement.data)
        if len(event.body) > MESSAGE_LIMIT:
            return False
        self._add(event.id, event.partition_key, event.body)
        self._movements[event.id] = movement
        return True

    def withdraw(self, name: str) -> None:
        """Send this movement by no means."""
        self._withdrawn.add(name)
        self.count -= 1

    def events(self, *, is_trial: bool = False) -> Iterator[Event]:
        """All that was kept, in the order in which it was added; movements as dry runs, if `is_trial`.

        Definitions travel many in an event, and a movement alone: it may be as large as a message.
        """
        if self.is_of_definitions:
            for portion in bounded(self._all(), FRAME, FRAME_BYTES):
                names, bodies = [each.name for each in portion], [each.body for each in portion]
                yield make_frame(self._subject.kind, self._source, names, bodies)
            return
        for each in self._all():
            if each.name not in self._withdrawn:
                body = self._trial(each.name) if is_trial else each.body
                key = (self._source, each.name)
                yield Event(self._subject.kind, each.name, body, each.partition_key or self._source, [key])

    def row_of(self, name: str, reason: Refusal | None = None) -> int:
        """The row of which a message was made, or, of several, the one that a reason is about."""
        movement = self._movements.get(name)
        if movement is None:
            return int(name.rsplit("-", 2)[1])
        if reason is None:
            return movement.row_of(None, None)
        return movement.row_of(reason.line, reason.facts.get("serial"))

    def rows_of(self, name: str) -> int:
        """How many rows a message was made of."""
        movement = self._movements.get(name)
        return 1 if movement is None else sum(map(len, movement.rows))

    def movements(self) -> list[str]:
        """The ids of the movements."""
        return list(self._movements)

    def _trial(self, name: str) -> bytes:
        data = {**self._movements[name].data, "dry_run": True}
        return make_event(MOVEMENT_REQUESTED, self._source, data).body

    def _all(self) -> Iterator[_Kept]:
        self._spool.seek(0)
        for line in self._spool:
            name, partition_key, body = _kept.decode(line)
            yield _Kept(name, partition_key, bytes(body))

    def _add(self, name: str, partition_key: str, body: bytes) -> None:
        self._spool.write(write((name, partition_key, msgspec.Raw(body))) + b"\n")
        self.count += 1
