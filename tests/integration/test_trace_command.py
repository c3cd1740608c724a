"""The command that traces: its forms, its exit code, what it says of what is not there; and the page about it."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests import servers
from tests.commands import environment, invoke
from tests.trace_page import PAGE, furnished, written
from tests.verifying_builders import shops_after_the_last_day

CREAM = ("CREAM-ROSE", "--batch", "ROSE-2026-003")


@pytest.fixture(scope="module")
def shops(postgres: str) -> Iterator[str]:
    with shops_after_the_last_day(postgres) as url:
        yield url


def _run(url: str, *arguments: str) -> tuple[int, str, str]:
    done = invoke("trace", *arguments, env=environment(STOCKBOOK_DATABASE_URL=url))
    return done.exit_code, done.stdout, str(done.exception)


def test_as_json_there_is_all_that_was_found_with_suppliers_and_balances(shops: str) -> None:
    code, told, _ = _run(shops, *CREAM, "--format", "json")
    found: dict[str, Any] = json.loads(told)
    assert (code, found["company"], found["complete"], found["balanced"]) == (0, "AMA", True, True)
    received = {each["batch"]: each for each in found["up"]["events"] if each["what"] == "received"}
    assert (received["RO-8"]["supplier"], received["RO-8"]["supplier_batch"]) == (
        "Kazanlak Rose Distillery",
        "2026/003",
    )
    links = {each["from_batch"]: each for each in found["up"]["links"] if "from_batch" in each}
    assert (links["SB-2511"]["from_quantity"], links["SB-2511"]["quantity"]) == ("9.940357", "200")
    (cream,) = [each for each in found["goods"] if each["batch"] == "ROSE-2026-003"]
    assert cream["balance"]["sums"] == {"produced": "200"}
    assert cream["on_hand"] == [{"warehouse": "WORKSHOP", "quantity": "200", "in_transit": False}]


def test_as_csv_every_row_has_all_columns_and_says_what_it_is(shops: str) -> None:
    code, told, _ = _run(shops, "CREAM-ROSE", "--batch", "ROSE-2026-002", "--format", "csv", "--down")
    found = list(csv.DictReader(io.StringIO(told)))
    assert code == 0
    sold = [(each["id"], each["quantity"], each["customer"]) for each in found if each["what"] == "delivered"]
    assert sold == [("DN-403", "-40", "Pharmacy by the Market"), ("DN-405", "-30", "Pharmacy by the Market")]
    assert [each["id"] for each in found if each["what"] == "returned"] == ["SR-801"]
    (link,) = [each for each in found if each["what"] == "went into"]
    assert (link["item"], link["from_batch"], link["from_quantity"]) == ("GIFT-BOX", "ROSE-2026-002", "20")
    standing = [each for each in found if each["what"] == "on hand" and each["item"] == "CREAM-ROSE"]
    assert {each["warehouse"]: each["quantity"] for each in standing} == {"SHOP": "36", "WORKSHOP": "60"}


def test_a_picture_shows_suppliers_makings_and_customers_and_what_they_have_in_the_end(shops: str) -> None:
    told = _run(shops, "CREAM-ROSE", "--batch", "ROSE-2026-002", "--format", "mermaid")[1]
    lines = [each.strip() for each in told.splitlines()]
    names = {line.split('"')[1]: line[: line.index('"')].rstrip("[({") for line in lines if line.count('"') == 2}
    arrow = f'{names["CREAM-ROSE<br>batch ROSE-2026-002"]} -->|"64 pcs"| {names["Pharmacy by the Market"]}'
    assert arrow in lines  # 70 were delivered, and 6 came back
    assert any(name.startswith("RP-701") for name in names)
    assert "<svg" in _run(shops, *CREAM, "--format", "svg")[1]


def test_both_ways_are_what_each_way_tells(shops: str) -> None:
    both, up, down = (_run(shops, *CREAM, *way)[1].splitlines() for way in ((), ("--up",), ("--down",)))
    assert {*both} == {*up, *down}
    assert _run(shops, *CREAM, "--both")[1].splitlines() == both


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "say one of these"),
        (("CREAM-ROSE", "--document", "DN-405"), "say one of these"),
        (("--document", "DN-405", "--batch", "B"), "belong to an item"),
        (("--document", "DN-405", "--customer", "C"), "belong to an item"),
        (("CREAM-ROSE", "--customer", "C", "--batch", "B"), "name one of them"),
        (("CREAM-ROSE", "--customer", "Nobody"), "the customer got none of it"),
        (("CREAM-ROSE",), "name a batch or a serial"),
        (("--movement", "ama-office", "DN-404"), "no such movement is posted"),
        (("CREAM-ROSE", "--batch", "ROSE-2026-002", "--as-of", "soon"), "a time looks like"),
    ],
)
def test_what_cannot_be_traced_is_refused_with_a_reason(shops: str, arguments: tuple[str, ...], told: str) -> None:
    code, _, error = _run(shops, *arguments)
    assert code == 1
    assert told in error


def test_goods_that_are_missing_are_told_by_the_exit_code(postgres: str, shops: str) -> None:
    with servers.fresh_database(postgres, template=sa.make_url(shops).database) as url:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE ledger.bin_batch SET quantity = 150 WHERE batch = 'ROSE-2026-003'")
        code, told, _ = _run(url, *CREAM)
        assert code == 3
        assert "produced 200 = on hand 150: DOES NOT HOLD, 50 are missing" in told
        assert json.loads(_run(url, *CREAM, "--format", "json")[1])["balanced"] is False


def test_the_page_shows_what_its_commands_print(postgres: str) -> None:
    page = Path(PAGE).read_text(encoding="utf-8")
    with furnished(postgres, page) as printed:
        assert written(page, printed) == page, "python -m tests.trace_page writes it anew"
    assert page.count("$ stockbook trace") >= 4
