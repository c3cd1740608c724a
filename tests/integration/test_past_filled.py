"""The past of what was accepted before anybody kept it: it is filled from what was told of each movement."""

from typing import Any

from shared.contracts.movement import Reference
from shared.db import transaction
from shared.migrate import migrations
from tests import servers
from tests.receiving_builders import Gate, after, comes, goes, line, movement, moves, opened, rows

_KEPT_THEN = {
    "movement": "source, id, digest, company, purpose, recorded_at, effective_at, allocated, outcome, attempt, request",
    "item": "company, item, name, unit, units, whole_units, tracking, create_batches_on_receipt, valuation_method, "
    "pick, allow_negative_stock, reuse_serials, disabled, attributes",
    "bin": "company, item, warehouse, quantity, last_stamp, last_at, last_recorded_at, counted_at, rated",
}
_NOW = {
    "rated": "rated_from IS NOT NULL",
    "units": "cast(units AS text)",
    "attributes": "cast(attributes AS text)",
}
_PAST = (
    "SELECT * FROM receiving.change ORDER BY company, item, warehouse, batch, effective_at, stamp, part",
    "SELECT * FROM receiving.count ORDER BY company, item, warehouse, batch, effective_at, stamp",
    "SELECT * FROM receiving.naming",
    "SELECT item, warehouse, rated_from FROM receiving.bin ORDER BY item, warehouse",
)


def test_the_past_is_filled_from_what_was_told_of_movements_that_were_accepted_before(
    gate: Gate, postgres: str
) -> None:
    lines = [
        goes("tea", 1),
        goes("cream", 2),
        goes("phone", 1),
        comes("cream", 1, batch="B1"),
        comes("tea", 4, "south"),
    ]
    gate.accept(movement("repack", *lines, id="M", at=after(10)))
    counted = [comes("tea", 12, rate=None), comes("cream", 4, batch="B1", rate=None)]
    gate.accept(movement("reconciliation", *counted, id="C1", at=after(20)))
    gate.accept(movement("reconciliation", comes("phone", serials="P2,P3", rate=None), id="C2", at=after(30)))
    gate.accept(movement("material_transfer", moves("cream", 2), moves("tea", 1), id="T", at=after(40)))
    gate.accept(movement("reconciliation", comes("tea", 3, rate="2"), id="O", at=after(50), opening=True, reason="ü"))
    gate.accept(movement("delivery", goes("tea", 1), id="D", at=after(60)))
    gate.accept(movement("sales_return", line("tea", 1), id="B", at=after(70), against=Reference(id="D")))
    with servers.fresh_database(postgres) as url, opened(url) as engine:
        with transaction(engine) as connection:
            for each in migrations():
                if each.service == "receiving" and each.name < "0007":
                    connection.exec_driver_sql(each.text.replace("%", "%%"))
        for table, names in _KEPT_THEN.items():
            chosen = ", ".join(_NOW.get(name.strip(), name.strip()) for name in names.split(","))
            _copy(gate, engine, f"receiving.{table}", names, f"SELECT {chosen} FROM receiving.{table}")
        with transaction(engine) as connection:
            (latest,) = [each for each in migrations() if (each.service, each.name[:4]) == ("receiving", "0007")]
            connection.exec_driver_sql(latest.text.replace("%", "%%"))
        for statement in _PAST:
            assert rows(engine, statement) == rows(gate.engine, statement)


def _copy(gate: Gate, engine: Any, table: str, names: str, statement: str) -> None:
    """Put rows of one database into another one."""
    marks = ", ".join(f"%({name.strip()})s" for name in names.split(","))
    found = [dict(zip((n.strip() for n in names.split(",")), row, strict=True)) for row in rows(gate.engine, statement)]
    with transaction(engine) as connection:
        for row in found:
            connection.exec_driver_sql(f"INSERT INTO {table} ({names}) VALUES ({marks})", row)
