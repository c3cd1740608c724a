"""`python -m tests.trace_page` writes the examples of docs/trace.md anew: what the commands in it print.

They are carried out on the shops of the examples, in which the events of the page have happened too.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from services.desk.events import read_event
from services.desk.pipeline import Pipeline
from shared.settings import Settings
from tests import servers
from tests.commands import environment, invoke
from tests.verifying_builders import FIRST_DAYS, LAST_DAY, Clock, shops_after_the_last_day

PAGE = Path(__file__).resolve().parents[1] / "docs/trace.md"
_BLOCK = re.compile(r"^```(?P<kind>json|console)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(
    r"^<!-- \$ stockbook (?P<command>.*?) -->\n```mermaid\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_PROMPT = "$ stockbook "


@contextmanager
def furnished(server: str, page: str) -> Iterator[Callable[[str], str]]:
    """What prints the output of a command, where the events of the page have happened."""
    with shops_after_the_last_day(server) as url:
        events = [block["text"] for block in _BLOCK.finditer(page) if block["kind"] == "json"]
        clock, settings = Clock(LAST_DAY), replace(Settings(), sweep_every=0.0)
        with Pipeline(url, clock=clock, settings=settings) as pipeline:
            pipeline.publish([read_event(each.encode(), "page", FIRST_DAYS) for each in events])
            pipeline.settle()

        def printed(command: str) -> str:
            done = invoke(*shlex.split(command, comments=True), env=environment(STOCKBOOK_DATABASE_URL=url))
            assert done.exit_code == 0, f"{command}: {done.exception!r} {done.stderr}"
            return str(done.stdout)

        yield printed


def written(page: str, printed: Callable[[str], str]) -> str:
    """The page with what its commands print now."""

    def console(block: re.Match[str]) -> str:
        if block["kind"] != "console":
            return block[0]
        commands = [line for line in block["text"].splitlines() if line.startswith(_PROMPT)]
        told = "\n".join(f"{each}\n{printed(each.removeprefix(_PROMPT))}" for each in commands)
        return f"```console\n{told}```"

    def picture(block: re.Match[str]) -> str:
        return f"<!-- $ stockbook {block['command']} -->\n```mermaid\n{printed(block['command'])}```"

    return _PICTURE.sub(picture, _BLOCK.sub(console, page))


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    with servers.postgres() as own, furnished(own, text) as printing:
        PAGE.write_text(written(text, printing), encoding="utf-8")
