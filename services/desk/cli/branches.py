"""Lines under lines: as trees on a terminal, elsewhere indented."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from services.desk.cli.showing import say
from shared.printable import printable


@dataclass(frozen=True, slots=True)
class Branch:
    """A line, and those under it."""

    text: str
    branches: Sequence["Branch"] = field(default=())

    def lines(self) -> Iterator[tuple[int, str]]:
        """All lines from here on, each with how deep it stands."""
        pending = [(0, self)]
        while pending:
            depth, branch = pending.pop()
            yield depth, branch.text
            pending += [(depth + 1, each) for each in reversed(branch.branches)]


def show(branches: Sequence[Branch]) -> None:
    """Print them, each on a line and without any effect, whatever somebody wrote into them."""
    if not sys.stdout.isatty():
        say(f"{'  ' * depth}{line}" for each in branches for depth, line in each.lines())
        return
    console = Console()
    for each in branches:
        console.print(_tree(each))


def _tree(branch: Branch) -> Tree:
    tree = Tree(Text(printable(branch.text)))
    for each in branch.branches:
        tree.children.append(_tree(each))
    return tree
