"""What scanned codes put into the fields of a line, by the codes that a company has."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.desk.labels.wording import Unit, label_of
from services.receiving.decide.scanning import Codes, Scannable, fill_in, note_named, wanted
from shared.contracts.movement import RequestedLine
from shared.purposes import Tracking
from tests.receiving_builders import line, movement

GTIN = "09506000134352"


def codes() -> Codes:
    """A company with one item of each kind, a serial that two items have, and a batch of serials."""
    return Codes(
        "shop",
        {
            "tea": Scannable("tea", Tracking.NONE, frozenset({"pcs", "kg"})),
            "cream": Scannable("cream", Tracking.BATCH, frozenset({"pcs"})),
            "phone": Scannable("phone", Tracking.SERIAL, frozenset({"pcs"})),
        },
        {GTIN: ["phone"], "04006381333931": ["cream"], "00000096385074": ["tea"], "09780201379624": ["tea", "cream"]},
        batches={"B1": ["cream"], "LOT": ["phone"]},
        serials={"S1": ["phone"], "TWICE": ["phone", "lamp"]},
    )


def filled(asked: RequestedLine, purpose: str = "delivery") -> RequestedLine:
    found, reasons = fill_in(movement(purpose, asked), codes())
    assert reasons == ()
    return found.lines[0]


def refused(asked: RequestedLine) -> dict[str, str]:
    found, (reason,) = fill_in(movement("delivery", asked), codes())
    assert found.lines[0].scan is None
    return {"code": reason.code, **reason.facts}


def test_a_line_without_a_code_stays_as_it_is() -> None:
    assert filled(line("tea", 2)) == line("tea", 2)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (line(scan="tea"), line("tea")),
        (line(scan="S1"), line("phone", serials=["S1"])),
        (line(scan="B1"), line("cream", batch="B1")),
        (line("phone", scan="TWICE"), line("phone", serials=["TWICE"])),
        (line("phone", scan="NEW"), line("phone", serials=["NEW"])),
        (line("cream", scan="NEW"), line("cream", batch="NEW")),
        (line("phone", scan="tea"), line("phone", serials=["tea"])),
        (line(scan=f"]d201{GTIN}21S9"), line("phone", serials=["S9"])),
        (line(scan=f"]d201{GTIN}10LOT\x1d21S9"), line("phone", serials=["S9"], batch="LOT")),
        (line(scan=f"]d201{GTIN}10OTHER\x1d21S9"), line("phone", serials=["S9"])),
        (line(scan="]d2010400638133393110B1\x1d21S9"), line("cream", batch="B1")),
        (line(scan="]E096385074"), line("tea")),
        (line(scan="]d2010000009638507410B1\x1d3012"), line("tea", 12)),
        (line(scan="]d201000000963850743103001500"), line("tea", "1.5", unit="kg")),
        (line(scan="]d201040063813339313103001500"), line("cream")),
        (line("tea", scan="]d23012"), line("tea", 12)),
        (line("phone", serials="S1", scan="S1"), line("phone", serials=["S1"])),
        (line("cream", batch=" B1 ", scan="B1"), line("cream", batch="B1")),
    ],
)
def test_a_code_says_what_fields_would_have_said(asked: RequestedLine, told: RequestedLine) -> None:
    assert filled(asked) == told


def test_an_expiry_describes_a_batch_that_comes_in_and_says_nothing_of_one_that_leaves() -> None:
    label = line(scan="]d2010400638133393117261231" + "10B9")
    assert filled(label, "material_receipt").expires_on == date(2026, 12, 31)
    assert filled(label, "delivery").expires_on is None


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (line("tea", scan="S1"), {"code": "unknown_scan", "scan": "S1"}),
        (line(scan="TWICE"), {"code": "scan_ambiguous", "scan": "TWICE", "items": "lamp, phone"}),
        (line(scan="]E09780201379624"), {"code": "scan_ambiguous", "scan": "]E09780201379624", "items": "cream, tea"}),
        (line(scan="]d210B1"), {"code": "scan_without_item", "scan": "]d210B1"}),
        (line(serials=["S2"], scan="S1"),
         {"code": "scan_conflicts", "scan": "S1", "field": "serials", "scanned": "S1", "given": "S2"}),
        (line("tea", scan=f"]d201{GTIN}"),
         {"code": "scan_conflicts", "scan": f"]d201{GTIN}", "field": "item", "scanned": "phone", "given": "tea"}),
        (line("tea", 3, scan="]d23012"),
         {"code": "scan_conflicts", "scan": "]d23012", "field": "quantity", "scanned": "12", "given": "3"}),
    ],
)  # fmt: skip
def test_what_a_code_cannot_mean_is_refused_with_what_shows_it(asked: RequestedLine, told: dict[str, str]) -> None:
    assert refused(asked) == told


def test_units_that_a_neighbour_brings_are_known() -> None:
    found = Codes("shop", {"phone": Scannable("phone", Tracking.SERIAL)})
    note_named(
        [movement("material_receipt", line("phone", serials="Z1-Z3", batch="B7"))], {"Z2", "B7", "X"}, found, 100
    )
    assert (found.serials, found.batches) == ({"Z2": ["phone"]}, {"B7": ["phone"]})


def test_what_is_looked_up_is_what_codes_may_mean_and_the_items_of_their_lines() -> None:
    scanned = movement("delivery", line("tea", scan="S1"), line(scan=f"]d201{GTIN}10LOT"), line("cream"))
    assert wanted({"any": scanned}) == ({"tea", "S1", "LOT"}, {GTIN})


@given(
    serial=st.text("ABCxyz0123456789-/.", min_size=1, max_size=20),
    expires_on=st.none() | st.dates(date(2000, 1, 1), date(2049, 12, 31)),
    is_plain=st.booleans(),
)
def test_the_label_of_a_serial_means_that_serial(serial: str, expires_on: date | None, is_plain: bool) -> None:
    unit = Unit("shop", "phone", gtin=GTIN, serial=serial, expires_on=expires_on)
    label = label_of(unit, is_plain=is_plain)
    code = label.code.replace("[", "(").replace("]", ")") if label.is_gs1 else label.code
    known = codes()
    known.serials = {serial: ["phone"]}
    found, reasons = fill_in(movement("delivery", line(scan=code, quantity=Decimal(1))), known)
    assert reasons == ()
    assert (found.lines[0].item, found.lines[0].serials) == ("phone", [serial])
