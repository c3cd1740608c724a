"""`python -m tests.recall_page` writes the examples of docs/recalls.md anew: what the commands in it print.

The page is a story: its events happen, and its commands are carried out, in the order in which they stand there, on the
shops of the examples. An event's `time` sets the clock. What is another each time it is written (how many seconds it
took, the digest of the evidence) is shown as one that stays.
"""

import contextlib
import json
import re
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from services.desk.events import read_event
from services.desk.pipeline import Pipeline
from shared.settings import Settings
from tests import servers
from tests.commands import environment, invoke
from tests.verifying_builders import LAST_DAY, Clock, shops_after_the_last_day

PAGE = Path(__file__).resolve().parents[1] / "docs/recalls.md"
SHOWN = sha256(b"the evidence of the page").hexdigest()
_BLOCK = re.compile(r"^```(?P<kind>json|console)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_PROMPT = "$ stockbook "
_SECONDS = re.compile(r"found in [0-9.]+ s$", re.MULTILINE)
_DIGEST = re.compile(r"SHA-256 ([0-9a-f]{64})")


class Story:
    """The shops, and what happens in them block by block."""

    def __init__(self, url: str, pipeline: Pipeline, clock: Clock) -> None:
        self._url, self._pipeline, self._clock = url, pipeline, clock
        self._digest = SHOWN

    def carry_out(self, block: re.Match[str]) -> str:
        """The block as it is to stand on the page, after all in it has happened."""
        if block["kind"] == "json":
            self._happen(block["text"])
            return block[0]
        commands = [line for line in block["text"].splitlines() if line.startswith(_PROMPT)]
        told = "\n".join(f"{each}\n{self._printed(each.removeprefix(_PROMPT))}" for each in commands)
        return f"```console\n{told}```"

    def _happen(self, lines: str) -> None:
        events = [json.loads(line) for line in lines.replace(SHOWN, self._digest).splitlines()]
        self._clock.now = max(
            (datetime.fromisoformat(each["time"]) for each in events if "time" in each), default=self._clock.now
        )
        self._pipeline.publish([read_event(json.dumps(each).encode(), "page", self._clock.now) for each in events])
        self._pipeline.settle()

    def _printed(self, command: str) -> str:
        done = invoke(*shlex.split(command), env=environment(STOCKBOOK_DATABASE_URL=self._url))
        assert done.exit_code == 0, f"{command}: {done.exception!r} {done.stderr} {done.stdout}"
        told = str(done.stdout)
        found = _DIGEST.search(told)
        self._digest = found[1] if found else self._digest
        shown = _SECONDS.sub("found in 0.09 s", told.replace(self._digest, SHOWN))
        return "".join(f"{line.rstrip()}\n" for line in shown.splitlines())


@contextmanager
def story(server: str) -> Iterator[Story]:
    """A story that begins after the last day of the examples, in a folder of its own."""
    clock, settings = Clock(LAST_DAY), replace(Settings(), sweep_every=0.0)
    with (
        shops_after_the_last_day(server) as url,
        Pipeline(url, clock=clock, settings=settings) as pipeline,
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
    ):
        yield Story(url, pipeline, clock)


def written(page: str, told: Story) -> str:
    """The page with what its commands print now."""
    return _BLOCK.sub(told.carry_out, page)


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    with servers.postgres() as own, story(own) as telling:
        text = written(text, telling)
    PAGE.write_text(text, encoding="utf-8")
