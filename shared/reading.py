"""What a message holds: the inputs to work on, and what of it is to be parked, with all that is known of its sender.

Who sent a message is told by the broker alone: the account with which the sender logged in (`user_id`), as far as the
sender let it be told. What a sender writes into headers is kept, and believed only of an administrator who sends again
what was parked: then it counts as sent by whom it was sent by before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b

from shared.broker.interface import Delivery
from shared.contracts.codec import Malformed
from shared.contracts.envelope import read_envelope
from shared.parked import TOO_LARGE, Parked
from shared.service import Input, Service

USER = "user"
"""What is parked has the account that sent it under this name among its headers."""

SENT_BY = "stockbook-sent-by"
"""The header by which an administrator who sends a message again says who sent it before; empty: nobody knows."""

_KEPT_BYTES = 1_000


def read_delivery(service: Service, delivery: Delivery) -> tuple[list[Input], list[Parked]]:
    """What can be worked on of a message, and what of it is to be parked."""
    user = _sender(service, delivery)
    about = _about(delivery, user)
    size, limit = len(delivery.body), service.message_limit
    if limit is not None and size > limit:
        return [], [_too_large(delivery.body, limit, about)]
    try:
        envelope = read_envelope(delivery.body)
    except Malformed as error:
        return [], [Parked("malformed", str(error), delivery.body, headers=about)]
    names = {"kind": envelope.type, "source": envelope.source, "id": envelope.id}
    handler = service.handlers.get(envelope.type)
    if handler is None:
        error_text = f"{service.name} takes no {envelope.type}"
        return [], [Parked("unknown_type", error_text, delivery.body, headers=about, **names)]
    try:
        inputs = handler.read(envelope)
    except Malformed as error:
        return [], [Parked("malformed", str(error), delivery.body, headers=about, **names)]
    bad = [each for each in inputs if isinstance(each.value, Malformed)]
    parked = [Parked("malformed", str(each.value), each.raw, each.kind, each.source, each.id, about) for each in bad]
    good = [each for each in inputs if not isinstance(each.value, Malformed)] if bad else inputs
    return [replace(each, user=user) for each in good] if service.asks_who_sent and user else good, parked


def known_kind(service: Service, inputs: Sequence[Input], parked: Sequence[Parked]) -> str:
    """A message's type; "unknown" where the service takes none of that name, for anybody may send any name."""
    kind = inputs[0].kind if inputs else parked[0].kind if parked else None
    return kind if kind is not None and kind in service.handlers else "unknown"


def sent_by(user: str | None) -> Mapping[str, str]:
    """The headers under which something is parked of which nothing is known but who sent it."""
    return {} if user is None else {USER: user}


def _sender(service: Service, delivery: Delivery) -> str | None:
    """The account that sent a message; of one that an administrator sends again, the one that did so before."""
    if delivery.user in service.administrators and SENT_BY in delivery.headers:
        return str(delivery.headers[SENT_BY]) or None
    return delivery.user


def _about(delivery: Delivery, user: str | None) -> dict[str, str]:
    """The headers to park a message with; none of the sender's own passes for what the broker says."""
    own = {name: str(value) for name, value in delivery.headers.items() if name not in (USER, SENT_BY)}
    return {**own, **sent_by(user), "routing_key": delivery.routing_key}


def _too_large(body: bytes, limit: int, about: Mapping[str, str]) -> Parked:
    """The beginning alone is kept, with the digest of the whole: others that begin alike are others."""
    told = blake2b(body, digest_size=16).hexdigest()
    error = f"{len(body)} bytes, {limit} at most; the beginning is kept; BLAKE2b-128 of the whole: {told}"
    return Parked(TOO_LARGE, error, body[:_KEPT_BYTES], headers=about, whole=told)
