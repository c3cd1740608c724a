"""What is written into a table and imported is what would have been defined, whatever it says."""

import csv
from datetime import UTC, date
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from services.desk.events import parts
from services.desk.importing.cells import Ways
from services.desk.importing.columns import SUBJECTS, fields_of
from services.desk.importing.reading import Plan, read_rows
from services.desk.importing.staging import Staging
from services.desk.importing.tables import opened
from shared.contracts.codec import Contract, decoder, read
from shared.contracts.envelope import read_envelope
from shared.contracts.masters import BatchDefined, ItemDefined, SerialDefined
from shared.purposes import Method, Pick, Tracking
from shared.quantities import Quantity, Rate, plain

Noun = TypeVar("Noun", bound=Contract)

# What no table can tell: blanks around a text, and what a spreadsheet itself refuses or spoils.
LETTERS = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Co", "Cn"))
TEXTS = st.text(LETTERS, max_size=12).map(lambda text: text.strip().strip("=")).filter(lambda text: "_x" not in text)
CODES = TEXTS.filter(bool)
NAMES = st.from_regex(r"[a-zA-Z][a-z_0-9]{0,5}", fullmatch=True)
OPTIONAL = st.none() | CODES
DAYS = st.dates(date(1990, 1, 1), date(2100, 12, 31))
NUMBERS = st.decimals(0, 10**6, places=3, allow_nan=False).map(plain)
ATTRIBUTES = st.dictionaries(NAMES, CODES, max_size=3)

ITEMS = st.builds(
    ItemDefined,
    company=st.just("acme"),
    item=CODES,
    name=TEXTS,
    unit=CODES,
    units=st.dictionaries(NAMES, NUMBERS.map(Quantity), max_size=2),
    whole_units=st.booleans(),
    tracking=st.sampled_from(Tracking),
    standard_rate=st.none() | NUMBERS.map(Rate),
    shelf_life_days=st.none() | st.integers(0, 36_500),
    valuation_method=st.sampled_from(Method),
    pick=st.sampled_from(Pick),
    disabled=st.booleans(),
    gtin=OPTIONAL,
    attributes=ATTRIBUTES,
)
SERIALS = st.builds(
    SerialDefined,
    company=st.just("acme"),
    item=CODES,
    serial=CODES | st.from_regex(r"0[0-9]{3,20}", fullmatch=True),
    batch=OPTIONAL,
    supplier=OPTIONAL,
    warranty_until=st.none() | DAYS,
    attributes=ATTRIBUTES,
)
BATCHES = st.builds(
    BatchDefined,
    company=st.just("acme"),
    item=CODES,
    batch=CODES,
    expires_on=st.none() | DAYS,
    manufactured_at=OPTIONAL,
    attributes=ATTRIBUTES,
)


def header_and_rows(nouns: list[Any]) -> tuple[list[str], list[list[Any]]]:
    """A table as somebody would fill it in: a column for each field, and for each name in a map."""
    flat = [_flat(each) for each in nouns]
    header = list(dict.fromkeys(title for each in flat for title in each))
    return header, [[each.get(title) for title in header] for each in flat]


def _flat(noun: Any) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(noun).items():
        if name == "warehouse":
            continue
        if isinstance(value, dict):
            told |= {f"{name}.{part}": held for part, held in value.items()}
        else:
            told[name] = value
    return told


def _written(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | date):
        return value
    return plain(value) if isinstance(value, Quantity | Rate) else str(value)


def imported(subject: str, file: Path, kind: type[Noun]) -> list[Noun]:
    chosen = SUBJECTS[subject]
    staging = Staging(BytesIO(), chosen, "desk", "0" * 16)
    with opened(file) as table:
        plan = Plan(chosen, fields_of(chosen, table.header, frozenset()), {}, Ways(UTC))
        found = read_rows(table, plan, staging, lambda _: None)
    assert found.faults == []
    return [read(decoder(kind), raw) for each in staging.events() for raw in parts(read_envelope(each.body))]


def written(folder: Path, nouns: list[Any], *, as_spreadsheet: bool, delimiter: str) -> Path:
    header, rows = header_and_rows(nouns)
    cells = [[_written(value) for value in row] for row in rows]
    if not as_spreadsheet:
        file = folder / "table.csv"
        with file.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, delimiter=delimiter)
            writer.writerow(header)
            writer.writerows(cells)
        return file
    book = Workbook()
    book.worksheets[0].append(header)
    for row in cells:
        book.worksheets[0].append(row)
    book.save(folder / "table.xlsx")
    return folder / "table.xlsx"


def keys(noun: Any) -> tuple[str, ...]:
    return tuple(getattr(noun, name) for name in ("item", "serial", "batch") if hasattr(noun, name))


def _agree(subject: str, nouns: list[Any], folder: Path, *, as_spreadsheet: bool, delimiter: str) -> None:
    file = written(folder, nouns, as_spreadsheet=as_spreadsheet, delimiter=delimiter)
    assert imported(subject, file, type(nouns[0])) == nouns


FORMS = {"as_spreadsheet": st.booleans(), "delimiter": st.sampled_from(",;\t")}


@given(nouns=st.lists(ITEMS, min_size=1, max_size=4, unique_by=lambda each: each.item), **FORMS)
def test_items_written_into_a_table_are_imported_as_they_were_defined(
    tmp_path_factory: Any, nouns: list[ItemDefined], as_spreadsheet: bool, delimiter: str
) -> None:
    folder = tmp_path_factory.mktemp("items")
    _agree("items", nouns, folder, as_spreadsheet=as_spreadsheet, delimiter=delimiter)


@given(nouns=st.lists(SERIALS, min_size=1, max_size=4, unique_by=lambda each: (each.item, each.serial)), **FORMS)
def test_serials_written_into_a_table_are_imported_as_they_were_defined(
    tmp_path_factory: Any, nouns: list[SerialDefined], as_spreadsheet: bool, delimiter: str
) -> None:
    folder = tmp_path_factory.mktemp("serials")
    _agree("serials", nouns, folder, as_spreadsheet=as_spreadsheet, delimiter=delimiter)


@given(nouns=st.lists(BATCHES, min_size=1, max_size=4, unique_by=lambda each: (each.item, each.batch)), **FORMS)
def test_batches_written_into_a_table_are_imported_as_they_were_defined(
    tmp_path_factory: Any, nouns: list[BatchDefined], as_spreadsheet: bool, delimiter: str
) -> None:
    folder = tmp_path_factory.mktemp("batches")
    _agree("batches", nouns, folder, as_spreadsheet=as_spreadsheet, delimiter=delimiter)
