"""`stockbook labels`: which units get one, and that every form of paper holds codes that can be read and scanned."""

import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image
from zxingcpp import read_barcodes

from services.desk.labels.sheets import PAPERS, write
from services.desk.labels.symbols import Symbol
from services.desk.labels.wording import Label, Unit, label_of
from shared.errors import StockbookError
from shared.gs1 import read_scan
from tests.commands import environment, invoke, told

GTIN = "09506000134352"
CREAM = Unit("acme", "cream", "Cream", GTIN, None, "LOT/7", date(2026, 12, 31))
PHONES = [Unit("acme", "phone", "Phone", GTIN, f"S-{number:03}") for number in range(30)]
ITEMS = {
    "phone": {"tracking": "serial", "serial_series": "S-.###", "gtin": GTIN},
    "cream": {"tracking": "batch", "batch_series": "LOT-.##", "gtin": "4006381333931"},
    "lamp": {"tracking": "serial"},
}


def codes(picture: Image.Image) -> list[str]:
    white = Image.new("L", (picture.width + 40, picture.height + 40), 255)
    white.paste(picture, (20, 20))
    return sorted(found.text for found in read_barcodes(white))


def labels_of(units: list[Unit]) -> list[Label]:
    return [label_of(unit) for unit in units]


def from_zpl(text: str) -> Iterator[Image.Image]:
    """The pictures that a printer would print."""
    for width, row, data in re.findall(r"\^PW(\d+).*?\^GFA,\d+,\d+,(\d+),([0-9A-F]+)\^FS", text):
        dots = bytes.fromhex(data)
        size = (int(row) * 8, len(dots) // int(row))
        picture = Image.frombytes("1", size, bytes(each ^ 0xFF for each in dots))
        yield picture.crop((0, 0, int(width), size[1]))


def test_a_label_says_to_people_what_its_code_says() -> None:
    label = label_of(CREAM)
    assert label.code == f"[01]{GTIN}[17]261231[10]LOT/7"
    assert label.lines == ("LOT/7", "Cream (cream)", "Use by 2026-12-31", f"(01){GTIN}", "(17)261231", "(10)LOT/7")


@pytest.mark.parametrize(("gtin", "serial"), [(None, "S1"), (GTIN, "ä"), ("12", "S1"), (GTIN, "S" * 21)])
def test_what_gs1_cannot_say_is_the_number_alone(gtin: str | None, serial: str) -> None:
    label = label_of(Unit("acme", "lamp", gtin=gtin, serial=serial))
    assert (label.code, label.is_gs1) == (serial, False)


def test_a_sheet_holds_each_label_once_and_goes_on_on_the_next(tmp_path: Path) -> None:
    file = tmp_path / "sheet.png"
    assert write(labels_of(PHONES), Symbol.DATAMATRIX, PAPERS["a4-24"], file, 300, skip=3) == 2
    first, second = (codes(Image.open(tmp_path / f"sheet-{page}.png").convert("L")) for page in (1, 2))
    assert (len(first), len(second)) == (21, 9)
    assert [*first, *second] == [f"(01){GTIN}(21){unit.serial}" for unit in PHONES]


@pytest.mark.parametrize("symbol", Symbol)
def test_a_pdf_has_the_size_of_its_paper_and_codes_that_can_be_read(tmp_path: Path, symbol: Symbol) -> None:
    file = tmp_path / "labels.pdf"
    write(labels_of([CREAM, PHONES[0]]), symbol, PAPERS["100x50"], file, 300)
    document = pypdfium2.PdfDocument(file)
    assert [tuple(round(side / 72 * 25.4) for side in document[page].get_size()) for page in range(2)] == [
        (100, 50)
    ] * 2
    pictures = [document[page].render(scale=300 / 72).to_pil().convert("L") for page in range(2)]
    assert [codes(picture) for picture in pictures] == [[f"(01){GTIN}(17)261231(10)LOT/7"], [f"(01){GTIN}(21)S-000"]]


@pytest.mark.parametrize("dpi", [203, 300, 600])
def test_a_label_printer_is_sent_the_dots_of_the_picture(tmp_path: Path, dpi: int) -> None:
    file = tmp_path / "labels.zpl"
    write(labels_of([CREAM, PHONES[0]]), Symbol.DATAMATRIX, PAPERS["62x29"], file, dpi)
    pictures = list(from_zpl(file.read_text("ascii")))
    assert [codes(picture) for picture in pictures] == [[f"(01){GTIN}(17)261231(10)LOT/7"], [f"(01){GTIN}(21)S-000"]]


def test_a_code_that_would_be_too_small_to_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StockbookError, match="does not fit"):
        write(labels_of([CREAM]), Symbol.CODE128, PAPERS["50x25"], tmp_path / "labels.pdf", 300)


def test_a_label_printer_has_no_sheets(tmp_path: Path) -> None:
    with pytest.raises(StockbookError, match="single labels"):
        write(labels_of([CREAM]), Symbol.QR, PAPERS["a4-24"], tmp_path / "labels.zpl", 300)


@pytest.fixture
def shop(database: str, tmp_path: Path) -> dict[str, str]:
    env = environment(STOCKBOOK_DATABASE_URL=database)
    masters = [
        ("company.defined.v1", {"company": "acme", "currency": "EUR"}),
        ("warehouse.defined.v1", {"company": "acme", "warehouse": "shop"}),
        *(("item.defined.v1", {"company": "acme", "item": item, **fields}) for item, fields in ITEMS.items()),
    ]
    lines = [
        {"item": "phone", "quantity": "3", "target": "shop", "rate": "5"},
        {"item": "cream", "quantity": "9", "target": "shop", "rate": "1", "expires_on": "2027-01-31"},
        {"item": "lamp", "serials": ["L1"], "target": "shop", "rate": "1"},
    ]
    receipt = {"id": "PR-1", "purpose": "purchase_receipt", "posting_at": "2026-01-05T10:00:00Z", "lines": lines}
    events = [{"type": kind, "data": data} for kind, data in [*masters, ("movement.requested.v1", receipt)]]
    (tmp_path / "day.jsonl").write_text("\n".join(map(json.dumps, events)))
    told("publish", str(tmp_path / "day.jsonl"), env=env)
    return env


@pytest.mark.parametrize(
    ("wanted", "held"),
    [
        (["--movement", "desk", "PR-1"], [f"(01){GTIN}(21)S-001", f"(01){GTIN}(21)S-002", f"(01){GTIN}(21)S-003",
                                          "(01)04006381333931(17)270131(10)LOT-01"]),
        (["--item", "lamp"], ["L1"]),
        (["--item", "cream"], ["(01)04006381333931(17)270131(10)LOT-01"]),
        (["--serial", "L1", "--serial", "S-002", "--batch", "LOT-01", "--plain"], ["L1", "LOT-01", "S-002"]),
        (["--serial", "L1", "--copies", "2"], ["L1", "L1"]),
    ],
)  # fmt: skip
def test_the_units_that_are_asked_for_get_labels(
    shop: dict[str, str], tmp_path: Path, wanted: list[str], held: list[str]
) -> None:
    file = tmp_path / "labels.png"
    told("labels", str(file), *wanted, env=shop)
    assert codes(Image.open(file).convert("L")) == sorted(held)


def test_a_unit_that_is_not_there_is_named(shop: dict[str, str], tmp_path: Path) -> None:
    done = invoke("labels", str(tmp_path / "labels.pdf"), "--serial", "L1", "--serial", "GHOST", env=shop)
    assert done.exit_code == 1
    assert "GHOST" in str(done.exception)


def test_what_a_label_says_can_be_sold_by_scanning_it(shop: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "label.png"
    told("labels", str(file), "--serial", "S-002", "--size", "62x29", env=shop)
    (found,) = read_barcodes(Image.open(file).convert("L"))
    scan = str(found.symbology_identifier) + bytes(found.bytes).decode()
    assert read_scan(scan).elements is not None
    sale = {
        "id": "D-1",
        "purpose": "delivery",
        "posting_at": "2026-01-06T10:00:00Z",
        "lines": [{"scan": scan, "source": "shop"}],
    }
    event = json.dumps({"type": "movement.requested.v1", "data": sale})
    assert "S-002" in told("publish", "-", "--wait", given=event, env=shop)
