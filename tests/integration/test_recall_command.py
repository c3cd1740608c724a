"""The commands about recalls, through gate and ledger: whom to reach, what stands where, the evidence file."""

import csv
import hashlib
import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer

import pytest
from sqlalchemy import Engine

from services.desk.recall.finding import Note, find_out, must_find
from services.desk.recall.rows import COLUMNS
from services.desk.store.recalls import goods_of, marks_of
from shared.contracts.codec import decoder, read
from shared.contracts.envelope import read_envelope
from shared.contracts.movement import MovementRequested, Reference
from shared.contracts.recall import RecallClosed
from shared.contracts.registry import RECALL_CLOSED
from shared.db import transaction
from tests.builders import COMPANY, SOURCE, deliver
from tests.commands import environment, told
from tests.recall_page import PAGE, story, written
from tests.recalling_builders import (
    SINCE,
    about,
    accepted,
    ask,
    close,
    creams,
    later,
    lines,
    open_recall,
    reach,
)
from tests.receiving_builders import after, comes, goes, line, movement, moves, opened
from tests.secured import database_of_roles
from tests.tracing_builders import BATCHED, UNITS, Floor

OIL = {"item": "oil", "batch": "O1"}


@pytest.fixture
def floor(engine: Engine) -> Floor:
    return creams(engine)


def back(quantity: int, against: str, name: str, at: datetime = SINCE) -> MovementRequested:
    return movement("sales_return", line("cream", quantity), id=name, at=at, against=Reference(id=against))


# --- whom to reach ----------------------------------------------------------------------------------------------------


def test_each_customer_and_recipient_is_told_with_what_they_got_gave_back_and_answered(floor: Floor) -> None:
    floor.tell(
        movement("material_issue", goes("cream", 1, batch="C1"), id="I1", at=after(22), recipient="ward 3"),
        movement("delivery", goes("cream", 1, batch="C1"), id="D3", at=after(23)),
        back(1, "D1", "B1", at=after(30)),
    )
    recall = open_recall(floor, OIL, document="Q-7")
    later(floor)
    floor.tell(back(2, "D1", "B2"))
    reach(floor, recall, "Ann", "will look")
    reach(floor, recall, "Ann", "two left")
    code, told, _ = ask(floor, "recall", SOURCE, recall, "--format", "csv")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(told)))
    assert (
        list(rows[0])
        == (
            "customer recipient item batch serials unit quantity documents first_on last_on came_back_before "
            "came_back_since still_out serials_out reached_at answer"
        ).split()
    )
    names = ("customer", "recipient", "quantity", "documents", "came_back_before", "came_back_since", "still_out")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("Ann", "", "5", "note 1 (2026-03-02)", "1", "2", "2"),
        ("Bob", "", "3", "D2 (2026-03-02)", "0", "0", "3"),
        ("", "ward 3", "1", "I1 (2026-03-02)", "0", "0", "1"),
        ("", "", "1", "D3 (2026-03-02)", "0", "0", "1"),
    ]
    assert (rows[0]["reached_at"], rows[0]["answer"]) == ("2026-03-02T20:00:00Z", "two left")
    assert {row["answer"] for row in rows[1:]} == {""}


def test_people_read_all_of_it_in_sections(floor: Floor) -> None:
    recall = open_recall(floor, OIL, document="Q-7")
    later(floor)
    floor.tell(
        back(2, "D1", "B2"),
        movement("material_transfer", moves("cream", 3, target="quarantine", batch="C1"), id="Q1", at=SINCE),
        movement("scrap", goes("cream", 1, "quarantine", batch="C1"), id="S1", at=SINCE + timedelta(seconds=1)),
    )
    reach(floor, recall, "Ann", "three used up")
    told = lines(floor, recall)
    assert told[:-1] == [
        f"recall {recall} of till (shop): open",
        "  opened by mira: a rash (Q-7)",
        "  accepted 2026-03-02 18:00:00, 0 s after it was asked for",
        "recalled",
        "  oil, batch O1 (manufactured 2026-01-05, recalled)",
        "made of them",
        "  cream, batch C1 (manufactured 2026-03-02, recalled)",
        "  rest, untracked: nobody can tell which of it, and it is not kept from leaving",
        "in stock",
        "  north: 7 pcs of cream, batch C1",
        "  quarantine (quarantine): 2 pcs of cream, batch C1",
        "to reach",
        "  Ann: reached 2026-03-02 20:00:00: three used up",
        (
            "    cream, batch C1: 5 pcs delivered by D1 (2026-03-02, note 1); "
            "2 pcs came back since by B2 (2026-03-02); 3 pcs still out"
        ),
        "  Bob: not reached yet",
        "    cream, batch C1: 3 pcs delivered by D2 (2026-03-02); 3 pcs still out",
        "left otherwise since",
        "  quarantined: 3 pcs of cream, batch C1 into quarantine by Q1 (2026-03-02)",
        "  scrapped: 1 pcs of cream, batch C1 from quarantine by S1 (2026-03-02)",
        "came from",
        "  oil, batch O1: 6 pcs by R1 (2026-03-02, bill 1) from Rose Ltd, its lot 7/26, manufactured 2026-01-05",
        "mass balance",
        "  oil, batch O1: received 6 = consumed 6",
        "  cream, batch C1: produced 16 + returned 2 = delivered 8 + scrapped 1 + on hand 9",
        "to know",
        "  untracked: rest cannot be told apart: where it went, nobody can tell",
    ]
    assert told[-1].startswith(
        "3 goods, 2 customers (1 reached): 8 pcs delivered, 2 pcs came back, 6 pcs still out, 9 pcs on hand; found in "
    )


def test_units_of_a_batch_are_told_by_their_serials_with_who_has_which(engine: Engine) -> None:
    floor = Floor(engine, motor=UNITS)
    floor.gate.define("batch", company=COMPANY, item="motor", batch="M1")
    floor.tell(
        movement("purchase_receipt", comes("motor", 4, batch="M1"), id="R1", supplier="Motors Ltd"),
        movement("purchase_receipt", comes("motor", 1), id="R2", supplier="Others"),
        movement("delivery", goes("motor", serials="S-01, S-02"), id="D1", at=after(10), customer="Ann"),
        movement("sales_return", line("motor", serials="S-02"), id="B1", at=after(20), against=Reference(id="D1")),
        movement("delivery", goes("motor", serials="S-02, S-05"), id="D2", at=after(30), customer="Bob"),
    )
    recall = open_recall(floor, {"item": "motor", "batch": "M1"})
    later(floor)
    floor.tell(
        movement("sales_return", line("motor", serials="S-01"), id="B2", at=SINCE, against=Reference(id="D1")),
        movement("material_transfer", moves("motor", serials="S-03", target="quarantine"), id="Q1", at=SINCE),
    )
    told = about(floor, recall)
    held = {each["customer"]: (each["serials"], each["serials_out"], each["still_out"]) for each in told["to_reach"]}
    assert held == {"Ann": (["S-01", "S-02"], [], "0"), "Bob": (["S-02"], ["S-02"], "1")}
    stock = [(each["warehouse"], each["serials"], each["frozen"]) for each in told["stock"]]
    assert stock == [("north", ["S-01", "S-04"], True), ("quarantine", ["S-03"], True)]
    assert [(each["supplier"], each["serials"]) for each in told["suppliers"]] == [
        ("Motors Ltd", ["S-01", "S-02", "S-03", "S-04"])
    ]
    assert told["summary"]["goods"] == 4
    assert "  motor, batch M1: S-01, S-02, S-03, S-04" in lines(floor, recall)
    assert "  motor, batch M1: received 4 + returned 2 = delivered 3 + on hand 3" in lines(floor, recall)


def test_who_got_nothing_in_the_end_is_not_called(floor: Floor) -> None:
    floor.cancel("D2", after(40))
    told = about(floor, open_recall(floor, OIL))
    assert [each["customer"] for each in told["to_reach"]] == ["Ann"]


def test_what_comes_back_without_its_delivery_is_set_off_against_nobody_else(floor: Floor) -> None:
    recall = open_recall(floor, OIL)
    later(floor)
    floor.tell(
        movement("sales_return", line("cream", 1, target="north", batch="C1", rate="1"), id="B1", at=SINCE),
        movement(
            "sales_return", line("cream", 2, target="north", batch="C1", rate="1"), id="B2", at=SINCE, customer="Bob"
        ),
    )
    told = about(floor, recall)
    assert [(each.get("customer"), each["still_out"]) for each in told["to_reach"]] == [
        ("Ann", "5"),
        ("Bob", "1"),
        (None, "-1"),
    ]
    assert told["summary"]["still_out"] == "5 pcs"


def test_whoever_was_reached_and_got_nothing_by_name_is_noted(floor: Floor) -> None:
    floor.tell(movement("delivery", goes("cream", 1, batch="C1"), id="D3", at=after(23)))
    recall = open_recall(floor, OIL)
    reach(floor, recall, "Zoe", "I have one")
    told = about(floor, recall)
    assert {"code": "reached_without_goods", "customer": "Zoe"} in told["notes"]
    assert {"code": "nobody_named", "movements": "1"} in told["notes"]
    assert told["summary"]["reached"] == 0


# --- what is where ----------------------------------------------------------------------------------------------------


def test_the_suppliers_of_all_that_a_product_is_made_of_are_told_with_their_lots(floor: Floor) -> None:
    told = about(floor, open_recall(floor, {"item": "cream", "batch": "C1"}))
    names = ("depth", "batch", "supplier", "supplier_batch", "quantity")
    assert [tuple(each.get(name) for name in names) for each in told["suppliers"]] == [
        (1, "O1", "Rose Ltd", "7/26", "6"),
        (1, "O2", "Oil & Sons", None, "4"),
    ]
    assert [(each["item"], each["named"], each["frozen"]) for each in told["goods"]] == [("cream", True, True)]


def test_a_mock_recall_finds_all_and_keeps_nothing_from_leaving(floor: Floor) -> None:
    recall = open_recall(floor, OIL, mock=True)
    later(floor)
    floor.tell(
        movement("repack", goes("cream", 2, batch="C1"), comes("box", 1, batch="X1", rate=None), id="P1", at=SINCE),
        movement("delivery", goes("box", 1, batch="X1"), id="D9", at=SINCE + timedelta(seconds=1), customer="Cid"),
    )
    told = about(floor, recall)
    assert {each["frozen"] for each in told["stock"]} == {False}
    assert told["made_since"] == [{"item": "box", "batch": "X1"}]
    assert [each["customer"] for each in told["to_reach"]] == ["Ann", "Bob", "Cid"]
    assert lines(floor, recall)[0].startswith(f"mock recall {recall}")
    assert "  north: 6 pcs of cream, batch C1; not kept from leaving" in lines(floor, recall)


def test_a_false_alarm_lets_its_goods_go_and_says_so(floor: Floor) -> None:
    recall = open_recall(floor, OIL)
    close(floor, recall, "0" * 64, release=True)
    told = about(floor, recall)
    assert (told["recall"]["state"], {each["frozen"] for each in told["stock"]}) == ("closed", {False})
    assert lines(floor, recall)[5] == "  its goods released 2026-03-02 18:00:00 by mira: done"


def test_what_a_unit_was_built_into_is_recalled_with_it_and_no_other_unit(engine: Engine) -> None:
    floor = Floor(engine, motor=UNITS, pump=UNITS)
    floor.tell(movement("purchase_receipt", comes("motor", 3), id="R1", supplier="Motors Ltd"))
    for number in ("01", "02"):
        built = comes("pump", serials=f"P-{number}", rate=None)
        floor.tell(
            movement("manufacture", goes("motor", serials=f"S-{number}"), built, id=f"MK-{number}", at=after(10))
        )
    floor.tell(movement("delivery", goes("pump", serials="P-01, P-02"), id="D1", at=after(20), customer="Ann"))
    told = about(floor, open_recall(floor, {"item": "motor", "serials": "S-01, S-03"}))
    assert [(each["serial"], each["named"]) for each in told["goods"]] == [
        ("S-01", True),
        ("S-03", True),
        ("P-01", False),
    ]
    assert [(each["item"], each["serials"]) for each in told["to_reach"]] == [("pump", ["P-01"])]
    assert [(each["item"], each["serials"], each["frozen"]) for each in told["stock"]] == [("motor", ["S-03"], True)]


def test_reservations_of_recalled_goods_by_their_numbers_are_told(floor: Floor) -> None:
    later(floor, datetime.now(UTC))
    for batch in ("C1", "C2"):
        floor.tell(movement("opening_stock", comes("cream", 2, batch=batch), id=f"R-{batch}", at=floor.gate.now))
        kept = {"item": "cream", "warehouse": "north", "quantity": "2", "batch": batch}
        about_order = {"company": COMPANY, "customer": "Dora", "document": f"order of {batch}", "lines": [kept]}
        expires_at = (floor.gate.now + timedelta(days=1)).isoformat()
        accepted(floor.gate.define("reservation.requested", expires_at=expires_at, **about_order))
    told = about(floor, open_recall(floor, OIL))
    assert [(each["document"], each["customer"], each["open"]) for each in told["reservations"]] == [
        ("order of C1", "Dora", "2")
    ]


def test_goods_that_are_missing_are_told_by_code_and_exit_code(floor: Floor) -> None:
    recall = open_recall(floor, OIL)
    with floor.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql("UPDATE ledger.bin_batch SET quantity = 5 WHERE batch = 'C1'")
    code, told, _ = ask(floor, "recall", SOURCE, recall)
    assert code == 3
    assert "not_accounted_for: does not balance" in told
    with floor.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql("UPDATE ledger.bin_batch SET quantity = 8 WHERE batch = 'C1'")


# --- what is not posted yet -------------------------------------------------------------------------------------------


def test_what_the_ledger_has_not_posted_yet_is_told_by_code_and_exit_code(floor: Floor) -> None:
    floor.gate.accept(movement("delivery", goes("cream", 1, batch="C1"), id="D3", at=after(40), customer="Eve"))
    recall = open_recall(floor, OIL)
    code, told, _ = ask(floor, "recall", SOURCE, recall, "--format", "json", "--wait", "0")
    found = json.loads(told)
    assert code == 3
    assert {"code": "not_posted", "changes": "1", "bins": "1"} in found["notes"]
    assert found["summary"]["complete"] is False
    assert "not_posted: accepted before you asked, and not posted yet: 1 changes (bins: 1)" in "\n".join(
        ask(floor, "recall", SOURCE, recall, "--wait", "0")[1].splitlines()
    )


def test_the_ledger_is_given_time_to_post_it(floor: Floor) -> None:
    (late,) = floor.gate.accepted(
        movement("delivery", goes("cream", 1, batch="C1"), id="D3", at=after(40), customer="Eve")
    )
    recall = open_recall(floor, OIL)
    posting = Timer(0.5, deliver, (floor.engine, late))
    posting.start()
    code, told, _ = ask(floor, "recall", SOURCE, recall, "--format", "json", "--wait", "20")
    posting.join()
    found = json.loads(told)
    assert code == 0
    assert [each["customer"] for each in found["to_reach"]] == ["Ann", "Bob", "Eve"]


def test_what_the_shop_sells_meanwhile_is_not_waited_for(floor: Floor) -> None:
    recall = open_recall(floor, {"item": "cream", "batch": "C1"})
    floor.tell(movement("opening_stock", comes("cream", 4, batch="C2"), id="R4"))
    with transaction(floor.engine) as connection:
        known = must_find(connection, (SOURCE, recall))
        marks = marks_of(connection, COMPANY, goods_of(connection, known))
    floor.gate.accept(movement("delivery", goes("cream", 1, batch="C2"), id="D3", at=after(40), customer="Eve"))
    with transaction(floor.engine) as connection:
        assert find_out(connection, known, marks).is_whole
        assert not find_out(connection, known).is_whole


def test_what_was_told_since_and_refused_for_the_recall_is_counted(floor: Floor) -> None:
    recall = open_recall(floor, OIL)
    later(floor)
    sold = [goes("cream", 1, batch="C1"), goes("oil", 1, batch="O2")]
    floor.gate.ask(
        movement("delivery", *sold, id="T1", at=after(25), customer="Cid"),
        movement("delivery", goes("oil", 1, batch="O9"), id="T2", at=after(25), customer="Cid"),
    )
    notes = {each["code"]: each for each in about(floor, recall)["notes"]}
    assert notes["refused_since"]["movements"] == "1"
    assert any(
        each.strip().startswith("refused_since: movements refused for it since") for each in lines(floor, recall)
    )


# --- evidence ---------------------------------------------------------------------------------------------------------


def test_the_evidence_file_closes_its_recall_and_is_known_again(floor: Floor, tmp_path: Path) -> None:
    recall = open_recall(floor, OIL)
    reach(floor, recall, "Ann", "thrown away")
    file = tmp_path / "evidence.json"
    code, told, _ = ask(floor, "recall", SOURCE, recall, "--evidence", file, "--actor", "mira", "--reason", "all told")
    path, digest, _, message = told.splitlines()
    assert (code, path, digest) == (0, str(file), f"SHA-256 {hashlib.sha256(file.read_bytes()).hexdigest()}")
    envelope = read_envelope(message.encode())
    closing = read(decoder(RecallClosed), envelope.data)
    assert (envelope.type, envelope.source, closing.recall.id) == (RECALL_CLOSED, SOURCE, recall)
    assert (closing.actor, closing.reason, f"SHA-256 {closing.evidence}") == ("mira", "all told", digest)
    code, _, error = ask(floor, "recall", SOURCE, recall, "--check", file)
    assert (code, "not closed" in error) == (1, True)
    floor.gate.send(message.encode())
    assert ask(floor, "recall", SOURCE, recall, "--check", file)[0] == 0
    assert ask(floor, "recall", SOURCE, recall)[1].splitlines()[0].endswith(": closed")
    file.write_bytes(file.read_bytes().replace(b"thrown away", b"handed back"))
    code, told, _ = ask(floor, "recall", SOURCE, recall, "--check", file)
    assert (code, "is NOT the evidence" in told) == (3, True)


def test_a_false_alarm_that_is_found_out_late_is_released_with_a_file_of_its_own(floor: Floor, tmp_path: Path) -> None:
    recall = open_recall(floor, OIL)
    first, second = tmp_path / "closed.json", tmp_path / "released.json"
    for file, release in ((first, []), (second, ["--release"])):
        _, told, _ = ask(floor, "recall", SOURCE, recall, "--evidence", file, "--actor", "mira", *release)
        floor.gate.send(told.splitlines()[3].encode())
    found = about(floor, recall)
    assert {each["frozen"] for each in found["stock"]} == {False}
    _, told, _ = ask(floor, "recall", SOURCE, recall, "--check", first)
    assert "closed the recall" in told
    _, told, _ = ask(floor, "recall", SOURCE, recall, "--check", second)
    assert "released its goods" in told


def test_the_evidence_file_tells_all_of_it(floor: Floor, tmp_path: Path) -> None:
    recall = open_recall(floor, OIL, document="Q-7")
    reach(floor, recall, "Bob", "thrown away")
    file = tmp_path / "evidence.json"
    ask(floor, "recall", SOURCE, recall, "--evidence", file, "--actor", "mira")
    found = json.loads(file.read_text("utf-8"))
    assert (found["evidence"], found["made"]["by"]) == ("stockbook-recall-evidence.v1", "mira")
    assert found["recall"]["document"] == "Q-7"
    assert [each["answer"] for each in found["reached"]] == ["thrown away"]
    came_from, went_to = found["trace"]["came_from"], found["trace"]["went_to"]
    assert (came_from["balanced"], went_to["balanced"]) == (True, True)
    assert {each["what"] for each in went_to["down"]["events"]} >= {"consumed", "delivered"}
    (head,) = found["heads"]
    assert (head["chain"], head["waiting"]) == ("ledger", 0)
    assert head["position"] > 0
    own = about(floor, recall)
    assert {name: found[name] for name in own if name != "times"} == {
        name: value for name, value in own.items() if name != "times"
    }


def test_evidence_never_replaces_a_file(floor: Floor, tmp_path: Path) -> None:
    recall = open_recall(floor, OIL)
    file = tmp_path / "evidence.json"
    file.write_text("something else")
    code, _, error = ask(floor, "recall", SOURCE, recall, "--evidence", file)
    assert (code, "there is such a file already" in error) == (1, True)
    assert file.read_text() == "something else"


# --- the list ---------------------------------------------------------------------------------------------------------


def test_recalls_are_listed_by_state_and_by_what_belongs_to_them(floor: Floor) -> None:
    first, second = open_recall(floor, OIL), open_recall(floor, {"item": "oil", "batch": "O2"}, mock=True)
    close(floor, first, "0" * 64)

    def listed(*options: str) -> list[str]:
        code, told, error = ask(floor, "recalls", "--format", "json", *options)
        assert code == 0, error
        return [each["id"] for each in json.loads(told)]

    assert (listed(), listed("--state", "closed"), listed("--state", "all")) == ([second], [first], [first, second])
    assert listed("--state", "all", "--batch", "O1") == [first]
    assert listed("--state", "all", "--item", "cream", "--batch", "C1") == [first, second]
    assert listed("--state", "all", "--item", "motor") == []
    assert listed("--state", "all", "--source", SOURCE, "--id", first) == [first]
    assert ask(floor, "recalls", "--state", "done")[0] == 1


def test_the_list_adds_up_what_can_be_added_up(engine: Engine) -> None:
    floor = Floor(engine, oil={**BATCHED, "unit": "l"}, cream=BATCHED)
    floor.tell(
        movement("purchase_receipt", comes("oil", "6.5", batch="O1"), id="R1"),
        movement("manufacture", goes("oil", 4, batch="O1"), comes("cream", 8, batch="C1", rate=None), id="MAKE"),
        movement("delivery", goes("oil", "1.5", batch="O1"), id="D1", at=after(20), customer="Ann"),
        movement("delivery", goes("cream", 5, batch="C1"), id="D2", at=after(21), customer="Ann"),
    )
    recall = open_recall(floor, OIL)
    later(floor)
    floor.tell(back(1, "D2", "B1"))
    reach(floor, recall, "Ann")
    (row,) = json.loads(ask(floor, "recalls", "--format", "json")[1])
    assert (row["goods"], row["customers"], row["reached"], row["mock"]) == (2, 1, 1, "no")
    told = (row["delivered"], row["came_back"], row["still_out"], row["on_hand"])
    assert told == ("1.5 l, 5 pcs", "1 pcs", "1.5 l, 4 pcs", "1 l, 4 pcs")


# --- forms ------------------------------------------------------------------------------------------------------------


def test_the_list_to_reach_goes_into_a_spreadsheet(floor: Floor, tmp_path: Path) -> None:
    recall, file = open_recall(floor, OIL), tmp_path / "to-reach.xlsx"
    assert ask(floor, "recall", SOURCE, recall, "--format", "xlsx", "--output", file)[0] == 0
    assert file.read_bytes().startswith(b"PK")
    assert ask(floor, "recall", SOURCE, recall, "--output", file)[0] == 1


def test_names_and_answers_do_nothing_to_a_terminal_or_a_spreadsheet(floor: Floor) -> None:
    customer = "=1+1\x1b[2J\u202e"
    floor.tell(movement("delivery", goes("cream", 1, batch="C1"), id="D3", at=after(23), customer=customer))
    recall = open_recall(floor, OIL, reason="{why} \x1b[31m")
    reach(floor, recall, customer, "{0}\r\nall is well")
    reach(floor, recall, "{Zoe}\x9b", "@sum(1)")
    for form in ("table", "csv", "json"):
        code, told, error = ask(floor, "recall", SOURCE, recall, "--format", form)
        assert code == 0, error
        assert not {"\x1b", "\x9b"} & {*told}
        assert "all is well" not in told.splitlines()
    assert "'=1+1" in ask(floor, "recall", SOURCE, recall, "--format", "csv")[1]


def test_the_role_of_the_desk_may_do_all_of_it(guarded_server: str, tmp_path: Path) -> None:
    with database_of_roles(guarded_server) as database, opened(database.admin) as administrator:
        recall = open_recall(creams(administrator), OIL)
        env = environment(STOCKBOOK_DATABASE_URL=database.url("stockbook_desk"))
        assert recall in told("recalls", env=env)
        assert "Ann: not reached yet" in told("recall", SOURCE, recall, env=env)
        # The links of the chains are made by workers elsewhere: whoever reads only has none made.
        env |= {"STOCKBOOK_BROKER_URL": "amqp://nobody@localhost//"}
        assert "SHA-256" in told("recall", SOURCE, recall, "--evidence", str(tmp_path / "evidence.json"), env=env)


def test_a_recall_that_there_is_not_is_refused(floor: Floor) -> None:
    code, _, error = ask(floor, "recall", SOURCE, "RC-0")
    assert (code, "there is no such recall" in error) == (1, True)


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_shows_what_its_commands_print(postgres: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    with story(postgres) as told:
        assert written(page, told) == page, "python -m tests.recall_page writes it anew"
    assert page.count("$ stockbook recall") >= 4


def test_the_page_has_every_code_and_every_column() -> None:
    page = PAGE.read_text(encoding="utf-8")
    codes = re.findall(r"^\| `(\w+)` \| ", page, re.MULTILINE)
    assert {*Note} <= {*codes}
    assert all(f"`{column.name}`" in page for column in COLUMNS)
