"""What operators' commands decide without a server: what is sent where, how fast, what may replace a body, what is an
alarm, and when a published file has been answered.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.desk.cli.asking import Tally
from services.desk.cli.options import parse_age, until
from services.desk.cli.status import Queues, needs_a_person
from services.desk.events import Event, parts
from services.desk.redriving import PORTION, Pace, check_body, intake_key, is_whole, message_of, wrapped
from services.desk.store.standing import Heap, Newest, ParkedHeap, Standing
from shared.broker.topology import INTAKE, WORK
from shared.contracts.envelope import raw_definitions, raw_movements, read_definition, read_envelope
from shared.contracts.outcome import Allocated, OutcomeAccepted, OutcomeRejected, Refusal
from shared.errors import StockbookError
from shared.parked import Kept, Parked
from shared.quantities import Quantity
from shared.reading import SENT_BY

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DEFINED = "source.defined.v1"
NUMBER = UUID(int=7)
REQUESTED = "movement.requested.v1"
EVENT = b'{"specversion": "1.0", "id": "e1", "source": "till", "type": "movement.requested.v1", "data": {"id": "M1"}}'
MOVEMENT = b'{"id": "M1", "purpose": "sale", "posting_at": "2026-03-02T12:00:00Z", "lines": []}'


def kept(message: Parked) -> Kept:
    return Kept(NUMBER, message, 1, NOW, NOW, sendable=True)


def parked(reason: str = "unprocessable", body: bytes = MOVEMENT, **about: str | None) -> Parked:
    return Parked(reason, "why", body, about.get("kind"), about.get("source"), about.get("id"))


# --- what is sent, and where -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "whole"),
    [
        (parked("malformed", b"no json"), True),
        (parked("malformed", EVENT, kind=REQUESTED, source="till", id="e1"), True),
        (parked("malformed", b'{"id": 5}', kind=REQUESTED, source="till"), False),
        (parked("unknown_type", EVENT, kind="stock.counted.v9", source="till", id="e1"), True),
        (parked("message_too_large", EVENT), True),
        (parked("conflicting_duplicate", kind=REQUESTED, source="till", id="M1"), False),
        (parked("invariant_broken", kind="movement.posted.v1", source="till", id="M1"), False),
    ],
)
def test_what_was_parked_before_it_was_taken_apart_is_whole(message: Parked, whole: bool) -> None:
    assert is_whole(message) == whole


def test_a_whole_message_is_sent_as_it_came() -> None:
    message = message_of("ledger", kept(parked("unknown_type", EVENT, kind="x", source="till", id="e1")))
    assert (message.exchange, message.routing_key, message.body, message.mandatory) == (
        "stock.work",
        "ledger",
        EVENT,
        True,
    )


def test_a_single_movement_is_sent_as_the_only_one_of_an_event_of_its_source() -> None:
    message = message_of("receiving", kept(parked(kind=REQUESTED, source="till", id="M1")))
    envelope = read_envelope(message.body)
    assert (message.exchange, message.routing_key, message.mandatory) == ("stock.intake", REQUESTED, False)
    assert (envelope.type, envelope.source) == (REQUESTED, "till")
    assert [bytes(raw) for raw in raw_movements(envelope.data)] == [MOVEMENT]


@pytest.mark.parametrize(
    ("kind", "exchange", "key"),
    [("claim.opened.v1", INTAKE, "claim.opened.v1"), ("units.allocated.v1", WORK, "aftercare")],
)
def test_what_aftercare_parked_goes_back_to_the_gate_or_to_its_queue(kind: str, exchange: str, key: str) -> None:
    message = message_of("aftercare", kept(parked(kind=kind, source="till", id="M1")))
    assert (message.exchange, message.routing_key) == (exchange, key)
    assert (SENT_BY in message.headers) is (exchange == INTAKE)


def test_a_movement_that_looks_like_a_bulk_stays_one_movement() -> None:
    nested = b'{"movements": [1, 2]}'
    event = wrapped(parked("malformed", nested, kind=REQUESTED, source="till"), "e9")
    assert [bytes(raw) for raw in raw_movements(read_envelope(event).data)] == [nested]


def test_a_movement_with_a_long_id_gets_an_event_that_can_be_read() -> None:
    message = message_of("receiving", kept(parked(kind=REQUESTED, source="till", id="M" * 200)))
    assert read_envelope(message.body).id == NUMBER.hex


def test_a_definition_keeps_the_id_by_which_it_is_answered() -> None:
    body = b'{"company": "shop", "currency": "EUR"}'
    envelope = read_envelope(wrapped(parked(body=body, kind="company.defined.v1", source="till", id="def-1"), "other"))
    (named,) = map(read_definition, raw_definitions(envelope.data) or ())
    assert (named.id, bytes(named.data)) == ("def-1", body)


def test_a_definition_that_looks_like_several_stays_one_definition() -> None:
    nested = b'{"definitions": [1, 2]}'
    event = wrapped(parked(body=nested, kind="company.defined.v1", source="till", id="def-1"), "other")
    assert [bytes(raw) for raw in parts(read_envelope(event))] == [nested]


def test_a_definition_whose_name_could_not_be_read_stays_one_of_several() -> None:
    nameless = b'{"id": 7, "data": {"company": "shop", "currency": "EUR"}}'
    event = wrapped(parked("malformed", nameless, kind="company.defined.v1", source="till"), "other")
    assert [bytes(raw) for raw in raw_definitions(read_envelope(event).data) or ()] == [nameless]


@pytest.mark.parametrize(
    ("message", "key"),
    [
        (parked("malformed", EVENT, kind=REQUESTED, source="till", id="e1"), REQUESTED),
        (Parked("malformed", "why", b"no json", headers={"routing_key": "item.defined.v1.p07"}), "item.defined.v1.p07"),
        (Parked("unknown_type", "why", EVENT.replace(b".v1", b".v9"), "movement.requested.v9", "till", "e1", {
            "routing_key": "movement.requested.v1"}), "movement.requested.v1"),
        # A body that was edited says itself where it belongs.
        (Parked("malformed", "why", EVENT, headers={"routing_key": "item.defined.v1"}), REQUESTED),
        (parked("malformed", b"no json"), REQUESTED),
    ],
)  # fmt: skip
def test_at_the_gate_the_type_is_the_routing_key_where_the_gate_knows_it(message: Parked, key: str) -> None:
    assert intake_key(message) == key


def test_headers_go_along_but_not_those_of_the_broker() -> None:
    headers = {"routing_key": "ledger", "x-delivery-count": "19", "tenant": "a"}
    message = message_of("ledger", kept(Parked("malformed", "why", b"{}", headers=headers)))
    assert message.headers == {"tenant": "a"}


@given(rate=st.none() | st.floats(0.01, 1_000), limit=st.none() | st.integers(1, 1_000), done=st.integers(0, 1_000))
def test_a_portion_is_never_more_than_a_seconds_worth_nor_than_what_is_left(
    rate: float | None, limit: int | None, done: int
) -> None:
    portion = Pace(rate, limit).portion(done)
    assert portion <= PORTION
    assert rate is None or portion <= max(1, rate)
    assert portion <= 0 if limit is not None and done >= limit else portion > 0
    assert limit is None or done + portion <= max(limit, done)


def test_the_pause_after_a_portion_makes_up_its_time() -> None:
    assert Pace(rate=5).pause(sent=5, took=0.4) == pytest.approx(0.6)
    assert Pace(rate=0.5).pause(sent=1, took=0.0) == pytest.approx(2.0)
    assert Pace(rate=5).pause(sent=1, took=3.0) == 0
    assert Pace().pause(sent=100, took=0.0) == 0


# --- what may replace a body -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "body", "wrong"),
    [
        (parked(kind=REQUESTED, source="till", id="M1"), b"nonsense", "JSON"),
        (parked(kind=REQUESTED, source="till", id="M1"), MOVEMENT.replace(b"M1", b"M2"), "another movement"),
        (parked(kind=REQUESTED, source="till", id="M1"), MOVEMENT.replace(b'"sale"', b"5"), "$.purpose"),
        (parked("malformed", b"no json"), MOVEMENT, "specversion"),
        (parked("malformed", b"no json"), EVENT, "purpose"),
        (parked("malformed", b"no json"), EVENT.replace(b".v1", b".v9"), "no type"),
        (parked(kind="no.such.v1", source="till", id="M1"), MOVEMENT, "no type"),
        (parked("malformed", b"{}", kind=DEFINED, source="till"), b'{"source": "web"}', "`id`"),
    ],
)
def test_a_body_that_could_not_be_worked_on_either_is_refused(message: Parked, body: bytes, wrong: str) -> None:
    with pytest.raises(StockbookError, match="cannot be worked on either") as refused:
        check_body(message, body)
    assert wrong in str(refused.value)


@pytest.mark.parametrize(
    ("message", "body"),
    [
        (parked(kind=REQUESTED, source="till", id="M1"), MOVEMENT.replace(b"sale", b"delivery")),
        (parked("malformed", b"{}", kind=REQUESTED, source="till"), MOVEMENT),
        (parked("malformed", b"{}", kind=DEFINED, source="till"), b'{"id": "d1", "data": {"source": "web"}}'),
        (parked(kind=DEFINED, source="till", id="d1"), b'{"source": "web"}'),
        (parked("malformed", b"no json"), EVENT.replace(b'{"id": "M1"}', b'{"movements": [' + MOVEMENT + b"]}")),
    ],
)
def test_a_body_of_the_same_type_and_name_is_taken(message: Parked, body: bytes) -> None:
    check_body(message, body)


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7_200), ("7d", 604_800), ("0s", 0)])
def test_an_age_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_age(text) == timedelta(seconds=seconds)
    assert until(text, NOW) == NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 m", "5w", "1.5h", "5m\n", "9999999d"])
def test_anything_else_is_no_age(text: str) -> None:
    with pytest.raises(StockbookError, match="an age looks like"):
        parse_age(text)


# --- what needs a person ---------------------------------------------------------------------------------------------

NOTHING = Heap(0, None)
WORKING = Queues(dict.fromkeys(("receiving", "ledger", "accounting", "stock.unrouted", "ledger.dead"), 0))


def stands(
    next_due: datetime | None = None,
    stuck: Heap = NOTHING,
    parked: tuple[ParkedHeap, ...] = (),
    not_posted: Heap = NOTHING,
    not_booked: Heap = NOTHING,
    dirty: Heap = NOTHING,
) -> Standing:
    waiting = Heap(3, NOW - timedelta(days=2))
    outbox = {"receiving": 4, "ledger": 5}
    newest = Newest(NOW, NOW, NOW)
    far = (not_posted, not_booked)
    return Standing(NOW, waiting, next_due, waiting, stuck, dirty, parked, outbox, newest, *far, NOTHING, NOTHING)


def needs(standing: Standing, queues: Queues | None = WORKING) -> list[str]:
    return list(needs_a_person(standing, queues, timedelta(minutes=5)))


def ago(**length: int) -> datetime:
    return NOW - timedelta(**length)


def test_work_under_way_needs_no_person() -> None:
    busy = stands(ago(minutes=4), not_posted=Heap(900, ago(minutes=4)), not_booked=Heap(9, ago(seconds=1)))
    assert needs(busy, Queues({"receiving": 12_000, "ledger": 7})) == []
    assert needs(stands(NOW + timedelta(hours=1)), None) == []
    assert needs(stands(dirty=Heap(40, ago(minutes=4)))) == []


@pytest.mark.parametrize(
    ("standing", "queues", "told"),
    [
        (stands(stuck=Heap(2, ago(seconds=1))), WORKING, "2 stuck in the ledger"),
        (stands(parked=(ParkedHeap("ledger", "malformed", 3, NOW),)), WORKING, "3 parked in ledger (malformed)"),
        (stands(ago(minutes=6)), WORKING, "overdue"),
        (stands(not_posted=Heap(1, ago(minutes=6))), WORKING, "1 accepted but not posted, the oldest for 6 min"),
        (stands(not_booked=Heap(8, ago(hours=50))), WORKING, "8 posted but not booked, the oldest for 2 d"),
        (stands(dirty=Heap(40, ago(minutes=6))), WORKING, "40 to be valued anew (stockbook report dirty-bins), the"),
        (stands(), Queues({"stock.unrouted": 1}), "1 in the queue stock.unrouted"),
        (stands(), Queues({"ledger.dead": 2}), "2 in the queue ledger.dead"),
        (stands(), Queues({"ledger": None}), "the queue ledger is not there"),
        (stands(), Queues({}, "no broker answers"), "the broker does not answer: no broker answers"),
    ],
)
def test_what_does_not_get_better_by_itself_needs_a_person(standing: Standing, queues: Queues, told: str) -> None:
    (line,) = needs(standing, queues)
    assert told in line


# --- when a published file has been answered -------------------------------------------------------------------------


def requested(*names: str) -> Event:
    return Event(REQUESTED, "e1", b"{}", "", [("till", name) for name in names])


def accepted(name: str, source: str = "till") -> OutcomeAccepted:
    got = Allocated(line=1, item="lamp", warehouse="north", quantity=Quantity(2), serials=["L1", "L2"], generated=True)
    return OutcomeAccepted(source=source, id=name, kind="movement.requested", recorded_at=NOW, allocated=[got])


def rejected(name: str) -> OutcomeRejected:
    reasons = [Refusal(code="unknown_item", line=2, facts={"item": "nut"})]
    return OutcomeRejected(source="till", id=name, kind="movement.requested", recorded_at=NOW, reasons=reasons)


def test_a_file_is_answered_when_each_of_its_movements_has_been_accepted() -> None:
    tally = Tally(is_detailed=True)
    tally.sent([requested("M1", "M2")])
    tally.hear([accepted("M2")])
    assert list(tally.open) == [("till", "M1")]
    tally.hear([accepted("M1")])
    assert tally.is_good
    assert tally.told() == [
        "accepted till M2",
        "  2 lamp in north, new serials L1, L2",
        "accepted till M1",
        "  2 lamp in north, new serials L1, L2",
        "2 accepted, 0 rejected",
    ]


def test_a_refusal_and_a_missing_outcome_are_told_and_are_not_good() -> None:
    tally = Tally(is_detailed=True)
    tally.sent([requested("M1", "M2")])
    tally.hear([rejected("M1")])
    assert not tally.is_good
    assert tally.told() == [
        "rejected till M1",
        "  unknown_item in line 2: item nut",
        "no outcome till M2",
        "0 accepted, 1 rejected, 1 without an outcome yet",
    ]


def test_what_others_sent_and_what_is_told_twice_is_passed_over() -> None:
    tally = Tally(is_detailed=False)
    tally.sent([requested("M1"), requested("M1", "M2")])
    tally.hear([accepted("M1"), accepted("M1"), accepted("M2", source="shop"), accepted("M9")])
    assert tally.told() == ["1 accepted, 0 rejected, 1 without an outcome yet"]
