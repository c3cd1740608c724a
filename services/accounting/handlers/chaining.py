"""Chaining what was booked, off the path of movements: a sweep links what has its number, another tells the heads."""

from functools import partial
from time import monotonic

from sqlalchemy import Connection

from services.accounting.store import chain
from shared import outbox
from shared.contracts.codec import write
from shared.contracts.registry import AUDIT_HEAD
from shared.service import Handled, Output

AT_ONCE = 200
"""About how many entries of a company get their links in one transaction."""
COMPANIES = 10
"""Of how many companies."""
SECONDS = 0.02
"""How long one sweep goes on at most, however much there is: messages wait meanwhile."""
PAUSE = 60.0
"""Seconds after which the head of a company that has moved is told again."""


def chain_entries(connection: Connection) -> Handled:
    """Give links to what was booked and has its number, and go on for a while where there is more."""
    made = chain.make_heads(connection)
    linking = partial(_chain, monotonic() + SECONDS)
    # A head that is new is committed first: whoever met it half made would wait, and not pass it over.
    return Handled(then=linking) if made else linking(connection)


def tell_heads(connection: Connection) -> Handled:
    """Tell the heads that moved, or that somebody asked for; they hang on no message, so through the outbox."""
    heads = chain.take_untold(connection, PAUSE)
    outputs = [Output(AUDIT_HEAD, each.source, each.id, write(each)) for each in heads]
    outbox.add(connection, chain.SCHEMA, outputs)
    return Handled(outputs, [(each.source, each.id) for each in outputs])


def _chain(until: float, connection: Connection) -> Handled:
    heads = chain.take_heads(connection, COMPANIES)
    linked = [chain.append(connection, each, AT_ONCE) for each in heads]
    is_more = len(heads) == COMPANIES or any(each >= AT_ONCE for each in linked)
    return Handled(then=partial(_chain, until) if is_more and monotonic() < until else None)
