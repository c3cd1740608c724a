"""How receiving reads definitions out of an event: the one that it is, or several, each as if it had come alone."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from services.desk.events import read_event
from services.receiving.handlers.answering import read_definitions
from shared.contracts.codec import Malformed
from shared.contracts.envelope import Envelope, read_envelope
from shared.service import Input

MIXER = {"company": "AMA", "item": "MIXER", "serial": "MX-1"}


def event(data: Any, name: str = "e1") -> list[Input]:
    raw = msgspec.Raw(json.dumps(data).encode())
    told = Envelope(
        specversion="1.0", id=name, source="office", type="serial.defined.v1", traceparent="00-1-2-01", data=raw
    )
    return read_definitions(told)


def several(*definitions: Any) -> list[Input]:
    return event({"definitions": definitions})


def test_one_of_several_is_read_as_the_one_that_comes_alone() -> None:
    (alone,) = event(MIXER, "d1")
    among = several({"id": "d1", "data": MIXER}, {"id": "d2", "data": MIXER})
    assert among[0] == alone
    assert [each.id for each in among] == ["d1", "d2"]


def test_wrong_fields_are_told_of_in_the_same_words_in_either_form() -> None:
    (alone,) = event({"company": "AMA", "item": 7}, "d1")
    (among,) = several({"id": "d1", "data": {"company": "AMA", "item": 7}})
    assert str(alone.value[1]) == str(among.value[1])
    assert (alone.id, alone.raw) == (among.id, among.raw)


def test_one_without_a_name_is_malformed_alone_and_all_of_it_is_kept() -> None:
    nameless = {"id": 7, "data": MIXER}
    good, bad = several({"id": "d1", "data": MIXER}, nameless)
    assert good.id == "d1"
    assert isinstance(bad.value, Malformed)
    assert (bad.id, json.loads(bad.raw)) == (None, nameless)


def test_one_that_says_nothing_has_wrong_fields() -> None:
    (bad,) = several({"id": "d1"})
    assert isinstance(bad.value[1], Malformed)


def test_an_event_of_several_that_is_published_by_hand_awaits_an_answer_to_each() -> None:
    told = {"type": "serial.defined.v1", "data": {"definitions": [{"id": name, "data": MIXER} for name in "abc"]}}
    published = read_event(json.dumps(told).encode(), "office", datetime(2026, 3, 2, tzinfo=UTC))
    assert published.keys == [("office", "a"), ("office", "b"), ("office", "c")]
    assert [each.id for each in read_definitions(read_envelope(published.body))] == ["a", "b", "c"]


def test_which_of_several_cannot_be_published_is_said() -> None:
    told = {"type": "serial.defined.v1", "data": {"definitions": [{"id": "a", "data": MIXER}, {"id": "b"}]}}
    with pytest.raises(Malformed, match=r"`company` \(definition 2\)"):
        read_event(json.dumps(told).encode(), "office", datetime(2026, 3, 2, tzinfo=UTC))
