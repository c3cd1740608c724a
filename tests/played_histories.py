"""Random histories that gate, ledger and accounting play: goods that are told of late, units some of it cancelled."""

from random import Random

from sqlalchemy import Engine

from shared.contracts.registry import MOVEMENT_ALLOCATED
from tests.builders import COMPANY, deliver, revalue_all
from tests.properties.past_histories import History as Goods
from tests.properties.serial_histories import WARRANTY
from tests.properties.serial_histories import History as Units
from tests.receiving_builders import Gate, decoded, define_shop, events
from tests.verifying_builders import book


def play_goods(engine: Engine, seed: int, sets: int, piece: int = 50) -> None:
    """Sets of movements of goods of all kinds, many told late; valued anew in pieces of about this size."""
    gate, history = Gate(engine), Goods(Random(seed), seed)
    define_shop(gate)
    for each in history.goods():
        gate.define("item", company=COMPANY, **each)
    for _ in range(sets):
        _work(engine, gate, events(history.next_set()), piece)


def play_units(engine: Engine, seed: int, movements: int, piece: int = 50) -> None:
    """Movements of units, one by one, some of which are cancelled soon."""
    gate, random = Gate(engine), Random(seed)
    history = Units(random, seed)
    define_shop(gate)
    tracked = {"tracking": "serial", "warranty_days": WARRANTY, "create_batches_on_receipt": True}
    gate.define("item", company=COMPANY, item=history.item, **tracked)
    asked: list[str] = []
    for _ in range(movements):
        following = history.next()
        if history.take(following):
            asked.append(following.id)
        _work(engine, gate, events([following]), piece)
        if random.random() < 0.3 and asked:
            cancelling = history.cancellation(random.choice(asked[-4:]))
            history.take(cancelling)
            _work(engine, gate, events([cancelling]), piece)


def _work(engine: Engine, gate: Gate, asked: list[bytes], piece: int) -> None:
    """Have all services work on a set, and value anew what is to be."""
    allocated = [decoded(each) for each in gate.send(*asked) if each.kind == MOVEMENT_ALLOCATED]
    book(engine, [*deliver(engine, *allocated), *revalue_all(engine, piece)])
