"""Whatever a superuser changes in messages, journals and guards behind the services' backs is named."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.verifying_builders import Corruption, Keys, corruptions, found_in, shops_after_the_last_day, tells

NOBODY = "00000000-0000-0000-0000-000000000001"
SALE = {"source": "volt-till-1", "id": "T1-000481"}
FIXED: Keys = {
    "nothing": {},
    "cable": {"company": "VOLT", "item": "CABLE", "warehouse": "FLOOR"},
    "sale": SALE,
    "sale of a kind": {**SALE, "kind": "kind"},
    "count": {"source": "ama-office", "id": "CNT-901"},
    "waiting": {"source": "till", "id": "T"},
    "parked": {"parked_id": NOBODY},
    "no entry": {"company": "VOLT", "entry_id": NOBODY},
    "no journal": {"company": "VOLT", "journal_entry": NOBODY},
    "year": {"company": "VOLT", "year": "2026"},
    "shop floor": {"company": "VOLT", "account": "1420 shop floor"},
    "books": {"company": "AMA"},
    "closing": {"company": "AMA", "number": "1"},
    "append only": {"trigger": "append_only"},
    "refusing": {"function": "ledger.refuse_change"},
    "zero": {"constraint": "no_quantity_no_value"},
    "inbox": {"constraint": "movement_pkey"},
    "in time": {"unique_index": "ledger.entry_in_time"},
}
READ = {
    "entry": """SELECT company, entry_id FROM ledger.entry
        WHERE id = 'T1-000481' AND item = 'CASE' AND part_of IS NULL""",
    "journal": """SELECT company, journal_entry FROM accounting.journal_entry
        WHERE id = 'T1-000481' AND revaluation IS NULL""",
    "transfer": """SELECT company, journal_entry, ordinal FROM accounting.transfer JOIN accounting.journal_entry
        USING (company, journal_entry) WHERE id = 'T1-000481' AND revaluation IS NULL AND ordinal = 1""",
    "last journal": """SELECT company, journal_entry FROM accounting.journal_entry
        WHERE id = 'PR-108' AND revaluation IS NULL""",
    "number": "SELECT company, journal_entry FROM accounting.journal_number WHERE company = 'VOLT' AND number = 35",
    "piece": "SELECT source, id FROM ledger.revaluation WHERE item = 'CHARGER'",
}
INBOXES = """
inboxes: ledger.movement (sale) accepted: yes → no
    DELETE FROM receiving.movement WHERE {sale}
inboxes: ledger.movement (sale) company: VOLT → AMA
    UPDATE ledger.movement SET company = 'AMA' WHERE {sale}
inboxes: ledger.movement (sale) recorded_at: 2026-04-30 18:00:00+00 → 2026-04-30 18:00:01+00
    UPDATE ledger.movement SET recorded_at = '2026-04-30 18:00:01Z' WHERE {sale}
inboxes: ledger.entry (entry) movement: a posted one → volt-till-1 nobody
    UPDATE ledger.entry SET id = 'nobody' WHERE {entry}
inboxes: accounting.movement (sale) posted: yes → no
    DELETE FROM ledger.movement WHERE {sale}
inboxes: accounting.movement (sale) company: VOLT → AMA
    UPDATE accounting.movement SET company = 'AMA' WHERE {sale}
inboxes: accounting.movement (piece) posted: yes → no
    DELETE FROM ledger.revaluation WHERE {piece}
inboxes: accounting.movement (sale) journal entries: 1 → 0
    DELETE FROM accounting.journal_entry WHERE {journal}
inboxes: accounting.movement (sale) journal entries: 1 → 2
    ALTER TABLE accounting.journal_entry DROP CONSTRAINT each_books_a_movement_once
    INSERT INTO accounting.journal_entry SELECT company, gen_random_uuid(), source, id, purpose, posting_date,
        effective_at, recorded_at, document, currency FROM accounting.journal_entry WHERE {journal}
inboxes: accounting.journal_entry (journal) movement: a booked one → volt-till-1 T1-000481
    DELETE FROM accounting.movement WHERE {sale}
inboxes: receiving.movement (sale) allocated: what was allocated → nothing
    ALTER TABLE receiving.movement DROP CONSTRAINT movement_check
    UPDATE receiving.movement SET allocated = NULL WHERE {sale}
inboxes: ledger.cancelled (count) cancelled by: ama-office CNT-901-X → nothing
    DELETE FROM ledger.cancelled WHERE {count}
inboxes: ledger.cancelled (count) cancelled by: nothing → ama-office CNT-901-X
    DELETE FROM receiving.cancelled WHERE {count}
"""
MESSAGES = """
messages: ledger.entry (entry) quantity: -1 → -2
    UPDATE ledger.entry SET quantity = -2 WHERE {entry}
messages: ledger.entry (entry) value: -4.25 → -5
    UPDATE ledger.entry SET value = -5 WHERE {entry}
messages: ledger.entry (entry) line: 2 → 9
    UPDATE ledger.entry SET line = 9 WHERE {entry}
messages: ledger.entry (entry) item: CASE → CASES
    UPDATE ledger.entry SET item = 'CASES' WHERE {entry}
messages: ledger.entry (entry) warehouse: FLOOR → BACKROOM
    UPDATE ledger.entry SET warehouse = 'BACKROOM' WHERE {entry}
messages: ledger.entry (entry) batch: nothing → B
    UPDATE ledger.entry SET batch = 'B' WHERE {entry}
messages: ledger.entry (entry) stamp: … → 77
    UPDATE ledger.entry SET stamp = 77 WHERE {entry}
messages: ledger.entry (entry) quantity_after: … → 0.5
    UPDATE ledger.entry SET quantity_after = 0.5 WHERE {entry}
messages: ledger.entry (entry) value_after: … → 1.25
    UPDATE ledger.entry SET value_after = 1.25 WHERE {entry}
messages: ledger.entry (entry) original: nothing → …
    UPDATE ledger.entry SET original = entry_id WHERE {entry}
messages: ledger.entry (entry) part_of: nothing → …
    UPDATE ledger.entry SET part_of = entry_id WHERE {entry}
messages: ledger.entry (entry) booked: nothing → ["a", "1"]
    UPDATE ledger.entry SET booked = '["a", "1"]' WHERE {entry}
messages: ledger.entry (entry) currency: EUR → USD
    UPDATE ledger.entry SET currency = 'USD' WHERE {entry}
messages: ledger.entry (entry) document: … → another
    UPDATE ledger.entry SET document = 'another' WHERE {entry}
messages: ledger.entry (entry) posting_date: 2026-01-17 → 2026-01-18
    UPDATE ledger.entry SET posting_date = '2026-01-18' WHERE {entry}
messages: ledger.entry (entry) effective_at: 2026-01-17 09:12:31+00 → 2026-01-17 09:12:32+00
    UPDATE ledger.entry SET effective_at = '2026-01-17 09:12:32Z' WHERE {entry}
messages: ledger.entry (entry) movement: volt-till-1 T1-000481 → volt-till-1 T1-000482
    UPDATE ledger.entry SET id = 'T1-000482' WHERE {entry}
messages: ledger.entry (entry) row: one → nothing
    DELETE FROM ledger.entry WHERE {entry}
messages: ledger.entry (no entry) row: nothing → one
    UPDATE ledger.entry SET entry_id = '00000000-0000-0000-0000-000000000001' WHERE {entry}
messages: accounting.journal_entry (journal) purpose: sale → delivery
    UPDATE accounting.journal_entry SET purpose = 'delivery' WHERE {journal}
messages: accounting.journal_entry (journal) posting_date: 2026-01-17 → 2026-01-18
    UPDATE accounting.journal_entry SET posting_date = '2026-01-18' WHERE {journal}
messages: accounting.journal_entry (journal) effective_at: 2026-01-17 09:12:31+00 → 2026-01-17 09:12:32+00
    UPDATE accounting.journal_entry SET effective_at = '2026-01-17 09:12:32Z' WHERE {journal}
messages: accounting.journal_entry (journal) recorded_at: 2026-04-30 18:00:00+00 → 2026-04-30 18:00:01+00
    UPDATE accounting.journal_entry SET recorded_at = '2026-04-30 18:00:01Z' WHERE {journal}
messages: accounting.journal_entry (journal) currency: EUR → USD
    UPDATE accounting.journal_entry SET currency = 'USD' WHERE {journal}
messages: accounting.journal_entry (journal) document: … → another
    UPDATE accounting.journal_entry SET document = 'another' WHERE {journal}
messages: accounting.journal_entry (journal) revaluation: nothing → of nothing
    UPDATE accounting.journal_entry SET revaluation = 'of nothing' WHERE {journal}
messages: accounting.journal_entry (journal) row: one → nothing
    DELETE FROM accounting.journal_entry WHERE {journal}
messages: accounting.transfer (transfer) debit_account: … → suspense
    UPDATE accounting.transfer SET debit_account = 'suspense' WHERE {transfer}
messages: accounting.transfer (transfer) credit_account: … → suspense
    UPDATE accounting.transfer SET credit_account = 'suspense' WHERE {transfer}
messages: accounting.transfer (transfer) amount: … → 0.07
    UPDATE accounting.transfer SET amount = 0.07 WHERE {transfer}
messages: accounting.transfer (transfer) line: … → 99
    UPDATE accounting.transfer SET line = 99 WHERE {transfer}
messages: accounting.transfer (transfer) ledger_entry: … → nothing
    UPDATE accounting.transfer SET ledger_entry = NULL WHERE {transfer}
messages: accounting.transfer (transfer) row: one → nothing
    DELETE FROM accounting.transfer WHERE {transfer}
messages: receiving.movement (sale) outcome: a message → …
    UPDATE receiving.movement SET outcome = '\\xff' WHERE {sale}
    UPDATE ledger.movement SET outputs = '[' WHERE {count}
messages: ledger.movement (sale) outputs: a message → …
    UPDATE ledger.movement SET outputs = '\\xff' WHERE {sale}
messages: accounting.movement (sale) outputs: a message → …
    UPDATE accounting.movement SET outputs = '[' WHERE {sale}
stamps: receiving.movement (sale) allocated: a message → …
    UPDATE receiving.movement SET allocated = '[' WHERE {sale}
accounts: ledger.movement (sale) outputs: a message → …
    UPDATE ledger.movement SET outputs = '[' WHERE {sale}
    DELETE FROM accounting.movement WHERE {sale}
journal: accounting.movement (sale) outputs.transfers.1.amount: … → 0.07
    UPDATE accounting.movement SET outputs = convert_to(regexp_replace(
        convert_from(outputs, 'UTF8'), '"amount":"[^"]*"', '"amount":"0.07"'), 'UTF8') WHERE {sale}
journal: accounting.movement (sale) outputs.transfers.1.debit: other → cost_of_goods_sold
    UPDATE ledger.movement SET outputs = convert_to(replace(
        convert_from(outputs, 'UTF8'), '"cost_of_goods_sold":"cost_of_goods_sold"', '"cost_of_goods_sold":"other"'),
        'UTF8') WHERE {sale}
journal: accounting.movement (piece) outputs.entries.1.transfers.1.amount: … → 0.07
    UPDATE accounting.movement SET outputs = convert_to(regexp_replace(
        convert_from(outputs, 'UTF8'), '"amount":"[^"]*"', '"amount":"0.07"'), 'UTF8') WHERE {piece}
journal: accounting.movement (sale) outputs: a message → …
    UPDATE accounting.movement SET outputs = '[' WHERE {sale}
journal: accounting.movement (sale) outputs: … → nothing
    UPDATE accounting.movement SET outputs = NULL WHERE {sale}
journal: ledger.movement (sale) outputs: something that can be booked → no such purpose (purpose: sail)
    UPDATE ledger.movement SET outputs = convert_to(replace(
        convert_from(outputs, 'UTF8'), '"purpose":"sale"', '"purpose":"sail"'), 'UTF8') WHERE {sale}
journal: ledger.movement (sale) outputs: a message → …
    UPDATE ledger.movement SET outputs = '[' WHERE {sale}
"""
JOURNAL = """
accounts: accounting.transfer (shop floor) balance: 4246.25 → 4247.25
    UPDATE accounting.transfer SET amount = amount + 1 WHERE (journal_entry, ordinal) = (
        SELECT journal_entry, ordinal FROM accounting.transfer WHERE debit_account = '1420 shop floor'
        AND credit_account NOT LIKE '14%' ORDER BY 1, 2 LIMIT 1)
transfers: accounting.transfer (transfer) amount: above zero → …
    ALTER TABLE accounting.transfer DROP CONSTRAINT transfer_amount_check
    UPDATE accounting.transfer SET amount = -amount WHERE {transfer}
transfers: accounting.transfer (transfer) debit_account: an account → nothing
    ALTER TABLE accounting.transfer DROP CONSTRAINT transfer_debit_account_check
    UPDATE accounting.transfer SET debit_account = '' WHERE {transfer}
transfers: accounting.transfer (transfer) ledger_entry: an entry of the ledger → …
    UPDATE accounting.transfer SET ledger_entry = gen_random_uuid() WHERE {transfer}
transfers: accounting.transfer (journal) transfers: … → …
    DELETE FROM accounting.transfer WHERE {transfer}
transfers: accounting.transfer (transfer) journal entry: one → nothing
    DELETE FROM accounting.journal_entry WHERE {journal}
numbers: accounting.journal_number (year) numbers: 1 to 35 → 34 from 1
    DELETE FROM accounting.journal_number WHERE company = 'VOLT' AND number = 7
numbers: accounting.journal_number (number) number: one, or a note that it has none yet → neither
    DELETE FROM accounting.journal_number WHERE {number}
numbers: accounting.journal_number (number) number: one, or a note that it has none yet → both
    INSERT INTO accounting.unnumbered SELECT company, year, now(), journal_entry FROM accounting.journal_number
        WHERE {number}
numbers: accounting.journal_number (number) year: 2026 → 2025
    UPDATE accounting.journal_number SET year = 2025, number = 1 WHERE {number}
numbers: accounting.journal_number (no journal) journal entry: one → nothing
    INSERT INTO accounting.journal_number VALUES ('VOLT', 2026, 36, '00000000-0000-0000-0000-000000000001')
periods: accounting.journal_entry (last journal) posting_date: after 2026-03-31 → 2026-03-31
    UPDATE accounting.journal_entry SET posting_date = '2026-03-31', recorded_at = '2026-05-04 08:00:01Z'
        WHERE {last journal}
periods: accounting.period (closing) through: 2026-03-31 → 2026-02-28
    UPDATE accounting.period SET through = '2026-02-28' WHERE {closing}
periods: accounting.period (closing) actor: ama → eve
    UPDATE accounting.period SET actor = 'eve' WHERE {closing}
periods: accounting.period (closing) closing or reopening: one of the gate → nothing
    DELETE FROM receiving.period_change WHERE {closing}
periods: receiving.period_change (books) closings and reopenings: 1 to 2 → 1 up to 1
    UPDATE receiving.company SET period_changes = 2 WHERE {books}
periods: accounting.books (books) locked_through: 2026-03-31 → 2026-01-31
    UPDATE accounting.books SET locked_through = '2026-01-31' WHERE {books}
"""
UNATTENDED = """
unattended: ledger.stuck (cable) stuck: no → …
    INSERT INTO ledger.stuck VALUES ('VOLT', 'CABLE', 'FLOOR', 'till', 'T', 'broken', 'it is')
unattended: ledger.dirty (cable) valued anew: by now → …
    INSERT INTO ledger.dirty (company, item, warehouse, from_at, from_stamp, recorded_at)
        VALUES ('VOLT', 'CABLE', 'FLOOR', '2026-01-01', 0, '2026-01-01')
unattended: receiving.parked (parked) parked: no → …
    INSERT INTO receiving.parked (parked_id, reason, error, headers, body)
        VALUES ('00000000-0000-0000-0000-000000000001', 'malformed', 'it is', '{}', '')
unattended: ledger.parked (parked) parked: no → …
    INSERT INTO ledger.parked (parked_id, reason, error, headers, body)
        VALUES ('00000000-0000-0000-0000-000000000001', 'malformed', 'it is', '{}', '')
unattended: accounting.parked (parked) parked: no → …
    INSERT INTO accounting.parked (parked_id, reason, error, headers, body)
        VALUES ('00000000-0000-0000-0000-000000000001', 'malformed', 'it is', '{}', '')
unattended: receiving.waiting (waiting) decided: by 2026-01-01 00:00:00+00 → waits since 2026-01-01 00:00:00+00
    INSERT INTO receiving.waiting VALUES ('till', 'T', 'movement.requested.v1', '', '', NULL, 1, 1, '2026-01-01Z',
        '2026-01-01Z', '2026-01-01Z')
unattended: receiving.movement (sale) posted: by now → …
    UPDATE ledger.movement SET outputs = NULL WHERE {sale}
unattended: ledger.waiting (sale) waiting: not for long → …
    INSERT INTO ledger.waiting SELECT source, id, '' FROM ledger.movement WHERE {sale}
unattended: ledger.movement (sale) booked: by now → …
    DELETE FROM accounting.movement WHERE {sale}
unattended: ledger.revaluation (piece) booked: by now → …
    DELETE FROM accounting.movement WHERE {piece}
unattended: receiving.outbox (sale of a kind) told: by now → recorded 2026-04-30 18:00:00+00
    INSERT INTO receiving.outbox VALUES ('volt-till-1', 'T1-000481', 'kind', '')
unattended: ledger.outbox (sale of a kind) told: by now → recorded 2026-04-30 18:00:00+00
    INSERT INTO ledger.outbox VALUES ('volt-till-1', 'T1-000481', 'kind', '')
unattended: accounting.outbox (sale of a kind) told: by now → recorded 2026-04-30 18:00:00+00
    INSERT INTO accounting.outbox VALUES ('volt-till-1', 'T1-000481', 'kind', '')
unattended: accounting.unnumbered (no journal) number: by now → …
    INSERT INTO accounting.unnumbered VALUES ('VOLT', 2026, '2026-01-01', '00000000-0000-0000-0000-000000000001')
unattended: receiving.period_change (closing) locked: by now → …
    UPDATE accounting.period SET locked_at = NULL WHERE {closing}
unattended: ledger.replay (nothing) replay: done by now → …
    INSERT INTO ledger.replay (since) VALUES ('2026-01-01')
unattended: accounting.replay (nothing) replay: done by now → …
    INSERT INTO accounting.replay (since) VALUES ('2026-01-01')
"""
GUARDS = """
guards: ledger.entry (append only) trigger: fires → disabled
    ALTER TABLE ledger.entry DISABLE TRIGGER append_only
guards: accounting.transfer (append only) trigger: fires → nothing
    DROP TRIGGER append_only ON accounting.transfer
guards: ledger.entry (append only) trigger: calls ledger.refuse_change → calls ledger.do_nothing
    CREATE FUNCTION ledger.do_nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'
    CREATE OR REPLACE TRIGGER append_only BEFORE DELETE ON ledger.entry
        FOR EACH STATEMENT EXECUTE FUNCTION ledger.do_nothing()
guards: pg_proc (refusing) function: as it was made → another
    CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'
guards: ledger.bin (zero) constraint: holds → nothing
    ALTER TABLE ledger.bin DROP CONSTRAINT no_quantity_no_value
guards: ledger.bin (zero) constraint: holds → not valid
    ALTER TABLE ledger.bin DROP CONSTRAINT no_quantity_no_value
    ALTER TABLE ledger.bin ADD CONSTRAINT no_quantity_no_value CHECK (quantity <> 0 OR worth = 0) NOT VALID
guards: accounting.movement (inbox) constraint: holds → nothing
    ALTER TABLE accounting.movement DROP CONSTRAINT movement_pkey
guards: pg_index (in time) unique index: holds → nothing
    DROP INDEX ledger.entry_in_time
"""
TOLD = (INBOXES, MESSAGES, JOURNAL, UNATTENDED, GUARDS)


@pytest.fixture(scope="module")
def shops(postgres: str) -> Iterator[tuple[sa.Engine, Keys]]:
    """Both shops of the examples, and the keys of some of their rows."""
    with shops_after_the_last_day(postgres) as url:
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            rows = {name: connection.exec_driver_sql(each).mappings().one() for name, each in READ.items()}
        keys = {name: {column: str(value) for column, value in row.items()} for name, row in rows.items()}
        yield engine, {**FIXED, **keys}
        engine.dispose()


@pytest.mark.parametrize("corruption", [each for table in TOLD for each in corruptions(table)], ids=str)
def test_what_is_changed_behind_accounting_s_back_is_named(
    shops: tuple[sa.Engine, Keys], corruption: Corruption
) -> None:
    engine, keys = shops
    with engine.connect() as connection:
        found = found_in(connection, corruption, keys)
        connection.rollback()
    assert any(tells(each, corruption, keys) for each in found), found[:5]
