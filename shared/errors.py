"""How things go wrong: refusals are values, exceptions say what the worker must do next.

A `Reason` is the answer to a person or an upstream system: the movement was judged and refused. The exceptions
are for the worker: try again, park the message, stop. All of them carry facts, so that a message shows the value
that offended.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something was refused: a stable code, the line it concerns and the facts that show it.

    `line` is the line's number in its movement, None where the whole movement is concerned; every fact is text.
    """

    code: str
    line: int | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


class StockbookError(Exception):
    """An error with facts: `StockbookError("no such report", name="x")` reads `no such report (name: x)`."""

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts

    def __str__(self) -> str:
        """The message with its facts behind it."""
        shown = ", ".join(f"{name}: {value}" for name, value in self.facts.items())
        return f"{self.message} ({shown})" if shown else self.message


class Retryable(StockbookError):  # noqa: N818 - named for what the worker does next
    """Infrastructure trouble: nothing is wrong with the message, pause and try again."""


class Unprocessable(StockbookError):  # noqa: N818 - as above
    """The message can never be worked on, however often it is tried: park it with its `code`."""

    def __init__(self, message: str, code: str, **facts: object) -> None:
        super().__init__(message, **facts)
        self.code = code


class InvariantBroken(StockbookError):  # noqa: N818 - as above
    """Something that must always hold does not: never swallowed, an operator has to look."""


class Fatal(StockbookError):  # noqa: N818 - as above
    """The worker cannot go on (no permission, a queue declared otherwise): say so and exit non-zero."""
