"""Accounts of the broker as data: what their regular expressions mean, and that they go with the topology."""

import re

import pytest

from shared.broker.accounts import ACCOUNTS, Account, Source, definitions_file, service_account, source_account
from shared.broker.tls import split_tls
from shared.broker.topology import EVENTS, INTAKE, INTAKE_TYPES, SERVICES, TOPOLOGY, WORK
from shared.contracts.registry import ROUTES, Exchange
from shared.errors import Fatal
from shared.settings import Settings

TILL = source_account(Source("till-1"))
OFFICE = source_account(Source("office", defines=True))
BY_NAME = {account.name: account for account in ACCOUNTS}
TOLD = [(kind, route) for kind, routes in ROUTES.items() for route in routes if route.exchange is Exchange.EVENTS]


def may(account: Account, right: str, name: str) -> bool:
    return re.search(getattr(account, right), name) is not None


def may_tell(account: Account, key: str) -> bool:
    (topics,) = (each for each in account.topics if each.exchange == EVENTS)
    return may(account, "write", EVENTS) and re.search(topics.write, key) is not None


@pytest.mark.parametrize(("kind", "route"), TOLD, ids=[kind for kind, _ in TOLD])
def test_every_event_may_be_told_by_the_service_that_tells_it(kind: str, route: object) -> None:
    del route
    tellers = {service for service in SERVICES if may_tell(service_account(service), f"{kind}.x")}
    assert tellers, f"{kind}: say in shared/broker/accounts.py who tells it"
    assert "receiving" not in tellers or kind.startswith("outcome.")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_make_what_it_is_bound_to_and_publish_to_what_it_feeds(service: str) -> None:
    account = service_account(service)
    queues = [queue for queue in TOPOLOGY.queues if queue.name.split(".")[0] == service]
    for queue in queues:
        assert all(may(account, right, queue.name) for right in ("configure", "write", "read"))
        assert may(account, "write", queue.arguments.get("x-dead-letter-exchange", EVENTS))
    bindings = [binding for binding in TOPOLOGY.bindings if binding.queue in {queue.name for queue in queues}]
    assert bindings
    assert all(may(account, "read", binding.exchange) for binding in bindings)
    assert may(account, "write", WORK) is (service in ("receiving", "ledger"))
    assert not may(account, "configure", WORK)


@pytest.mark.parametrize("kind", INTAKE_TYPES)
def test_an_upstream_may_send_its_own_types_to_the_gate_and_an_office_all(kind: str) -> None:
    till, office = (
        next(each for each in account.topics if each.exchange == INTAKE).write for account in (TILL, OFFICE)
    )
    for key in (kind, f"{kind}.p63"):
        assert re.search(office, key)
        assert bool(re.search(till, key)) is kind.startswith(
            ("movement.", "source.manifest.", "reservation.", "count.")
        )


@pytest.mark.parametrize("name", ["till-10", "till-1x", "xtill-1", "till-1.x"])
def test_a_till_of_a_similar_name_is_another_one(name: str) -> None:
    (outcomes,) = (each.read for each in TILL.topics if each.exchange == EVENTS)
    assert re.search(outcomes, "outcome.accepted.v1.till-1")
    assert not re.search(outcomes, f"outcome.accepted.v1.{name}")
    assert may(TILL, "read", "till-1.outcomes")
    assert not may(TILL, "read", f"{name}.outcomes")


@pytest.mark.parametrize(
    "name",
    ["stockbook", "stockbook-ledger", "stockbook-", "ledger", "receiving", "Till", "till 1", "a.b", "", "-a", "x" * 64],
)
def test_a_name_that_is_no_sources_gets_no_account(name: str) -> None:
    with pytest.raises(Fatal, match="no source has such a name"):
        source_account(Source(name))


def test_limits_on_outcomes_are_no_limits_on_the_queues_of_services() -> None:
    (policy,) = definitions_file({})["policies"]
    assert re.search(policy["pattern"], "till-1.outcomes")
    assert re.search(policy["pattern"], "amq.gen-AbC_1")
    assert not any(re.search(policy["pattern"], queue.name) for queue in TOPOLOGY.queues)


def test_only_the_administrator_may_do_everything() -> None:
    assert [name for name, account in BY_NAME.items() if account.tags or account.configure == ".*"] == ["stockbook"]


def test_two_passwords_alike_have_digests_that_differ() -> None:
    made = definitions_file({"stockbook-ledger": "same", "stockbook-desk": "same"}, [Source("till-1", False, "same")])
    digests = [user["password_hash"] for user in made["users"] if user["password_hash"]]
    assert len(set(digests)) == 3


def test_every_account_has_rights_in_the_virtual_host_that_is_named() -> None:
    made = definitions_file({}, [Source("till-1")], vhost="shop")
    assert {right["vhost"] for kind in ("permissions", "topic_permissions", "policies") for right in made[kind]} == {
        "shop"
    }
    assert [right["user"] for right in made["permissions"]] == [user["name"] for user in made["users"]]


def test_files_for_tls_go_into_each_address_and_out_again() -> None:
    told = {
        "STOCKBOOK_BROKER_URL": "amqps://me:pw@a//;amqps://me:pw@b:5671/shop?heartbeat=10",
        "STOCKBOOK_BROKER_CA": __file__,
    }
    urls = str(Settings.from_environment(told).broker_url).split(";")
    first, second = map(split_tls, urls)
    assert first[0] == "amqps://me:pw@a//"
    assert second[0] == "amqps://me:pw@b:5671/shop?heartbeat=10"
    for _, options in (first, second):
        assert isinstance(options, dict)
        assert options["ca_certs"] == __file__
    assert split_tls("amqp://me:pw@a//?cacertfile=x") == ("amqp://me:pw@a//?cacertfile=x", False)
