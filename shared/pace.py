"""When a worker does what can wait - its sweeps, and the next piece of its chore -, and how large that piece is.

The one idea: messages come first. While they come in, pieces are small and rests lie between them; where none has come
for a while, each piece is as large as it may be and the next follows at once. Times are seconds of a clock that only
goes forward; it is the worker's, so nothing here looks at one.
"""

CHORE_SIZE = 50
"""How large the smallest piece of a chore is; the largest is 64 times as large."""

CHORE_SECONDS = 0.015
"""How long a piece of a chore should take, while messages are coming in."""

CHORE_SECONDS_ALONE = 0.3
"""How long it may take where none has come in for `QUIET` seconds: each piece costs something beside its work."""

CHORE_REST = 1.0
"""While messages are coming in, a chore rests so many times as long as its last piece took: others need the machine."""

QUIET = 0.5
"""For how many seconds no message must have come in, that a worker is alone. Who does something ever so often waits for
a piece, then; were it longer, a single late movement would have its bins valued anew at half the speed."""


class Pace:
    """The pace of one worker, that began at `now`.

    `has_more`: there is some of the chore to do, or there may be. `chore_size`: how large its next piece is.
    """

    def __init__(self, now: float, *, sweep_every: float, has_chore: bool) -> None:
        self.chore_size = CHORE_SIZE
        self._sweep_every = sweep_every
        self._has_chore = has_chore
        self.has_more = has_chore
        self._sweep_at = now
        self._chore_at = now
        self._busy_at = now - QUIET

    def waits(self, now: float) -> float:
        """For how long there is nothing to do but to wait for messages."""
        due = min(self._sweep_at, self._chore_at) if self.has_more else self._sweep_at
        return max(due - now, 0.0)

    def messages_came(self, now: float) -> None:
        self._busy_at = now

    def more_came(self) -> None:
        """There is some of the chore to do."""
        self.has_more = self._has_chore

    def sweep_is_due(self, now: float) -> bool:
        return now >= self._sweep_at

    def swept(self, now: float, *, left: bool) -> None:
        """All sweeps have run; `left`: there is more for one of them."""
        self._sweep_at = now if left and self._is_alone(now) else now + self._sweep_every
        self.more_came()

    def chore_is_due(self, now: float) -> bool:
        return self.has_more and now >= self._chore_at

    def begin_piece(self) -> None:
        """What is still to do after it is told by `more_came`."""
        self.has_more = False

    def end_piece(self, began: float, now: float) -> None:
        """The next piece has the size that will take as long as it may; where there is none, the chore begins small."""
        if not self.has_more:
            self.chore_size = CHORE_SIZE
            return
        took, alone = now - began, self._is_alone(began)
        self._chore_at = now if alone else now + took * CHORE_REST
        allowed = CHORE_SECONDS_ALONE if alone else CHORE_SECONDS
        faster = min(max(allowed / took, 0.5), 2.0) if took > 0 else 2.0
        self.chore_size = min(max(int(self.chore_size * faster), CHORE_SIZE), CHORE_SIZE * 64)

    def _is_alone(self, now: float) -> bool:
        return now - self._busy_at >= QUIET
