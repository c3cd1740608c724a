"""Making what has to stand on the broker, by accounts that may make all of it, some of it, or nothing.

The idea: rights decide, no setting does. Who may make everything has the broker compare each thing with what stands
there. Who may not only looks whether it stands, and makes what is missing if that is its own: a worker has its queue
back without anybody's help.
"""

from collections.abc import Callable

from shared.broker.connection import FORBIDDEN_OR_DIFFERENT, Forbidden, Link
from shared.broker.interface import BrokerUnavailable, QueueVanished
from shared.broker.topology import Exchange, Queue, Topology


def declare(link: Link, topology: Topology) -> None:
    """Make everything in `topology`, or see that it stands. Raises `Fatal` where it stands otherwise, `Forbidden`."""
    for exchange in topology.exchanges:
        _declare_exchange(link, exchange)
    for queue in topology.queues:
        _declare_queue(link, queue, topology)


def complete(connect: Callable[[], Link], topology: Topology) -> None:
    """See that everything in `topology` stands, and make what does not, as far as the account may.

    Raises `BrokerUnavailable` where it may not: somebody else has to make it first.
    """
    while (missing := _first_missing(connect(), topology)) is not None:
        link = connect()
        try:
            if isinstance(missing, Exchange):
                _declare_exchange(link, missing)
            else:
                _declare_queue(link, missing, topology)
        except Forbidden as error:
            told = "something is missing on the broker, and this account may not make it"
            raise BrokerUnavailable(told, missing=missing.name, **error.facts) from error
        link.close()


def _declare_exchange(link: Link, exchange: Exchange) -> None:
    with link.talking(FORBIDDEN_OR_DIFFERENT):
        link.channel.exchange_declare(
            exchange.name, exchange.kind, durable=True, auto_delete=False, arguments=dict(exchange.arguments)
        )


def _declare_queue(link: Link, queue: Queue, topology: Topology) -> None:
    with link.talking(FORBIDDEN_OR_DIFFERENT):
        link.channel.queue_declare(queue.name, durable=True, auto_delete=False, arguments=dict(queue.arguments))
        for binding in topology.bindings:
            if binding.queue == queue.name:
                link.channel.queue_bind(binding.queue, binding.exchange, binding.key)


def _first_missing(link: Link, topology: Topology) -> Exchange | Queue | None:
    """What is asked for and not there closes the channel, so one is found at a time. Ends the link."""
    looked_for: Exchange | Queue | None = None
    try:
        with link.talking():
            for exchange in topology.exchanges:
                looked_for = exchange
                link.channel.exchange_declare(exchange.name, exchange.kind, passive=True)
            for queue in topology.queues:
                looked_for = queue
                link.channel.queue_declare(queue.name, passive=True)
    except QueueVanished:
        return looked_for
    link.close()
    return None
