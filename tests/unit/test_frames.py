"""Frames: outputs put together into messages, by type, by who listens, and no larger than allowed."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from shared.broker.interface import Delivery, Message
from shared.broker.topology import EVENTS, WORK
from shared.contracts.codec import SourceName, decoder, read
from shared.contracts.envelope import raw_movements, read_envelope
from shared.contracts.registry import JOURNAL_POSTED, MOVEMENT_ALLOCATED, MOVEMENT_POSTED, OUTCOME_ACCEPTED
from shared.frames import bounded, frames
from shared.service import Output

_names = decoder(str)


def output(kind: str, number: int, source: str = "till", length: int = 0) -> Output:
    """An output whose body is its own number, as JSON text of at least `length` bytes."""
    return Output(kind, source, str(number), f'"{str(number).rjust(length, "0")}"'.encode())


def framed(*outputs: Output, size: int = 250, size_bytes: int = 1_000_000) -> list[Message]:
    numbers = count(1)
    return frames(outputs, "ledger", lambda: f"e{next(numbers)}", size, size_bytes)


def carried(message: Message) -> list[int]:
    return [int(read(_names, raw)) for raw in raw_movements(read_envelope(message.body).data)]


def test_a_frame_is_an_event_of_the_service_with_an_id_of_its_own() -> None:
    first, second = framed(output(MOVEMENT_ALLOCATED, 1), output(MOVEMENT_ALLOCATED, 2), size=1)
    envelope = read_envelope(first.body)
    assert (envelope.type, envelope.source, envelope.id) == (MOVEMENT_ALLOCATED, "ledger", first.message_id)
    assert first.message_id != second.message_id


def test_what_is_for_a_service_must_arrive_and_what_is_for_others_may_go_unheard() -> None:
    messages = framed(output(MOVEMENT_POSTED, 1), output(JOURNAL_POSTED, 2))
    assert [(each.exchange, each.routing_key, each.mandatory) for each in messages] == [
        (EVENTS, JOURNAL_POSTED, False),
        (WORK, "accounting", True),
        (EVENTS, MOVEMENT_POSTED, False),
    ]


def test_types_are_never_mixed_and_keep_their_order() -> None:
    messages = framed(
        output(JOURNAL_POSTED, 1), output(MOVEMENT_ALLOCATED, 2), output(JOURNAL_POSTED, 3), output(JOURNAL_POSTED, 0)
    )
    assert [(each.routing_key, carried(each)) for each in messages] == [
        (JOURNAL_POSTED, [1, 3, 0]),
        ("ledger", [2]),
    ]


def test_an_outcome_goes_to_its_own_source_alone() -> None:
    messages = framed(
        output(OUTCOME_ACCEPTED, 1, "web"), output(OUTCOME_ACCEPTED, 2, "till"), output(OUTCOME_ACCEPTED, 3, "web")
    )
    assert [(each.routing_key, carried(each)) for each in messages] == [
        ("outcome.accepted.v1.till", [2]),
        ("outcome.accepted.v1.web", [1, 3]),
    ]


def test_the_longest_source_makes_a_routing_key_that_a_broker_takes() -> None:
    longest = "a" * 63
    assert read(decoder(SourceName), f'"{longest}"'.encode()) == longest
    (message,) = framed(output(OUTCOME_ACCEPTED, 1, longest))
    assert len(message.routing_key) <= 255


def test_a_frame_holds_no_more_than_its_number() -> None:
    messages = framed(*(output(MOVEMENT_ALLOCATED, number) for number in range(7)), size=3)
    assert [carried(each) for each in messages] == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_frame_holds_no_more_than_its_bytes_unless_one_alone_is_larger() -> None:
    sizes = [10, 10, 10, 90, 10, 10]
    messages = framed(*(output(MOVEMENT_ALLOCATED, n, length=size) for n, size in enumerate(sizes)), size_bytes=36)
    assert [carried(each) for each in messages] == [[0, 1, 2], [3], [4, 5]]


def test_no_outputs_make_no_message() -> None:
    assert framed() == []
    assert list(bounded(list[Delivery](), 3, 100)) == []


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(1, 9), st.integers(1, 120))
def test_portions_lose_nothing_double_nothing_and_keep_order(sizes: list[int], size: int, size_bytes: int) -> None:
    outputs = [Output("k", "s", str(number), b"x" * length) for number, length in enumerate(sizes)]
    portions = list(bounded(outputs, size, size_bytes))
    assert [each for portion in portions for each in portion] == outputs
    for portion in portions:
        assert 1 <= len(portion) <= size
        assert len(portion) == 1 or sum(len(each.body) for each in portion) <= size_bytes
