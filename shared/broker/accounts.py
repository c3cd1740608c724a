"""Who may do what on the broker: accounts and their rights as plain data, and RabbitMQ's definitions file made of them.

The idea: the rights of a service follow from the topology: its own queues, the exchanges that they are bound to, and
those it publishes to. An upstream may publish what it is there for, and read what it is told: nothing else.

A password never stands in a definitions file: what stands there is its salted digest, as RabbitMQ keeps it. An account
without one cannot log in by password.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.broker.lanes import SOURCE_NAME, intake_of, with_lanes
from shared.broker.topology import (
    ACCOUNTING,
    AFTERCARE,
    AFTERCARE_TYPES,
    DEAD,
    EVENTS,
    INTAKE,
    LEDGER,
    RECEIVING,
    SERVICES,
    TOPOLOGY,
    WORK,
    Topology,
    definitions,
)
from shared.errors import Fatal

OWNER = "stockbook"
OURS = "stockbook-"
"""What the names of our own accounts begin with; no source's does."""

_NOTHING = "^$"
_ANYTHING = ".*"
_TEMPORARY = "amq\\.gen-.*"  # queues that the broker gives a name to, for one connection
_PARTITION = r"(\.p[0-9]{2})?"

# What a service publishes: to which exchanges, and of the events only what is its own to tell.
_PUBLISHES = {RECEIVING: (WORK, EVENTS), LEDGER: (WORK, EVENTS), ACCOUNTING: (EVENTS,), AFTERCARE: (EVENTS,)}
_TELLS = {
    RECEIVING: r"^outcome\..+$",
    LEDGER: r"^(movement|stock|audit)\..+$",
    ACCOUNTING: r"^(journal|period|audit)\..+$|^outcome\.tried\..+$",
    AFTERCARE: r"^outcome\.(accepted|rejected)\..+$|^coverage\.changed\..+$",
}
_MOVEMENTS = (
    *AFTERCARE_TYPES,
    "movement.requested.v1",
    "source.manifest.v1",
    "reservation.requested.v1",
    "reservation.released.v1",
    "count.opened.v1",
    "count.reported.v1",
    "count.accepted.v1",
    "count.cancelled.v1",
)


@dataclass(frozen=True, slots=True)
class Topics:
    """With which routing keys an account may publish to a topic exchange, and bind to it: regular expressions."""

    exchange: str
    write: str = _NOTHING
    read: str = _NOTHING


@dataclass(frozen=True, slots=True)
class Account:
    """An account and its rights in one virtual host; each right is a regular expression over names."""

    name: str
    configure: str
    write: str
    read: str
    topics: Sequence[Topics] = ()
    tags: Sequence[str] = ()
    limits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """An upstream that has an account of its own name.

    It sends movements and reservations; with `defines` also masters and closings. `password` None: another one lets it
    in, or nobody.
    """

    name: str
    defines: bool = False
    password: str | None = field(default=None, repr=False)


def service_account(service: str, topology: Topology = TOPOLOGY) -> Account:
    """The account of a worker: it makes its own queues again if they vanish, and reads no other."""
    own = [each.name for each in topology.queues if each.name == service or each.name.startswith(f"{service}.")]
    bound_to = {binding.exchange for binding in topology.bindings if binding.queue in own}
    return Account(
        f"{OURS}{service}",
        configure=_names(own),
        write=_names({*own, DEAD, *_PUBLISHES[service]}),
        read=_names({*own, *bound_to}),
        topics=(Topics(EVENTS, write=_TELLS[service]),),
    )


def source_account(source: Source, lanes: Collection[str] = ()) -> Account:
    """The account of an upstream: it publishes to the intake, and hears its own outcomes in queues of its own.

    If it is one of those with `lanes`, it publishes to its own lane, and nowhere else.
    """
    ours = source.name in (OWNER, *_PUBLISHES) or source.name.startswith(OURS)
    if ours or not SOURCE_NAME.fullmatch(source.name):
        raise Fatal("no source has such a name", source=source.name)
    kinds = ".+" if source.defines else f"({'|'.join(map(re.escape, _MOVEMENTS))}){_PARTITION}"
    intake = intake_of(source.name) if source.name in lanes else INTAKE
    own = (f"{source.name}.outcomes",)
    return Account(
        source.name,
        configure=_names(own, _TEMPORARY),
        write=_names({intake, *own}, _TEMPORARY),
        read=_names({EVENTS, *own}, _TEMPORARY),
        topics=(Topics(intake, write=f"^{kinds}$"), Topics(EVENTS, read=rf"^outcome\.[a-z]+\.v[0-9]+\.{source.name}$")),
        limits={"max-connections": 20, "max-channels": 100},
    )


_POLICIES = {
    # Outcomes that nobody fetches fill no disk: the oldest go, and who sends a movement again is told again.
    "outcomes": (rf"^({_TEMPORARY}|[a-z0-9-]+\.outcomes)$", {"max-length-bytes": 256 * 1024 * 1024, "expires": 2**30}),
}


def definitions_file(
    passwords: Mapping[str, str],
    sources: Iterable[Source] = (),
    vhost: str = "/",
    salt: Callable[[int], bytes] = secrets.token_bytes,
    lanes: Collection[str] = (),
) -> dict[str, Any]:
    """The whole definitions file: accounts, rights, policies, topology. `passwords` are those of ours, by their names.

    `lanes` are the sources that have one. Raises Fatal for a source that cannot have an account, or a lane.
    """
    topology = with_lanes(lanes)
    given = [(account, passwords.get(account.name)) for account in _ours(topology)]
    given += [(source_account(source, lanes), source.password) for source in sources]
    accounts = [account for account, _ in given]
    return {
        "vhosts": [{"name": vhost}],
        "users": [_user(account, password, salt) for account, password in given],
        "permissions": [
            {"user": a.name, "vhost": vhost, "configure": a.configure, "write": a.write, "read": a.read}
            for a in accounts
        ],
        "topic_permissions": [
            {"user": a.name, "vhost": vhost, "exchange": each.exchange, "write": each.write, "read": each.read}
            for a in accounts
            for each in a.topics
        ],
        "policies": [
            {"name": name, "vhost": vhost, "apply-to": "queues", "priority": 0, "pattern": pattern, "definition": limit}
            for name, (pattern, limit) in _POLICIES.items()
        ],
        **definitions(topology, vhost),
    }


def _user(account: Account, password: str | None, salt: Callable[[int], bytes]) -> dict[str, Any]:
    return {
        "name": account.name,
        "password_hash": _digest(password, salt(4)) if password else "",
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": list(account.tags),
        "limits": dict(account.limits),
    }


def _digest(password: str, salt: bytes) -> str:
    """As RabbitMQ keeps a password: the salt, then SHA-256 of the salt and the password."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _names(names: Iterable[str], *patterns: str) -> str:
    return f"^({'|'.join([*map(re.escape, sorted(names)), *patterns])})$"


def _ours(topology: Topology) -> tuple[Account, ...]:
    # The desk publishes files, sends parked messages again, and listens to any outcome.
    desk = Account(
        f"{OURS}desk",
        configure=f"^{_TEMPORARY}$",
        write=f"^({re.escape(INTAKE)}|{re.escape(WORK)}|{_TEMPORARY})$",
        read=f"^({re.escape(EVENTS)}|{_TEMPORARY})$",
        topics=(Topics(EVENTS, read=r"^outcome\..+$"),),
    )
    owner = Account(OWNER, _ANYTHING, _ANYTHING, _ANYTHING, tags=("administrator",))
    return (owner, *(service_account(each, topology) for each in SERVICES), desk)


ACCOUNTS = _ours(TOPOLOGY)
"""Our own accounts; those of upstreams are named by who runs the broker."""
