"""Values go to the database as text of our own making, by COPY and as arrays: what is read is what was written."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from shared.db import columns, copy, open_engine, query, run, transaction
from tests import servers

# Whatever has a meaning in either form, among texts without any.
TEXTS = st.text(
    st.one_of(st.sampled_from('"\\{},\t\n\r N\x01\x7f'), st.characters(codec="utf-8", exclude_characters="\0"))
)
ROWS = st.lists(st.tuples(TEXTS, st.none() | TEXTS, st.lists(TEXTS), st.binary()), max_size=8)


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
