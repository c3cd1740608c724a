"""Who may speak for a source, who may define one, and what a message says of who sent it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from services.desk.redriving import message_of
from services.receiving.decide.senders import Senders, against_definer, speaks_for, take_over
from services.receiving.handlers import service
from shared.broker import Delivery
from shared.contracts.masters import CompanyDefined, SourceDefined
from shared.parked import Parked
from shared.reading import SENT_BY, USER, read_delivery
from tests.unit.test_operations import kept

BOUND = Senders({"till": "ann"})
GATE = service(administrators={"boss"})
EVENT = b'{"specversion":"1.0","id":"1","source":"till","type":"movement.requested.v1","data":{"id":"M1"}}'


def delivered(
    body: bytes = EVENT, user: str | None = None, headers: Mapping[str, Any] = MappingProxyType({})
) -> Delivery:
    return Delivery(body, "movement.requested.v1", headers, 0, False, "tag", user)


def parked_header(delivery: Delivery) -> str | None:
    """The account under which an unreadable message is parked."""
    (row,) = read_delivery(GATE, delivery)[1]
    return row.headers.get(USER)


@pytest.mark.parametrize(
    ("user", "source", "believed"),
    [("ann", "till", True), ("bob", "till", False), (None, "till", False), ("bob", "web", True), (None, "web", True)],
)
def test_only_its_user_speaks_for_a_source_that_has_one(user: str | None, source: str, believed: bool) -> None:
    assert speaks_for(user, source, BOUND) is believed


@pytest.mark.parametrize(
    ("user", "source", "administrators", "may"),
    [
        ("ann", "till", (), True),
        ("bob", "till", (), False),
        (None, "till", (), False),
        (None, "web", (), True),
        ("boss", "till", ("boss",), True),
        ("ann", "till", ("boss",), False),
        ("ann", "web", ("boss",), False),
        (None, "web", ("boss",), False),
    ],
)
def test_administrators_define_sources_or_where_there_are_none_the_source_itself(
    user: str | None, source: str, administrators: tuple[str, ...], may: bool
) -> None:
    refused = against_definer(SourceDefined(source=source), user, Senders({"till": "ann"}, administrators))
    assert [each.code for each in refused] == ([] if may else ["not_your_source"])


def test_anyone_may_define_what_is_no_source() -> None:
    assert against_definer(CompanyDefined(company="shop", currency="EUR"), None, Senders({}, {"boss"})) == []


def test_a_definition_counts_for_the_next_one_of_its_set() -> None:
    senders = Senders()
    take_over(SourceDefined(source="till", user="ann"), senders)
    assert against_definer(SourceDefined(source="till", user="bob"), "bob", senders) != []
    take_over(SourceDefined(source="till"), senders)
    assert against_definer(SourceDefined(source="till", user="bob"), "bob", senders) == []


def test_an_input_names_the_account_that_sent_it() -> None:
    assert [each.user for each in read_delivery(GATE, delivered(user="ann"))[0]] == ["ann"]
    assert [each.user for each in read_delivery(GATE, delivered())[0]] == [None]


def test_only_an_administrator_is_believed_when_it_sends_for_another() -> None:
    assert [each.user for each in read_delivery(GATE, delivered(user="boss", headers={SENT_BY: "ann"}))[0]] == ["ann"]
    assert [each.user for each in read_delivery(GATE, delivered(user="boss", headers={SENT_BY: ""}))[0]] == [None]
    assert [each.user for each in read_delivery(GATE, delivered(user="boss"))[0]] == ["boss"]
    assert [each.user for each in read_delivery(GATE, delivered(user="bob", headers={SENT_BY: "ann"}))[0]] == ["bob"]
    assert [each.user for each in read_delivery(GATE, delivered(headers={SENT_BY: "ann"}))[0]] == [None]


def test_what_a_sender_writes_into_headers_never_passes_for_what_the_broker_says() -> None:
    assert parked_header(delivered(b"{", headers={USER: "ann"})) is None
    assert parked_header(delivered(b"{", "bob", {USER: "ann", SENT_BY: "ann"})) == "bob"
    (row,) = read_delivery(GATE, delivered(b"{", headers={"routing_key": "elsewhere"}))[1]
    assert row.headers["routing_key"] == "movement.requested.v1"


@pytest.mark.parametrize(("known", "told"), [({USER: "ann"}, "ann"), ({}, ""), ({SENT_BY: "boss"}, "")])
def test_what_is_redriven_says_who_sent_it_first(known: dict[str, str], told: str) -> None:
    message = message_of("receiving", kept(Parked("not_your_source", "e", b"{}", "k", "till", "1", headers=known)))
    assert message.headers == {SENT_BY: told}


def test_a_forged_message_is_redriven_as_a_forged_one() -> None:
    forged = Parked("malformed", "e", EVENT, headers={USER: "bob"})
    again = message_of("receiving", kept(forged))
    (read,) = read_delivery(GATE, delivered(again.body, "boss", again.headers))[0]
    assert not speaks_for(read.user, "till", BOUND)
