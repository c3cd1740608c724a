"""`stockbook roles` and `stockbook broker-definitions`: who may do what on both servers, written out and applied.

Passwords come from the environment or from files that it names. Arguments are seen by anybody on the machine.
"""

import json
import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from shared.broker.accounts import ACCOUNTS, OWNER, Source, definitions_file
from shared.db import open_engine, transaction
from shared.errors import Fatal
from shared.granting import apply, missing
from shared.roles import ROLES
from shared.settings import Settings, names, secret

SOURCES = "STOCKBOOK_RABBITMQ_SOURCES"


def roles(
    apply_now: bool = typer.Option(False, "--apply", help="Carry it out, and set the passwords that are told."),
) -> None:
    """Show what the database lacks to have a role for each service, as SQL; nothing where it lacks nothing.

    For an administrator, whom STOCKBOOK_DATABASE_URL names here.
    """
    settings = Settings.from_environment()
    if settings.database_url is None:
        raise Fatal("roles are for a database that others reach too: name one in STOCKBOOK_DATABASE_URL")
    passwords = {each.name: told for each in ROLES if each.logs_in and (told := _password("POSTGRES", each.short))}
    engine = open_engine(settings.database_url)
    try:
        if apply_now:
            lines = [f"{statement};" for statement in apply(engine, passwords)]
            lines += [f"-- password set: {name}" for name in passwords]
        else:
            with transaction(engine) as connection:
                lines = [f"{statement};" for statement in missing(connection)]
    finally:
        engine.dispose()
    sys.stdout.write("\n".join(lines or ["-- nothing is lacking"]) + "\n")


def broker_definitions(
    output: Path | None = typer.Option(None, help="The file to write; without it, to standard output."),
    bare: bool = typer.Option(
        False, "--bare", help="Without passwords, upstreams and lanes: what does not differ by place."
    ),
) -> None:
    """Write RabbitMQ's definitions: accounts, rights, exchanges, queues. No password stands in it, only digests."""
    passwords: dict[str, str] = {}
    sources: list[Source] = []
    lanes: frozenset[str] = frozenset()
    if not bare:
        ours = {each.name: each.name.removeprefix(OWNER).removeprefix("-") for each in ACCOUNTS}
        passwords = {name: told for name, short in ours.items() if (told := _password("RABBITMQ", short))}
        sources = read_sources(secret(os.environ, SOURCES) or "")
        lanes = names(os.environ, "STOCKBOOK_LANES")
    text = json.dumps(definitions_file(passwords, sources, lanes=lanes), indent=2) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        _write(output, text)


def read_sources(text: str) -> list[Source]:
    """Upstreams as TOML: a table each, with its `password`, and `defines = true` where it may send masters too.

    Raises Fatal, which tells nothing of what stands there but the upstream's name.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise Fatal(f"{SOURCES} is no TOML") from None
    return [_source(name, table) for name, table in tables.items()]


def _source(name: str, table: Any) -> Source:
    known = {"password": str, "defines": bool}
    if not isinstance(table, Mapping) or any(not isinstance(table[key], known.get(key, ())) for key in table):
        raise Fatal(f'{SOURCES}: an upstream is [name], password = "…", defines = true', source=name)
    return Source(name, table.get("defines", False), table.get("password"))


def _password(server: str, short: str) -> str | None:
    middle = f"_{short.upper()}" if short else ""
    return secret(os.environ, f"STOCKBOOK_{server}{middle}_PASSWORD")


def _write(file: Path, text: str) -> None:
    """All of it or nothing: a broker may be starting with the file at this moment."""
    beside = file.with_name(f".{file.name}.new")
    try:
        beside.write_text(text, "utf-8")
        beside.chmod(0o644)
        beside.replace(file)
    except OSError as error:
        raise Fatal("the definitions cannot be written", file=str(file), error=error.strerror) from error
