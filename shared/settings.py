"""Configuration: read once from the environment into one frozen value, and handed down from `__main__`."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.errors import Fatal


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process is told.

    `database_url` and `broker_url` None mean the embedded PostgreSQL and the in-process broker. `set_size` is how many
    movements a transaction takes at most; `linger` how long (seconds) a set waits for more while more is arriving;
    `frame_size` and `frame_bytes` bound the messages between services; `pause` and `longest_pause` (seconds) are the
    first and the longest wait when a server is away; `sweep_every` is the time between two sweeps (seconds).
    `http_port` is where metrics and health are told (None: nowhere), on the address `http_host`; a worker that was
    silent for `stuck_after` seconds is not alive.
    """

    database_url: str | None = None
    broker_url: str | None = None
    data_folder: Path = Path("stockbook-data")
    log_level: str = "info"
    set_size: int = 500
    linger: float = 0.003
    frame_size: int = 250
    frame_bytes: int = 1024 * 1024
    pause: float = 0.1
    longest_pause: float = 5.0
    sweep_every: float = 1.0
    http_port: int | None = None
    http_host: str = "127.0.0.1"
    stuck_after: float = 120.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read `STOCKBOOK_*`; Fatal names the variable whose value is wrong."""
        return cls(
            database_url=_database_url(environment.get("STOCKBOOK_DATABASE_URL")),
            broker_url=environment.get("STOCKBOOK_BROKER_URL") or None,
            data_folder=Path(environment.get("STOCKBOOK_DATA") or _default_folder()),
            log_level=environment.get("STOCKBOOK_LOG_LEVEL", "info"),
            set_size=_count(environment, "STOCKBOOK_SET_SIZE", 500),
            frame_size=_count(environment, "STOCKBOOK_FRAME_SIZE", 250),
            http_port=_port(environment, "STOCKBOOK_HTTP_PORT"),
            http_host=environment.get("STOCKBOOK_HTTP_HOST") or "127.0.0.1",
            stuck_after=_count(environment, "STOCKBOOK_STUCK_AFTER", 120),
        )


def _database_url(url: str | None) -> str | None:
    """The URL as SQLAlchemy wants it; the plain form that other tools use is taken as well."""
    for scheme in ("postgres://", "postgresql://"):
        if url and url.startswith(scheme):
            return "postgresql+psycopg2://" + url.removeprefix(scheme)
    return url or None


def _default_folder() -> str:
    # A server may not run as root, and another account cannot reach into root's home.
    if os.geteuid() == 0:
        return "/var/lib/stockbook"
    home = os.environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")
    return os.path.join(home if os.path.isabs(home) else tempfile.gettempdir(), "stockbook")


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, str(default))
    if not text.isdecimal() or int(text) == 0:
        raise Fatal(f"{name} is a whole number above zero", value=text)
    return int(text)


def _port(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name)
    if not text:
        return None
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise Fatal(f"{name} is a port, 1 to 65535", value=text)
    return int(text)
