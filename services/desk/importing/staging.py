"""Messages kept in a file until all rows are read: what is sent was all checked before, however much it is.

The ids come from the file, the row and what it says: whoever runs an import again, after it was killed or only to be
sure, sends the same messages under the same ids, and the gate takes none of them twice.
"""

from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from services.desk.events import Event, make_event
from services.desk.importing.columns import Subject
from services.desk.importing.opening import Movement
from services.desk.importing.rows import Data
from shared.contracts.codec import digest, write
from shared.contracts.movement import MESSAGE_LIMIT
from shared.contracts.outcome import Refusal
from shared.contracts.registry import MOVEMENT_REQUESTED

_kept = msgspec.json.Decoder(tuple[str, str, msgspec.Raw])


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
        self._add(make_event(self._subject.kind, self._source, data, name), "")

    def add_movement(self, movement: Movement) -> bool:
        """Keep a movement; whether it was small enough for a message."""
        event = make_event(MOVEMENT_REQUESTED, self._source, movement.data)
        if len(event.body) > MESSAGE_LIMIT:
            return False
        self._add(event, event.partition_key)
        self._movements[event.id] = movement
        return True

    def withdraw(self, name: str) -> None:
        """Send this movement by no means."""
        self._withdrawn.add(name)
        self.count -= 1

    def events(self, *, is_trial: bool = False) -> Iterator[Event]:
        """All that was kept, in the order in which it was added; movements as dry runs, if `is_trial`."""
        self._spool.seek(0)
        for line in self._spool:
            name, partition_key, body = _kept.decode(line)
            if name not in self._withdrawn:
                told = self._trial(name) if is_trial else bytes(body)
                key = (self._source, name)
                yield Event(self._subject.kind, name, told, partition_key or self._source, [key])

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

    def _add(self, event: Event, partition_key: str) -> None:
        self._spool.write(write((event.id, partition_key, msgspec.Raw(event.body))) + b"\n")
        self.count += 1
