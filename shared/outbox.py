"""The outbox: outputs that hang on no unacknowledged input, kept until the broker confirmed them.

Each service that releases such outputs has a table `<schema>.outbox (source, id, kind, body)`, key (source, id, kind).
A row is written in the transaction that made the output and deleted after the confirm, with all others of its movement;
the sweep publishes what a crash left.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from shared.db import columns, query, run
from shared.service import Handled, Key, Output, Step

_ADD = """
INSERT INTO {schema}.outbox (source, id, kind, body)
SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[]), cast(:kind AS text[]), cast(:body AS bytea[]))
ON CONFLICT (source, id, kind) DO NOTHING
"""
# In a transaction of its own, in one order, and never waiting: two workers may have published the same rows.
_REMOVE = """
DELETE FROM {schema}.outbox WHERE (source, id, kind) IN (
    SELECT source, id, kind FROM {schema}.outbox
    WHERE (source, id) IN (SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[])))
    ORDER BY source, id, kind FOR UPDATE SKIP LOCKED
)
"""
# Of each movement all outputs: they are removed together.
_FIRST = """
SELECT source, id, kind, body FROM {schema}.outbox
WHERE (source, id) IN (SELECT DISTINCT source, id FROM {schema}.outbox ORDER BY source, id LIMIT :limit)
ORDER BY source, id, kind
"""


def add(connection: Connection, schema: str, outputs: Sequence[Output]) -> None:
    """Keep outputs until `remove`."""
    if outputs:
        rows = [(each.source, each.id, each.kind, each.body) for each in outputs]
        run(connection, _ADD.format(schema=schema), **columns(rows, "source id kind body"))


def remove(connection: Connection, schema: str, keys: Sequence[Key]) -> None:
    """Forget the outputs of these movements: they were confirmed."""
    if keys:
        run(connection, _REMOVE.format(schema=schema), **columns(sorted(keys), "source id"))


def sweep(schema: str, limit: int = 500) -> Step:
    """A step that publishes what stands in the outbox, `limit` movements at a time in the order of their keys.

    It takes no locks: two workers may publish the same rows, and whoever reads drops doubles.
    """

    def step(connection: Connection) -> Handled:
        rows = query(connection, _FIRST.format(schema=schema), limit=limit)
        outputs = [Output(row.kind, row.source, row.id, bytes(row.body)) for row in rows]
        released = sorted({(row.source, row.id) for row in rows})
        return Handled(outputs, released, step if len(released) == limit else None)

    return step
