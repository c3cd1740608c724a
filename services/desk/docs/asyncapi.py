"""An AsyncAPI 3.0 document: what stockbook takes and tells, where on the broker, and in which form.

It is written from stockbook's side, as AsyncAPI wants it: what an upstream sends is an operation `receive`.
"""

from collections.abc import Mapping
from importlib.metadata import version

from services.desk.docs.samples import Samples
from services.desk.docs.schemas import Schema, file_name
from shared.broker.topology import EVENTS, INTAKE, PARTITIONS, TOPOLOGY, partition
from shared.contracts.envelope import CONTENT_TYPE
from shared.contracts.registry import MOVEMENT_REQUESTED, NAMED_BY_EVENT, ROUTES, Exchange

TAKEN = (MOVEMENT_REQUESTED, *NAMED_BY_EVENT)
"""The types that upstreams send to the intake."""
_EVENTS = {kind: route for kind, routes in ROUTES.items() for route in routes if route.exchange is Exchange.EVENTS}
TOLD = dict(sorted(_EVENTS.items(), key=lambda each: not each[1].by_source))
"""The types that anybody may listen to, with how they are routed; the answers to upstreams first."""

_BINDING = "0.3.0"
_KINDS = {exchange.name: exchange.kind for exchange in TOPOLOGY.exchanges}
_INFO = """\
Serialized and batch inventory with perpetual accounting, as message-driven worker services.

Upstreams (tills, web shops, warehouse systems) publish CloudEvents in JSON to the exchange `stock.intake` and hear on
the exchange `stock.events` what came of each. A movement is named by (source, id) for ever: sent twice it has one
effect. Decimals are strings, times have a zone."""


def document(schemas: Mapping[str, Schema], samples: Samples) -> Schema:
    """The AsyncAPI document; schemas are referred to by the names of their files."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:stockbook:messages",
        "info": {"title": "stockbook", "version": version("stockbook"), "description": _INFO},
        "defaultContentType": CONTENT_TYPE,
        "servers": {"broker": _server()},
        "channels": {kind: _channel(kind) for kind in (*TAKEN, *TOLD)},
        "operations": _operations(),
        "components": {
            "messages": {kind: _message(kind, schemas[kind], samples) for kind in (*TAKEN, *TOLD)},
            "securitySchemes": {"account": {"type": "userPassword", "description": "An account of the broker."}},
        },
    }


def _server() -> Schema:
    return {
        "host": "{host}:{port}",
        "pathname": "/{vhost}",
        "protocol": "amqp",
        "protocolVersion": "0.9.1",
        "description": "RabbitMQ 3.10 or newer: the broker that STOCKBOOK_BROKER_URL names. `amqps` works as well.",
        "variables": {
            "host": {"default": "localhost", "description": "Where the broker is."},
            "port": {"default": "5672", "description": "5671 with TLS."},
            "vhost": {"default": "%2F", "description": "The virtual host, percent-encoded."},
        },
        "security": [{"$ref": "#/components/securitySchemes/account"}],
    }


def _channel(kind: str) -> Schema:
    parameter, told = ("source", _SOURCE) if kind in TOLD else ("partition", _PARTITION)
    parted = kind not in TOLD or TOLD[kind].by_source
    return {
        "address": f"{kind}.{{{parameter}}}" if parted else kind,
        "title": f"{kind} on {EVENTS if kind in TOLD else INTAKE}",
        "description": _TOLD_WHERE if kind in TOLD else _TAKEN_WHERE,
        "servers": [{"$ref": "#/servers/broker"}],
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"}},
        **({"parameters": {parameter: told}} if parted else {}),
        "bindings": {"amqp": _exchange(EVENTS if kind in TOLD else INTAKE)},
    }


def _exchange(name: str) -> Schema:
    exchange = {"name": name, "type": _KINDS[name], "durable": True, "autoDelete": False, "vhost": "/"}
    return {"is": "routingKey", "exchange": exchange, "bindingVersion": _BINDING}


def _operations() -> dict[str, Schema]:
    taken = {f"take.{kind}": _operation("receive", kind, {"ack": True}) for kind in TAKEN}
    told = {f"tell.{kind}": _operation("send", kind, {"mandatory": False}) for kind in TOLD}
    return taken | told


def _operation(action: str, kind: str, binding: dict[str, bool]) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{kind}"},
        "summary": f"{'An upstream publishes' if action == 'receive' else 'Whoever binds to it hears'} {kind}.",
        "messages": [{"$ref": f"#/channels/{kind}/messages/{kind}"}],
        "bindings": {"amqp": {"deliveryMode": 2, **binding, "bindingVersion": _BINDING}},
    }


def _message(kind: str, schema: Schema, samples: Samples) -> Schema:
    summary, _, rest = str(schema["description"]).partition("\n\n")
    return {
        "name": kind,
        "title": kind,
        "summary": summary,
        **({"description": rest} if rest else {}),
        "contentType": CONTENT_TYPE,
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./{file_name(kind)}"},
        },
        "examples": [{"name": str(each["id"]), "payload": each} for each in samples[kind]],
    }


_TAKEN_WHERE = (
    "The routing key is the type; the partition behind it may be left out, with its dot. Publish persistent, with "
    "confirms. Each movement and each definition is answered by outcome.accepted.v1 or outcome.rejected.v1; "
    "a dry run by outcome.tried.v1 or outcome.rejected.v1, a manifest by outcome.reconciled.v1."
)
_TOLD_WHERE = (
    "Bind a queue of your own. Movements travel in frames, `data.movements`; what is told may be told again, so go by "
    "(source, id)."
)
_PARTITION = {
    "description": "`p` and two digits: the CRC-32 of the first line's warehouse, else of the company, "
    f"modulo {PARTITIONS}. It keeps hot shelves with one worker; nothing depends on it.",
    "examples": [partition("FLOOR")],
}
_SOURCE = {"description": "The upstream that is answered: bind to your own alone.", "examples": ["till-1"]}
