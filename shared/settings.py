"""Configuration: read once from the environment into one frozen value, and handed down from `__main__`.

What holds a password (an address, a role's password) may stand in a file that `<NAME>_FILE` names instead: it is read,
never shown, and no error tells any part of it.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from shared.errors import Fatal


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process is told.

    `database_url` and `broker_url` None mean the embedded PostgreSQL and the in-process broker. `set_size` is how many
    movements a transaction takes at most; `linger` how long (seconds) a set waits for more while more is arriving;
    `frame_size` and `frame_bytes` bound the messages between services; `pause` and `longest_pause` (seconds) are the
    first and the longest wait when a server is away; `sweep_every` is the time between two sweeps (seconds).
    `http_port` is where metrics and health are told (None: nowhere), on the address `http_host`; a worker that was
    silent for `stuck_after` seconds is not alive. `administrators` are the broker's accounts that define sources;
    `lanes` are the sources that have a way of their own to the gate.
    """

    database_url: str | None = field(default=None, repr=False)
    broker_url: str | None = field(default=None, repr=False)
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
    administrators: frozenset[str] = frozenset()
    lanes: frozenset[str] = frozenset()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read `STOCKBOOK_*`; Fatal names the variable whose value is wrong."""
        return cls(
            database_url=_database_url(secret(environment, "STOCKBOOK_DATABASE_URL")),
            broker_url=_broker_url(environment),
            data_folder=Path(environment.get("STOCKBOOK_DATA") or _default_folder()),
            log_level=environment.get("STOCKBOOK_LOG_LEVEL", "info"),
            set_size=_count(environment, "STOCKBOOK_SET_SIZE", 500),
            frame_size=_count(environment, "STOCKBOOK_FRAME_SIZE", 250),
            http_port=_port(environment, "STOCKBOOK_HTTP_PORT"),
            http_host=environment.get("STOCKBOOK_HTTP_HOST") or "127.0.0.1",
            stuck_after=_count(environment, "STOCKBOOK_STUCK_AFTER", 120),
            administrators=names(environment, "STOCKBOOK_ADMINISTRATORS"),
            lanes=names(environment, "STOCKBOOK_LANES"),
        )


def names(environment: Mapping[str, str], name: str) -> frozenset[str]:
    """What `name` lists, with blanks or commas between."""
    return frozenset(environment.get(name, "").replace(",", " ").split())


def secret(environment: Mapping[str, str], name: str) -> str | None:
    """What `name` says, or the file that `<name>_FILE` names; None where neither is set. Fatal where both are."""
    given, file = environment.get(name) or None, environment.get(f"{name}_FILE") or None
    if given is not None and file is not None:
        raise Fatal(f"{name} and {name}_FILE are both set: which one is meant?")
    if file is None:
        return given
    try:
        return Path(file).read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise Fatal(f"the file that {name}_FILE names cannot be read", file=file, error=type(error).__name__) from None


def _database_url(url: str | None) -> str | None:
    """The URL as SQLAlchemy wants it; the plain form that other tools use is taken as well."""
    if url is None:
        return None
    _check_address(url, "STOCKBOOK_DATABASE_URL")
    for scheme in ("postgres://", "postgresql://"):
        if url.startswith(scheme):
            return "postgresql+psycopg2://" + url.removeprefix(scheme)
    return url


# Files by which TLS is done; in the URL they are called as RabbitMQ's own clients call them.
_TLS_FILES = {
    "STOCKBOOK_BROKER_CA": "cacertfile",
    "STOCKBOOK_BROKER_CERT": "certfile",
    "STOCKBOOK_BROKER_KEY": "keyfile",
}


def _broker_url(environment: Mapping[str, str]) -> str | None:
    """The broker's URL, or several with `;` between them, each with the files that TLS takes."""
    given = secret(environment, "STOCKBOOK_BROKER_URL")
    if given is None:
        return None
    files = {name: environment[variable] for variable, name in _TLS_FILES.items() if environment.get(variable)}
    urls = given.split(";")
    for url in urls:
        _check_address(url, "STOCKBOOK_BROKER_URL")
        if files and url.startswith("amqp:"):
            raise Fatal("certificates are for amqps://, and STOCKBOOK_BROKER_URL has an address without TLS")
    return ";".join(_with_parameters(url, files) for url in urls)


def _with_parameters(url: str, parameters: Mapping[str, str]) -> str:
    added = "&".join(f"{name}={quote(value)}" for name, value in parameters.items())
    return f"{url}{'&' if '?' in url else '?'}{added}" if added else url


def _check_address(url: str, name: str) -> None:
    """Fatal where a password's own @, : or / would be read as the end of it: an error would show the rest as a host."""
    try:
        parts = urlsplit(url)
        hash(parts.port)  # ValueError where it is no number
        is_clear = "://" in url and not parts.fragment and "@" not in parts.path and parts.netloc.count("@") <= 1
    except ValueError:
        is_clear = False
    if not is_clear:
        raise Fatal(f"{name} is no URL: scheme://user:password@host, with reserved signs as %40, %3A, %2F, %23")


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
