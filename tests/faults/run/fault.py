"""What a fault is: how it strikes, and all that differs from a shop that works in peace."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from services.desk.events import Event
from tests.faults.run.scene import Scene
from tests.faults.run.sites import Kind

WORKERS = 2
"""Of each service, unless the fault has it otherwise."""


def two_of_each(scene: Scene) -> None:
    """A crew of workers as they are in earnest."""
    scene.crew.start_all(WORKERS)


def as_drawn(scene: Scene, count: int) -> Sequence[Event]:
    """A load of so many movements, some to a message."""
    return scene.shopping.events(scene.shopping.draw(count))


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of the table.

    `strike` is called when a third of the load is published and some of it is booked, while more comes in; when it
    returns, the fault is over, and what a person has to do about it is done. It sees to it that the fault did happen.
    `crew` starts the workers, `load` makes the events. `parkable` are the reasons for which messages of the fault's own
    are parked, and stay so. `quick` ones are part of the ordinary tests; `repeatable` ones may come in any order, as
    often as chance has it. `note` stands under the table.
    """

    name: str
    strike: Callable[[Scene], None]
    site: Kind = Kind.ALONE
    crew: Callable[[Scene], None] = two_of_each
    load: Callable[[Scene, int], Sequence[Event]] = as_drawn
    environment: Mapping[str, str] = field(default_factory=dict)
    parkable: frozenset[str] = frozenset()
    quick: bool = False
    repeatable: bool = False
    note: str = ""


class Impossible(RuntimeError):  # noqa: N818 - it is no error: the line says why it was left out
    """The fault cannot be injected here: the message says what is missing."""
