"""Whatever a label says is read back from its picture by a library that scanners use, and means the unit."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from zxingcpp import Barcode, read_barcodes

from services.desk.labels.sheets import PAPERS, picture
from services.desk.labels.symbols import Symbol
from services.desk.labels.wording import Unit, label_of
from shared.gs1 import gtin_of, read_scan

GTINS = ("09506000134352", "4006381333931", "96385074")
GS1_LETTERS = """!"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"""
NUMBERS = st.text(GS1_LETTERS, min_size=1, max_size=20)
DAYS = st.none() | st.dates(date(2000, 1, 1), date(2049, 12, 31))
LARGE = PAPERS["100x50"]

UNITS = st.builds(
    Unit,
    company=st.just("shop"),
    item=st.just("cream"),
    name=st.text(max_size=60),
    gtin=st.sampled_from(GTINS),
    serial=st.none() | NUMBERS,
    batch=NUMBERS,
    expires_on=DAYS,
)


def scanned(found: Barcode) -> str:
    """What a scanner sends that says by which symbology it reads."""
    return str(found.symbology_identifier) + bytes(found.bytes).decode()


def read(picture: Image.Image) -> list[Barcode]:
    white = Image.new("L", (picture.width + 40, picture.height + 40), 255)
    white.paste(picture, (20, 20))
    return list(read_barcodes(white))


@pytest.mark.parametrize("symbol", [Symbol.DATAMATRIX, Symbol.QR])
@given(unit=UNITS)
def test_a_unit_with_a_gtin_is_read_back_as_item_number_and_expiry(symbol: Symbol, unit: Unit) -> None:
    (found,) = read(picture(label_of(unit), symbol, LARGE, 300))
    elements = read_scan(scanned(found)).elements
    assert elements is not None
    assert (elements.gtin, elements.serial, elements.batch) == (gtin_of(unit.gtin or ""), unit.serial, unit.batch)
    assert elements.expires_on == unit.expires_on


@given(number=st.text(GS1_LETTERS, min_size=1, max_size=20), symbol=st.sampled_from(Symbol))
def test_a_number_alone_is_read_back_as_it_is(number: str, symbol: Symbol) -> None:
    label = label_of(Unit("shop", "cream", serial=number))
    (found,) = read(picture(label, symbol, LARGE, 300))
    assert read_scan(scanned(found)).plain == number
