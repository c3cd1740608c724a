"""`stockbook explain`: where the values of a day came from that the services posted, as the command tells it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine, make_url

from services.desk.cli import explain as command
from services.desk.events import Event
from services.desk.pipeline import Pipeline
from services.ledger.decide.explaining.tree import Limits
from services.ledger.store.explaining import explain
from shared.db import open_engine, transaction
from shared.errors import StockbookError
from shared.purposes import Method
from shared.settings import Settings
from tests import commands, servers
from tests.builders import COMPANY, SOURCE, Receiving, keep_allocated, leg, rows
from tests.explaining_builders import (
    EVERYTHING,
    bought,
    check,
    event,
    explained,
    goods,
    lines,
    post,
    set_up,
)

NOW = datetime(2026, 3, 2, 18, tzinfo=UTC)


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database)
    yield engine
    engine.dispose()


FREIGHT, WAGES = ({"amount": amount} for amount in ("10", "8"))
DAY: Sequence[tuple[str, str, Sequence[Mapping[str, object]], Mapping[str, object]]] = (
    ("R1", "purchase_receipt", [bought("oil", 100, "4")], {"additional_costs": [FREIGHT]}),
    ("LC1", "landed_cost", [], {"against": {"id": "R1"}, "additional_costs": [{"amount": "20"}]}),
    ("R2", "purchase_receipt", [bought("jar", 50, "0.50")], {}),
    ("R3", "purchase_receipt", [bought("jar", 50, "0.70")], {}),
    (
        "M1",
        "manufacture",
        [
            goods("oil", 10, source="north"),
            goods("jar", 40, source="north"),
            goods("cream", 40, target="north", batch="B1"),
            bought("dregs", 1, "1", scrap=True),
        ],
        {"additional_costs": [WAGES]},
    ),
    ("T1", "material_transfer", [goods("cream", 20, source="north", target="south", batch="B1")], {}),
    ("D1", "delivery", [goods("cream", 4, source="south", batch="B1")], {}),
    ("SR1", "sales_return", [goods("cream", 2, against_line=1)], {"against": {"id": "D1"}}),
    ("C1", "reconciliation", [goods("cream", 17, target="south", batch="B1")], {}),
    ("D2", "delivery", [goods("cream", 2, source="south", batch="B1")], {}),
    ("PR1", "purchase_return", [goods("jar", 5, source="north", against_line=1)], {"against": {"id": "R3"}}),
    ("R4", "purchase_receipt", [bought("tea", 5, "2")], {}),
    ("D3", "delivery", [goods("tea", 8, source="north")], {}),
    ("R5", "purchase_receipt", [bought("tea", 10, "3")], {}),
    ("W1", "write_down", [goods("tea", 0, source="north", rate="2.5") | {"quantity": None}], {}),
    ("D4", "delivery", [goods("tea", 2, source="north")], {}),
    ("R6", "purchase_receipt", [bought("phone", 2, "300", serials="P1, P2")], {}),
    ("D5", "delivery", [{"item": "phone", "serials": "P2", "source": "north"}], {}),
    ("X1", "delivery", [goods("oil", 5_000, source="north")], {}),
    ("X2", "theft", [goods("oil", 1, source="north")], {}),
)


def day() -> list[Event]:
    """Masters, and movements a minute apart."""
    events = set_up()
    for place, (name, purpose, moved, more) in enumerate(DAY):
        at = (NOW - timedelta(minutes=60 - place)).isoformat()
        events.append(
            event("movement.requested", {"id": name, "purpose": purpose, "posting_at": at, "lines": moved, **more})
        )
    return events


@pytest.fixture(scope="module")
def shop(postgres: str, empty_database: str) -> Iterator[Engine]:
    """A day of a workshop, in the books; nobody writes to them."""
    with servers.fresh_database(postgres, template=make_url(empty_database).database) as url:
        with Pipeline(url, clock=lambda: NOW, settings=Settings(pause=0.01)) as pipeline:
            for each in day():
                pipeline.publish([each])
                pipeline.settle()
        engine = open_engine(url)
        yield engine
        engine.dispose()


def test_every_entry_of_the_day_adds_up_at_every_node(shop: Engine) -> None:
    posted = [name for (name,) in rows(shop, "SELECT id FROM ledger.posted")]
    assert len(posted) == len(DAY) - 2
    assert sum(check(explained(shop, name)) for name in posted) > 100


def test_what_a_customer_got_is_told_down_to_what_it_was_made_of(shop: Engine) -> None:
    oil = "at 4: 4.00, additional cost expenses_in_valuation: 0.10, landed_cost LC1 line 1 (2026-03-02): 0.20"
    assert lines(shop, "D1") == [
        "line 1: -4 cream in south, batch B1: -7.40 EUR",
        "  4 of 20 from material_transfer T1 line 1 (2026-03-02): 7.40",
        "    4 of 40 from manufacture M1 line 3 (2026-03-02, north): 7.40",
        f"      1 of 100 oil from purchase_receipt R1 line 1 (2026-03-02): 4.30 ({oil})",
        "      2 of 50 jar from purchase_receipt R2 line 1 (2026-03-02) at 0.5: 1.00",
        "      2 of 50 jar from purchase_receipt R3 line 1 (2026-03-02) at 0.7: 1.40",
        "      less 0.1 dregs at a rate of its own: -0.10",
        "      additional cost expenses_in_valuation: 0.80",
    ]


def test_what_came_back_is_told_by_what_it_was_when_it_went_out(shop: Engine) -> None:
    first, second, *_ = lines(shop, "SR1")
    assert first == "line 1: +2 cream in south, batch B1, of delivery D1 line 1 (2026-03-02): +3.70 EUR"
    assert second == "  2 of 20 from material_transfer T1 line 1 (2026-03-02): 3.70"


def test_after_a_count_goods_come_from_it_and_it_from_what_stood_there(shop: Engine) -> None:
    assert lines(shop, "C1") == ["line 1: -1 cream in south, batch B1: -1.85 EUR (1 less counted: -1.85)"]
    told = lines(shop, "D2", Limits(depth=2))
    assert told == [
        "line 1: -2 cream in south, batch B1: -3.70 EUR",
        "  2 counted by reconciliation C1 line 1 (2026-03-02): 3.70",
        "    1.882353 of 20 from material_transfer T1 line 1 (2026-03-02): 3.48 …",
        "    0.235294 of 2 from sales_return SR1 line 1 (2026-03-02): 0.44 …",
        "    0.117647 less counted: -0.22",
        "what ends in … came from further back: --depth or --all tell more",
    ]


def test_what_was_issued_beyond_stock_is_told_there_and_where_it_was_trued_up(shop: Engine) -> None:
    assert lines(shop, "D3") == [
        "line 1: -8 tea in north: -16.00 EUR",
        "  5 of 5 from purchase_receipt R4 line 1 (2026-03-02) at 2: 10.00",
        "  3 issued beyond stock at 2, the last rate known: 6.00",
    ]
    issued = "3 issued beyond stock by delivery D3 line 1 (2026-03-02) at 2: 6.00"
    assert lines(shop, "R5") == [
        f"line 1: +10 tea in north: +27.00 EUR (at 3: 30.00, {issued}, 3 came at 3: -9.00)",
    ]


def test_revaluations_are_told_with_what_they_changed(shop: Engine) -> None:
    written_down = "write_down W1 line 1 (2026-03-02): -1.00"
    assert lines(shop, "D4") == [
        "line 1: -2 tea in north: -5.00 EUR",
        f"  2 of 10 from purchase_receipt R5 line 1 (2026-03-02): 5.00 (at 3: 6.00, {written_down})",
    ]
    assert lines(shop, "W1") == ["line 1: tea in north: -3.50 EUR (written down to 2.5 a unit: -3.50)"]
    assert lines(shop, "R1") == [
        "line 1: +100 oil in north: +410.00 EUR (at 4: 400.00, additional cost expenses_in_valuation: 10.00)",
        "  later landed_cost LC1 line 1 (2026-03-02): +20.00",
    ]
    landed = "line 1: oil in north, of purchase_receipt R1 line 1 (2026-03-02): +20.00 EUR"
    assert lines(shop, "LC1") == [f"{landed} (additional cost expenses_in_valuation: 20.00)"]


def test_what_is_sent_back_is_told_by_its_receipt_and_serials_by_their_own(shop: Engine) -> None:
    assert lines(shop, "PR1")[1:] == ["  5 of 50 from purchase_receipt R3 line 1 (2026-03-02) at 0.7: 3.50"]
    assert lines(shop, "D5")[1:] == ["  1 of 2 from purchase_receipt R6 line 1 (2026-03-02), serials P2 at 300: 300.00"]


# --- the command -----------------------------------------------------------------------------------------------------


def told(engine: Engine, *arguments: str) -> str:
    return commands.told("explain", *arguments, env=_environment(engine))


def _environment(engine: Engine) -> dict[str, str]:
    return commands.environment(STOCKBOOK_DATABASE_URL=engine.url.render_as_string(hide_password=False))


def failure(engine: Engine, *arguments: str) -> str:
    done = commands.invoke("explain", *arguments, env=_environment(engine))
    assert isinstance(done.exception, StockbookError)
    return str(done.exception)


def test_the_command_names_the_movement_and_tells_its_entries(shop: Engine) -> None:
    assert told(shop, "D3").splitlines() == ["delivery till D3, 2026-03-02", *lines(shop, "D3")]


def test_json_has_every_part_with_what_names_it(shop: Engine) -> None:
    found = json.loads(told(shop, "D3", "--json"))
    (entry,) = found.pop("entries")
    assert found == {
        "source": "till",
        "id": "D3",
        "company": COMPANY,
        "currency": "EUR",
        "purpose": "delivery",
        "posting_date": "2026-03-02",
    }
    assert (entry["quantity"], entry["value"], entry["item"]) == ("-8", "-16", "tea")
    first, beyond = entry["parts"]
    assert (first["kind"], first["id"], first["of"], first["value"]) == ("arrived", "R4", "5", "10")
    assert first["parts"] == [{"kind": "given", "quantity": "5", "value": "10", "rate": "2"}]
    assert (beyond["kind"], beyond["rate"], beyond["quantity"]) == ("beyond_stock", "2", "3")
    later = json.loads(told(shop, "R1", "--json"))["entries"][0]["later"]
    assert [(each["id"], each["value"]) for each in later] == [("LC1", "20")]
    (returned,) = json.loads(told(shop, "SR1", "--json", "--depth", "1"))["entries"]
    assert returned["original"]["id"] == "D1"
    assert [each["closed"] for each in returned["parts"]] == [True]


def test_long_averages_show_the_largest_parts_and_the_sum_of_the_rest(engine: Engine) -> None:
    receiving = Receiving()
    count = command.LISTED + 10
    method = Method.MOVING_AVERAGE
    movements = [receiving.movement(leg(1, 10 + n % 7, method=method)) for n in range(count)]
    movements.append(receiving.movement(leg(-count // 2, method=method), purpose="delivery"))
    post(engine, movements)
    name = movements[-1].id
    short, full = told(engine, name).splitlines(), told(engine, name, "--all").splitlines()
    assert len(short) == 2 + command.LISTED + 1
    assert short[-1].startswith("  and 10 more: ")
    assert len(full) == 2 + count
    assert _total(short[2:]) == _total(full[2:])
    assert len(json.loads(told(engine, name, "--json"))["entries"][0]["parts"]) == count


def _total(told: Sequence[str]) -> Decimal:
    return sum((Decimal(line.rpartition(": ")[2]) for line in told), Decimal(0))


def test_a_movement_that_made_no_entries_changed_nothing(engine: Engine) -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(5, 10)), receiving.movement(leg(0, counted=5), purpose="reconciliation")]
    post(engine, movements)
    assert told(engine, "M2").splitlines()[1:] == ["it changed nothing: there are no entries"]


def test_what_cannot_be_explained_is_said_with_the_reason(shop: Engine) -> None:
    assert failure(shop, "D99").startswith("there is no such movement (id: D99, source: any")
    assert failure(shop, "D1", "--source", "web").startswith("there is no such movement")
    assert failure(shop, "D1", "--company", "other").startswith("there is no such movement")
    assert failure(shop, "X1").startswith("nothing to explain: it waits at the gate")
    assert failure(shop, "X2").startswith("nothing to explain: it was rejected")


def test_a_movement_that_the_ledger_has_not_posted_is_not_explained(engine: Engine) -> None:
    keep_allocated(engine, [Receiving().movement(leg(1, 1))])
    assert failure(engine, "M1").startswith("nothing to explain: it was accepted, and the ledger has not posted it yet")
    with transaction(engine) as connection, pytest.raises(StockbookError, match="no such movement was accepted"):
        explain(connection, (SOURCE, "M2"), EVERYTHING)


def test_a_number_that_several_sources_have_takes_one_of_them(engine: Engine) -> None:
    tills = [Receiving(), Receiving(source="web", company="other")]
    for each in tills:
        post(engine, [each.movement(leg(1, 3))])
    assert failure(engine, "M1") == "several sources have such a movement: say --source (sources: till, web)"
    assert told(engine, "M1", "--source", "web").startswith("material_receipt web M1")
    assert told(engine, "M1", "--company", COMPANY).startswith("material_receipt till M1")
