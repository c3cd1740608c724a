"""Where the desk finds its database: the one that the settings name, else PostgreSQL started by ourselves.

An embedded server belongs to the process that started it and is gone with it; its data stay, unless it is temporary.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.db import open_engine
from shared.embedded_postgres import EmbeddedPostgres
from shared.migrate import migrate
from shared.settings import Settings


@contextmanager
def database(settings: Settings, *, temporary: bool = False) -> Iterator[str]:
    """The URL of the database for the time of the block; one that we start ourselves is migrated.

    `temporary`: where we start it, it is an empty one that is thrown away afterwards.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    with EmbeddedPostgres(None if temporary else settings.data_folder, durable=not temporary) as server:
        bring_up_to_date(server.url)
        yield server.url


def bring_up_to_date(url: str) -> list[str]:
    """Apply the migrations that the database lacks; their names."""
    engine = open_engine(url)
    try:
        return migrate(engine)
    finally:
        engine.dispose()
