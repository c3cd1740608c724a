"""The topology as data: what goes where, and what each exchange does with what nobody takes."""

import pytest

from shared.broker.topology import (
    ACCOUNTING,
    AFTERCARE,
    AFTERCARE_TYPES,
    DEAD,
    EVENTS,
    INTAKE,
    INTAKE_TYPES,
    LEDGER,
    PARTITIONS,
    RECEIVING,
    SERVICES,
    TOPOLOGY,
    UNROUTED,
    WORK,
    definitions,
    matches,
    partition,
)


def takers(exchange: str, key: str) -> set[str]:
    """The queues that a topic or direct exchange of ours gives a message to."""
    return {b.queue for b in TOPOLOGY.bindings if b.exchange == exchange and matches(b.key, key)}


@pytest.mark.parametrize(
    ("pattern", "key", "taken"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.b.c", False),
        ("a.b", "a", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("a.#", "a", True),
        ("a.#", "a.b", True),
        ("a.#", "a.b.c", True),
        ("a.#", "ab", False),
        ("#", "", True),
        ("#", "a.b", True),
        ("*", "", False),
        ("#.c", "c", True),
        ("#.c", "a.b.c", True),
        ("#.c", "a.c.b", False),
        ("a.#.c", "a.c", True),
        ("a.#.c", "a.b.b.c", True),
        ("a.#.*", "a", False),
        ("a.#.*", "a.b", True),
        ("#.b.#.d", "a.b.c.d", True),
        ("#.b.#.d", "a.c.c.d", False),
    ],
)
def test_a_star_is_one_word_and_a_hash_any_number_of_words(pattern: str, key: str, taken: bool) -> None:
    assert matches(pattern, key) is taken


@pytest.mark.parametrize("type_", INTAKE_TYPES)
def test_receiving_takes_every_intake_type_with_and_without_a_partition(type_: str) -> None:
    assert takers(INTAKE, type_) == {RECEIVING}
    assert takers(INTAKE, f"{type_}.p07") == {RECEIVING}


@pytest.mark.parametrize("type_", AFTERCARE_TYPES)
def test_aftercare_alone_takes_every_statement_with_and_without_a_partition(type_: str) -> None:
    assert takers(INTAKE, type_) == takers(INTAKE, f"{type_}.p07") == {AFTERCARE}


@pytest.mark.parametrize("key", ["movement.requested.v2", "movement.requested", "movement.requested.v10", ""])
def test_receiving_takes_no_other_type(key: str) -> None:
    assert takers(INTAKE, key) == set()


def test_what_nobody_takes_at_the_gate_is_kept_for_a_person() -> None:
    intake = next(exchange for exchange in TOPOLOGY.exchanges if exchange.name == INTAKE)
    assert intake.arguments["alternate-exchange"] == UNROUTED
    assert {b.queue for b in TOPOLOGY.bindings if b.exchange == UNROUTED} == {UNROUTED}


def test_nothing_stands_between_a_service_and_its_mandatory_messages() -> None:
    work = next(exchange for exchange in TOPOLOGY.exchanges if exchange.name == WORK)
    assert work.kind == "direct"
    assert work.arguments == {}
    assert {(b.key, b.queue) for b in TOPOLOGY.bindings if b.exchange == WORK} == {
        (LEDGER, LEDGER),
        (ACCOUNTING, ACCOUNTING),
        (AFTERCARE, AFTERCARE),
    }


def test_nobody_is_bound_to_the_events_from_the_start() -> None:
    assert [b for b in TOPOLOGY.bindings if b.exchange == EVENTS] == []


@pytest.mark.parametrize("service", SERVICES)
def test_dead_letters_of_a_service_reach_its_own_queue_of_the_dead(service: str) -> None:
    queue = next(queue for queue in TOPOLOGY.queues if queue.name == service)
    assert queue.arguments["x-dead-letter-exchange"] == DEAD
    assert takers(DEAD, queue.arguments["x-dead-letter-routing-key"]) == {f"{service}.dead"}


@pytest.mark.parametrize("service", SERVICES)
def test_dead_letters_survive_a_crash_of_the_broker(service: str) -> None:
    arguments = next(queue for queue in TOPOLOGY.queues if queue.name == service).arguments
    # RabbitMQ takes the strategy only together with the other two, and falls back to at-most-once silently.
    assert arguments["x-dead-letter-strategy"] == "at-least-once"
    assert arguments["x-overflow"] == "reject-publish"
    assert arguments["x-queue-type"] == "quorum"


def test_bindings_and_arguments_name_only_what_the_topology_declares() -> None:
    exchanges = {exchange.name for exchange in TOPOLOGY.exchanges}
    queues = {queue.name for queue in TOPOLOGY.queues}
    assert {b.exchange for b in TOPOLOGY.bindings} <= exchanges
    assert {b.queue for b in TOPOLOGY.bindings} <= queues
    assert {queue.arguments.get("x-dead-letter-exchange", DEAD) for queue in TOPOLOGY.queues} <= exchanges


def test_the_partition_of_a_key_is_the_same_for_ever() -> None:
    # Publishers in other languages compute it too. CRC-32 has a published check value: 123456789 gives CBF43926.
    assert partition("123456789") == f"p{0xCBF43926 % 64:02d}" == "p38"
    assert [partition(key) for key in ("", "STORE-1", "Größe")] == ["p00", "p58", "p21"]


def test_keys_spread_over_all_partitions() -> None:
    seen = {partition(f"WAREHOUSE-{number}") for number in range(2_000)}
    assert seen == {f"p{number:02d}" for number in range(PARTITIONS)}


def test_the_definitions_file_holds_the_whole_topology_under_its_virtual_host() -> None:
    made = definitions(TOPOLOGY, vhost="shop")
    assert [q["name"] for q in made["queues"]] == [queue.name for queue in TOPOLOGY.queues]
    assert [e["type"] for e in made["exchanges"]] == [exchange.kind for exchange in TOPOLOGY.exchanges]
    assert [(b["source"], b["routing_key"], b["destination"]) for b in made["bindings"]] == [
        (b.exchange, b.key, b.queue) for b in TOPOLOGY.bindings
    ]
    assert {thing["vhost"] for things in made.values() for thing in things} == {"shop"}
