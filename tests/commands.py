"""The command `stockbook` inside the test's own process: as fast as a function, for all that is not about processes."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import structlog
from typer.testing import CliRunner, Result

from services.desk.cli import app


def environment(**more: str) -> dict[str, str]:
    """Ours, without addresses and without a terminal's width."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STOCKBOOK_", "COLUMNS"))}
    return kept | more


def invoke(*arguments: str, env: Mapping[str, str] | None = None, given: str | bytes | None = None) -> Result:
    """Run the command with exactly this environment; an error of ours stands in the result's `exception`."""
    before, configure = structlog.get_config(), structlog.configure

    def configure_for_now(**options: Any) -> None:
        # A logger that is kept would go on writing to where this one run wrote.
        configure(**options | {"cache_logger_on_first_use": False})

    try:
        with patch("structlog.configure", configure_for_now), patch.dict(os.environ, env or environment(), clear=True):
            return CliRunner().invoke(app, list(arguments), input=given, prog_name="stockbook")
    finally:
        configure(**before)


def told(*arguments: str, env: Mapping[str, str] | None = None, given: str | bytes | None = None) -> str:
    """What the command printed; it must have succeeded."""
    done = invoke(*arguments, env=env, given=given)
    assert done.exit_code == 0, f"{done.exception!r} {done.stderr}"
    return str(done.stdout)


@contextmanager
def data_folder() -> Iterator[Path]:
    """A folder for a server that may run as another user, who cannot enter pytest's own folders."""
    folder = Path(tempfile.gettempdir()) / f"stockbook-test-{secrets.token_hex(4)}"
    folder.mkdir()
    folder.chmod(0o1777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
