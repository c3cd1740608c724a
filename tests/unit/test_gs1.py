"""What a scanned code can be: by what a scanner sends in front, or by its form alone."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.gs1 import Elements, Scan, gtin_of, read_scan

GTIN = "09506000134352"
LABEL = Elements(GTIN, "AB-123", "S1", date(2026, 12, 31), None, None, None)


@pytest.mark.parametrize(
    "code",
    [
        "]d2010950600013435217261231" + "10AB-123\x1d21S1",
        "]C1\x1d010950600013435217261231" + "10AB-123\x1d21S1",
        "]Q3010950600013435217261231" + "21S1\x1d10AB-123\x1d",
        "\x1d010950600013435217261231" + "10AB-123\x1d21S1",
        "(01)09506000134352(17)261231(10)AB-123(21)S1",
    ],
    ids=["DataMatrix", "Code 128", "QR in another order", "no prefix", "as people read it"],
)
def test_an_element_string_is_read_from_every_carrier(code: str) -> None:
    assert read_scan(code) == Scan(elements=LABEL)


def test_a_day_of_zero_is_the_last_of_its_month() -> None:
    assert read_scan("]d2" + "17270200").elements == Elements(expires_on=date(2027, 2, 28))


def test_a_weight_has_the_places_that_its_identifier_says_and_a_count_is_a_count() -> None:
    assert read_scan("]d2" + "3103001500").elements == Elements(weight=Decimal("1.500"))
    assert read_scan("]d2" + "3012").elements == Elements(count=Decimal(12))
    assert read_scan("]d2" + "0209506000134352" + "3724").elements == Elements(GTIN, count=Decimal(24))


def test_what_else_a_label_says_is_left_out() -> None:
    assert read_scan(f"]d201{GTIN}" + "422276").elements == Elements(GTIN)


@pytest.mark.parametrize("code", ["9506000134352", "]E09506000134352"])
def test_a_plain_ean_can_be_a_gtin_and_a_code_of_ones_own_and_never_an_element_string(code: str) -> None:
    assert read_scan(code) == Scan("9506000134352", Elements(GTIN))


@pytest.mark.parametrize(("text", "gtin"), [("96385074", "00000096385074"), ("9506000134352", GTIN), (GTIN, GTIN)])
def test_a_gtin_has_fourteen_digits_whatever_it_was_written_with(text: str, gtin: str) -> None:
    assert gtin_of(text) == gtin


@pytest.mark.parametrize("text", ["9506000134353", "123", "AB", "", "٩٥٠٦٠٠٠١٣٤٣٥٢"])
def test_what_is_no_gtin_is_none(text: str) -> None:
    assert gtin_of(text) is None


def test_a_text_is_a_code_of_ones_own() -> None:
    assert read_scan(" AB-123\r\n") == Scan("AB-123")
    assert read_scan("]C0" + "10AB") == Scan("10AB")


def test_a_string_without_a_prefix_is_read_where_it_begins_with_an_item() -> None:
    assert read_scan(f"01{GTIN}17261231") == Scan(f"01{GTIN}17261231", Elements(GTIN, expires_on=date(2026, 12, 31)))
    assert read_scan("10AB-123") == Scan("10AB-123")


@pytest.mark.parametrize("code", ["]d20109506000134353", "]d217269931", "(01)12", "]C1" + "10A\x1d10B"])
def test_an_element_string_that_is_wrong_says_why_and_is_nothing_else(code: str) -> None:
    scan = read_scan(code)
    assert (scan.plain, scan.elements) == (None, None)
    assert scan.problem


PIECES = st.sampled_from(["]d2", "]C1", "01", "(01)", "10", "21", "17", "3103", GTIN, "\x1d", "261231", "(", ")", "00"])


@given(st.text(max_size=30) | st.lists(PIECES | st.text(max_size=5), max_size=6).map("".join))
def test_any_text_is_read_without_an_error(code: str) -> None:
    scan = read_scan(code)
    assert isinstance(scan, Scan)
    assert scan.plain is None or scan.plain != ""
