"""Decoding, without servers: whatever bytes are delivered, they are read, or refused or parked with a known code."""

from collections.abc import Iterator
from random import Random
from typing import Any

from services.receiving import handlers as receiving
from shared.broker import Delivery
from shared.contracts.codec import Contract, Malformed, decoder, digest, read, write
from shared.parked import Parked, _row
from shared.printable import printable
from shared.reading import read_delivery
from shared.service import Input
from tests.fuzz.making import Made, make
from tests.fuzz.tally import PARKED, Tally

GATE = receiving.service(administrators={"boss"})
WARM = 2_000


def run(tally: Tally, count: int) -> None:
    """Make so many inputs and decode them; what fails is a finding, and the run goes on."""
    random = Random(tally.seed)
    for number in range(count):
        made = make(random)
        with tally.timed(f"input {number}: {made.body[:200]!r}"):
            try:
                tally.results.update(decode(made))
            except Exception as error:  # noqa: BLE001 - any of them is what is looked for
                tally.findings.append(f"input {number}: {type(error).__name__} {str(error)[:200]}: {made.body!r:.2000}")
        tally.inputs += 1
        if number == WARM:
            tally.warm()


def decode(made: Made) -> list[str]:
    """What a message is taken for: `read`, `rejected malformed`, or `parked` with its reason; one for each part."""
    delivery = Delivery(made.body, made.routing_key, made.headers, 0, False, None, made.user)
    inputs, parked = read_delivery(GATE, delivery)
    assert inputs or parked, "it is lost"
    return [*map(_taken_for, inputs), *map(_parked_for, parked)]


def _taken_for(each: Input) -> str:
    assert each.source
    assert each.user is None or isinstance(each.user, str)
    values = list(_contracts(each.value))
    for value in values:
        assert digest(read(decoder(type(value)), write(value))) == digest(value), "it is not written as it was read"
    return "read" if values else "rejected malformed"


def _contracts(value: Any) -> Iterator[Contract]:
    """The struct in an input's value, none where its fields were wrong."""
    movement = getattr(value, "movement", None)
    for each in (value, movement, *(value if isinstance(value, tuple) else ())):
        if isinstance(each, Contract):
            yield each
        elif isinstance(each, Malformed):
            assert str(each)


def _parked_for(parked: Parked) -> str:
    assert parked.reason in PARKED, parked.reason
    assert "\0" not in "".join(map(str, _row(parked.parked_id, parked)[1:-1])), "no database takes it"
    assert printable(parked.error).isprintable() or parked.error
    return f"parked {parked.reason}"
