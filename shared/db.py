"""PostgreSQL: engines, transactions, set-based statements, and the one place that says which errors to retry.

Statements are text with named parameters; lists go through `unnest` or COPY. Errors come from two layers (SQLAlchemy's
and, out of COPY, psycopg2's own), and are told apart by SQLSTATE.
"""

import contextlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, cast
from uuid import UUID

import msgspec
import psycopg2
from sqlalchemy import Connection, Engine, Row, create_engine, text
from sqlalchemy.dialects.postgresql import psycopg2 as psycopg2_dialect
from sqlalchemy.exc import DBAPIError

from shared.errors import Fatal, Retryable

STATEMENT_TIMEOUT_MS = 20_000
LOCK_TIMEOUT_MS = 10_000
IDLE_TIMEOUT_MS = 20_000
CONNECT_TIMEOUT_S = 10
PORTION_ROWS = 1_000
"""How many rows of a stream are held at once, or made into text: a row may hold a whole message."""

# Connection trouble, resources, operator intervention; read-only server.
_AWAY = re.compile("08...|53...|57P..|58...|25006")
# What ends an idle transaction ends its connection: the SQLSTATE seldom comes through.
_IDLE = "25P03"
# Rolled back for another transaction's sake, lock not available, statement took too long.
_MET = re.compile("40...|55P03|57014")
# A unique key taken meanwhile (a serial, a movement): decided anew, the outcome may differ.
_TAKEN = "23505"
# A table, column or right is missing: no input's fault.
_UNFIT = re.compile("42...|3F000")
# What is said of TLS has no SQLSTATE; trying again would be refused in the same way.
_UNSAFE = re.compile("certificate|SSL was required|does not support SSL|invalid ssl")


class Contended(Retryable):
    """Transactions met, or this one was too slow; it was rolled back and is decided anew."""


class Taken(Contended):
    """Another transaction took a unique key meanwhile; met each time, it is not another that is in the way."""


class Lost(Retryable):
    """The connection was lost after the transaction had begun: the server ended it, or is gone."""


def open_engine(url: str, **options: Any) -> Engine:
    """An engine whose sessions give up on locks and statements before a broker's heartbeat would."""
    settings = (
        f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS} "
        f"-c idle_in_transaction_session_timeout={IDLE_TIMEOUT_MS} -c timezone=UTC -c jit=off"
    )
    return create_engine(
        url,
        connect_args={"options": settings, "application_name": "stockbook", "connect_timeout": CONNECT_TIMEOUT_S},
        pool_pre_ping=False,
        hide_parameters=True,  # what a statement was about is nobody's business who reads logs
        pool_size=2,
        **options,
    )


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction; what can be tried again comes out as `Retryable`, a database that does not fit as `Fatal`."""
    try:
        with engine.begin() as connection:
            yield connection
    except (DBAPIError, psycopg2.Error) as error:
        meant = as_ours(error)
        if meant is None:
            raise
        raise meant from error


def as_ours(error: DBAPIError | psycopg2.Error) -> Retryable | Fatal | None:
    """What the error means for a worker; None where it is for what was asked of the database."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "pgcode", None) or ""
    shown = str(cause).strip()
    if _MET.fullmatch(state):
        return Contended("another transaction was in the way", error=shown)
    if state == _TAKEN:
        return Taken("a key was taken meanwhile", error=shown)
    if _UNFIT.fullmatch(state):
        return Fatal("the database lacks a table, a column or a right: is it migrated?", error=shown, state=state)
    if not state and isinstance(cause, psycopg2.OperationalError) and _UNSAFE.search(shown):
        return Fatal("no safe connection to the database", error=shown)
    # A lost or refused connection has no SQLSTATE; where one could not be had, nothing was invalidated.
    begun = not isinstance(error, DBAPIError) or error.connection_invalidated
    if state == _IDLE or (not state and begun and isinstance(cause, psycopg2.OperationalError)):
        return Lost("the connection to the database was lost", error=shown)
    lost = not state and isinstance(cause, psycopg2.OperationalError | psycopg2.InterfaceError)
    return Retryable("the database is away", error=shown) if lost or _AWAY.fullmatch(state) else None


def run(connection: Connection, statement: str, **parameters: Any) -> int:
    """Execute a statement; the number of rows that it touched."""
    return connection.exec_driver_sql(_text(statement), parameters).rowcount


def query(connection: Connection, statement: str, **parameters: Any) -> Sequence[Row[Any]]:
    """Execute a statement and fetch all of its rows."""
    return connection.exec_driver_sql(_text(statement), parameters).all()


def stream(connection: Connection, statement: str, **parameters: Any) -> Iterator[Any]:
    """The rows of a statement, of which no more than a portion is held at once; their types are the statement's."""
    options = {"stream_results": True, "yield_per": PORTION_ROWS}
    with connection.exec_driver_sql(_text(statement), parameters, execution_options=options) as rows:
        yield from rows


def copy(connection: Connection, table: str, columns: str, rows: Iterable[Sequence[object]]) -> None:
    """Append rows by COPY. Values are None, str, bytes, bool, numbers, dates, UUIDs, or lists of str.

    psycopg2's own errors come out of it, within the transaction of `connection`.
    """
    buffer = io.StringIO()
    remaining = iter(rows)
    while portion := list(islice(remaining, PORTION_ROWS)):
        fields = [_fields(values) for values in zip(*portion, strict=True)]
        buffer.writelines(f"{line}\n" for line in map("\t".join, zip(*fields, strict=True)))
    if not buffer.tell():
        return
    buffer.seek(0)
    with contextlib.closing(connection.connection.cursor()) as cursor:
        cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", buffer)


def columns(rows: Sequence[Sequence[Any]], names: str) -> Mapping[str, str]:
    """Rows turned into the array literals that `cast(:name AS type[])` takes, by the given names.

    One literal is one constant to the server, and costs the client a fraction of a list of parameters.
    """
    keys = names.split()
    lists: Iterable[Sequence[Any]] = zip(*rows, strict=True) if rows else ([] for _ in keys)
    return {key: _array(values) for key, values in zip(keys, lists, strict=True)}


_DIALECT = psycopg2_dialect.dialect()  # type: ignore[no-untyped-call]  # the library's own
_texts: dict[str, str] = {}
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _text(statement: str) -> str:
    # Statements are module constants: each is put into the driver's form once, which is a quarter of what it costs to
    # have one executed that has no rows.
    found = _texts.get(statement)
    if found is None:
        found = _texts[statement] = str(text(statement).compile(dialect=_DIALECT))
    return found


# Whose text has no meaning of its own, neither to COPY nor in an array literal.
_PLAIN = {int, Decimal, UUID, date, bool}


def _fields(values: Sequence[object]) -> Iterable[str]:
    """A column in COPY's text format. Most columns have values of one type, and texts in which nothing is escaped."""
    kinds = set(map(type, values))
    if kinds == {str} and _is_as_it_is("".join(cast("Sequence[str]", values))):
        return cast("Sequence[str]", values)
    if kinds == {datetime}:
        return _quoted_times(values)[1:-1].split('","')
    return map(str if kinds <= _PLAIN else _field, values)


def _field(value: object) -> str:
    """A value in COPY's text format."""
    if isinstance(value, str):
        return value if _is_as_it_is(value) else value.translate(_ESCAPES)
    if value is None:
        return "\\N"
    if isinstance(value, bytes):
        return "\\\\x" + value.hex()
    if isinstance(value, list):
        return _array(value).translate(_ESCAPES)
    return str(value)


def _is_as_it_is(value: str) -> bool:
    # What can be printed has no tab and no end of a line; to look is half the work of translating.
    return value.isprintable() and "\\" not in value


def _array(values: Sequence[Any]) -> str:
    """An array literal. Texts in which nothing is to be escaped, nearly all of them, are joined as they are."""
    kinds = set(map(type, values))
    if kinds == {str}:
        joined = '","'.join(values)
        if "\\" not in joined and joined.count('"') == 2 * (len(values) - 1):
            return f'{{"{joined}"}}'
    elif kinds == {datetime}:
        return "{" + _quoted_times(values) + "}"
    return "{" + ",".join(map(str if kinds <= _PLAIN else _element, values)) + "}"


def _quoted_times(values: Sequence[Any]) -> str:
    """Times in quotes, with commas between: `str` takes twenty times as long for them."""
    return msgspec.json.encode(values).decode()[1:-1]


def _element(value: object) -> str:
    """A value in an array literal: text, bytes and times in quotes, since they may hold what has a meaning there."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return '"\\\\x' + value.hex() + '"'
    if isinstance(value, datetime):
        return f'"{value}"'
    return str(value)
