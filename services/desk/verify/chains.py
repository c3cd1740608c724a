"""Tamper evidence: every entry and every journal entry is as its link says, and the links are unbroken."""

from collections.abc import Iterator

from sqlalchemy import Connection

from services.desk.audit import broken_links
from services.desk.verify.checking import Finding, Scope


def chains_hold(connection: Connection, scope: Scope) -> Iterator[Finding]:
    """What contradicts the chains: rows that were changed, removed or inserted, and links that were."""
    for each in broken_links(connection, scope.company):
        place = {} if each.position is None else {"position": str(each.position)}
        row = {} if each.covers is None else {"covers": each.covers}
        key = {"company": each.company, "chain": each.chain.value, **place, **row}
        yield Finding(each.table, key, each.what, each.expected, each.found)
