"""Lines that have a scanned code instead of fields, at the gate: items by GTIN, units by element strings or numbers."""

from datetime import date, timedelta

import pytest
from sqlalchemy import Engine

from shared.contracts.movement import RequestedLine
from shared.contracts.outcome import OutcomeAccepted
from tests.builders import COMPANY
from tests.receiving_builders import Gate, after, codes, comes, events, goes, line, movement, moves, named, rows

GTIN, OTHER = "09506000134352", "04006381333931"
SEPARATOR = "\x1d"


@pytest.fixture(autouse=True)
def labelled(gate: Gate) -> None:
    """Items with bar codes; one was given with thirteen digits."""
    for code, gtin, fields in (
        ("phone", GTIN, {"tracking": "serial", "serial_series": "S-.##"}),
        ("cream", OTHER[1:], {"tracking": "batch", "create_batches_on_receipt": True, "pick": "fefo"}),
        ("cheese", "96385074", {"unit": "kg", "standard_rate": "9"}),
    ):
        assert isinstance(gate.define("item", company=COMPANY, item=code, gtin=gtin, **fields), OutcomeAccepted)


def receipt(name: str, *lines: RequestedLine) -> object:
    return movement("material_receipt", *lines, id=name, at=after(1))


def test_a_receipt_takes_item_batch_and_expiry_from_an_element_string(gate: Gate, engine: Engine) -> None:
    scanned = line(quantity=5, target="north", rate=1, scan=f"]d201{OTHER}17261231" + "10LOT-7")
    (told,) = gate.accept(movement("material_receipt", scanned, id="R1", at=after(1)))
    assert [(each.item, each.batch) for each in told.allocated] == [("cream", "LOT-7")]
    found = rows(engine, "SELECT batch, expires_on FROM receiving.batch WHERE batch = 'LOT-7'")
    assert found == [("LOT-7", date(2026, 12, 31))]


def test_a_serial_is_received_and_delivered_by_its_label(gate: Gate) -> None:
    label = f"]d201{GTIN}21Q9{SEPARATOR}10LOT"
    (came,) = gate.accept(movement("material_receipt", line(target="north", rate=1, scan=label), id="R1", at=after(1)))
    assert named(came) == ["Q9"]
    (left,) = gate.accept(movement("delivery", line(source="north", scan=label), id="D1", at=after(2)))
    assert named(left) == ["Q9"]


def test_a_plain_serial_number_is_enough_and_so_is_an_item_code(gate: Gate) -> None:
    lines = (
        line(source="north", scan="P1"),
        line(source="north", quantity=2, scan="tea"),
        line(source="north", quantity=1, scan="B1"),
    )
    (told,) = gate.accept(movement("delivery", *lines, id="D1", at=after(1)))
    assert [(each.item, plain) for each, plain in zip(told.allocated, ["1", "2", "1"], strict=True)] == [
        ("phone", "1"),
        ("tea", "2"),
        ("cream", "1"),
    ]
    assert named(told) == ["P1"]


def test_a_number_that_nobody_knows_is_a_new_unit_of_the_item_that_the_line_names(gate: Gate) -> None:
    (told,) = gate.accept(movement("material_receipt", comes("phone", scan="NEW-1"), id="R1", at=after(1)))
    assert named(told) == ["NEW-1"]


def test_a_weight_is_a_quantity_of_an_item_that_is_kept_in_kilograms(gate: Gate) -> None:
    gtin = "96385074".zfill(14)
    weighed = line(target="north", scan=f"]d201{gtin}3103001500")
    (told,) = gate.accept(movement("material_receipt", weighed, id="R1", at=after(1)))
    assert [str(each.quantity) for each in told.allocated] == ["1.5"]


def test_what_a_code_contradicts_is_refused_with_both(gate: Gate) -> None:
    conflicting = line("tea", 1, source="north", scan=f"]d201{GTIN}21P1")
    (told,) = gate.ask(movement("delivery", conflicting, id="D1", at=after(1)))
    assert codes(told) == ["scan_conflicts"]
    (twice,) = gate.ask(movement("delivery", goes("phone", serials="P2", scan="P1"), id="D2", at=after(1)))
    assert codes(twice) == ["scan_conflicts"]


def test_every_line_whose_code_cannot_be_read_is_told_at_once(gate: Gate) -> None:
    lines = [
        line(source="north", quantity=1, scan=code)
        for code in ("nobody's", f"]d201{GTIN[:-1]}3", "]d210X", f"]E0{9780201379624}")
    ]
    (told,) = gate.ask(movement("delivery", *lines, id="D1", at=after(1)))
    assert codes(told) == ["unknown_scan", "scan_unreadable", "scan_without_item", "unknown_gtin"]


def test_a_code_of_ones_own_comes_before_a_gtin_of_the_same_digits(gate: Gate) -> None:
    gate.define("item", company=COMPANY, item="9506000134352")
    (told,) = gate.accept(
        movement(
            "material_receipt",
            comes("tea", 1),
            line(quantity=1, target="north", rate=1, scan="9506000134352"),
            id="R1",
            at=after(1),
        )
    )
    assert [each.item for each in told.allocated] == ["tea", "9506000134352"]


def test_a_unit_that_comes_in_the_same_set_is_known_by_its_number(gate: Gate) -> None:
    came = movement("material_receipt", comes("phone", serials=["Z1"]), id="R1", at=after(1))
    moved = movement(
        "material_transfer", RequestedLine(scan="Z1", source="north", target="south"), id="T1", at=after(2)
    )
    _, told = gate.accept(came, moved)
    assert set(named(told)) == {"Z1"}


def test_a_movement_of_a_gtin_that_nobody_defined_waits_for_the_item(gate: Gate, engine: Engine) -> None:
    patient = Gate(engine, patience=timedelta(minutes=1))
    early = movement(
        "material_receipt", line(quantity=1, target="north", rate=1, scan="]E09780201379624"), id="R1", at=after(1)
    )
    assert patient.send(*events([early])) == []
    gate.define("item", company=COMPANY, item="book", gtin="9780201379624")
    patient.sweep()
    assert rows(engine, "SELECT id FROM receiving.movement WHERE id = 'R1' AND allocated IS NOT NULL") == [("R1",)]


def test_the_same_movement_told_again_is_answered_though_the_code_means_something_else_by_now(gate: Gate) -> None:
    asked = movement("delivery", line(source="north", scan="P1"), id="D1", at=after(1))
    first = gate.accept(asked)
    gate.define("item", company=COMPANY, item="P1")
    assert gate.accept(asked) == first


def test_goods_that_move_are_scanned_like_those_that_come_and_leave(gate: Gate) -> None:
    lines = [RequestedLine(scan=f"]d201{GTIN}21{serial}", source="north", target="south") for serial in ("P1", "P2")]
    (both,) = gate.accept(movement("material_transfer", *lines, id="T1", at=after(1)))
    assert set(named(both)) == {"P1", "P2"}
    (told,) = gate.ask(movement("material_transfer", moves("phone", scan="P3"), id="T2", at=after(2)))
    assert set(named(told)) == {"P3"}
