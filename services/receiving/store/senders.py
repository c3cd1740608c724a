"""The accounts that speak for sources, as the definitions of these name them."""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import query

_USERS = "SELECT source, user_name FROM receiving.source WHERE source = ANY(:source) AND user_name IS NOT NULL"


def load_users(connection: Connection, sources: Iterable[str]) -> dict[str, str]:
    """The user of each of these sources that has one."""
    return {row.source: row.user_name for row in query(connection, _USERS, source=sorted(set(sources)))}
