"""Values go to the database as text of our own making, by COPY and as arrays: what is read is what was written."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from shared.db import PORTION_ROWS, columns, copy, open_engine, query, run, transaction
from tests import servers

# Whatever has a meaning in either form, among texts without any.
TEXTS = st.text(
    st.one_of(st.sampled_from('"\\{},\t\n\r N\x01\x7f'), st.characters(codec="utf-8", exclude_characters="\0"))
)
ROWS = st.lists(st.tuples(TEXTS, st.none() | TEXTS, st.lists(TEXTS), st.binary()), max_size=8)

ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=8))])
FIRST, LAST = (datetime(year, 1, 3, tzinfo=UTC).replace(tzinfo=None) for year in (1, 9999))
TIMES = st.datetimes(timezones=ZONES, min_value=FIRST, max_value=LAST)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**14), max_value=10**14)
PLAIN = (st.integers(-(2**63), 2**63 - 1), st.booleans(), st.dates(), st.uuids(), NUMBERS, TIMES)
PLAIN_TYPES = ("bigint", "boolean", "date", "uuid", "numeric", "timestamptz")
PLAIN_ROWS = st.lists(st.tuples(*PLAIN), max_size=8)
PLAIN_ROWS_WITH_NONE = st.lists(st.tuples(*(st.none() | each for each in PLAIN)), max_size=8)


@pytest.fixture(scope="module")
def engine(postgres: str) -> Iterator[Engine]:
    with servers.fresh_database(postgres) as url:
        engine = open_engine(url)
        yield engine
        engine.dispose()


@given(rows=ROWS)
def test_what_is_copied_is_read_as_it_was(engine: Engine, rows: list[tuple[str, str | None, list[str], bytes]]) -> None:
    with transaction(engine) as connection:
        run(connection, "CREATE TEMPORARY TABLE each (n integer, a text, b text, c text[], d bytea) ON COMMIT DROP")
        copy(connection, "each", "n, a, b, c, d", [(place, *row) for place, row in enumerate(rows)])
        found = query(connection, "SELECT a, b, c, d FROM each ORDER BY n")
    assert [(row.a, row.b, row.c, bytes(row.d)) for row in found] == rows


@given(texts=st.lists(st.none() | TEXTS))
def test_what_is_given_as_an_array_is_read_as_it_was(engine: Engine, texts: list[str | None]) -> None:
    with transaction(engine) as connection:
        found = query(
            connection, "SELECT cast(:text AS text[]) AS texts", **columns([(each,) for each in texts], "text")
        )
    assert found[0].texts == texts


@given(rows=PLAIN_ROWS | PLAIN_ROWS_WITH_NONE)
def test_numbers_and_times_are_copied_as_they_were(engine: Engine, rows: list[tuple[Any, ...]]) -> None:
    declared = ", ".join(f"c{place} {kind}" for place, kind in enumerate(PLAIN_TYPES))
    names = ", ".join(f"c{place}" for place, _ in enumerate(PLAIN_TYPES))
    with transaction(engine) as connection:
        run(connection, f"CREATE TEMPORARY TABLE each (n integer, {declared}) ON COMMIT DROP")
        copy(connection, "each", f"n, {names}", ((place, *row) for place, row in enumerate(rows)))
        found = query(connection, f"SELECT {names} FROM each ORDER BY n")
    assert [tuple(row) for row in found] == rows


@given(rows=PLAIN_ROWS | PLAIN_ROWS_WITH_NONE)
def test_numbers_and_times_are_read_from_arrays_as_they_were(engine: Engine, rows: list[tuple[Any, ...]]) -> None:
    names = [f"c{place}" for place, _ in enumerate(PLAIN_TYPES)]
    arrays = ", ".join(f"cast(:{name} AS {kind}[])" for name, kind in zip(names, PLAIN_TYPES, strict=True))
    with transaction(engine) as connection:
        found = query(connection, f"SELECT * FROM unnest({arrays}) AS each", **columns(rows, " ".join(names)))
    assert [tuple(row) for row in found] == rows


def test_as_many_rows_are_copied_as_there_are(engine: Engine) -> None:
    for count in (0, 1, PORTION_ROWS, PORTION_ROWS + 1, 3 * PORTION_ROWS - 1):
        with transaction(engine) as connection:
            run(connection, "CREATE TEMPORARY TABLE each (n integer, a text) ON COMMIT DROP")
            copy(connection, "each", "n, a", ((number, f"row {number}") for number in range(count)))
            found = query(connection, "SELECT n, a FROM each ORDER BY n")
        assert [tuple(row) for row in found] == [(number, f"row {number}") for number in range(count)]


def test_rows_of_different_lengths_are_not_copied(engine: Engine) -> None:
    with transaction(engine) as connection, pytest.raises(ValueError, match="shorter"):
        copy(connection, "each", "n, a", [(1, "a"), (2,)])
