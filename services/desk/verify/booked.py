"""Every journal entry is the one that follows from what the ledger told: it is made again, and compared.

What is compared is the message that accounting keeps of it; that the rows of the journal say the same is for
`messages`. What is not booked yet is under way.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from services.accounting.decide.journal import book, book_revaluation
from services.desk.verify.checking import OF_COMPANY, Finding, Scope, key_of, shown
from shared.contracts.codec import Contract, Malformed, decoder, read, write
from shared.contracts.journal import JournalPosted, JournalRevalued
from shared.contracts.stock import MovementPosted, StockRevalued
from shared.db import stream
from shared.errors import InvariantBroken, Unprocessable
from shared.identity import derived_id

_TOLD = f"""
SELECT source, id, told.outputs AS told, booked.outputs AS booked
FROM {{table}} AS told JOIN accounting.movement AS booked USING (source, id)
WHERE told.outputs IS NOT NULL AND {OF_COMPANY.format("told.")}
"""

_posted = decoder(MovementPosted)
_revalued = decoder(StockRevalued)
_journal = decoder(JournalPosted)
_corrections = decoder(JournalRevalued)


def journal_follows_from_the_ledger(connection: Connection, scope: Scope) -> Iterator[Finding]:
    """What accounting keeps of each movement and revaluation is what booking it again comes to."""
    yield from _compare(connection, scope, "ledger.movement", _book, _journal)
    yield from _compare(connection, scope, "ledger.revaluation", _correct, _corrections)


def _compare(
    connection: Connection, scope: Scope, table: str, make: Callable[[bytes], Contract | None], reader: Any
) -> Iterator[Finding]:
    for source, name, told, booked in stream(connection, _TOLD.format(table=table), company=scope.company):
        key = key_of("source id", (source, name))
        try:
            expected = make(bytes(told))
        except Malformed as error:
            yield Finding(table, key, "outputs", "a message", str(error))
            continue
        except (InvariantBroken, Unprocessable) as error:
            yield Finding(table, key, "outputs", "something that can be booked", str(error))
            continue
        body = write(expected) if expected else None
        if booked is None or bytes(booked) != body:
            yield from _difference(key, body, booked, reader)


def _book(body: bytes) -> Contract | None:
    posted = read(_posted, body)
    return book(posted, derived_id(posted.recorded_at, posted.source, posted.id, "journal"))


def _correct(body: bytes) -> Contract | None:
    revalued = read(_revalued, body)
    journal = book_revaluation(revalued)
    if not journal:
        return None
    return JournalRevalued(
        source=revalued.source,
        id=revalued.id,
        company=revalued.company,
        recorded_at=revalued.recorded_at,
        entries=journal,
        trace=revalued.trace,
    )


def _difference(
    key: Mapping[str, str], body: bytes | None, booked: memoryview | None, reader: Any
) -> Iterator[Finding]:
    """The first part in which two messages differ; one of long ago may be written otherwise, and say the same."""
    try:
        found = None if booked is None else msgspec.json.decode(write(read(reader, bytes(booked))))
    except Malformed as error:
        yield Finding("accounting.movement", key, "outputs", "a message", str(error))
        return
    expected = None if body is None else msgspec.json.decode(body)
    if found != expected:
        yield Finding("accounting.movement", key, *_first_difference("outputs", expected, found))


def _first_difference(path: str, expected: Any, found: Any) -> tuple[str, str, str]:
    """Where two messages differ first, and what stands there in each."""
    if isinstance(expected, list) and isinstance(found, list):
        return _first_difference(path, dict(enumerate(expected, 1)), dict(enumerate(found, 1)))
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in {**expected, **found}:
            if expected.get(name) != found.get(name):
                return _first_difference(f"{path}.{name}", expected.get(name), found.get(name))
    return path, shown(expected), shown(found)
