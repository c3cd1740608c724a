"""Turning away what another account has sent than the one that speaks for its source: it is parked, never answered."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection

from shared.logs import logger
from shared.parked import Parked, park
from shared.reading import sent_by
from shared.senders import RESERVED, Senders, speaks_for
from shared.service import Input


def turn_away(
    connection: Connection, schema: str, inputs: Sequence[Input], senders: Senders
) -> tuple[Sequence[Input], Counter[str]]:
    """What its own source has sent; the others are parked, and how many that are by the reasons.

    They are not answered: the source that they name has not asked, and what it will ask by these ids is its own.
    """
    own: list[Input] = []
    foreign: list[Parked] = []
    for each in inputs:
        if each.source in RESERVED:
            error = f"no source is called {each.source}: the services speak under this name"
            foreign.append(_turned_away(schema, "source_reserved", each, error))
        elif speaks_for(each.user, each.source, senders):
            own.append(each)
        else:
            wanted, user = senders.users[each.source], each.user or "one that is not known"
            error = f"{each.source} is spoken for by the user {wanted}, not by {user}"
            foreign.append(_turned_away(schema, "not_your_source", each, error))
    park(connection, schema, foreign)
    return own, Counter(each.reason for each in foreign)


def _turned_away(schema: str, code: str, each: Input, error: str) -> Parked:
    logger(schema).warning(code, source=each.source, id=each.id, user=each.user, trace=each.trace)
    return Parked(code, error, each.raw, each.kind, each.source, each.id, sent_by(each.user))
