"""Lanes as data: what stands on the broker for a source that has one, and in which order queues are taken from."""

from collections import Counter, deque
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.broker import connect
from shared.broker.accounts import Account, Source, definitions_file, service_account, source_account
from shared.broker.lanes import (
    FRAMES,
    MANY,
    SET_BYTES,
    SMALLEST_WINDOW,
    Turns,
    in_hand,
    intake_of,
    is_lane,
    lane_of,
    queues_with,
    takes_from_lanes,
    window,
    with_lanes,
)
from shared.broker.topology import (
    ACCOUNTING,
    INTAKE,
    INTAKE_TYPES,
    LEDGER,
    RECEIVING,
    TOPOLOGY,
    UNROUTED,
    Binding,
    Topology,
    matches,
)
from shared.errors import Fatal
from shared.settings import Settings
from tests.unit.test_accounts import may

LANES = with_lanes(["till-2", "till-1"])


def takers(topology: Topology, exchange: str, key: str) -> set[str]:
    """The queues that a topic exchange gives a message to."""
    return {b.queue for b in topology.bindings if b.exchange == exchange and matches(b.key, key)}


# --- what stands there -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_", INTAKE_TYPES)
def test_what_a_source_publishes_to_its_lane_goes_there_alone(type_: str) -> None:
    for key in (type_, f"{type_}.p07"):
        assert takers(LANES, intake_of("till-1"), key) == {lane_of("till-1")}
        assert takers(LANES, intake_of("till-2"), key) == {lane_of("till-2")}
        assert takers(LANES, INTAKE, key) == {RECEIVING}


@pytest.mark.parametrize("binding", [each for each in TOPOLOGY.bindings if each.exchange == INTAKE])
def test_a_lane_carries_all_that_the_common_intake_does(binding: Binding) -> None:
    key = binding.key.replace("#", "p07")
    common = takers(LANES, INTAKE, key)
    assert common
    lane = {lane_of("till-1") if queue == RECEIVING else queue for queue in common}
    assert takers(LANES, intake_of("till-1"), key) == lane


def test_a_lane_differs_from_the_common_way_in_nothing_but_its_names() -> None:
    exchanges = {each.name: each for each in LANES.exchanges}
    queues = {each.name: each for each in LANES.queues}
    assert exchanges[intake_of("till-1")].kind == exchanges[INTAKE].kind
    assert exchanges[intake_of("till-1")].arguments == {"alternate-exchange": UNROUTED} == exchanges[INTAKE].arguments
    # Dead letters too: they go to `receiving.dead`.
    assert queues[lane_of("till-1")].arguments == queues[RECEIVING].arguments


def test_without_lanes_the_topology_is_as_it_was() -> None:
    assert with_lanes([]) == TOPOLOGY


def test_a_lane_named_twice_is_one_lane() -> None:
    assert with_lanes(["till-1", "till-1", "till-2"]) == LANES


@pytest.mark.parametrize("name", ["Till", "a.b", "", "-a", "x" * 64, "dead#"])
def test_what_is_no_sources_name_gets_no_lane(name: str) -> None:
    with pytest.raises(Fatal, match="STOCKBOOK_LANES"):
        with_lanes([name])
    with pytest.raises(Fatal, match="STOCKBOOK_LANES"):
        connect("amqp://guest:guest@127.0.0.1:1//", [name])


def test_a_source_called_like_a_queue_of_ours_has_a_lane_that_is_another_queue() -> None:
    names = [queue.name for queue in with_lanes(["dead", "receiving", "unrouted"]).queues]
    assert len(names) == len(set(names))


def test_only_receiving_takes_from_lanes() -> None:
    lanes = (lane_of("till-1"), lane_of("till-2"))
    assert queues_with(LANES, RECEIVING) == (RECEIVING, *lanes)
    assert queues_with(LANES, LEDGER) == (LEDGER,)
    assert queues_with(LANES, f"{RECEIVING}.dead") == (f"{RECEIVING}.dead",)
    assert [queue.name for queue in LANES.queues if is_lane(queue.name)] == list(lanes)


def test_lanes_are_read_from_the_environment_with_blanks_or_commas_between() -> None:
    assert Settings.from_environment({"STOCKBOOK_LANES": "till-1, till-2  office"}).lanes == {
        "till-1",
        "till-2",
        "office",
    }
    assert Settings.from_environment({}).lanes == frozenset()


@pytest.mark.parametrize(
    ("prefetch", "queues", "each"), [(1_000, 1, 1_000), (1_000, 2, 500), (1_000, 21, 47), (0, 21, 0)]
)
def test_queues_share_what_a_worker_may_hold(prefetch: int, queues: int, each: int) -> None:
    assert window(prefetch, queues) == each


def test_the_share_of_a_queue_never_is_too_little_to_work_with() -> None:
    assert window(1_000, 1_000) == SMALLEST_WINDOW


def test_whoever_works_behind_receiving_holds_few_frames_where_there_are_lanes() -> None:
    assert in_hand(LEDGER, 16, ["till-1"]) == FRAMES
    assert in_hand(LEDGER, 2, ["till-1"]) == 2
    assert in_hand(LEDGER, 16, []) == 16
    assert in_hand(RECEIVING, 1_000, ["till-1"]) == 1_000


def test_lanes_are_no_business_of_ledger_and_accounting() -> None:
    assert takes_from_lanes([LEDGER, RECEIVING])
    assert not takes_from_lanes([LEDGER, ACCOUNTING])


# --- who may ---------------------------------------------------------------------------------------------------------


def till(*lanes: str, defines: bool = False) -> Account:
    return source_account(Source("till-1", defines), lanes)


@pytest.mark.parametrize("defines", [False, True])
def test_a_till_with_a_lane_may_publish_to_that_alone(defines: bool) -> None:
    account = till("till-1", "till-2", defines=defines)
    assert may(account, "write", intake_of("till-1"))
    for other in (INTAKE, intake_of("till-2"), intake_of("till-10"), intake_of("till-1") + ".x"):
        assert not may(account, "write", other)
    (topics,) = (each for each in account.topics if each.exchange == intake_of("till-1"))
    assert topics.write == next(each.write for each in till(defines=defines).topics if each.exchange == INTAKE)


def test_a_till_without_a_lane_may_publish_to_no_lane() -> None:
    assert till("till-2") == till()
    assert may(till("till-2"), "write", INTAKE)
    assert not may(till("till-2"), "write", intake_of("till-2"))


def test_receiving_may_make_its_lanes_again_and_other_services_may_not_touch_them() -> None:
    for right in ("configure", "write", "read"):
        assert may(service_account(RECEIVING, LANES), right, lane_of("till-1"))
        assert not may(service_account(LEDGER, LANES), right, lane_of("till-1"))
        assert not may(service_account(RECEIVING), right, lane_of("till-1"))
    assert may(service_account(RECEIVING, LANES), "read", intake_of("till-1"))
    assert not may(service_account(RECEIVING, LANES), "configure", intake_of("till-1"))


def test_the_definitions_file_holds_the_lanes_that_are_named() -> None:
    made = definitions_file({}, [Source("till-1")], lanes=["till-1"])
    assert lane_of("till-1") in [queue["name"] for queue in made["queues"]]
    rights = {right["user"]: right for right in made["permissions"]}
    assert rights["till-1"]["write"] == till("till-1").write
    assert rights["stockbook-receiving"]["configure"] == service_account(RECEIVING, with_lanes(["till-1"])).configure


# --- whose turn it is ------------------------------------------------------------------------------------------------


def dealt(turns: Turns, queues: Sequence[deque[int]], limit: int = 10**6) -> list[int]:
    """The queues that messages were taken from, in their order; a message is its size."""
    order = []
    for number in turns.deal(queues, limit, lambda size: size):
        queues[number].popleft()
        order.append(number)
    return order


def test_queues_of_like_messages_are_taken_from_in_turn() -> None:
    assert dealt(Turns(3), [deque([10] * 7), deque([10] * 2), deque([10] * 3)], 8) == [0, 1, 2, 0, 1, 2, 0, 2]


def test_who_sends_large_messages_comes_more_rarely() -> None:
    order = Counter(dealt(Turns(2), [deque([1_000] * 100), deque([100] * 100)], 44))
    assert order == {0: 4, 1: 40}


def test_who_was_silent_for_long_comes_next_and_has_saved_nothing_up() -> None:
    turns = Turns(2)
    dealt(turns, [deque([10] * 1_000), deque()], 1_000)
    order = dealt(turns, [deque([10] * 10), deque([10] * 10)])
    assert order[:2] in ([0, 1], [1, 0])
    assert set(order[:3]) == {0, 1}
    assert Counter(order[:10]) == {0: 5, 1: 5}


def test_a_flood_and_those_who_send_little_are_in_different_sets() -> None:
    turns, queues = Turns(3), [deque([10] * 30), deque[int](), deque[int]()]
    assert dealt(turns, queues, 5) == [0] * 5
    queues[1].extend([10] * 2)
    queues[2].append(10)
    assert [dealt(turns, queues, 5) for _ in range(2)] == [[1, 2, 1], [0] * 5]


def test_a_flood_is_many_messages_or_one_large_one() -> None:
    assert dealt(Turns(2), [deque([10] * MANY), deque([10])]) == [1]
    assert dealt(Turns(2), [deque([10] * (MANY - 1)), deque([10])])[:3] == [0, 1, 0]
    assert dealt(Turns(2), [deque([SET_BYTES // 2 + 1]), deque([10])]) == [1]
    assert dealt(Turns(2), [deque([SET_BYTES // 2]), deque([10])]) == [0, 1]


def test_a_flood_is_given_as_much_as_those_who_always_have_a_little() -> None:
    turns, queues, given = Turns(2), [deque([10] * 1_000), deque[int]()], Counter[int]()
    while queues[0]:
        queues[1].extend([10] * (MANY - 1 - len(queues[1])))
        given.update(dealt(turns, queues, 25))
    assert abs(given[0] - given[1]) <= 25


def test_a_message_that_is_too_large_goes_alone() -> None:
    turns, queues = Turns(2), [deque([SET_BYTES * 3, 10]), deque([10, 10])]
    sets = [dealt(turns, queues) for _ in range(3)]
    assert [0] in sets
    assert not any(queues)


def _is_long(queue: Sequence[int]) -> bool:
    return len(queue) >= MANY


SIZES = st.lists(st.lists(st.integers(0, SET_BYTES * 2), max_size=30), min_size=1, max_size=6)


@given(SIZES, st.integers(1, 40))
def test_every_message_is_taken_once_and_in_the_order_of_its_queue(sizes: list[list[int]], limit: int) -> None:
    turns, queues = Turns(len(sizes)), [deque(enumerate(each)) for each in sizes]
    taken: list[list[tuple[int, int]]] = [[] for _ in sizes]
    while any(queues):
        together = []
        for number in turns.deal(queues, limit, lambda message: message[1]):
            together.append(message := queues[number].popleft())
            taken[number].append(message)
        assert 1 <= len(together) <= limit
        assert len(together) == 1 or sum(size for _, size in together) <= SET_BYTES
    assert taken == [list(enumerate(each)) for each in sizes]


@given(st.lists(st.lists(st.integers(1, 5_000), min_size=60, max_size=60), min_size=2, max_size=6), st.data())
def test_of_two_floods_neither_is_given_more_than_a_message_of_each_beyond_the_other(
    sizes: list[list[int]], data: st.DataObject
) -> None:
    turns, queues = Turns(len(sizes)), [deque(each) for each in sizes]
    spent = [0] * len(sizes)
    while all(queues):
        limit = data.draw(st.integers(1, 10))
        for number in turns.deal(queues, limit, lambda size: size):
            spent[number] += queues[number].popleft()
            if not all(queues):
                break
        # Towards the end of a queue it is no flood any more, and may be a set behind or ahead.
        assert max(spent) - min(spent) <= 2 * max(map(max, sizes)) + (0 if all(map(_is_long, queues)) else SET_BYTES)


@given(st.lists(st.integers(1, 5_000), min_size=50, max_size=300), st.integers(1, 5_000))
def test_whoever_comes_into_a_flood_is_served_after_one_message_of_it_at_most(flood: list[int], size: int) -> None:
    turns = Turns(2)
    dealt(turns, [deque(flood), deque()], len(flood) // 2)
    order = dealt(turns, [deque(flood), deque([size])], 2)
    assert 1 in order
