"""Numbered `.sql` migrations, applied once each, in order, under a lock.

Where the owner role owns the schemas, it owns what a migration makes, and the other roles get their rights on it in the
same transaction.

The migrations of a service lie in `services/<name>/migrations/NNNN-what.sql` and create its schema. What has been
applied stands in `public.stockbook_migration`, with a digest: a file that changed after it was applied is an error.
"""

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from sqlalchemy import Connection, Engine

from shared.db import query, run, transaction
from shared.errors import Fatal
from shared.granting import act_as_owner, regrant

SERVICES = ("receiving", "ledger", "accounting", "aftercare")

_LEDGER_OF_MIGRATIONS = """
CREATE TABLE IF NOT EXISTS public.stockbook_migration (
    service text NOT NULL,
    name text NOT NULL,
    digest text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (service, name)
)
"""
_LOCK = "LOCK TABLE public.stockbook_migration IN ACCESS EXCLUSIVE MODE"
_APPLIED = "SELECT service, name, digest FROM public.stockbook_migration"
_RECORD = "INSERT INTO public.stockbook_migration (service, name, digest) VALUES (:service, :name, :digest)"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: the service that owns it, its name, its text."""

    service: str
    name: str
    text: str

    @property
    def digest(self) -> str:
        """What its text was, when it was applied."""
        return sha256(self.text.encode()).hexdigest()


def migrate(engine: Engine) -> list[str]:
    """Bring the database up to date; the names of the migrations that were applied now.

    Raises Fatal where an applied migration's file has changed since.
    """
    with transaction(engine) as connection:
        run(connection, _LEDGER_OF_MIGRATIONS)
    with transaction(engine) as connection:
        act_as_owner(connection)
        run(connection, _LOCK)
        done = {(row.service, row.name): row.digest for row in query(connection, _APPLIED)}
        applied = [_apply(connection, each) for each in migrations() if not _is_done(each, done)]
        regrant(connection)
        return applied


def migrations() -> list[Migration]:
    """All migrations of all services, in the order in which they are applied."""
    found: list[Migration] = []
    for service in SERVICES:
        folder = files("services").joinpath(service, "migrations")
        texts = [file for file in folder.iterdir() if file.name.endswith(".sql")] if folder.is_dir() else []
        ordered = sorted(texts, key=lambda each: each.name)
        found.extend(Migration(service, file.name, file.read_text("utf-8")) for file in ordered)
    return found


def _is_done(migration: Migration, done: dict[tuple[str, str], str]) -> bool:
    digest = done.get((migration.service, migration.name))
    if digest is not None and digest != migration.digest:
        raise Fatal("an applied migration was changed", service=migration.service, name=migration.name)
    return digest is not None


def _apply(connection: Connection, migration: Migration) -> str:
    connection.exec_driver_sql(migration.text.replace("%", "%%"))
    run(connection, _RECORD, service=migration.service, name=migration.name, digest=migration.digest)
    return f"{migration.service}/{migration.name}"
