"""Every limit has its code: what is just within it is taken, what is just beyond is refused or parked as documented."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from services.receiving import handlers
from services.receiving.decide.burden import TooMuchTogether, insist_on_bearable
from services.receiving.decide.case import FACT_LENGTH, Limits
from services.receiving.decide.series import TooMany, read_serials
from shared.broker import Delivery
from shared.contracts.masters import DEFINITIONS_LIMIT
from shared.contracts.movement import LINES_LIMIT, MESSAGE_LIMIT, MOVEMENTS_LIMIT, SERIALS_LIMIT
from shared.parked import Parked
from shared.reading import read_delivery
from tests.receiving_builders import Shop, comes, facts, goes, item, movement, reasons

GATE = handlers.service()
LINE: Mapping[str, Any] = {"item": "tea", "quantity": "1", "rate": "1", "target": "north"}
MOVEMENT: Mapping[str, Any] = {
    "id": "M1",
    "company": "shop",
    "purpose": "opening_stock",
    "posting_at": "2026-03-02T08:00:00Z",
    "lines": [LINE],
}
COST = {"amount": "1"}
TENDER = {"account": "cash", "amount": "1"}
ITEM = {"company": "shop", "item": "tea"}
NAMED = {"id": "D1", "data": ITEM}


def event(data: Any = MOVEMENT, kind: str = "movement.requested.v1", **names: Any) -> bytes:
    return json.dumps({"specversion": "1.0", "id": "e", "source": "till", "type": kind, "data": data, **names}).encode()


def asked(**fields: Any) -> bytes:
    return event({**MOVEMENT, **fields})


def of_line(**fields: Any) -> bytes:
    return asked(lines=[{**LINE, **fields}])


def defined(**fields: Any) -> bytes:
    return event({**ITEM, **fields}, "item.defined.v1")


def several(*named: Any) -> bytes:
    return event({"definitions": named}, "item.defined.v1")


def filled(size: int) -> bytes:
    """A movement in a message of so many bytes."""
    empty = event(more="")
    return empty.replace(b'"more": ""', b'"more": "' + b"x" * (size - len(empty)) + b'"')


def result(body: bytes) -> str:
    """What a message comes to before anything is known of the shop: `read`, `rejected` or `parked` with the code."""
    inputs, parked = read_delivery(GATE, Delivery(body, "movement.requested.v1", {}, 0, False, None))
    (told,) = {*map(_judged, inputs), *(f"parked {each.reason}" for each in parked)}
    return told


def _judged(each: Any) -> str:
    problem = each.value.problem if hasattr(each.value, "problem") else isinstance(each.value[1], Exception)
    return "rejected malformed" if problem else "read"


READ: tuple[tuple[str, Callable[[int], bytes], int, str], ...] = (
    ("bytes of a message", filled, MESSAGE_LIMIT, "parked message_too_large"),
    ("movements", lambda n: event({"movements": [MOVEMENT] * n}), MOVEMENTS_LIMIT, "parked malformed"),
    ("definitions", lambda n: several(*[NAMED] * n), DEFINITIONS_LIMIT, "parked malformed"),
    ("a definition's id", lambda n: several(NAMED | {"id": "d" * n}), 140, "parked malformed"),
    ("a source", lambda n: event(source="s" * n), 63, "parked malformed"),
    ("an event's id", lambda n: event(id="e" * n), 140, "parked malformed"),
    ("a trace", lambda n: event(traceparent="0" * n), 1_000, "parked malformed"),
    ("a movement's id", lambda n: asked(id="M" * n), 200, "parked malformed"),
    ("a text", lambda n: asked(document="x" * n), 1_000, "rejected malformed"),
    ("a code", lambda n: asked(company="c" * n), 140, "rejected malformed"),
    ("a code of a line", lambda n: of_line(item="i" * n), 140, "rejected malformed"),
    ("digits of a quantity", lambda n: of_line(quantity="9" * n), 12, "rejected malformed"),
    ("places of a quantity", lambda n: of_line(quantity=f"1.{'1' * n}"), 6, "rejected malformed"),
    ("digits of a rate", lambda n: of_line(rate="9" * n), 12, "rejected malformed"),
    ("places of a rate", lambda n: of_line(rate=f"1.{'1' * n}"), 9, "rejected malformed"),
    ("digits of an amount", lambda n: of_line(net="9" * n), 15, "rejected malformed"),
    ("places of an amount", lambda n: of_line(net=f"1.{'1' * n}"), 3, "rejected malformed"),
    ("additional costs", lambda n: asked(additional_costs=[COST] * n), 100, "rejected malformed"),
    ("tenders", lambda n: asked(money={"tenders": [TENDER] * n}), 100, "rejected malformed"),
    ("taxes", lambda n: of_line(tax=[{"code": "A", "amount": "1"}] * n), 100, "rejected malformed"),
    ("attributes", lambda n: of_line(attributes={str(k): "" for k in range(n)}), 100, "rejected malformed"),
    ("an attribute", lambda n: of_line(attributes={"k": "x" * n}), 1_000, "rejected malformed"),
    ("attributes of an item", lambda n: defined(attributes={str(k): "" for k in range(n)}), 100, "rejected malformed"),
    ("units of an item", lambda n: defined(units={str(k): "2" for k in range(n)}), 100, "rejected malformed"),
    ("NULs", lambda n: asked(document="\0" * n), 0, "rejected malformed"),
    ("NULs of an id", lambda n: asked(id="M1" + "\0" * n), 0, "parked malformed"),
    ("NULs of one of several", lambda n: several(NAMED | {"data": ITEM | {"name": "\0" * n}}), 0, "rejected malformed"),
    ("NULs of a definition's id", lambda n: several(NAMED | {"id": "d" + "\0" * n}), 0, "parked malformed"),
    ("NULs of a definition", lambda n: defined(name="\0" * n), 0, "rejected malformed"),
)


@pytest.mark.parametrize(("make", "limit", "beyond"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_a_limit_of_what_is_read_is_taken_and_one_more_is_not(
    make: Callable[[int], bytes], limit: int, beyond: str
) -> None:
    assert result(make(limit)) == "read"
    assert result(make(limit + 1)) == beyond


PHONES = item("phone", tracking="serial", serial_series="S-.#")
CREAM = item("cream", tracking="batch", create_batches_on_receipt=True)
SMALL = Limits(serials=5, serials_in_all=8, attributes=12)

JUDGED: tuple[tuple[str, Limits, Callable[[int], Any], int, str], ...] = (
    ("lines", Limits(), lambda n: [comes("tea", 1)] * n, LINES_LIMIT, "too_many_lines"),
    (
        "serials in a text",
        Limits(),
        lambda n: [comes("phone", serials=f"A000001-A{n:06d}")],
        SERIALS_LIMIT,
        "too_many_serials",
    ),
    (
        "serials in a list",
        SMALL,
        lambda n: [comes("phone", serials=[f"A{k}" for k in range(n)])],
        5,
        "too_many_serials",
    ),
    ("serials of a series", SMALL, lambda n: [comes("phone", n)], 5, "too_many_serials"),
    ("serials in all", SMALL, lambda n: [comes("phone", 4), comes("phone", n - 4)], 8, "too_many_serials"),
    ("a serial", Limits(), lambda n: [comes("phone", serials=["x" * n])], 140, "serial_too_long"),
    ("a batch", Limits(), lambda n: [comes("cream", 1, batch="x" * n)], 140, "batch_too_long"),
    ("attributes", SMALL, lambda n: [comes("phone", 2, attributes={"k": "x" * (n - 1)})], 6, "attributes_too_large"),
)


@pytest.mark.parametrize(
    ("limits", "lines", "limit", "beyond"), [row[1:] for row in JUDGED], ids=[row[0] for row in JUDGED]
)
def test_a_limit_of_what_is_judged_is_accepted_and_one_more_is_refused(
    limits: Limits, lines: Callable[[int], Any], limit: int, beyond: str
) -> None:
    assert reasons(_shop(limits).ask("opening_stock", *lines(limit))) == []
    assert beyond in {code for code, _ in _shop(limits).refused("opening_stock", *lines(limit + 1))}


def _shop(limits: Limits) -> Shop:
    return Shop(item(), PHONES, CREAM, limits=limits)


def test_the_limits_are_those_of_the_contract() -> None:
    assert (Limits().lines, Limits().serials) == (LINES_LIMIT, SERIALS_LIMIT) == (5_000, 100_000)
    assert (MESSAGE_LIMIT, MOVEMENTS_LIMIT) == (16 * 2**20, 1_000)


def test_an_event_without_movements_is_parked_for_nobody_could_be_answered() -> None:
    assert result(event({"movements": []})) == "parked malformed"


# --- little that means much ------------------------------------------------------------------------------------------


def test_movements_that_make_too_many_serials_together_are_worked_on_in_parts() -> None:
    of = _shop(SMALL)
    named, made, few = (movement("opening_stock", each) for each in (_named(3), comes("phone", 3), _named(2)))
    for together in ([named, made], [made, made], [named, named, few]):
        with pytest.raises(TooMuchTogether):
            insist_on_bearable([(each, of.company) for each in together], of.stock, SMALL)
    insist_on_bearable([(named, of.company), (few, of.company)], of.stock, SMALL)
    insist_on_bearable([(movement("opening_stock", _named(7)), of.company)], of.stock, SMALL)


def test_what_is_refused_for_its_many_serials_keeps_no_set_from_being_worked_on() -> None:
    of = _shop(SMALL)
    huge = movement("opening_stock", comes("phone", serials="A000000001-A999999999"))
    tea = movement("opening_stock", *[comes("tea", 1_000_000)] * 3)
    insist_on_bearable([(each, of.company) for each in (huge, tea, movement("delivery", _named(5)))], of.stock, SMALL)


def _named(count: int) -> Any:
    return goes("phone", serials=f"A1-A{count}")


def test_a_text_of_very_many_serials_is_not_taken_apart_beyond_its_limit() -> None:
    many = read_serials("1," * 8_000_000, 5)
    assert many == TooMany(6)


def test_a_few_bytes_do_not_make_a_long_answer() -> None:
    of = _shop(Limits())
    judged = of.ask("opening_stock", comes("phone", serials="A0001-A9999,A0001-A9999"))
    assert len(facts(judged, "serial_repeated")["serials"]) == FACT_LENGTH


def test_a_long_trace_is_not_told_with_each_movement_of_a_message() -> None:
    body = event({"movements": [MOVEMENT] * 3}, traceparent="0" * 1_001)
    assert result(body) == "parked malformed"


# --- what is too large ------------------------------------------------------------------------------------------------


def parked(body: bytes) -> Parked:
    (row,) = read_delivery(GATE, Delivery(body, "movement.requested.v1", {}, 0, False, None))[1]
    return row


def test_two_messages_that_are_too_large_and_begin_alike_are_two() -> None:
    one, other = filled(MESSAGE_LIMIT + 1), filled(MESSAGE_LIMIT + 2)
    longer = one[:-1] + b" }"
    assert len({parked(each).parked_id for each in (one, other, longer)}) == 3
    assert parked(one).parked_id == parked(bytes(one)).parked_id
    assert len(parked(one).body) == 1_000
    assert str(len(one)) in parked(one).error
