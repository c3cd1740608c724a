"""Chaining: every entry and every journal entry gets its link, one after another, whoever dies or works beside it."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from services.accounting.handlers.numbering import number_entries
from services.accounting.store.chain import CHAINED as JOURNAL
from services.desk.audit import broken_links
from services.desk.audit.verifier import canonical
from services.desk.store.chains import ask
from services.ledger.store.chain import CHAINED as LEDGER
from shared import chaining
from shared.contracts.audit import AuditHead
from shared.contracts.codec import decoder, read
from shared.db import Contended, query, run, transaction
from shared.migrate import migrations
from shared.service import Handled, Output
from tests import servers
from tests.builders import MORNING, Receiving, Session, carry_out, deliver, keep_allocated, leg, revalue_all
from tests.closing_builders import Company
from tests.receiving_builders import comes, goes, movement, moves, opened, rows

CHAINS = ("ledger", "accounting")
HEADS = decoder(AuditHead)
link, tell_heads = chaining.sweeps(LEDGER)
link_journal, tell_journal_heads = chaining.sweeps(JOURNAL)


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    with opened(database) as engine:
        yield engine


@pytest.fixture
def company(engine: Engine) -> Company:
    return Company(engine)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def trade(company: Company, days: int, prefix: str = "") -> None:
    """A receipt and two issues of each day, one of them into another warehouse."""
    for day in range(days):
        at = MORNING - timedelta(days=30 - day)
        company.book(
            movement("purchase_receipt", comes("tea", 5), id=f"{prefix}R{day}", at=at),
            movement("delivery", goes("tea", 1), id=f"{prefix}D{day}", at=at + timedelta(hours=1)),
            movement("material_transfer", moves("tea", 1), id=f"{prefix}T{day}", at=at + timedelta(hours=2)),
        )


def chain(engine: Engine) -> None:
    """Have both services chain what there is."""
    carry_out(engine, "accounting", number_entries)
    for schema, sweep in (("ledger", link), ("accounting", link_journal)):
        carry_out(engine, schema, sweep)
        while rows(engine, f"SELECT FROM {schema}.unchained"):
            carry_out(engine, schema, sweep)


def linking(connection: Connection) -> Handled:
    """Make heads and give links in one transaction."""
    handled = link(connection)
    return handled.then(connection) if handled.then else handled


def tell(engine: Engine) -> list[AuditHead]:
    """Have both services tell their heads."""
    told: list[Output] = carry_out(engine, "ledger", tell_heads)
    told += carry_out(engine, "accounting", tell_journal_heads)
    return [read(HEADS, each.body) for each in told]


def assert_chained(engine: Engine, schema: str, company: str = "shop") -> int:
    """Each entry of a company is covered once, by an unbroken chain that ends in its head; how many there are."""
    table, name = {"ledger": ("entry", "entry_id"), "accounting": ("journal_entry", "journal_entry")}[schema]
    of_company = f"WHERE company = '{company}'"
    links = rows(engine, f"SELECT position, covers, digest, hash FROM {schema}.chain {of_company} ORDER BY position")
    entries = rows(engine, f"SELECT {name} FROM {schema}.{table} {of_company}")
    contents = dict(rows(engine, f"SELECT covers, content FROM {schema}.chain_content {of_company}"))
    assert [each[0] for each in links] == list(range(1, len(entries) + 1))
    assert {each[1] for each in links} == {each for (each,) in entries}
    kind = {"ledger": "ledger", "accounting": "journal"}[schema]
    last = sha256(json.dumps(["chain.v1", kind, company], separators=(",", ":")).encode()).digest()
    for position, covers, digest, hashed in links:
        assert bytes(digest) == sha256(contents[covers].encode()).digest()
        last = sha256(last + position.to_bytes(8, "big") + bytes(digest)).digest()
        assert bytes(hashed) == last
    head = rows(engine, f"SELECT position, hash FROM {schema}.chain_head {of_company}")
    assert [(position, bytes(hashed)) for position, hashed in head] == ([(len(links), last)] if links else [])
    assert rows(engine, f"SELECT FROM {schema}.unchained {of_company}") == []
    return len(links)


def assert_sound(engine: Engine) -> None:
    with transaction(engine) as connection:
        assert list(broken_links(connection)) == []


# --- linking ---------------------------------------------------------------------------------------------------------


def test_every_entry_and_every_journal_entry_gets_a_link_in_an_unbroken_chain(company: Company) -> None:
    trade(company, 3)
    chain(company.engine)
    assert assert_chained(company.engine, "ledger") == 12
    assert assert_chained(company.engine, "accounting") == 9
    trade(company, 2, "later ")
    chain(company.engine)
    assert assert_chained(company.engine, "ledger") == 20
    assert assert_chained(company.engine, "accounting") == 15
    assert_sound(company.engine)


def test_a_journal_entry_has_no_link_before_it_has_its_number(company: Company) -> None:
    trade(company, 1)
    carry_out(company.engine, "accounting", link_journal)
    assert rows(company.engine, "SELECT FROM accounting.chain") == []
    assert_sound(company.engine)
    chain(company.engine)
    assert assert_chained(company.engine, "accounting") == 3


def test_what_a_revaluation_corrects_is_linked_too(engine: Engine) -> None:
    receiving = Receiving()
    early = [receiving.movement(leg(4, 8)), receiving.movement(leg(-2)), receiving.movement(leg(4, 20))]
    late = receiving.movement(leg(2, 100))
    back_dated = structs.replace(late, effective_at=MORNING, posting_at=MORNING)
    keep_allocated(engine, [*early, back_dated])
    deliver(engine, *early)
    chain(engine)
    deliver(engine, back_dated)
    revalue_all(engine)
    assert rows(engine, "SELECT count(*) > 0 FROM ledger.entry WHERE revaluation > 0") == [(True,)]
    chain(engine)
    assert assert_chained(engine, "ledger") > 4
    assert_sound(engine)


def test_each_company_has_a_chain_of_its_own(engine: Engine) -> None:
    for name in ("shop", "twin"):
        deliver(engine, *[Receiving(name, name).movement(leg(1, 2))])
    chain(engine)
    assert assert_chained(engine, "ledger", "shop") == assert_chained(engine, "ledger", "twin") == 1
    assert rows(engine, "SELECT count(DISTINCT hash) FROM ledger.chain") == [(2,)]


def test_much_is_linked_a_portion_at_a_time(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaining, "AT_ONCE", 2)
    trade(company, 4)
    with transaction(company.engine) as connection:
        number_entries(connection)
        assert link(connection).then is not None
        connection.rollback()
    chain(company.engine)
    assert assert_chained(company.engine, "ledger") == 16
    assert assert_chained(company.engine, "accounting") == 12


def test_a_sweep_ends_however_much_there_is(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaining, "AT_ONCE", 1)
    monkeypatch.setattr(chaining, "SECONDS", 0.0)
    trade(company, 4)
    carry_out(company.engine, "ledger", link)
    ((linked,),) = rows(company.engine, "SELECT count(*) FROM ledger.chain")
    assert 0 < linked < 16
    while rows(company.engine, "SELECT FROM ledger.unchained"):
        carry_out(company.engine, "ledger", link)
    assert assert_chained(company.engine, "ledger") == 16


# --- deaths and neighbours -------------------------------------------------------------------------------------------


def test_one_who_is_killed_while_chaining_leaves_neither_gap_nor_fork(company: Company) -> None:
    trade(company, 2)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), transaction(company.engine) as connection:
            linking(connection)
            raise KeyboardInterrupt
        assert rows(company.engine, "SELECT FROM ledger.chain") == []
        trade(company, 1, "more ")
    chain(company.engine)
    assert_chained(company.engine, "ledger")
    assert_sound(company.engine)


def test_who_finds_another_chaining_a_company_leaves_it_to_that_one(engine: Engine, pool: ThreadPoolExecutor) -> None:
    shop, twin = Receiving(), Receiving("twin", "twin")
    deliver(engine, shop.movement(leg(1, 2)))
    with transaction(engine) as connection:
        first_step = link(connection)
    assert first_step.then is not None, "a new head is committed before anybody holds it"
    first = Session(engine, first_step.then, pool).hold()
    deliver(engine, shop.movement(leg(1, 3)), twin.movement(leg(1, 2)))
    carry_out(engine, "ledger", link)
    assert rows(engine, "SELECT company, position FROM ledger.chain") == [("twin", 1)]
    first.commit()
    carry_out(engine, "ledger", link)
    assert assert_chained(engine, "ledger") == 2


def test_posting_does_not_wait_for_who_chains(engine: Engine, pool: ThreadPoolExecutor) -> None:
    receiving = Receiving()
    deliver(engine, receiving.movement(leg(1, 2)))
    first = Session(engine, linking, pool).hold()
    deliver(engine, receiving.movement(leg(1, 3)))
    first.commit()
    chain(engine)
    assert assert_chained(engine, "ledger") == 2


def test_a_link_follows_on_those_that_another_made_in_between(engine: Engine, pool: ThreadPoolExecutor) -> None:
    receiving = Receiving()
    deliver(engine, receiving.movement(leg(1, 2)))

    def held_up(connection: Connection) -> Handled:
        """One whose transaction began before the other's, and that takes the head after it."""
        run(connection, "SELECT count(*) FROM ledger.chain")
        chain(engine)
        deliver(engine, receiving.movement(leg(1, 3)))
        return linking(connection)

    Session(engine, held_up, pool).commit()
    assert assert_chained(engine, "ledger") == 2


def test_workers_that_post_and_chain_at_once_and_die_now_and_then_leave_neither_gap_nor_fork(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chaining, "AT_ONCE", 3)

    def work(seed: int) -> None:
        random = Random(seed)
        receiving = Receiving(random.choice(["shop", "twin"]), f"till-{seed}")
        for _ in range(12):
            deliver(engine, *(receiving.movement(leg(1, 2, warehouse=f"w{seed}")) for _ in range(random.randint(1, 5))))
            _chain_or_die(engine, random)
            if random.random() < 0.3:
                assert_sound(engine)  # also while others are at work

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(work, range(4)))
    chain(engine)
    ((entries,),) = rows(engine, "SELECT count(*) FROM ledger.entry")
    assert assert_chained(engine, "ledger", "shop") + assert_chained(engine, "ledger", "twin") == entries
    assert_sound(engine)


def _chain_or_die(engine: Engine, random: Random) -> None:
    try:
        with transaction(engine) as connection:
            linking(connection)
            if random.random() < 0.4:
                raise KeyboardInterrupt
    except (KeyboardInterrupt, Contended):
        pass


def test_an_entry_that_is_gone_before_it_has_a_link_is_missed(engine: Engine) -> None:
    deliver(engine, *[Receiving().movement(leg(1, 2))])
    with transaction(engine) as connection:
        run(connection, "SET LOCAL session_replication_role = replica")
        run(connection, "DELETE FROM ledger.entry")
    chain(engine)
    with transaction(engine) as connection:
        (broken,) = broken_links(connection)
    assert (broken.table, broken.position, broken.what) == ("ledger.entry", 1, "the row is missing")


# --- the schema guards -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schema", CHAINS)
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE {}.chain SET hash = digest",
        "DELETE FROM {}.chain",
        "TRUNCATE {}.chain",
        "DELETE FROM {}.chain_head",
        "TRUNCATE {}.chain_head",
        "UPDATE {}.chain_head SET position = position - 1",
        "UPDATE {}.chain_head SET hash = sha256(hash)",
        "INSERT INTO {}.chain SELECT company, 9, gen_random_uuid(), digest, hash FROM {}.chain WHERE position = 1",
        "INSERT INTO {}.chain VALUES ('other', 2, gen_random_uuid(), sha256(''), sha256(''))",
    ],
)
def test_the_schema_refuses_to_change_a_chain(company: Company, schema: str, change: str) -> None:
    trade(company, 1)
    chain(company.engine)
    with pytest.raises(DBAPIError, match=r"append-only|only grows|no gaps"), transaction(company.engine) as connection:
        run(connection, change.replace("{}", schema))


def test_no_entry_is_linked_twice(engine: Engine) -> None:
    deliver(engine, *[Receiving().movement(leg(1, 2))])
    chain(engine)
    with pytest.raises(Contended, match="taken"), transaction(engine) as connection:
        run(connection, "INSERT INTO ledger.chain SELECT company, 2, covers, digest, hash FROM ledger.chain")


# --- heads are told --------------------------------------------------------------------------------------------------


def test_heads_are_told_when_they_move_but_not_more_than_once_a_minute(company: Company) -> None:
    trade(company, 1)
    chain(company.engine)
    told = tell(company.engine)
    assert [(each.source, each.chain, each.position) for each in told] == [
        ("ledger", "ledger", 4),
        ("accounting", "journal", 3),
    ]
    for each, schema in zip(told, CHAINS, strict=True):
        ((hashed, recorded_at),) = rows(company.engine, f"SELECT hash, recorded_at FROM {schema}.chain_head")
        assert (each.hash, each.recorded_at) == (bytes(hashed).hex(), recorded_at)
    trade(company, 1, "more ")
    chain(company.engine)
    assert tell(company.engine) == []
    _a_minute_passes(company.engine)
    assert [each.position for each in tell(company.engine)] == [8, 6]
    _a_minute_passes(company.engine)
    assert tell(company.engine) == []


def test_a_head_that_somebody_asks_for_is_told_at_once_though_it_has_not_moved(company: Company) -> None:
    trade(company, 1)
    chain(company.engine)
    first = tell(company.engine)
    with transaction(company.engine) as connection:
        assert ask(connection, "shop") == 2
        assert ask(connection, "twin") == 0
    assert tell(company.engine) == first
    assert tell(company.engine) == []


def test_a_head_stands_in_the_outbox_until_it_is_confirmed(company: Company) -> None:
    trade(company, 1)
    chain(company.engine)
    with transaction(company.engine) as connection:
        handled = tell_heads(connection)
    assert rows(company.engine, "SELECT kind, id FROM ledger.outbox") == [("audit.head.v1", "shop/ledger/4")]
    assert list(handled.released) == [("ledger", "shop/ledger/4")]


def _a_minute_passes(engine: Engine) -> None:
    with transaction(engine) as connection:
        for schema in CHAINS:
            run(connection, f"UPDATE {schema}.chain_head SET told_at = told_at - interval '61 s'")


# --- what was there before -------------------------------------------------------------------------------------------


def test_what_was_posted_and_booked_before_there_were_chains_is_linked(company: Company, postgres: str) -> None:
    trade(company, 3)
    chain(company.engine)
    kept = ("ledger.entry", "accounting.journal_entry", "accounting.transfer", "accounting.journal_number")
    with servers.fresh_database(postgres) as url, opened(url) as engine:
        later = [each for each in migrations() if each.name.endswith("-chain.sql")]
        with transaction(engine) as connection:
            for each in migrations():
                if each.service != "receiving" and each.name < "0008" and each not in later:
                    connection.exec_driver_sql(each.text.replace("%", "%%"))
            run(connection, "SET LOCAL session_replication_role = replica")
            for table in kept:
                _fill(company.engine, connection, table)
        with transaction(engine) as connection:
            for each in later:
                connection.exec_driver_sql(each.text.replace("%", "%%"))
        assert rows(engine, "SELECT sum(size) FROM ledger.unchained") == [(12,)]
        chain(engine)
        assert assert_chained(engine, "ledger") == 12
        assert assert_chained(engine, "accounting") == 9
        assert_sound(engine)


def _fill(origin: Engine, connection: Connection, table: str) -> None:
    """Copy the rows of a table from another database."""
    with transaction(origin) as source:
        given = query(source, f"SELECT cast(coalesce(json_agg(each), '[]') AS text) AS rows FROM {table} AS each")
    statement = f"INSERT INTO {table} SELECT * FROM json_populate_recordset(cast(NULL AS {table}), cast(:rows AS json))"
    assert run(connection, statement, rows=given[0].rows)


# --- the canonical form ----------------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))))
def test_the_database_and_the_verifier_write_any_texts_alike(engine: Engine, texts: list[str | None]) -> None:
    with transaction(engine) as connection:
        ((written,),) = query(connection, "SELECT cast(array_to_json(cast(:texts AS text[])) AS text)", texts=texts)
    assert written.encode() == canonical(texts)


def test_an_empty_queue_costs_no_link_and_no_head(engine: Engine) -> None:
    chain(engine)
    assert rows(engine, "SELECT FROM ledger.chain_head") == rows(engine, "SELECT FROM accounting.chain_head") == []
    with transaction(engine) as connection:
        assert chaining.take_heads(LEDGER, connection, 10) == []
