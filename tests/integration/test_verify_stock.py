"""Whatever a superuser changes in stock and ledger behind the services' backs is named, with what must stand there."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.verifying_builders import Corruption, Keys, corruptions, found_in, shops_after_the_last_day, tells

KEYS: Keys = {
    "nothing": {},
    "cable": {"company": "VOLT", "item": "CABLE", "warehouse": "FLOOR"},
    "case": {"company": "VOLT", "item": "CASE", "warehouse": "FLOOR"},
    "charger": {"company": "VOLT", "item": "CHARGER", "warehouse": "FLOOR"},
    "phones": {"company": "VOLT", "item": "PHONE-X2", "warehouse": "BACKROOM"},
    "phones on the floor": {"company": "VOLT", "item": "PHONE-X2", "warehouse": "FLOOR"},
    "phone": {"company": "VOLT", "item": "PHONE-X2", "serial": "X2-2601-0010"},
    "phone in its bin": {"company": "VOLT", "item": "PHONE-X2", "serial": "X2-2601-0010", "warehouse": "BACKROOM"},
    "sold phone": {"company": "VOLT", "item": "PHONE-X2", "serial": "X2-2601-0001"},
    "sold phone, moved": {"serial": "X2-2601-0001", "warehouse": "FLOOR", "source": "volt-office", "id": "TR-2101"},
    "sold phone, sold": {"serial": "X2-2601-0001", "warehouse": "FLOOR", "source": "volt-till-1", "id": "T1-000481"},
    "oil": {"company": "AMA", "item": "ROSE-OIL", "warehouse": "INGREDIENTS", "batch": "RO-9"},
    "oils": {"company": "AMA", "item": "ROSE-OIL", "warehouse": "INGREDIENTS"},
    "counted cream": {"company": "AMA", "item": "CREAM-CALENDULA", "warehouse": "WORKSHOP"},
    "sale": {"source": "volt-till-1", "id": "T1-000481"},
    "case sold": {"source": "volt-till-1", "id": "T1-000481", "item": "CASE"},
    "receipt": {"source": "volt-office", "id": "PR-2006"},
    "count": {"source": "ama-office", "id": "CNT-901"},
    "making": {"source": "ama-office", "id": "MAKE-3"},
    "packing": {"source": "ama-office", "id": "RP-701"},
    "cream made": {"source": "ama-office", "id": "MAKE-3", "item": "CREAM-ROSE"},
    "batch of oil": {"company": "AMA", "item": "ROSE-OIL", "batch": "RO-9"},
    "oil taken": {"source": "ama-office", "id": "MAKE-3", "item": "ROSE-OIL", "number": "RO-9"},
}
BINS = """
sums: ledger.bin (cable) quantity: 55 → 54
    UPDATE ledger.bin SET quantity = 54 WHERE {cable}
sums: ledger.bin (cable) value and pending: 163.5 → 163.51
    UPDATE ledger.bin SET value = 163.51 WHERE {cable}
sums: ledger.bin (cable) value and pending: 163.5 → 163.75
    UPDATE ledger.bin SET pending = 0.25 WHERE {cable}
sums: ledger.bin (cable) pending: 0 → 0.25
    UPDATE ledger.bin SET value = 163.25, pending = 0.25 WHERE {cable}
sums: ledger.bin (cable) latest_at: … → 2030-01-01 00:00:00+00
    UPDATE ledger.bin SET latest_at = '2030-01-01 00:00Z' WHERE {cable}
sums: ledger.bin (cable) revaluations: 0 → 2
    UPDATE ledger.bin SET revaluations = 2 WHERE {cable}
sums: ledger.bin (cable) quantity: 55 → nothing
    DELETE FROM ledger.bin WHERE {cable}
sums: ledger.bin (case) quantity: 78 → 77
    DELETE FROM ledger.entry WHERE {case sold}
sums: ledger.bin (oils) worth: 115.501 → 115.5
    UPDATE ledger.bin_batch SET worth = 115.501 WHERE {oil}
sums: ledger.bin_batch (oil) quantity: 0.25 → 0.5
    UPDATE ledger.bin_batch SET quantity = 0.5 WHERE {oil}
sums: ledger.bin_batch (oil) value and pending: 115.5 → 115.51
    UPDATE ledger.bin_batch SET value = 115.51 WHERE {oil}
sums: ledger.bin_batch (oil) quantity: 0.25 → nothing
    DELETE FROM ledger.bin_batch WHERE {oil}
values: ledger.bin (cable) value: 163.5 → 163.49
    UPDATE ledger.bin SET value = 163.49 WHERE {cable}
values: ledger.bin (cable) value: 163.51 → 163.5
    UPDATE ledger.bin SET worth = 163.505001 WHERE {cable}
values: ledger.bin_batch (oil) value: 115.5 → 115.4
    UPDATE ledger.bin_batch SET value = 115.4 WHERE {oil}
"""
GATE_AND_LEDGER = """
stock: receiving.bin (cable) quantity: 55 → 56
    UPDATE receiving.bin SET quantity = 56 WHERE {cable}
stock: receiving.bin (cable) quantity: 54 → 55
    UPDATE receiving.change SET quantity = quantity - 1 WHERE {cable} AND stamp = 1
stock: receiving.bin (cable) last_stamp no less than: 6 → nothing
    DELETE FROM receiving.bin WHERE {cable}
stock: receiving.bin (oils) quantity: 1.25 → 0.25
    UPDATE receiving.batch_stock SET quantity = 1.25 WHERE {oil}
stock: receiving.batch_stock (oil) quantity: 0.25 → 1.25
    UPDATE receiving.batch_stock SET quantity = 1.25 WHERE {oil}
stock: receiving.batch_stock (oil) quantity: 0.25 → nothing
    DELETE FROM receiving.batch_stock WHERE {oil}
stock: receiving.batch_stock (oil) quantity: 1.25 → 0.25
    UPDATE receiving.change SET quantity = quantity + 1 WHERE {oil} AND part = 1
"""
STAMPS = """
stamps: receiving.bin (cable) last_stamp: 6 → 7
    UPDATE receiving.bin SET last_stamp = 7 WHERE {cable}
stamps: receiving.bin (cable) last_stamp in the ledger: 6 → 5
    UPDATE ledger.bin SET last_stamp = 5 WHERE {cable}
stamps: receiving.bin (case) stamps: 1 to 7, each once → 6 from 1
    DELETE FROM receiving.movement WHERE {sale}
stamps: receiving.bin (case) stamps posted: 1 to 7 → 6
    UPDATE ledger.movement SET outputs = NULL WHERE {sale}
stamps: ledger.bin (charger) pieces: 0 → 1
    DELETE FROM ledger.revaluation WHERE {charger}
stamps: ledger.bin (charger) numbers of revaluations: 1 to 3 → 1 of them
    UPDATE ledger.revaluation SET number = 3 WHERE {charger}
stamps: ledger.entry (phones on the floor) numbers of corrections: 1 to 900 → …
    UPDATE ledger.entry SET revaluation = 900 WHERE {phones on the floor} AND revaluation = 1
"""
SERIALS = """
serials: ledger.bin (phones) quantity: 4 → 5
    DELETE FROM ledger.serial WHERE {phone}
serials: receiving.bin (phones) quantity: 4 → 5
    DELETE FROM receiving.serial WHERE {phone}
serials: ledger.serial (phone in its bin) stands there: yes → no
    UPDATE ledger.serial SET serial = 'another' WHERE {phone}
stays: receiving.serial (phone) warehouse: BACKROOM → FLOOR
    UPDATE receiving.serial SET warehouse = 'FLOOR' WHERE {phone}
stays: receiving.stay (sold phone) until_at: 2026-01-16 07:30:00+00 1 → 2026-01-16 07:00:00+00 1
    UPDATE receiving.stay SET until_at = '2026-01-16 07:00Z', until_tie = 1 WHERE {sold phone}
        AND warehouse = 'BACKROOM'
    UPDATE receiving.stay SET from_tie = 1 WHERE {sold phone} AND warehouse = 'FLOOR'
stays: receiving.stay (sold phone) until_at: no later than 2026-01-16 07:30:00+00 1 → 2026-01-17 07:00:00+00 1
    UPDATE receiving.stay SET until_at = '2026-01-17 07:00Z', until_tie = 1, out_id = 'PR-2001' WHERE {sold phone}
        AND warehouse = 'BACKROOM'
    UPDATE receiving.stay SET from_tie = 1 WHERE {sold phone} AND warehouse = 'FLOOR'
stays: receiving.stay (sold phone, moved) arrivals: 1 → 0
    DELETE FROM receiving.stay WHERE {sold phone} AND warehouse = 'FLOOR'
stays: receiving.stay (sold phone, sold) departures: 1 → 0
    UPDATE receiving.stay SET until_at = 'infinity', until_tie = 0, out_source = NULL, out_id = NULL
        WHERE {sold phone} AND warehouse = 'FLOOR'
stays: receiving.stay (phone) movement: an accepted one → volt-office nobody
    UPDATE receiving.stay SET in_id = 'nobody' WHERE {phone}
stays: receiving.stay (phone in its bin) arrivals: 0 → 1
    DELETE FROM ledger.entry_serial WHERE {phone}
"""
REPLAY = """
replay: ledger.entry (case sold) value: … → …
    UPDATE ledger.entry SET value = value - 0.01 WHERE {case sold}
replay: ledger.entry (oils) booked: … → …
    UPDATE ledger.entry SET booked = '["expenses_in_valuation", "20.01"]' WHERE id = 'PR-104-LC' AND {oils}
replay: ledger.entry_serial (phones) costs: … → …
    UPDATE ledger.entry_serial SET cost = cost + 1 WHERE serial = 'X2-2602-0002'
replay: ledger.entry (charger) …: … → …
    UPDATE ledger.entry SET effective_at = '2026-02-04 08:00Z' WHERE {charger} AND stamp = 4 AND revaluation = 0
replay: ledger.entry (charger) value: … → …
    UPDATE receiving.movement SET allocated = convert_to(replace(
        convert_from(allocated, 'UTF8'), '"amount":"', '"amount":"1'), 'UTF8') WHERE {receipt}
replay: ledger.entry (nothing) what these and the next name: can be read → …
    DELETE FROM receiving.movement WHERE id = 'SR-801'
replay: replay (nothing) check: comes to its end → …
    UPDATE ledger.bin SET layers = '["one","two"]' WHERE {cable}
replay: receiving.movement (sale) allocated: a message → no such movement was accepted
    DELETE FROM receiving.movement WHERE {sale}
replay: receiving.movement (sale) allocated: a message → …
    UPDATE receiving.movement SET allocated = convert_to(replace(
        convert_from(allocated, 'UTF8'), '"digits":2', '"digits":"two"'), 'UTF8') WHERE {sale}
replay: ledger.serial (phone in its bin) cost: 313 → 312
    UPDATE ledger.serial SET cost = 312 WHERE {phone}
replay: ledger.bin (cable) layers: 35 worth 101.5; 20 worth 62 → 36 worth 101.5; 19 worth 62
    UPDATE ledger.bin SET layers = '["36","101.5","2.9","19","62","3.1"]' WHERE {cable}
replay: ledger.bin (cable) shortages: nothing → 1 worth 2
    ALTER TABLE ledger.bin DROP CONSTRAINT what_is_there_is_not_short
    UPDATE ledger.bin SET shortages = '["1","2","a","b"]' WHERE {cable}
replay: ledger.bin (cable) rate: 2.972727273 → 3
    UPDATE ledger.bin SET rate = 3 WHERE {cable}
replay: ledger.bin (cable) worth: 163.5 → 163.501
    UPDATE ledger.bin SET worth = 163.501 WHERE {cable}
replay: ledger.bin_batch (oil) worth: 115.5 → 115.501
    UPDATE ledger.bin_batch SET worth = 115.501 WHERE {oil}
replay: ledger.checkpoint (charger) worth: 187.5 → 187.501
    UPDATE ledger.checkpoint SET worth = 187.501 WHERE {charger}
replay: ledger.checkpoint (counted cream) quantity: 36 → 37
    DELETE FROM ledger.cancelled WHERE {count}
"""
MAKINGS = """
makings: ledger.making (making) piece: 0 to 200 of 201.2 → 0 to 199 of 201.2
    UPDATE ledger.making SET after = 199 WHERE {making} AND before = 0
makings: ledger.making (making) piece: 200 to 201.2 of 201.2 → 200 to 201.2 of 202
    UPDATE ledger.making SET whole = 202 WHERE {making} AND before = 200
makings: ledger.making (making) piece: consumed → 0 to 1 of 1
    UPDATE ledger.making SET before = 0, after = 1, whole = 1 WHERE {making} AND whole IS NULL
makings: ledger.making (packing) piece: 0 to 20 of 20 → nothing
    DELETE FROM ledger.making WHERE {packing} AND whole IS NOT NULL
makings: ledger.making (packing) piece: nothing → consumed
    UPDATE ledger.making SET entry_id = '00000000-0000-7000-8000-000000000001' WHERE {packing} AND whole IS NOT NULL
    UPDATE ledger.making SET before = NULL, after = NULL, whole = NULL WHERE {packing}
makings: ledger.making (sale) piece: nothing → consumed
    INSERT INTO ledger.making (company, source, id, entry_id) SELECT company, source, id, entry_id FROM ledger.entry
        WHERE {case sold}
makings: ledger.making (making) piece: 0 to 200 of 201.2 → nothing
    UPDATE ledger.making SET source = 'nobody' WHERE {making} AND before = 0
makings: ledger.making (making) piece: 500 to 503 of 503 → 200 to 201.2 of 201.2
    UPDATE receiving.movement SET allocated = convert_to(replace(
        convert_from(allocated, 'UTF8'), '"share":"200"', '"share":"2.5"'), 'UTF8') WHERE {making}
makings: receiving.making (cream made) produced: batch → nothing
    DELETE FROM receiving.making WHERE {cream made}
makings: receiving.making (oil taken) produced: nothing → batch
    UPDATE receiving.making SET produced = true WHERE {oil taken}
makings: receiving.making (oil taken) consumed: batch → serial
    UPDATE receiving.making SET tracking = 'serial' WHERE {oil taken}
makings: receiving.movement (making) allocated: … → …
    UPDATE receiving.movement SET allocated = 'no message' WHERE {making}
"""
RESERVED = """
reservations: receiving.bin (cable) reserved: 0 → 1
    UPDATE receiving.bin SET reserved = 1 WHERE {cable}
reservations: receiving.batch_stock (oil) reserved: 0 → 0.25
    UPDATE receiving.batch_stock SET reserved = 0.25 WHERE {oil}
reservations: receiving.bin (phones) reserved: 1 → 0
    UPDATE receiving.serial SET reserved_for = 'web:1' WHERE {phone}
reservations: receiving.serial (phone) reserved_for: nothing → web:1
    UPDATE receiving.serial SET reserved_for = 'web:1' WHERE {phone}
reservations: receiving.bin (cable) reserved_until: 2030-01-01 00:00:00+00 → infinity
    INSERT INTO receiving.reservation_line
        VALUES ('web', '1', 1, 'VOLT', 'CABLE', 'FLOOR', '', '{}', 2, 0, 2, '2030-01-01Z')
reservations: receiving.batch_stock (oil) reserved: 0.5 → 0
    INSERT INTO receiving.reservation_line
        VALUES ('web', '1', 1, 'AMA', 'ROSE-OIL', 'INGREDIENTS', 'RO-9', '{}', 2, 1.5, 0.5, '2030-01-01Z')
"""
RECALLED = """
recalls: receiving.batch (batch of oil) recalls: 0 → 1
    UPDATE receiving.batch SET state = 'recalled', recalls = 1 WHERE {batch of oil}
recalls: receiving.serial (phone) recalls: 0 → 1
    UPDATE receiving.serial SET recalls = 1 WHERE {phone}
recalls: receiving.batch (batch of oil) recalls: 1 → 0
    INSERT INTO receiving.recall VALUES ('lab', '1', 'AMA', false, NULL, 'ama', 'a rash', now(), now())
    INSERT INTO receiving.recall_goods VALUES ('lab', '1', 'AMA', 'ROSE-OIL', 'batch', 'RO-9', true)
"""
TOLD = (BINS, GATE_AND_LEDGER, STAMPS, SERIALS, RESERVED, RECALLED, REPLAY, MAKINGS)


@pytest.fixture(scope="module")
def shops(postgres: str) -> Iterator[sa.Engine]:
    """Both shops of the examples."""
    with shops_after_the_last_day(postgres) as url:
        engine = sa.create_engine(url)
        yield engine
        engine.dispose()


@pytest.mark.parametrize("corruption", [each for table in TOLD for each in corruptions(table)], ids=str)
def test_what_is_changed_behind_the_ledger_s_back_is_named(shops: sa.Engine, corruption: Corruption) -> None:
    with shops.connect() as connection:
        found = found_in(connection, corruption, KEYS)
        connection.rollback()
    assert any(tells(each, corruption, KEYS) for each in found), found[:5]
