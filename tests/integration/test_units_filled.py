"""What is known of units' past where it was not kept at the time: filled by the migration that begins to keep it."""

from datetime import date

from shared.db import transaction
from shared.migrate import migrations
from tests import servers
from tests.receiving_builders import opened, rows

_BEFORE = """
INSERT INTO receiving.bin (company, item, warehouse, last_stamp) VALUES ('shop', 'phone', 'north', 3);
INSERT INTO receiving.serial
    (company, item, serial, status, warehouse, supplier, warranty_until, entered_at, last_at, last_tie)
VALUES
    ('shop', 'phone', 'sold', 'delivered', NULL, 'Foundry', '2028-03-01', '2026-03-01 Z', '2026-03-03 Z', 0),
    ('shop', 'phone', 'standing', 'active', 'north', 'Foundry', '2029-01-01', '2026-03-01 Z', '2026-03-01 Z', 0),
    ('shop', 'phone', 'registered', 'inactive', NULL, 'Smithy', '2030-01-01', NULL, NULL, NULL),
    ('shop', 'phone', 'bare', 'inactive', NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO receiving.stay
    (company, item, serial, from_at, from_tie, until_at, until_tie, warehouse, in_source, in_id, out_source, out_id)
VALUES
    ('shop', 'phone', 'sold', '2026-03-01 Z', 0, '2026-03-02 Z', 0, 'south', 'till', 'R', 'till', 'T'),
    ('shop', 'phone', 'sold', '2026-03-02 Z', 0, '2026-03-03 Z', 0, 'north', 'till', 'T', 'till', 'D'),
    ('shop', 'phone', 'standing', '2026-03-01 Z', 0, 'infinity', 0, 'north', 'till', 'R', NULL, NULL);
"""


def test_the_warranty_of_the_last_delivery_and_what_was_said_of_registered_units_are_kept(postgres: str) -> None:
    with servers.fresh_database(postgres) as url, opened(url) as engine:
        with transaction(engine) as connection:
            for each in migrations():
                if each.service == "receiving" and each.name < "0007":
                    connection.exec_driver_sql(each.text.replace("%", "%%"))
            connection.exec_driver_sql(_BEFORE)
        with transaction(engine) as connection:
            (latest,) = [each for each in migrations() if (each.service, each.name[:4]) == ("receiving", "0007")]
            connection.exec_driver_sql(latest.text.replace("%", "%%"))
        begun = "SELECT serial, warehouse, warranty_until FROM receiving.stay WHERE warranty_until IS NOT NULL"
        assert rows(engine, begun) == [("sold", "north", date(2028, 3, 1))]
        said = "SELECT serial, recorded_at = '-infinity', batch, supplier, warranty_until FROM receiving.serial_said"
        assert rows(engine, said) == [("registered", True, None, "Smithy", date(2030, 1, 1))]
        assert rows(engine, "SELECT * FROM receiving.void_event") == []
