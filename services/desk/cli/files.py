"""Files of events for commands that send them: one JSON event a line, checked to the last line before any is sent.

A file is read twice, first to find what is wrong with it and then event by event, so it may be of any length.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.desk.events import Event
from shared.contracts.codec import Malformed
from shared.errors import StockbookError

ERRORS_SHOWN = 20

Reader = Callable[[bytes], Event]
"""Makes an event of a line; Malformed says what is wrong with it."""


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """The file, or a copy of standard input: it is read twice."""
    if str(file) != "-":
        if not file.is_file():
            raise StockbookError("there is no such file", file=file)
        with file.open("rb") as lines:
            yield lines
        return
    with TemporaryFile() as copy:
        copy.writelines(sys.stdin.buffer)
        yield copy


def check(lines: BinaryIO, file: Path, read: Reader) -> tuple[int, set[str]]:
    """Read every line; how many events there are, and of which sources. StockbookError with the first errors' lines."""
    errors: list[str] = []
    sources: set[str] = set()
    count = 0
    for number, line in _filled(lines):
        count += 1
        try:
            sources |= {name for name, _ in read(line).keys}
        except Malformed as error:
            errors.append(f"{file}:{number}: {error}")
            if len(errors) == ERRORS_SHOWN:
                errors.append("further lines were not read")
                break
    if errors:
        raise StockbookError("nothing was sent:\n" + "\n".join(errors))
    return count, sources


@contextmanager
def events(lines: BinaryIO, read: Reader, count: int, doing: str) -> Iterator[Iterator[Event]]:
    """The events, one after another, with a bar on standard error that says how many of `count` are taken."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as progress:
        yield iter(progress.track((read(line) for _, line in _filled(lines)), total=count, description=doing))


def _filled(lines: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The lines that hold anything, with their numbers."""
    lines.seek(0)
    return ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
