"""Where the desk finds its database: the one that the settings name, else PostgreSQL started by ourselves.

An embedded server belongs to the process that started it and is gone with it; its data stay, unless it is temporary.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from services.desk.store import missing_migrations
from shared.db import open_engine, transaction
from shared.embedded_postgres import EmbeddedPostgres
from shared.errors import Fatal
from shared.migrate import migrate
from shared.settings import Settings


@contextmanager
def database(settings: Settings, *, temporary: bool = False) -> Iterator[str]:
    """The URL of the database for the time of the block, up to date; one that we start ourselves is migrated.

    `temporary`: where we start it, it is an empty one that is thrown away afterwards. Fatal where the database that the
    settings name lacks migrations: that one is not ours to change unasked.
    """
    if settings.database_url is not None:
        _check(settings.database_url)
        yield settings.database_url
        return
    with EmbeddedPostgres(None if temporary else settings.data_folder, durable=not temporary) as server:
        bring_up_to_date(server.url)
        yield server.url


@contextmanager
def reading(settings: Settings) -> Iterator[Connection]:
    """A transaction on that database, for a command that looks at something or writes a row or two."""
    with database(settings) as url:
        engine = open_engine(url)
        try:
            with transaction(engine) as connection:
                yield connection
        finally:
            engine.dispose()


def bring_up_to_date(url: str) -> list[str]:
    """Apply the migrations that the database lacks; their names."""
    engine = open_engine(url)
    try:
        return migrate(engine)
    finally:
        engine.dispose()


def _check(url: str) -> None:
    engine = open_engine(url)
    try:
        with transaction(engine) as connection:
            missing = missing_migrations(connection)
    finally:
        engine.dispose()
    if missing:
        raise Fatal("the database is not up to date: run `stockbook migrate`", missing=", ".join(missing))
